"""Who may import whom: the arrows between packages, who may use which library, and what a core must not touch.

Reads the source, so an import inside a function or under TYPE_CHECKING counts like any other.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import pytest

import headstay
from headstay import errors

SOURCE = Path(headstay.__file__).parent

EVERYTHING = frozenset({"headstay"})
ARROWS: Mapping[str, frozenset[str]] = {
    "headstay": frozenset(),
    "headstay.__main__": frozenset({"headstay.cli"}),
    "headstay.cli": EVERYTHING,
    "headstay.device": EVERYTHING,
    "headstay.device_file": frozenset({"headstay.errors", "headstay.toml", "headstay.wire", "headstay.netconf.limits"}),
    "headstay.errors": frozenset(),
    "headstay.report_store": frozenset(
        {"headstay.engine", "headstay.wire", "headstay.errors", "headstay.sqlite_refusals"}
    ),
    "headstay.rate_limit": frozenset(),
    "headstay.sqlite_refusals": frozenset(),
    "headstay.state_directory": frozenset({"headstay.errors"}),
    "headstay.toml": frozenset({"headstay.errors"}),
    "headstay.xml": frozenset({"headstay.errors"}),
    "headstay.wire": frozenset({"headstay.errors"}),
    "headstay.dhcp": frozenset({"headstay.errors"}),
    "headstay.engine": frozenset({"headstay.wire", "headstay.errors", "headstay.rate_limit"}),
    "headstay.cloud": frozenset({"headstay.wire", "headstay.errors", "headstay.toml", "headstay.rate_limit"}),
    "headstay.datastore": frozenset({"headstay.errors", "headstay.xml", "headstay.sqlite_refusals"}),
    "headstay.backend": frozenset(
        {
            "headstay.errors",
            "headstay.xml",
            "headstay.dhcp",
            "headstay.engine",
            "headstay.datastore.access",
            "headstay.datastore.commit",
            "headstay.datastore.difference",
            "headstay.datastore.edits",
            "headstay.datastore.events",
            "headstay.datastore.model",
            "headstay.datastore.schema",
            "headstay.datastore.secrets",
            "headstay.datastore.values",
        }
    ),
    "headstay.netconf": frozenset(
        {"headstay.errors", "headstay.xml", "headstay.sqlite_refusals", "headstay.datastore"}
    ),
}
"""Package or module -> what of ours it may import besides itself. The longest name that fits a module counts.

EVERYTHING is everything but the command line, which nothing imports but `__main__` (and the command line itself).
"""

LIBRARIES: Mapping[str, frozenset[str]] = {
    "yangson": frozenset(
        {f"headstay.datastore.{name}" for name in ("model", "leaf_types", "constraints", "patterns", "violations")}
    ),
    "xmltodict": frozenset({"headstay.cli"}),
    "sqlalchemy": frozenset({"headstay.cloud"}),
    "aiohttp": frozenset({"headstay.cloud"}),
    "asyncssh": frozenset({"headstay.netconf", "headstay.cloud", "headstay.device"}),
    "websockets": frozenset({"headstay.engine"}),
}
"""Library -> the packages or modules that alone may import it."""

CORES = frozenset(
    {
        "headstay.rate_limit",
        "headstay.engine.machine",
        "headstay.engine.failover",
        "headstay.engine.keepalive",
        "headstay.dhcp.hooks",
        "headstay.dhcp.lease",
        "headstay.dhcp.networkd",
        "headstay.engine.backoff",
        "headstay.engine.reports",
        "headstay.netconf.framing",
        "headstay.netconf.login_delay",
        "headstay.netconf.session",
        "headstay.cloud.sessions",
        "headstay.datastore.edit",
    }
)
"""These do no I/O. So does every module whose docstring starts with CORE, and whatever one of them imports."""
OUTSIDE_WORLD = frozenset(
    {
        "asyncio",
        "concurrent",
        "fcntl",
        "http",
        "io",
        "multiprocessing",
        "os",
        "pathlib",
        "secrets",
        "select",
        "selectors",
    }
    | {"shutil", "signal", "socket", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uuid"}
    | {"aiohttp", "aiosqlite", "asyncssh", "sqlalchemy", "websockets"}
)
"""A core does not import these. Of `random` it has the type of the source of randomness that it is handed."""
TELLS_THE_TIME = {"now", "today", "utcnow"}
"""Methods of datetime's classes that read the clock."""
RECORDS: Mapping[str, frozenset[str]] = {
    "headstay.engine.instant": frozenset({"Instant"}),
    "headstay.datastore.access": frozenset({"Requester"}),
}
"""Shells beside whose code stands what cores are handed -> the names that a core may import from there."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, dotted in full."""

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class Module:
    """A module's name, and what it says."""

    name: str
    tree: ast.Module

    @property
    def is_core(self) -> bool:
        return self.name in CORES or (ast.get_docstring(self.tree) or "").startswith("CORE")

    def imports(self) -> list[Import]:
        """Return every import, wherever it stands."""
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [Import(alias.name, node.lineno) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}:{node.lineno}: a relative import"
                found += [Import(f"{node.module}.{alias.name}", node.lineno) for alias in node.names]
        return found


