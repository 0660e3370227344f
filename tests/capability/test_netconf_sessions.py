"""What happens between sessions, and to a server under bad input: raw NETCONF over the Unix socket and over SSH."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from asyncssh.constants import MSG_IGNORE
from lxml import etree

from fakes_netconf import (
    BOTH,
    NC,
    OnePassword,
    RawClient,
    host_key,
    is_ok,
    model,
    running_server,
    ssh_client,
    ssh_connection,
    tag,
    unix_client,
)
from headstay import xml
from headstay.backend.rpcs import ABANDONED, Rpcs
from headstay.datastore.access import Requester
from headstay.errors import StartupError
from headstay.netconf.crowding import origin
from headstay.netconf.login_delay import LoginDelay
from headstay.netconf.ssh import Address

LOCK = "<lock><target><running/></target></lock>"
GET_CONFIG = "<get-config><source><running/></source></get-config>"
SLOW = f'<slow xmlns="{xml.HCM}"/>'


def statistics(reply: etree._Element) -> dict[str, int]:
    [found] = reply.iter(f"{{{xml.MONITORING}}}statistics")
    return {xml.local_name(leaf): int(leaf.text or "") for leaf in found[1:]}


async def counted(client: RawClient) -> dict[str, int]:
    return statistics(await client.rpc(f'<get><filter><netconf-state xmlns="{xml.MONITORING}"/></filter></get>'))


# two sessions


async def test_kill_session_ends_the_other_and_releases_its_locks(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as first, unix_client(tmp_path) as second:
        await first.greet()
        await second.greet()
        assert is_ok(await first.rpc(LOCK))
        assert tag(await second.rpc(LOCK)) == "lock-denied"
        assert is_ok(await second.rpc(f"<kill-session><session-id>{first.session_id}</session-id></kill-session>"))
        assert is_ok(await second.rpc(LOCK))
        assert await first.closed()
        assert (await counted(second))["dropped-sessions"] == 0


async def test_a_session_that_drops_releases_its_locks(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as second:
        await second.greet()
        async with unix_client(tmp_path) as first:
            await first.greet()
            assert is_ok(await first.rpc(LOCK))
        for _ in range(100):
            if is_ok(await second.rpc(LOCK)):
                break
        else:
            pytest.fail("the lock was never released")
        assert (await counted(second))["dropped-sessions"] == 1


async def test_two_sessions_may_kill_each_other(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as first, unix_client(tmp_path) as second:
        await first.greet()
        await second.greet()
        for client, victim in ((first, second), (second, first)):
            kill = f"<kill-session><session-id>{victim.session_id}</session-id></kill-session>"
            client.send(f'<rpc {NC} message-id="1">{kill}</rpc>')
        # One of them may get its answer before it is killed itself.
        ends = [await client.closed() or await client.closed() for client in (first, second)]
        assert any(ends)
        async with unix_client(tmp_path) as third:
            await third.greet()
            assert is_ok(await third.rpc(LOCK))


async def test_a_session_waiting_for_its_operation_does_not_hold_up_another(tmp_path: Path) -> None:
    done, started = asyncio.Event(), asyncio.Event()

    async def slow(requester: Requester, element: etree._Element) -> list[etree._Element]:
        started.set()
        await done.wait()
        return []

    server = running_server(tmp_path, rpcs={(xml.HCM, "slow"): slow})
    async with server, unix_client(tmp_path) as first, unix_client(tmp_path) as second:
        await first.greet()
        await second.greet()
        first.send(f'<rpc {NC} message-id="1">{SLOW}</rpc>')
        first.send(f'<rpc {NC} message-id="2">{LOCK}</rpc>')
        await started.wait()
        assert is_ok(await second.rpc(LOCK))
        done.set()
        assert is_ok(await first.message())
        assert tag(await first.message()) == "lock-denied"


@pytest.mark.parametrize("end", ["closed by its client", "killed", "stopped"])
async def test_what_waits_for_the_network_ends_with_its_session(tmp_path: Path, end: str) -> None:
    started, cancelled = asyncio.Event(), asyncio.Event()

    async def slow(requester: Requester, element: etree._Element) -> list[etree._Element]:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return []

    name = (xml.HCM, "slow")
    serving = running_server(tmp_path, rpcs={name: slow}, abandoned={name})
    async with serving as server, unix_client(tmp_path) as second:
        await second.greet()
        async with unix_client(tmp_path) as first:
            await first.greet()
            first.send(f'<rpc {NC} message-id="1">{SLOW}</rpc>')
            await started.wait()
            assert not cancelled.is_set()
            if end == "killed":
                kill = f"<kill-session><session-id>{first.session_id}</session-id></kill-session>"
                assert is_ok(await second.rpc(kill))
            elif end == "stopped":
                await server.stop()
        await cancelled.wait()


async def test_a_code_is_given_up_with_the_session_that_gave_it(tmp_path: Path) -> None:
    given, given_up = asyncio.Event(), asyncio.Event()

    class StalledEngine:
        async def unbind(self, code: str) -> None:
            given.set()
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()

    engine: Any = StalledEngine()
    rpcs = Rpcs(model(), engine, engine).table()
    async with running_server(tmp_path, rpcs=rpcs, abandoned=ABANDONED):
        async with unix_client(tmp_path) as client:
            await client.greet()
            client.send(f'<rpc {NC} message-id="1"><unbind xmlns="{xml.HCM}"><code>7K3M</code></unbind></rpc>')
            await given.wait()
        await asyncio.wait_for(given_up.wait(), 10)


async def test_stopping_ends_the_sessions_and_removes_the_socket(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        stopped = client.closed()
    assert await stopped
    assert not (tmp_path / "netconf.sock").exists()


# bad input


@pytest.mark.parametrize("over", ["unix", "ssh"])
async def test_bad_rpcs_never_drop_a_session(tmp_path: Path, over: str) -> None:
    async def check(client: RawClient) -> None:
        await client.greet()
        tags = [
            tag(await client.rpc(text))
            for text in ("<frob/>", "<edit-config/>", "<x xmlns='urn:x'/>", "<get><a/></get>")
        ]
        assert tags == ["operation-not-supported", "missing-element", "unknown-namespace", "unknown-element"]
        for message, expected in (
            ("<rpc", "malformed-message"),
            ("<!DOCTYPE a><a/>", "malformed-message"),
            ("<a/>", "unknown-namespace"),
        ):
            client.send(message)
            assert tag(await client.message()) == expected
        assert xml.local_name((await client.rpc(GET_CONFIG))[0]) == "data"
        counters = await counted(client)
        assert (counters["in-rpcs"], counters["in-bad-rpcs"], counters["out-rpc-errors"]) == (6, 3, 7)

    async with running_server(tmp_path) as server:
        if over == "unix":
            async with unix_client(tmp_path) as client:
                await check(client)
        else:
            async with ssh_connection(server) as connection:
                await check(await ssh_client(connection))


async def test_a_bad_session_does_not_disturb_another(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as good:
        await good.greet()
        async with unix_client(tmp_path) as bad:
            await bad.greet()
            bad.send_raw(b"rubbish")
            assert await bad.closed()
        async with unix_client(tmp_path) as bad:
            await bad.message()
            bad.send_raw(b"<hello/>]]>]]>")
            assert await bad.closed()
        counters = await counted(good)
        assert (counters["in-sessions"], counters["in-bad-hellos"], counters["dropped-sessions"]) == (3, 1, 1)


async def test_base_1_0(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet(BOTH[0])
        assert xml.local_name((await client.rpc(GET_CONFIG))[0]) == "data"
        assert is_ok(await client.rpc("<close-session/>"))
        assert await client.closed()


# limits


async def test_more_sessions_than_allowed_are_refused(tmp_path: Path) -> None:
    async with (
        running_server(tmp_path, limits={"sessions": 1, "reserved": 0}) as server,
        unix_client(tmp_path) as first,
    ):
        await first.greet()
        async with unix_client(tmp_path) as second:
            assert await second.closed()
        async with ssh_connection(server) as connection:
            with pytest.raises(asyncssh.ChannelOpenError, match="too many sessions"):
                await ssh_client(connection)
        assert is_ok(await first.rpc(LOCK))
        assert is_ok(await first.rpc("<close-session/>"))
        assert await first.closed()
        async with ssh_connection(server) as connection:
            await (await ssh_client(connection)).greet()


async def test_more_strangers_than_allowed_are_refused(tmp_path: Path) -> None:
    async with running_server(tmp_path, limits={"unauthenticated": 1}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        assert (await reader.readline()).startswith(b"SSH-2.0-headstay")
        with pytest.raises((asyncssh.Error, OSError)):
            async with ssh_connection(server):
                pass
        writer.close()
        await writer.wait_closed()
        for _ in range(100):
            try:
                async with ssh_connection(server) as connection:
                    await (await ssh_client(connection)).greet()
                break
            except (asyncssh.Error, OSError):
                continue
        else:
            pytest.fail("the first stranger has left, but others are still refused")


async def test_strangers_from_one_address_do_not_keep_others_out(tmp_path: Path) -> None:
    address = Address(["127.0.0.1", "127.0.0.2"], 0, tmp_path / "host_key")
    limits = {"unauthenticated_of_address": 2}
    async with running_server(tmp_path, address=address, limits=limits) as server:
        strangers = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for reader, _ in strangers:
            assert (await reader.readline()).startswith(b"SSH-2.0-headstay")
        with pytest.raises((asyncssh.Error, OSError)):
            async with ssh_connection(server):
                pass
        async with ssh_connection(server, local_addr=("127.0.0.2", 0)) as connection:
            await (await ssh_client(connection)).greet()
        for _, writer in strangers:
            writer.close()
            await writer.wait_closed()


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:2", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("fe80::1%eth0", "fe80::2%eth0", True),
        ("", "", True),
    ],
)
def test_what_counts_as_one_address(one: str, other: str, alike: bool) -> None:
    assert (origin(one) == origin(other)) is alike


async def test_one_user_does_not_keep_others_out(tmp_path: Path) -> None:
    server = running_server(tmp_path, limits={"sessions_of_user": 1})
    async with server as started, ssh_connection(started, username="guest") as connection:
        await (await ssh_client(connection)).greet()
        with pytest.raises(asyncssh.ChannelOpenError, match="too many sessions of the user 'guest'"):
            await ssh_client(connection)
        async with ssh_connection(started, username="guest") as another:
            await asyncio.wait_for(another.wait_closed(), 10)
        async with ssh_connection(started) as other, unix_client(tmp_path) as local:
            await (await ssh_client(other)).greet()
            await local.greet()


async def test_root_and_the_daemons_user_always_find_room(tmp_path: Path) -> None:
    server = running_server(tmp_path, limits={"sessions": 2, "reserved": 1})
    async with server as started, ssh_connection(started, username="guest") as connection:
        await (await ssh_client(connection)).greet()
        async with ssh_connection(started) as other:
            with pytest.raises(asyncssh.ChannelOpenError, match="too many sessions"):
                await ssh_client(other)
        async with unix_client(tmp_path) as local, unix_client(tmp_path) as second:
            await local.greet()
            assert await second.closed()


async def test_a_message_over_the_limit_ends_its_session(tmp_path: Path) -> None:
    async with running_server(tmp_path, limits={"message_octets": 5000}), unix_client(tmp_path) as client:
        await client.greet()
        client.send("<rpc>" + " " * 5000 + "</rpc>")
        assert tag(await client.message()) == "too-big"
        assert await client.closed()


TWO_NODES = f'<system xmlns="{xml.SYSTEM}"><authentication/></system>'
GET = "<get><filter%s</get>"
GET_DATA = """<get-data xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
    xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores"><datastore>ds:running</datastore>%s</get-data>"""
