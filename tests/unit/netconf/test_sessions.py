"""The sessions of a server: their ids, how they end each other, what is counted."""

from __future__ import annotations

import asyncio

import pytest
from lxml import etree

from fakes_netconf import BOTH, MOMENT, NC, MemoryChannel, hello, make_datastores, no_state
from headstay import xml
from headstay.datastore.access import Requester, Source
from headstay.datastore.confirmed import CommitRequest
from headstay.datastore.name import Name
from headstay.netconf.connection import Connection
from headstay.netconf.framing import Framing, frame
from headstay.netconf.limits import Limits
from headstay.netconf.operations.monitoring import SSH
from headstay.netconf.sessions import Peer, Service, Sessions


class Server:
    """Sessions without a network."""

    def __init__(self, **limits: int) -> None:
        self.datastores = make_datastores()
        self.sessions = Sessions(
            Service(self.datastores, no_state, lambda: MOMENT), Limits(**{"reserved": 0, **limits})
        )

    def open(self, user: str = "admin", recovery: bool = False) -> Connection:
        source = Source.LOCAL if recovery else Source.DIRECT
        connection = self.sessions.open(Peer(user, source, SSH, recovery=recovery), MemoryChannel())
        connection.received(frame(hello(*BOTH), Framing.END_OF_MESSAGE))
        return connection

    def counted(self) -> dict[str, int]:
        [statistics] = self.sessions.netconf_state()().iter(f"{{{xml.MONITORING}}}statistics")
        return {xml.local_name(leaf): int(leaf.text or "") for leaf in statistics[1:] if leaf.text != "0"}


def rpc(text: str) -> bytes:
    return frame(f'<rpc {NC} message-id="1">{text}</rpc>'.encode(), Framing.CHUNKED)


def kill(connection: Connection) -> bytes:
    return rpc(f"<kill-session><session-id>{connection.session.session_id}</session-id></kill-session>")


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_ids_increase_and_none_is_given_twice() -> None:
    server = Server()
    connections = [server.open() for _ in range(3)]
    assert [connection.session.session_id for connection in connections] == [1, 2, 3]
    connections[2].lost()
    assert server.open().session.session_id == 4


async def test_after_the_largest_id_comes_the_first_free_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstay.netconf.sessions._LARGEST_SESSION_ID", 3)
    server = Server()
    first, second, _ = [server.open() for _ in range(3)]
    second.lost()
    assert server.open().session.session_id == 2
    first.lost()
    assert server.open().session.session_id == 1


async def test_full() -> None:
    server = Server(sessions=1)
    assert server.sessions.refusal("guest") is None
    connection = server.open()
    assert server.sessions.refusal("guest") == "too many sessions"
    assert server.sessions.refusal("root", recovery=True) == "too many sessions"
    connection.lost()
    assert server.sessions.refusal("guest") is None


async def test_one_user_does_not_take_every_session() -> None:
    server = Server(sessions=8, sessions_of_user=2)
    first, _ = server.open("guest"), server.open("guest")
    assert server.sessions.refusal("guest") == "too many sessions of the user 'guest'"
    assert server.sessions.refusal("admin") is None
    first.lost()
    assert server.sessions.refusal("guest") is None


async def test_some_sessions_are_kept_for_recovery() -> None:
    server = Server(sessions=5, reserved=2)
    for user in ("a", "b", "c"):
        assert server.sessions.refusal(user) is None
        server.open(user)
    assert server.sessions.refusal("d") == "too many sessions"
    for _ in range(2):
        assert server.sessions.refusal("root", recovery=True) is None
        server.open("root", recovery=True)
    assert server.sessions.refusal("root", recovery=True) == "too many sessions"


async def test_recovery_sessions_take_nothing_from_the_others() -> None:
    server = Server(sessions=5, reserved=2)
    for _ in range(2):
        server.open("root", recovery=True)
    for user in ("a", "b", "c"):
        assert server.sessions.refusal(user) is None
        server.open(user)


async def test_a_user_named_like_the_recovery_user_does_not_keep_it_out() -> None:
    server = Server(sessions_of_user=1)
    server.open("root")
    assert server.sessions.refusal("root") is not None
    assert server.sessions.refusal("root", recovery=True) is None


async def test_the_usual_limits_leave_room() -> None:
    limits = Limits()
    assert limits.sessions_of_user * 4 == limits.sessions
    assert 0 < limits.reserved < limits.sessions_of_user
    assert limits.unauthenticated_of_address * 2 == limits.unauthenticated


