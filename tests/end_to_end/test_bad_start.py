"""A daemon that cannot start says why in one line on standard error, exits non-zero, and loses nothing."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from end_to_end.processes import Device, Program, command


@pytest.fixture(scope="module")
def has_run(tmp_path_factory: pytest.TempPathFactory) -> Device:
    """A device that has run once and was stopped."""
    device = Device(tmp_path_factory.mktemp("template") / "d", "HS-START")
    device.stop()
    return device


@pytest.fixture
def stopped(has_run: Device, tmp_path: Path) -> Device:
    """A copy of it, to damage."""
    return has_run.copied_to(tmp_path / "d")


def refused(device: Device) -> str:
    """Start the device, which must not work, and return its one line."""
    done = command("device", "--config", str(device.config))
    assert done.returncode == 1
    assert done.stdout == ""
    said = [line for line in done.stderr.splitlines() if line.startswith("headstay: ")]
    assert len(said) == 1, done.stderr
    assert "Traceback" not in done.stderr
    return said[0]


@pytest.mark.parametrize("damage", [b"", None, b"this is no database", b"SQLite format 3\0 and then rubbish" * 100])
def test_corrupt_database(stopped: Device, damage: bytes | None) -> None:
    database = stopped.state_dir / "datastore.db"
    original = database.read_bytes()
    damaged = original[:5000] if damage is None else damage
    database.write_bytes(damaged)
    assert re.search(r"datastore\.db cannot be used: it is damaged .*; restore it from a backup, or", refused(stopped))
    assert database.read_bytes() == damaged, "what can still be rescued was touched"
    database.write_bytes(original)
    stopped.start()
    stopped.stop()


def test_missing_database(stopped: Device, tmp_path: Path) -> None:
    """It may have been moved away, as the daemon itself advises; whoever did not do that has to hear of it."""
    (stopped.state_dir / "datastore.db").unlink()
    stopped.start()
    stopped.stop()
    assert "datastore.db, though this device has run before" in stopped.program.log
    stopped.start()
    stopped.stop()
    assert "has run before" not in stopped.program.log
    new = Device(tmp_path / "new", "HS-NEW")
    new.stop()
    assert "has run before" not in new.program.log


def test_short_secrets_key(stopped: Device) -> None:
    key = stopped.state_dir / "secrets.key"
    key.write_bytes(key.read_bytes()[:10])
    assert "secrets.key" in refused(stopped)


def test_change_of_the_key_that_was_cut_off(stopped: Device) -> None:
    (stopped.state_dir / "secrets.key.new").write_bytes(bytes(32))
    stopped.start()
    stopped.stop()
    assert "it is undone now" in stopped.program.log
    assert not (stopped.state_dir / "secrets.key.new").exists()


@pytest.mark.parametrize("name", ["secrets.key", "ssh_host_ed25519_key", "datastore.db"])
def test_unreadable_file(stopped: Device, name: str) -> None:
    # A directory in its place is unreadable for root too, whom file modes do not stop.
    file = stopped.state_dir / name
    file.unlink()
    file.mkdir()
    assert re.search(f"{file} cannot be .*; (restore it|see that)", refused(stopped))


def test_host_key_that_is_none(stopped: Device) -> None:
    (stopped.state_dir / "ssh_host_ed25519_key").write_text("nothing of the kind")
    assert "ssh_host_ed25519_key" in refused(stopped)


def test_port_in_use(stopped: Device) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stopped.config.write_text(stopped.config.read_text().replace("port = 0", f"port = {port}"))
        assert f"127.0.0.1:{port} is in use" in refused(stopped)


def test_second_daemon_on_one_state_directory(tmp_path: Path) -> None:
    device = Device(tmp_path / "d", "HS-TWICE")
    try:
        assert "another headstay runs" in refused(device)
        assert device.show("state").returncode == 0
    finally:
        device.stop()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ('serial = "HS-START"', "serial"),
        ('serial = "no spaces allowed"', "serial"),
        ("serial = 7", "serial"),
        ('serial = "x"\nunknown-key = 1', "unknown-key"),
        ('serial = "x"\nlog-level = "loud"', "log-level"),
        ('serial = "x', "TOML"),
    ],
)
def test_wrong_device_toml(stopped: Device, wrong: str, named: str) -> None:
    text = stopped.config.read_text()
    if wrong == 'serial = "HS-START"':
        text = text.replace(wrong + "\n", "")
    else:
        text = text.replace('serial = "HS-START"', wrong)
    stopped.config.write_text(text)
    line = refused(stopped)
    assert str(stopped.config) in line
    assert named in line


@pytest.mark.parametrize("line", ["ssh-ed25519 AAAA x", "restrict ssh-ed25519 AAAA", "nothing"])
def test_first_user_with_a_key_that_is_none(tmp_path: Path, line: str) -> None:
    config = tmp_path / "device.toml"
    config.write_text(f'serial = "S"\nstate-dir = "s"\n[first-user]\nname = "a"\nauthorized-keys = ["{line}"]\n')
    done = command("device", "--config", str(config))
    assert done.returncode == 1
    assert done.stderr.startswith("headstay: first-user.authorized-keys: line 1 ")
    assert done.stderr.count("\n") == 1


def test_device_json_that_cannot_be_written_keeps_nobody_from_the_device(stopped: Device) -> None:
    facts = stopped.state_dir / "device.json"
    facts.unlink()
    facts.mkdir()
    program = Program("device", "--config", str(stopped.config))
    program.until_line("device.json cannot be written")
    program.until_line("NETCONF on port")
    assert stopped.show("state").returncode == 0
    assert program.stop() == 0


def test_missing_device_toml(tmp_path: Path) -> None:
    done = command("device", "--config", str(tmp_path / "nowhere.toml"))
    assert done.returncode == 1
    assert done.stderr == f"headstay: {tmp_path}/nowhere.toml: cannot be read: No such file or directory\n"


def test_state_directory_is_private(stopped: Device) -> None:
    assert stopped.state_dir.stat().st_mode & 0o777 == 0o700
    for name in ("secrets.key", "ssh_host_ed25519_key", "datastore.db"):
        assert (stopped.state_dir / name).stat().st_mode & 0o077 == 0, name


def test_stopped_daemon_leaves_no_socket(stopped: Device) -> None:
    assert not (stopped.state_dir / "netconf.sock").exists()
    done = stopped.show("state")
    assert done.returncode == 1
    assert "no daemon answers" in done.stderr