SUBSCRIBE = f'<create-subscription xmlns="{xml.NOTIFICATION}"><filter%s</create-subscription>'


@pytest.mark.parametrize(
    ("limit", "request_", "expected"),
    [
        ("filter_comparisons", GET % f">{TWO_NODES}</filter>", "data"),
        ("filter_comparisons", GET_DATA % f"<subtree-filter>{TWO_NODES}</subtree-filter>", "data"),
        ("xpath_characters", GET % ' type="xpath" select="//sys:name"/>', "data"),
        ("xpath_characters", SUBSCRIBE % ' type="xpath" select="//hcm:details"/>', "ok"),
        ("xpath_work", GET % ' type="xpath" select="//sys:name"/>', "data"),
        ("xpath_work", GET_DATA % "<xpath-filter>//sys:name</xpath-filter>", "data"),
        ("xpath_repeated_nodes", GET % f' type="xpath" select="//*{" | //*" * 4}"/>', "data"),
        ("subscription_filter_elements", SUBSCRIBE % "><a/></filter>", "ok"),
        ("subscription_filter_octets", SUBSCRIBE % "><a/></filter>", "ok"),
        ("subscription_xpath_work", SUBSCRIBE % ' type="xpath" select="//hcm:details"/>', "ok"),
    ],
)
async def test_a_filter_over_a_limit_is_denied(tmp_path: Path, limit: str, request_: str, expected: str) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert xml.local_name((await client.rpc(request_))[0]) == expected
    async with running_server(tmp_path, limits={limit: 1}), unix_client(tmp_path) as client:
        await client.greet()
        assert tag(await client.rpc(request_)) == "resource-denied"


