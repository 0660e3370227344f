"""`headstay demo`: what it advises. The rest is tested with the real programs."""

from __future__ import annotations

from pathlib import Path

from headstay.cli.demo import _Demo

LONG = Path("/srv") / ("a-long-name-" * 6) / "demo"


def test_advice_fits_a_terminal_but_for_paths_that_stand_alone() -> None:
    advice = _Demo(LONG, 0, 0)._advice({"netconf-port": 8300}, "p" * 16)
    wide = [line for line in advice.splitlines() if len(line) > 80]
    assert wide, "the paths are too short to tell anything"
    assert all(line.split()[-1].startswith(str(LONG)) and len(line.split()) <= 2 for line in wide), wide