def module(name: str, text: str) -> Module:
    return Module(name, ast.parse(text))


def modules_of(source: Path) -> dict[str, Module]:
    modules = {}
    for file in sorted(source.rglob("*.py")):
        parts = ("headstay", *file.relative_to(source).with_suffix("").parts)
        name = ".".join(parts).removesuffix(".__init__")
        modules[name] = module(name, file.read_text(encoding="utf-8"))
    return modules


HEADSTAY = modules_of(SOURCE)


def lies_in(name: str, places: Iterable[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def longest(name: str, places: Iterable[str]) -> str | None:
    """Return the longest of the places that the name lies in; the package `headstay` is a place of its own only."""
    fitting = [place for place in places if name == place or (place != "headstay" and name.startswith(f"{place}."))]
    return max(fitting, key=len, default=None)


# the arrows ---------------------------------------------------------------------------------------


def broken_arrows(module: Module) -> list[str]:
    """Return what this module imports of ours and must not."""
    home = longest(module.name, ARROWS)
    if home is None:
        return [f"{module.name}: has no arrows; add it to ARROWS"]
    return [
        f"{module.name}:{found.line}: {home} must not import {found.name}"
        for found in module.imports()
        if lies_in(found.name, ["headstay"]) and not may_import(home, found.name)
    ]


def may_import(home: str, name: str) -> bool:
    if home != "headstay" and lies_in(name, [home]):
        return True
    if lies_in(name, ["headstay.cli"]) and "headstay.cli" not in ARROWS[home]:
        return False
    if lies_in(name, ARROWS[home]):
        return True
    # `from headstay import xml` names headstay.xml, `from headstay.datastore import model` headstay.datastore.model;
    # `from headstay import __version__` names nothing that could draw an arrow.
    return name == "headstay.__version__"


@pytest.mark.parametrize("name", HEADSTAY)
def test_arrows(name: str) -> None:
    assert broken_arrows(HEADSTAY[name]) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("headstay.netconf.session", "from headstay.engine.machine import Machine"),
        ("headstay.netconf.operations.commit", "from headstay import engine"),
        ("headstay.engine.machine", "import headstay.datastore.model"),
        ("headstay.engine.machine", "def late():\n    from headstay.datastore import model"),
        ("headstay.engine.machine", "if TYPE_CHECKING:\n    from headstay.backend.plan import Plan"),
        ("headstay.backend.plan", "from headstay.datastore.stores import Datastores"),
        ("headstay.backend.plan", "from headstay.netconf import messages"),
        ("headstay.datastore.commit", "from headstay.backend.plan import Plan"),
        ("headstay.cloud.sessions", "from headstay.engine.backoff import delay"),
        ("headstay.engine.runner", "from headstay.cloud.limits import Limits"),
        ("headstay.wire.messages", "from headstay.xml import parse"),
        ("headstay.errors", "from headstay.xml import XmlError"),
        ("headstay.xml", "import headstay.netconf.framing"),
        ("headstay.device", "from headstay.cli import main"),
        ("headstay.newcomer", "import math"),
    ],
)
def test_a_forbidden_arrow_is_seen(name: str, text: str) -> None:
    assert len(broken_arrows(module(name, text))) == 1


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("headstay.netconf.server", "from headstay.datastore.stores import Datastores"),
        ("headstay.netconf.session", "from headstay.netconf import messages"),
        (
            "headstay.backend.plan",
            "from headstay.datastore.model import Model\nfrom headstay.engine.actions import Action",
        ),
        ("headstay.engine.runner", "from headstay.wire.messages import Report\nfrom headstay.errors import WireError"),
        ("headstay.device", "from headstay.engine.runner import Runner\nfrom headstay.netconf.server import serve"),
        ("headstay.cli.demo", "from headstay import cloud, device\nfrom headstay.cli import show"),
        ("headstay.engine.machine", "import headstays_neighbour"),
    ],
)
def test_an_allowed_arrow_passes(name: str, text: str) -> None:
    assert broken_arrows(module(name, text)) == []


# the libraries ------------------------------------------------------------------------------------


def misplaced_libraries(module: Module) -> list[str]:
    """Return the imports of libraries that only other modules may use."""
    return [
        f"{module.name}:{found.line}: {found.name} is for {sorted(LIBRARIES[library])} only"
        for found in module.imports()
        if (library := found.name.partition(".")[0]) in LIBRARIES and not lies_in(module.name, LIBRARIES[library])
    ]


@pytest.mark.parametrize("name", HEADSTAY)
def test_libraries(name: str) -> None:
    assert misplaced_libraries(HEADSTAY[name]) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("headstay.backend.plan", "import yangson"),
        ("headstay.datastore.edit", "def late():\n    from yangson.instance import RootNode"),
        ("headstay.engine.steps", "from aiohttp import ClientSession"),
        ("headstay.netconf.messages", "import xmltodict"),
    ],
)
def test_a_misplaced_library_is_seen(name: str, text: str) -> None:
    assert len(misplaced_libraries(module(name, text))) == 1