# SSH


async def test_only_the_netconf_subsystem_is_offered(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        for options in ({"command": "ls"}, {}, {"subsystem": "sftp"}, {"term_type": "xterm"}):
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_session(encoding=None, **options)
        with pytest.raises(asyncssh.ChannelOpenError):
            await connection.open_connection("127.0.0.1", server.port)
        with pytest.raises(asyncssh.ChannelListenError):
            await connection.forward_remote_port("127.0.0.1", 0, "127.0.0.1", 9)
        await (await ssh_client(connection)).greet()


@pytest.mark.parametrize(
    "weak",
    [
        {"encryption_algs": ["chacha20-poly1305@openssh.com"]},
        {"encryption_algs": ["aes128-cbc"]},
        {"kex_algs": ["diffie-hellman-group14-sha256"]},
        {"mac_algs": ["hmac-sha1"], "encryption_algs": ["aes256-ctr"]},
    ],
)
async def test_weak_algorithms_are_not_offered(tmp_path: Path, weak: dict[str, list[str]]) -> None:
    async with running_server(tmp_path) as server:
        with pytest.raises(asyncssh.KeyExchangeFailed):
            async with ssh_connection(server, **weak):
                pass


@pytest.mark.parametrize("exchange", ["mlkem768x25519-sha256", "curve25519-sha256", "ecdh-sha2-nistp256"])
@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-ctr"])
async def test_strong_algorithms_are(tmp_path: Path, exchange: str, cipher: str) -> None:
    async with running_server(tmp_path) as server:
        options = {"kex_algs": [exchange], "encryption_algs": [cipher], "mac_algs": ["hmac-sha2-256"]}
        async with ssh_connection(server, **options) as connection:
            assert connection.get_extra_info("send_cipher") == cipher


async def test_no_reply_costs_a_second_packet(tmp_path: Path) -> None:
    received: list[int] = []

    def note(packet_type: int, *_: object) -> None:
        received.append(packet_type)

    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        client = await (await ssh_client(connection)).greet()
        # asyncssh words a line for its log for each packet that belongs to no channel, empty ones among them.
        connection.log_received_packet = note  # type: ignore[method-assign]
        assert b"data" in etree.tostring(await client.rpc(GET_CONFIG))
        await connection.open_session(subsystem="netconf", encoding=None)
    assert MSG_IGNORE not in received
    assert received  # the second channel was confirmed


async def test_a_wrong_password_is_refused_and_logged_without_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="headstay")
    async with running_server(tmp_path) as server:
        with pytest.raises(asyncssh.PermissionDenied):
            async with ssh_connection(server, password="swordfish"):
                pass
    assert "login of 'admin' from 127.0.0.1 failed" in caplog.text
    assert "swordfish" not in caplog.text


