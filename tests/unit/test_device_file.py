"""`device.toml`: defaults, relative paths, and what is refused with file and key named."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import msgspec
import pytest

from headstay import device_file
from headstay.errors import StartupError
from headstay.netconf.limits import Limits

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


def test_a_state_directory_in_which_no_socket_can_be(tmp_path: Path) -> None:
    room = 107 - len(f"{tmp_path}//netconf.sock")
    text = f'state-dir = "{"ä" * (room // 2)}{"x" * (room % 2)}%s"\n{SMALLEST}'
    state_dir = load(tmp_path, text % "").state_dir
    state_dir.mkdir()
    with socket.socket(socket.AF_UNIX) as longest:
        longest.bind(str(state_dir / device_file.SOCKET_NAME))
    with pytest.raises(StartupError) as refused:
        load(tmp_path, text % "y")
    message = str(refused.value)
    assert message.startswith(f"{tmp_path}/device.toml: state-dir: the path of the socket, {state_dir}y/netconf.sock, ")
    assert message.endswith(" has 108 octets, and may have 107; choose a shorter one")


def test_every_limit_can_be_set_and_has_a_default(tmp_path: Path) -> None:
    assert load(tmp_path, SMALLEST).netconf.limits == Limits()
    names = [field.encode_name for field in msgspec.structs.fields(Limits)]
    seconds = [name for name in names if name.endswith(("timeout", "delay"))]
    chosen = {name: 0.5 if name in seconds else 70_000 + n for n, name in enumerate(names)} | {"reserved": 7}
    lines = "".join(f"{name} = {value}\n" for name, value in chosen.items())
    found = load(tmp_path, f"{SMALLEST}[netconf.limits]\n{lines}").netconf.limits
    assert msgspec.to_builtins(found) == chosen


def test_the_readme_shows_every_limit_with_its_default() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    [table] = re.findall(r"```toml\n\[netconf\.limits\]\n(.*?)```", readme, re.DOTALL)
    assert msgspec.toml.decode(table) == msgspec.to_builtins(Limits())


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (SMALLEST + "[netconf.limits]\nsessions = 0\n", "netconf.limits.sessions: Expected `int` >= 1"),
        (SMALLEST + "[netconf.limits]\nhello-timeout = 0\n", "netconf.limits.hello-timeout:"),
        (SMALLEST + "[netconf.limits]\nsessoins = 9\n", "sessoins"),
        (SMALLEST + "[netconf.limits]\nsessions = 8\n", "netconf.limits.reserved:"),
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
