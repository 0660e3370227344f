"""Which YANG modules the device has, where their files lie, and what a module's head says of it.

Knows no schema. A module stands in MODULES as implemented only when its data is really served.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path

from headstay.errors import StartupError


@dataclass(frozen=True, slots=True)
class ModuleUse:
    """That a module is part of the model, and how."""

    name: str
    implemented: bool = True
    features: tuple[str, ...] = ()


MODULES = (
    ModuleUse("headstay-cloud-management"),
    ModuleUse("headstay-deviations"),
    ModuleUse(
        "ietf-netconf",
        features=("writable-running", "candidate", "confirmed-commit", "rollback-on-error", "validate", "xpath"),
    ),
    ModuleUse("ietf-netconf-monitoring"),
    ModuleUse("ietf-netconf-with-defaults"),
    ModuleUse("ietf-netconf-nmda", features=("origin", "with-defaults")),
    ModuleUse("ietf-origin"),
    ModuleUse("ietf-netconf-notifications"),
    ModuleUse("headstay-create-subscription"),
    ModuleUse("headstay-notification-streams"),
    ModuleUse("ietf-yang-library"),
    ModuleUse("ietf-datastores"),
    ModuleUse("ietf-system", features=("authentication", "local-users")),
    ModuleUse("iana-crypt-hash", features=("crypt-hash-sha-256", "crypt-hash-sha-512")),
    ModuleUse("ietf-netconf-acm"),
    ModuleUse("ietf-yang-metadata", implemented=False),
    ModuleUse("ietf-inet-types", implemented=False),
    ModuleUse("ietf-yang-types", implemented=False),
)
"""What the device implements, and what that imports."""


def device_modules(*, startup: bool) -> tuple[ModuleUse, ...]:
    """Return MODULES, with ietf-netconf's feature `startup` where there is a startup datastore."""
    if not startup:
        return MODULES
    return tuple(
        replace(use, features=(*use.features, "startup")) if use.name == "ietf-netconf" else use for use in MODULES
    )


@dataclass(frozen=True, slots=True)
class Module:
    """A module of the model, as hello, monitoring and yang-library describe it."""

    name: str
    revision: str
    namespace: str
    prefix: str
    implemented: bool
    yang_version: str
    """`1` or `1.1`."""
    features: tuple[str, ...]
    deviations: tuple[str, ...]
    """Names of the modules that deviate this one."""
    file: Path

    def source(self) -> str:
        """Return the YANG text."""
        return self.file.read_text(encoding="utf-8")


def module_directories() -> tuple[Path, ...]:
    """Return where YANG modules lie: ours, then the standard ones that pyang installs.

    An installed package holds ours beside its code, a checkout holds them in `yang/` at its top.
    """
    packaged = Path(__file__).parents[1] / "yang"
    ours = packaged if packaged.is_dir() else Path(__file__).parents[3] / "yang"
    standard = {
        Path(str(file.locate())).resolve().parent: None
        for file in metadata.files("pyang") or ()
        if file.suffix == ".yang"
    }
    return (ours, *standard)


def find_modules(uses: Iterable[ModuleUse], directories: Sequence[Path]) -> tuple[Module, ...]:
    """Read the head of every module. Raises StartupError if a file is not to be had."""
    sources = {use: _source(use.name, directories) for use in uses}
    deviating: dict[str, list[str]] = {}
    for use, (_, text) in sources.items():
        for target in _deviated_modules(text) if use.implemented else ():
            deviating.setdefault(target, []).append(use.name)
    return tuple(
        Module(
            name=use.name,
            revision=_argument(text, "revision"),
            namespace=_argument(text, "namespace"),
            prefix=_argument(text, "prefix"),
            implemented=use.implemented,
            yang_version=_argument(text, "yang-version") or "1",
            features=use.features,
            deviations=tuple(deviating.get(use.name, ())),
            file=file,
        )
        for use, (file, text) in sources.items()
    )


def _source(name: str, directories: Sequence[Path]) -> tuple[Path, str]:
    for directory in directories:
        file = directory / f"{name}.yang"
        if file.is_file():
            return file, file.read_text(encoding="utf-8")
    raise StartupError(f"the YANG module {name} is missing; it is neither in {directories[0]} nor among pyang's")


def _argument(text: str, keyword: str) -> str:
    # The head comes first, so the first statement of that keyword at the start of a line is the module's own.
    match = re.search(rf'^\s*{keyword}\s+"?([^\s";{{]+)', text, re.MULTILINE)
    return match[1] if match else ""


def _deviated_modules(text: str) -> list[str]:
    imports = dict(re.findall(r'^\s*import\s+([\w.-]+)\s*\{\s*prefix\s+"?([\w.-]+)', text, re.MULTILINE))
    module_of = {prefix: name for name, prefix in imports.items()}
    prefixes = re.findall(r'^\s*deviation\s+"?/([\w.-]+):', text, re.MULTILINE)
    return list(dict.fromkeys(module_of[prefix] for prefix in prefixes))
