"""kill -9 at any moment of a write: the device comes up with the old configuration or the new one, whole."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).resolve().parents[2] / "tools" / "crash_test"


def test_fifty_kills() -> None:
    run = subprocess.run([sys.executable, TOOL, "--count", "50"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "50 kills:" in run.stdout
    assert run.stdout.endswith("no violation\n")
