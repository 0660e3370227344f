"""The ready hooks in tools/dhcp: what they run, and that they never fail whoever calls them.

The real clients run those of udhcpc, dhclient and dhcpcd in tests/peers/dhcp.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[3] / "tools" / "dhcp"
SCRIPTS = ("udhcpc/headstay.script", "dhclient/headstay", "dhcpcd/90-headstay", "NetworkManager/90-headstay")

pytestmark = pytest.mark.skipif(Path("/etc/default/headstay").exists(), reason="this machine has hooks of its own")


@pytest.fixture
def bin_dir(tmp_path: Path) -> Path:
    """Where the hooks find a `headstay` that writes down how it was called, and fails."""
    program = tmp_path / "headstay"
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >{tmp_path}/called\nexit 1\n')
    program.chmod(0o755)
    return tmp_path


@pytest.mark.parametrize(
    ("script", "arguments", "called"),
    [
        ("NetworkManager/90-headstay", ["eth 0", "up"], ["--client", "networkmanager", "--", "eth 0", "up"]),
        ("dhclient/headstay", [], ["--client", "dhclient"]),
        ("dhcpcd/90-headstay", [], ["--client", "dhcpcd"]),
    ],
)
def test_a_hook(script: str, arguments: list[str], called: list[str], bin_dir: Path) -> None:
    path = f"{bin_dir}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-eu", str(TOOLS / script), *arguments], env={"PATH": path}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (bin_dir / "called").read_text().splitlines() == ["dhcp-event", *called]


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_hook_is_plain_shell(script: str) -> None:
    subprocess.run(["sh", "-n", str(TOOLS / script)], check=True)


@pytest.mark.parametrize("script", ["udhcpc/headstay.script", "NetworkManager/90-headstay"])
def test_what_is_executed_is_executable(script: str) -> None:
    assert os.access(TOOLS / script, os.X_OK)
