"""The YANG modules in two engines: yangson, which the daemon uses, and libyang, the oracle.

Owns how the tests load them and how each judges a configuration.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from yangson import DataModel
from yangson.enumerations import ContentType
from yangson.exceptions import YangsonException

YANG = Path(__file__).parents[1] / "yang"
MODULES = ("headstay-cloud-management", "headstay-deviations")
RFC_5277 = ("headstay-create-subscription", "headstay-notification-streams")
"""Ours too, but their names within are the RFC's."""
REVISION = "2026-11-22"
OURS = "headstay-cloud-management:cloud-management"
USERS = "ietf-system:system"

IMPLEMENTED: list[tuple[str, str, list[str]]] = [
    (MODULES[0], REVISION, []),
    (MODULES[1], REVISION, []),
    ("ietf-system", "2014-08-06", ["authentication", "local-users"]),
    ("iana-crypt-hash", "2014-08-06", ["crypt-hash-sha-256", "crypt-hash-sha-512"]),
    (
        "ietf-netconf",
        "2011-06-01",
        ["candidate", "confirmed-commit", "rollback-on-error", "startup", "validate", "writable-running", "xpath"],
    ),
    ("ietf-netconf-monitoring", "2010-10-04", []),
    ("ietf-netconf-notifications", "2012-02-06", []),
    (RFC_5277[0], REVISION, []),
    (RFC_5277[1], REVISION, []),
    ("ietf-yang-library", "2019-01-04", []),
    ("ietf-netconf-acm", "2018-02-14", []),
]
IMPORTED: list[tuple[str, str, list[str]]] = [
    ("ietf-inet-types", "2013-07-15", []),
    ("ietf-yang-types", "2013-07-15", []),
    ("ietf-datastores", "2018-02-14", []),
]


def module_path() -> list[str]:
    """Our modules, then the standard ones where pyang's distribution put them."""
    files = importlib.metadata.files("pyang") or []
    standard = {str(Path(str(file.locate())).resolve().parent) for file in files if file.suffix == ".yang"}
    return [str(YANG), *sorted(standard)]


def wanted(deviations: bool) -> list[tuple[str, str, list[str]]]:
    return [module for module in IMPLEMENTED if deviations or module[0] != MODULES[1]]


# the two judges -----------------------------------------------------------------------------------

Judge = Callable[[dict[str, Any]], str | None]
"""Takes a configuration as RFC 7951 JSON. Returns None if it is valid, else the error-app-tag or `refused`."""
APP_TAGS = {
    "duplicate-server",
    "address-family-mismatch",
    "hold-down-mismatch",
    "incomplete-client-certificate",
    "too-many-elements",
}


def yangson_model(deviations: bool) -> DataModel:
    listed = [(*module, "implement") for module in wanted(deviations)] + [(*module, "import") for module in IMPORTED]
    library = [
        {"name": name, "revision": revision, "namespace": name, "feature": features, "conformance-type": conformance}
        for name, revision, features, conformance in listed
    ]
    text = json.dumps({"ietf-yang-library:modules-state": {"module-set-id": "test", "module": library}})
    return DataModel(text, module_path())


def yangson_judge(model: DataModel) -> Judge:
    def judge(data: dict[str, Any]) -> str | None:
        try:
            model.from_raw(data).validate(ctype=ContentType.config)
        except YangsonException as error:
            tag = getattr(error, "tag", None)
            return tag if tag in APP_TAGS else "refused"
        return None

    return judge


def libyang_context(deviations: bool) -> Any:
    libyang = pytest.importorskip("oopt_gnpy_libyang", reason="there is no libyang wheel for this machine")
    libyang.set_log_options(libyang.LogOptions.Store)
    flags = libyang.ContextOptions.NoYangLibrary | libyang.ContextOptions.DisableSearchCwd
    context = libyang.Context(os.pathsep.join(module_path()), flags)
    for name, revision, features in wanted(deviations):
        context.load_module(name, revision, features)
    return context


def libyang_judge(context: Any) -> Judge:
    libyang = pytest.importorskip("oopt_gnpy_libyang")

    def judge(data: dict[str, Any]) -> str | None:
        context.clean_all_errors()
        try:
            context.parse_data(
                json.dumps(data, ensure_ascii=False),  # libyang reads no surrogate pairs
                libyang.DataFormat.JSON,
                libyang.ParseOptions.Strict | libyang.ParseOptions.NoState,
                libyang.ValidationOptions.NoState,
            )
        except libyang.ErrorWithCode:
            tags = {error.app_tag for error in context.errors()}
            return next(iter(tags & APP_TAGS), "refused")
        return None

    return judge