# the cores ----------------------------------------------------------------------------------------


def cores_and_what_they_import(modules: Mapping[str, Module]) -> set[str]:
    reached: set[str] = set()
    waiting = [name for name, module in modules.items() if module.is_core]
    while waiting:
        name = waiting.pop()
        if name not in reached and name not in RECORDS:
            reached.add(name)
            imported = (longest(found.name, modules) for found in modules[name].imports())
            waiting += [each for each in imported if each is not None]
    return reached


def touched_world(module: Module) -> list[str]:
    """Return where a core reaches out: to a clock, a socket, a file, a thread, randomness of its own."""
    found = [
        f"{each.line}: imports {each.name}"
        for each in module.imports()
        if each.name.partition(".")[0] in OUTSIDE_WORLD
        or each.name.startswith("random.")  # `import random` makes every use of it visible to `reaches_out`
        or is_more_than_a_record(each.name)
    ]
    return found + [f"{node.lineno}: {ast.unparse(node)}" for node in ast.walk(module.tree) if reaches_out(node)]


def is_more_than_a_record(name: str) -> bool:
    shell, _, what = name.rpartition(".")
    return name in RECORDS or (shell in RECORDS and what not in RECORDS[shell])


def reaches_out(node: ast.AST) -> TypeGuard[ast.expr]:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="random"), attr="Random")):
            return True
        case ast.Attribute(value=ast.Name(id="random"), attr=attribute):
            return attribute != "Random"
        case ast.Attribute(
            attr=attribute, value=ast.Name(id="datetime" | "date") | ast.Attribute(attr="datetime" | "date")
        ):
            return attribute in TELLS_THE_TIME
        case ast.Call(func=ast.Name(id="open" | "print" | "input")):
            return True
    return False


def test_every_core_is_there() -> None:
    assert set(HEADSTAY) >= CORES


@pytest.mark.parametrize("name", sorted(cores_and_what_they_import(HEADSTAY)))
def test_cores_touch_nothing(name: str) -> None:
    assert touched_world(HEADSTAY[name]) == []


@pytest.mark.parametrize(
    "text",
    [
        "import asyncio",
        "import os.path",
        "from time import monotonic",
        "def late():\n    import socket",
        "from random import Random",
        "import random\ndelay = random.random()",
        "import random\njitter = random.Random()",
        "from datetime import datetime\nnow = datetime.now()",
        "import datetime\ntoday = datetime.date.today()",
        "from headstay.engine.instant import Instant, read_clock",
        "from headstay.engine import instant",
        "text = open('file')",
    ],
)
def test_a_core_that_reaches_out_is_seen(text: str) -> None:
    assert touched_world(module("headstay.engine.machine", text)) != []


@pytest.mark.parametrize(
    "text",
    [
        "import random\ndef backoff(jitter: random.Random) -> float:\n    return jitter.random()",
        "from datetime import UTC, datetime\nmoment = datetime.fromtimestamp(0, UTC)",
        "from headstay.engine.instant import Instant\nlater = Instant(0, 0)",
    ],
)
def test_a_core_that_is_told_the_world_passes(text: str) -> None:
    assert touched_world(module("headstay.engine.machine", text)) == []


def test_what_a_core_imports_is_held_too() -> None:
    modules = {
        "headstay": module("headstay", ""),
        "headstay.a": module("headstay.a", '"""CORE: a."""\nfrom headstay import b'),
        "headstay.b": module("headstay.b", "from headstay.c import C"),
        "headstay.c": module("headstay.c", "import time"),
        "headstay.shell": module("headstay.shell", "import asyncio"),
    }
    assert cores_and_what_they_import(modules) == {"headstay.a", "headstay.b", "headstay.c"}
    assert touched_world(modules["headstay.c"])


# the tree of errors -------------------------------------------------------------------------------


def undrawn(tree: str, namespace: Mapping[str, object]) -> set[str]:
    """Return the error classes that the drawn tree leaves out, and the names it draws that are no error class."""
    classes = {name for name, thing in namespace.items() if inspect.isclass(thing) and issubclass(thing, Exception)}
    lines = [line for line in tree.splitlines() if "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in line]
    drawn = {name for line in lines for name in re.findall(r"\u2500 (\w+)", line)}
    return classes ^ (drawn | {"HeadstayError"})


def test_the_tree_of_errors_is_drawn_whole() -> None:
    assert undrawn(errors.__doc__ or "", vars(errors)) == set()


def test_an_error_that_is_not_drawn_is_seen() -> None:
    newcomer = type("Newcomer", (errors.NetconfError,), {})
    assert undrawn(errors.__doc__ or "", {**vars(errors), "Newcomer": newcomer}) == {"Newcomer"}


def test_every_netconf_error_has_a_tag_of_its_own() -> None:
    kinds = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.NetconfError)]
    tags = [kind.tag for kind in kinds if kind is not errors.NetconfError]
    assert (
        len(tags) == len(set(tags)) == 19
    )  # RFC 6241 appendix A has 20, of which one, partial-operation, is deprecated
