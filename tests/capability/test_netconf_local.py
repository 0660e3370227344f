"""NETCONF on the Unix socket: who may use it, and what stands in its way at start."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import socket
import stat
import struct
from pathlib import Path

import pytest
from lxml import etree

from fakes_netconf import MOMENT, is_ok, make_datastores, no_state, running_server, unix_client
from headstay import xml
from headstay.datastore.access import Requester, Source
from headstay.errors import StartupError
from headstay.netconf import local
from headstay.netconf.limits import Limits
from headstay.netconf.local import LocalListener
from headstay.netconf.operations.monitoring import LOCAL
from headstay.netconf.sessions import Peer, Service, Sessions

WHO = f'<who xmlns="{xml.HCM}"/>'


def listener() -> LocalListener:
    return LocalListener(Sessions(Service(make_datastores(), no_state, lambda: MOMENT), Limits()))


async def test_the_kernel_tells_who_the_peer_is(tmp_path: Path) -> None:
    seen: list[Requester] = []

    async def who(requester: Requester, element: etree._Element) -> list[etree._Element]:
        seen.append(requester)
        return []

    async with running_server(tmp_path, rpcs={(xml.HCM, "who"): who}), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(WHO))
    assert seen == [Requester(getpass.getuser(), client.session_id, Source.LOCAL, recovery=True)]


async def test_the_mode_of_the_socket(tmp_path: Path) -> None:
    async with running_server(tmp_path):
        mode = (tmp_path / "netconf.sock").stat().st_mode
        assert stat.S_ISSOCK(mode)
        assert stat.S_IMODE(mode) == 0o660


def group_and_mode(path: Path, mode: int | None = None) -> tuple[int, int]:
    """Return them; set the mode before, if one is given."""
    if mode is not None:
        path.chmod(mode)
    return path.stat().st_gid, stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files for another user")
async def test_its_group_reaches_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that is private is opened for passing through; one that somebody has opened stays as it is."""
    entry = grp.getgrnam("daemon")
    monkeypatch.setattr(grp, "getgrnam", {local.GROUP: entry}.__getitem__)
    opened = group_and_mode(tmp_path, 0o750)
    async with running_server(tmp_path):
        assert group_and_mode(tmp_path) == opened
    group_and_mode(tmp_path, 0o700)
    async with running_server(tmp_path):
        assert group_and_mode(tmp_path) == (entry.gr_gid, 0o710)
        assert group_and_mode(tmp_path / "netconf.sock") == (entry.gr_gid, 0o660)


async def test_without_the_group_the_directory_stays_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grp, "getgrnam", {}.__getitem__)
    private = group_and_mode(tmp_path, 0o700)
    async with running_server(tmp_path):
        assert group_and_mode(tmp_path) == private


async def test_a_stale_socket_is_replaced(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_over:
        left_over.bind(str(tmp_path / "netconf.sock"))
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()


async def test_a_socket_in_use_stays(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        with pytest.raises(StartupError, match="in use"):
            await listener().start(tmp_path / "netconf.sock")
        await client.greet()
    assert not (tmp_path / "netconf.sock").exists()


async def test_a_file_in_the_way_stays(tmp_path: Path) -> None:
    (tmp_path / "netconf.sock").write_text("precious")
    with pytest.raises(StartupError, match="not a socket"):
        await listener().start(tmp_path / "netconf.sock")
    assert (tmp_path / "netconf.sock").read_text() == "precious"


@pytest.mark.parametrize("name", ["missing/netconf.sock", "x" * 120])
async def test_a_path_that_cannot_be_had(tmp_path: Path, name: str) -> None:
    with pytest.raises(StartupError, match="cannot be made"):
        await listener().start(tmp_path / name)


async def test_another_socket_at_our_path_is_left_alone_when_we_stop(tmp_path: Path) -> None:
    path = tmp_path / "netconf.sock"
    async with running_server(tmp_path):
        path.rename(tmp_path / "elsewhere")
        path.touch()
    assert path.exists()
    os.unlink(path)  # noqa: PTH108


class OfDaemon:
    """A socket whose peer is the system's user `daemon`."""

    def getsockopt(self, *_: int) -> bytes:
        entry = pwd.getpwnam("daemon")
        return struct.pack("3i", 1, entry.pw_uid, entry.pw_gid)


def test_other_users_bring_their_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    own = grp.getgrgid(pwd.getpwnam("daemon").pw_gid).gr_name
    monkeypatch.setattr(os, "getgrouplist", lambda user, gid: [gid, 0, 4_000_000])  # the last has no name
    peer = local._peer(OfDaemon())  # type: ignore[arg-type]
    assert peer == Peer("daemon", Source.LOCAL, LOCAL, groups=frozenset({own, "root"}))