async def test_a_public_key_opens_the_door_for_its_user_only(tmp_path: Path) -> None:
    key = asyncssh.generate_private_key("ssh-ed25519")
    authenticator = OnePassword()
    authenticator.keys["admin"] = ["rubbish", key.export_public_key().decode()]
    async with running_server(tmp_path, authenticator=authenticator) as server:
        async with ssh_connection(server, client_keys=[key], password=None) as connection:
            client = await (await ssh_client(connection)).greet()
            assert is_ok(await client.rpc(LOCK))
        for options in ({"username": "guest"}, {"client_keys": [asyncssh.generate_private_key("ssh-ed25519")]}):
            with pytest.raises(asyncssh.PermissionDenied):
                async with ssh_connection(server, **{"client_keys": [key], "password": None, **options}):
                    pass


async def test_guessing_ends_the_connection(tmp_path: Path) -> None:
    class Guesser(asyncssh.SSHClient):
        guesses = 0

        def password_auth_requested(self) -> str:
            self.guesses += 1
            return f"guess {self.guesses}"

    guesser = Guesser()
    async with running_server(tmp_path) as server:
        with pytest.raises(asyncssh.DisconnectError):
            async with ssh_connection(server, client_factory=lambda: guesser, password=None):
                pass
    assert guesser.guesses == 6


