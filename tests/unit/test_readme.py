"""What the README claims of the NETCONF server: every capability stands there, and every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

from fakes_netconf import model
from headstay.datastore.name import Name
from headstay.netconf.capabilities import capabilities

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_file_that_is_linked_exists() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_capability_has_a_row_and_every_row_a_capability() -> None:
    announced = {
        uri.rpartition("capability:")[2].partition("?")[0]
        for uri in capabilities(model().modules, tuple(Name))
        if ":capability:" in uri
    }
    rows = [line for line in README.splitlines() if line.startswith("| ") and "](tests/" in line]
    named = {name for row in rows for name in re.findall(r"`([a-z-]+:1\.[01])`", row.split("|")[1])}
    assert named - {"base:1.0", "base:1.1"} == announced
