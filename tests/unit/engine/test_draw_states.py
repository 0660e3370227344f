from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from headstay.engine.reasons import DeviceState

TOOL = Path(__file__).resolve().parents[3] / "tools" / "draw_states"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True, check=False)


def test_it_draws_every_state() -> None:
    drawn = run().stdout
    assert drawn.startswith("stateDiagram-v2\n")
    assert all(f'"{state.value}"' in drawn for state in DeviceState)
    assert "    handshaking --> connected: Handshaken\n" in drawn


def test_check_fails_until_write_has_put_it_there_and_the_rest_is_untouched(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- states:begin -->\nold\n<!-- states:end -->\nafter\n")
    assert run("--check", readme).returncode == 1
    assert run("--write", readme).returncode == 0
    assert run("--check", readme).returncode == 0
    text = readme.read_text()
    assert text.startswith("before\n<!-- states:begin -->\n```mermaid\nstateDiagram-v2\n")
    assert text.endswith("\n```\n<!-- states:end -->\nafter\n")


def test_a_file_without_marks_is_an_error(tmp_path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing")
    assert run("--check", readme).returncode == 1
    assert run("--write", readme).returncode == 1
    assert readme.read_text() == "nothing"
