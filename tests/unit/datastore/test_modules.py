from __future__ import annotations

from pathlib import Path

import pytest

from headstay.datastore.modules import MODULES, ModuleUse, find_modules, module_directories
from headstay.errors import StartupError


def test_every_module_of_the_device_is_found() -> None:
    found = {module.name: module for module in find_modules(MODULES, module_directories())}
    ours = found["headstay-cloud-management"]
    assert (ours.prefix, ours.namespace, ours.yang_version) == ("hcm", "urn:headstay:yang:cloud-management", "1.1")
    assert ours.deviations == ("headstay-deviations",)
    assert ours.source().startswith("module headstay-cloud-management {")
    assert found["ietf-system"].deviations == ("headstay-deviations",)
    assert found["ietf-netconf"].yang_version == "1"
    assert not found["ietf-inet-types"].implemented
    assert all(module.revision and module.namespace and module.prefix for module in found.values())


def test_our_directory_comes_first() -> None:
    assert (module_directories()[0] / "headstay-cloud-management.yang").is_file()


def test_a_missing_module_is_named() -> None:
    with pytest.raises(StartupError, match=r"no-such-module.*missing"):
        find_modules([ModuleUse("no-such-module")], module_directories())


def test_the_head_of_a_module(tmp_path: Path) -> None:
    (tmp_path / "a.yang").write_text(
        'module a {\n  namespace "urn:a";\n  prefix "a";\n  import b { prefix bb; }\n'
        "  import c {\n    prefix cc;\n  }\n"
        '  revision 2026-02-02;\n  revision 2026-01-01;\n  deviation "/bb:x" { deviate not-supported; }\n'
        "  deviation /cc:y { deviate not-supported; }\n}\n"
    )
    for name in "bc":
        (tmp_path / f"{name}.yang").write_text(f"module {name} {{\n  namespace urn:{name};\n  prefix {name};\n}}\n")
    a, b, c = find_modules([ModuleUse("a"), ModuleUse("b"), ModuleUse("c")], [tmp_path])
    assert (a.namespace, a.prefix, a.revision, a.yang_version) == ("urn:a", "a", "2026-02-02", "1")
    assert (b.deviations, c.deviations) == (("a",), ("a",))
    assert b.revision == ""