async def test_two_sessions_that_kill_each_other_at_once_both_end() -> None:
    server = Server()
    first, second = server.open(), server.open()
    first.received(kill(second))
    second.received(kill(first))
    await settle()
    assert first.ended.is_set()
    assert second.ended.is_set()
    assert len(list(server.sessions.netconf_state()().iter(f"{{{xml.MONITORING}}}session"))) == 0


async def test_the_killer_hears_of_it_only_when_the_locks_are_released() -> None:
    server = Server()
    first, second = server.open(), server.open()
    await server.datastores.lock(Requester("admin", 1, Source.DIRECT), Name.RUNNING)
    assert await server.sessions.kill(first.session.session_id, by=second.session.session_id)
    assert not server.datastores.locks()
    assert not await server.sessions.kill(first.session.session_id, by=second.session.session_id)


async def test_the_killer_hears_of_it_only_when_a_confirmed_commit_is_undone() -> None:
    server = Server()
    first, second = server.open(), server.open()
    await server.datastores.commit(Requester("admin", 1, Source.DIRECT), CommitRequest(confirmed=True))
    async with server.datastores._turn.of("somebody else"):  # another's write is under way
        killing = asyncio.create_task(server.sessions.kill(first.session.session_id, by=second.session.session_id))
        await settle()
        assert not killing.done()
    assert await killing
    await server.datastores.lock(Requester("admin", 2, Source.DIRECT), Name.RUNNING)


async def test_what_past_sessions_counted_stays_in_the_total() -> None:
    server = Server()
    first, second, third = server.open(), server.open(), server.open()
    first.received(rpc("<get-config><source><running/></source></get-config>") + frame(b"<a/>", Framing.CHUNKED))
    await settle()
    before = server.counted()
    assert before == {"in-sessions": 3, "in-rpcs": 1, "in-bad-rpcs": 1, "out-rpc-errors": 1}
    first.received(rpc("<close-session/>"))
    second.lost()
    third.kill()
    await settle()
    assert server.counted() == {**before, "in-rpcs": 2, "dropped-sessions": 1}


async def test_a_bad_hello_is_counted_as_such_only() -> None:
    server = Server()
    connection = server.sessions.open(Peer("admin", Source.DIRECT, SSH), MemoryChannel())
    connection.received(b"<hello/>]]>]]>")
    assert server.counted() == {"in-sessions": 1, "in-bad-hellos": 1}


async def test_ending_all_is_no_drop() -> None:
    server = Server()
    connections = [server.open() for _ in range(3)]
    await server.sessions.end_all()
    assert all(connection.ended.is_set() for connection in connections)
    assert server.counted() == {"in-sessions": 3}


async def test_each_session_shows_its_own_counters() -> None:
    server = Server()
    first, _ = server.open(), server.open()
    first.received(rpc("<get/>"))
    await settle()
    entries: list[etree._Element] = list(server.sessions.netconf_state()().iter(f"{{{xml.MONITORING}}}session"))
    assert [entry.findtext(f"{{{xml.MONITORING}}}in-rpcs") for entry in entries] == ["1", "0"]


async def test_a_subscription_ends_with_its_session() -> None:
    server = Server()
    connection = server.open()
    connection.received(rpc(f'<create-subscription xmlns="{xml.NOTIFICATION}"/>'))
    await settle()
    notifications = server.sessions.notifications
    assert notifications.has_subscription(connection.session.session_id)
    connection.lost()
    assert not notifications.has_subscription(connection.session.session_id)


async def test_a_session_whose_subscription_is_over_is_as_idle_as_any_other() -> None:
    server = Server()
    connection = server.open()
    ended = "<startTime>2001-01-01T00:00:00Z</startTime><stopTime>2001-01-02T00:00:00Z</stopTime>"
    connection.received(rpc(f'<create-subscription xmlns="{xml.NOTIFICATION}">{ended}</create-subscription>'))
    await settle()
    assert not server.sessions.notifications.has_subscription(connection.session.session_id)
    assert connection.session.deadline() is not None


async def test_a_session_that_is_lost_before_its_reply_has_no_subscription() -> None:
    server = Server()
    connection = server.open()
    connection.received(rpc(f'<create-subscription xmlns="{xml.NOTIFICATION}"/>'))
    connection.lost()
    await settle()
    assert not server.sessions.notifications.has_subscription(connection.session.session_id)