async def test_the_answer_to_a_wrong_password_takes_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    failed = LoginDelay.failed

    def noted(delay: LoginDelay, origin: str, begun: float, _now: float) -> float:
        waits.append(failed(delay, origin, begun, begun))
        return 0

    monkeypatch.setattr(LoginDelay, "failed", noted)
    async with running_server(tmp_path, limits={"failed_login_delay": 1}) as server:
        for _ in range(3):
            with pytest.raises(asyncssh.PermissionDenied):
                async with ssh_connection(server, password="wrong"):
                    pass
        assert waits == [1, 2, 4]  # on different connections from one address
        async with ssh_connection(server):
            pass
        assert waits == [1, 2, 4]  # the right one never waits
        with pytest.raises(asyncssh.PermissionDenied):
            async with ssh_connection(server, password="wrong"):
                pass
    assert waits == [1, 2, 4, 1]


async def test_that_time_runs_from_the_attempt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would tell how long the password took to check, and so whether there is such a user."""
    passed, took, loop = 0.0, 5.0, asyncio.get_running_loop()
    time = loop.time
    attempts: list[float] = []

    class Slow(OnePassword):
        async def verify_password(self, user: str, password: str) -> bool:
            nonlocal passed
            passed += took
            return False

    def noted(_delay: LoginDelay, _origin: str, begun: float, now: float) -> float:
        attempts.append(now - begun)
        return 0

    monkeypatch.setattr(loop, "time", lambda: time() + passed)
    monkeypatch.setattr(LoginDelay, "failed", noted)
    async with running_server(tmp_path, authenticator=Slow()) as server:
        with pytest.raises(asyncssh.PermissionDenied):
            async with ssh_connection(server):
                pass
    assert len(attempts) == 1
    assert attempts[0] >= took


async def test_a_connection_without_a_session_is_closed(tmp_path: Path) -> None:
    limits = {"connection_idle_timeout": 0}
    async with running_server(tmp_path, limits=limits) as server, ssh_connection(server) as connection:
        await asyncio.wait_for(connection.wait_closed(), 10)


async def test_a_stranger_who_does_not_log_in_is_dropped(tmp_path: Path) -> None:
    async with running_server(tmp_path, limits={"login_timeout": 0.01}) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await writer.wait_closed()


async def test_several_sessions_on_one_connection(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        first, second = [await (await ssh_client(connection)).greet() for _ in range(2)]
        assert first.session_id != second.session_id
        assert is_ok(await first.rpc("<close-session/>"))
        assert await first.closed()
        assert is_ok(await second.rpc(LOCK))


async def test_nagle_is_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[int] = []
    original = asyncssh.SSHServerConnection.get_extra_info

    def spy(self: asyncssh.SSHServerConnection, name: str, default: object = None) -> object:
        found = original(self, name, default)
        if name == "username":
            tcp = original(self, "socket")
            accepted.append(tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        return found

    monkeypatch.setattr(asyncssh.SSHServerConnection, "get_extra_info", spy)
    async with running_server(tmp_path) as server, ssh_connection(server) as connection:
        await (await ssh_client(connection)).greet()
    assert accepted == [1]


# starting


async def start(server_directory: Path, **changes: object) -> None:
    async with running_server(server_directory, **changes):
        pass


async def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        address = Address(["127.0.0.1"], port, tmp_path / "host_key")
        with pytest.raises(StartupError, match=rf"127.0.0.1:{port} is in use.*netconf\.port in device\.toml"):
            await start(tmp_path, address=address)
    assert not (tmp_path / "netconf.sock").exists()


@pytest.mark.parametrize("content", [b"", b"-----BEGIN OPENSSH PRIVATE KEY-----\nrubbish\n", None])
async def test_an_unusable_host_key(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "other_key"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(StartupError, match="host key") as caught:
        await start(tmp_path, address=Address(["127.0.0.1"], 0, file))
    assert "\n" not in str(caught.value)


async def test_several_addresses_have_one_port(tmp_path: Path) -> None:
    (tmp_path / "host_key").write_bytes(host_key().export_private_key())
    address = Address(["127.0.0.1", "127.0.0.2"], 0, tmp_path / "host_key")
    async with running_server(tmp_path, address=address) as server:
        for host in address.hosts:
            reader, writer = await asyncio.open_connection(host, server.port)
            assert (await reader.readline()).startswith(b"SSH-2.0-headstay")
            writer.close()
            await writer.wait_closed()


async def test_one_address_that_cannot_be_had_stops_all(tmp_path: Path) -> None:
    address = Address(["127.0.0.1", "192.0.2.1"], 0, tmp_path / "host_key")
    with pytest.raises(StartupError, match=r"192\.0\.2\.1.*netconf\.listen in device\.toml"):
        await start(tmp_path, address=address)
    assert not (tmp_path / "netconf.sock").exists()
