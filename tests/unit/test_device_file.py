"""`device.toml`: defaults, relative paths, and what is refused with file and key named."""

from __future__ import annotations

from pathlib import Path

import pytest

from headstay import device_file
from headstay.errors import StartupError

SMALLEST = 'serial = "SN-1"\n[first-user]\nname = "admin"\npassword = "$0$x"\n'


def load(tmp_path: Path, text: str) -> device_file.DeviceFile:
    file = tmp_path / "device.toml"
    file.write_text(text)
    return device_file.load(file)


def test_smallest_file(tmp_path: Path) -> None:
    found = load(tmp_path, SMALLEST)
    assert found.serial == "SN-1"
    assert found.state_dir == device_file.DEFAULT_STATE_DIR
    assert found.netconf.port == 830
    assert not found.startup


def test_relative_state_directory_counts_from_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, f'state-dir = "here"\n{SMALLEST}').state_dir == tmp_path / "here"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SMALLEST.replace("SN-1", "-SN"), "serial:"),
        (SMALLEST.replace("SN-1", "S" * 64), "serial:"),
        (SMALLEST.replace("SN-1", "S\\nN"), "serial:"),
        (SMALLEST + "[netconf]\nport = 65536\n", "netconf.port:"),
        (SMALLEST + "[netconf]\nport = -1\n", "netconf.port:"),
        (SMALLEST + '[netconf]\nlisten = ["eth0"]\n', "netconf.listen: 'eth0'"),
        (SMALLEST + "[netconf]\nlisten = []\n", "netconf.listen:"),
        (SMALLEST.replace('password = "$0$x"\n', ""), "first-user:"),
        (f'model = ""\n{SMALLEST}', "model:"),
        (f'model = "{"m" * 256}"\n{SMALLEST}', "model:"),
        (SMALLEST.replace('"admin"', '""'), "first-user.name:"),
        (SMALLEST.replace('"admin"', '"a\\u0001"'), "first-user.name:"),
        (SMALLEST.replace('"$0$x"', '"$0$"'), "first-user.password:"),
        (SMALLEST + 'authorized-keys = ["ssh-ed25519 AAAA a\\u0001"]\n', "first-user.authorized-keys: line 1"),
        (SMALLEST + "colour = 1\n", "colour"),
        (f'log-level = "loud"\n{SMALLEST}', "log-level:"),
    ],
)
def test_wrong_file(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(StartupError) as refused:
        load(tmp_path, text)
    assert complaint in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path}/device.toml: ")
