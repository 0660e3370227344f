"""`headstay dhcp-event`: what it makes of a hook's call, and that no DHCP client ever suffers from it."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from headstay.cli import main
from headstay.cli.dhcp_event import _update
from headstay.datastore.model import Model
from headstay.dhcp.event import Happening, LeaseEvent
from headstay.dhcp.pending import waiting
from headstay.dhcp.wall_clock import WallClock, read_boot_id
from models import device_model

DHCLIENT = {"reason": "BOUND", "interface": "eth0", "new_cloud_domain": "99 108", "new_cloud_password": "115,51"}


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment of dhclient's hook."""
    for name in ("reason", "interface", "NM_DISPATCHER_ACTION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in DHCLIENT.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


@pytest.mark.parametrize("client", [[], ["--client", "dhclient"]])
def test_without_a_daemon_the_event_waits(
    client: list[str], called: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["dhcp-event", "--state-dir", str(tmp_path), *client]) == 0
    ((_, found),) = waiting(tmp_path, WallClock("another boot", 0.0))
    assert found is not None
    assert found[0] == LeaseEvent("eth0", "dhclient", Happening.BOUND, b"cl", b"s3")  # of another boot: no told_at
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert "it finds the event when it starts" in printed.err


def test_without_a_state_directory(called: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dhcp-event", "--state-dir", str(tmp_path / "nowhere")]) == 0
    assert "cannot be left in" in capsys.readouterr().err


def test_with_a_broken_configuration(called: object, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "device.toml").write_text("nonsense")
    assert main(["dhcp-event", "--config", str(tmp_path / "device.toml")]) == 0
    assert "device.toml" in capsys.readouterr().err


def test_what_is_not_about_a_lease(
    called: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called.setenv("reason", "PREINIT")
    assert main(["dhcp-event", "--state-dir", str(tmp_path)]) == 0
    assert capsys.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


def test_a_person_at_a_shell(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["dhcp-event", "--state-dir", str(tmp_path)]) == 0
    assert "not called by a DHCP client" in capsys.readouterr().err


@pytest.mark.parametrize("octets", [b"", b"cl", b"\0\x01\xff", b"x" * 65535, "é\ufffe".encode(), b"http://wpad/\n\0"])
@pytest.mark.parametrize("happening", Happening)
def test_the_daemon_takes_whatever_it_is_sent(octets: bytes, happening: Happening) -> None:
    model: Model = device_model()
    update = _update(LeaseEvent("eth0", "dhclient", happening, octets, octets, 2**32 - 1))
    assert model.rpc_input(update).tag == update.tag
    model.rpc_input(_update(LeaseEvent("e", "udhcpc", happening)))


def test_a_wrong_command_line_is_told_to_whoever_writes_the_hook(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["dhcp-event", "--client", "systemd-networkd"])
    assert ended.value.code == 2
    with pytest.raises(SystemExit):
        main(["dhcp-event", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "The exit code is 2 if the command line is wrong, else 0, whatever becomes of the event." in said


def test_calls_one_after_the_other_are_in_order_in_whichever_process(called: object, tmp_path: Path) -> None:
    """A shell executes its last command in its own place, which leaves it the time when the shell began."""
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    command = f"{sys.executable} -m headstay dhcp-event --state-dir"
    (tmp_path / "first").mkdir()
    (tmp_path / "last").mkdir()
    script = f"sleep 0.05; {command} {tmp_path}/first; exec {command} {tmp_path}/last"
    subprocess.run(["/bin/sh", "-c", script], stderr=subprocess.DEVNULL, check=True)
    first, last = (told_at(tmp_path / name) for name in ("first", "last"))
    assert before * 1000 - 1 <= first < last <= time.clock_gettime(time.CLOCK_BOOTTIME) * 1000


def told_at(state_dir: Path) -> int:
    """When the only event that waits was told of."""
    ((_, found),) = waiting(state_dir, WallClock(read_boot_id(), 0.0))
    assert found is not None
    assert found[0].told_at is not None
    return found[0].told_at
