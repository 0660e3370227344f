"""Starting and stopping; what devices can do with a running cloud is in tests/capability/test_cloud_connection.py."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import msgspec
import pytest

from cloud_device import cloud_in, device_of
from headstay.cloud.configuration import Configuration, Listen
from headstay.cloud.server import running
from headstay.cloud.state import StateDirectory
from headstay.errors import StartupError


async def refusal(configuration: Configuration) -> str:
    with pytest.raises(StartupError) as caught:
        async with running(configuration):
            pass
    message = str(caught.value)
    assert "\n" not in message
    return message


async def test_announcement_is_there_while_the_cloud_runs(tmp_path: Path) -> None:
    async with cloud_in(tmp_path) as cloud:
        found = json.loads((tmp_path / "cloud.json").read_text())
        assert found == {"port": cloud.server.port, "ca_file": str(tmp_path / "ca.pem")}
        assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o600
    assert not (tmp_path / "cloud.json").exists()
    assert not (tmp_path / "admin.sock").exists()


async def test_several_addresses_share_one_port(tmp_path: Path) -> None:
    configuration = Configuration(state_dir=tmp_path, listen=Listen(("127.0.0.1", "127.0.0.2"), 0))
    async with running(configuration) as server:
        for host in ("127.0.0.1", "127.0.0.2"):
            socket.create_connection((host, server.port)).close()


async def test_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        message = await refusal(Configuration(state_dir=tmp_path, listen=Listen(port=port)))
    assert message == f"cannot listen on 127.0.0.1, port {port}: the port is in use (listen.host, listen.port)"
    assert not (tmp_path / "admin.sock").exists()
    async with cloud_in(tmp_path):  # nothing was left behind
        pass


async def test_address_that_is_not_ours(tmp_path: Path) -> None:
    message = await refusal(Configuration(state_dir=tmp_path, listen=Listen("192.0.2.1", 0)))
    assert message.startswith("cannot listen on 192.0.2.1, port 0: ")


async def test_one_cloud_for_each_state_directory(tmp_path: Path) -> None:
    async with cloud_in(tmp_path):
        assert "is using this state directory" in await refusal(
            Configuration(state_dir=tmp_path, listen=Listen(port=0))
        )


async def test_what_a_killed_cloud_left_behind_does_not_matter(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "admin.sock"))
    left.close()
    (tmp_path / "cloud.json").write_text("old")
    async with cloud_in(tmp_path) as cloud, device_of(cloud, "SW-1") as device:
        assert (await device.authenticate()).status == 403


@pytest.mark.parametrize("name", ["ca-key.pem", "server-key.pem", "registry.sqlite"])
async def test_corrupt_file_is_named_and_releases_the_directory(tmp_path: Path, name: str) -> None:
    async with cloud_in(tmp_path):
        pass
    good = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(b"junk" * 1_000)
    configuration = Configuration(state_dir=tmp_path, listen=Listen(port=0))
    assert str(tmp_path / name) in await refusal(configuration)
    (tmp_path / name).write_bytes(good)
    async with running(configuration):
        pass


async def test_state_directory_with_a_name_too_long_for_a_socket(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path / ("x" * 100))
    message = await refusal(Configuration(state_dir=state.path, listen=Listen(port=0)))
    assert message.startswith(f"{state.admin_socket}: the administration socket cannot be made: ")


async def test_given_certificate_needs_no_ca(tmp_path: Path) -> None:
    async with cloud_in(tmp_path / "first") as first:
        made = first.server.ca_file
    assert made is not None
    tls = msgspec.convert({}, type=type(Configuration(tmp_path).tls))
    tls = msgspec.structs.replace(
        tls, certificate=tmp_path / "first" / "server.pem", private_key=tmp_path / "first" / "server-key.pem"
    )
    async with cloud_in(tmp_path / "second", tls=tls) as second:
        assert second.server.ca_file is None
        assert json.loads((tmp_path / "second" / "cloud.json").read_text())["ca_file"] is None
    assert not (tmp_path / "second" / "ca.pem").exists()
