"""Which leafs no constraint looks at: never one that some expression may reach."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstay.datastore.constraints import unconstrained
from headstay.datastore.model import Model
from headstay.datastore.modules import ModuleUse, module_directories
from models import device_model


def free(tmp_path: Path, body: str) -> set[str]:
    """Return the names of the leafs of a module with this body that no constraint looks at."""
    (tmp_path / "looks.yang").write_text(
        'module looks {\n  yang-version 1.1;\n  namespace "urn:looks";\n  prefix l;\n  revision 2026-01-01;\n'
        f"  {body}\n}}\n"
    )
    model = Model([ModuleUse("looks")], [tmp_path, *module_directories()])
    return {node.name for node in unconstrained(model.schema, model._library.schema)}


LEAFS = "leaf a { type string; } leaf b { type string; }"


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (f"container c {{ {LEAFS} }}", {"a", "b"}),
        (f"container c {{ must 'a'; {LEAFS} }}", {"b"}),
        (f"container c {{ must 'not(b = \"x\" and ../c/a)'; {LEAFS} }}", set()),  # c is named, and all is in it
        (f"container c {{ must 'count(*) = 1'; {LEAFS} }}", set()),
        (f"container c {{ must './/a'; {LEAFS} }}", set()),
        (f"container c {{ must '. = \"x\"'; {LEAFS} }}", set()),
        (f"container c {{ must 'string() = \"x\"'; {LEAFS} }}", set()),
        (f"container c {{ {LEAFS} container d {{ must '.. = \"x\"'; leaf e {{ type string; }} }} }}", set()),
        (f"container c {{ {LEAFS} leaf d {{ type string; must '. != ../a'; }} }}", {"b"}),
        (f"container c {{ {LEAFS} leaf d {{ when '../a'; type string; }} }}", {"b", "d"}),
        (f"container c {{ {LEAFS} leaf d {{ type leafref {{ path '../a'; }} }} }}", {"b"}),
        (f"container c {{ {LEAFS} leaf d {{ type union {{ type int8; type leafref {{ path '../a'; }} }} }} }}", {"b"}),
        (f"container c {{ {LEAFS} leaf d {{ type instance-identifier; }} }}", set()),
        (f"list c {{ key a; unique b; {LEAFS} leaf d {{ type string; }} }}", {"d"}),
        (f"container c {{ {LEAFS} }} leaf d {{ type string; must 'count(/l:c[l:a = current()]) = 0'; }}", set()),
        (f"container c {{ choice k {{ when 'a'; leaf d {{ type string; }} }} {LEAFS} }}", {"b", "d"}),
        (f"container c {{ {LEAFS} }} rpc r {{ input {{ leaf x {{ type string; must '../a'; }} }} }}", {"a", "b"}),
    ],
)
def test_what_is_looked_at_is_not_free(tmp_path: Path, body: str, names: set[str]) -> None:
    assert free(tmp_path, body) == names


def test_the_intervals_of_the_device_are_free() -> None:
    model = device_model()
    names = {node.path for node in unconstrained(model.schema, model._library.schema)}
    assert {"/hcm:cloud-management/ping-interval", "/hcm:cloud-management/keepalive-interval"} <= names
    assert "/hcm:cloud-management/server/domain" not in names
