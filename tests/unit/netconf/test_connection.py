"""The shell around a session: slow readers, operations that outlive their session, errors kept from the client."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from lxml import etree

from fakes_netconf import BOTH, NC, MemoryChannel, hello, tag
from headstay.datastore.turns import Turns
from headstay.errors import DataExists
from headstay.netconf.connection import Connection, Share
from headstay.netconf.framing import Deframer, Framing, frame
from headstay.netconf.limits import Limits
from headstay.netconf.messages import OK, Reply
from headstay.netconf.session import LARGE, Session
from headstay.netconf.session_words import Termination

GET = frame(f'<rpc {NC} message-id="1"><get/></rpc>'.encode(), Framing.CHUNKED)

LARGE_RPC = f'<rpc {NC} message-id="2"><get/></rpc>'.encode().ljust(LARGE)


class Threads:
    """The parsing in threads, which is over only when it is said to be."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting: list[asyncio.Future[None]] = []

        async def apart(work: Callable[[], Any]) -> Any:
            self.waiting.append(asyncio.get_running_loop().create_future())
            await self.waiting[-1]
            return work()

        monkeypatch.setattr("headstay.datastore.computing.apart", apart)

    def finish(self) -> None:
        self.waiting.pop(0).set_result(None)


class Stage:
    """A connection after hello. Operations wait until they are told what comes of them, but for those at once."""

    def __init__(
        self,
        unread_timeout: float = 60,
        share: Share | None = None,
        at_once: Sequence[Reply | Exception] = (),
        **limits: float,
    ) -> None:
        self.channel = MemoryChannel()
        self.at_once = list(at_once)
        self.running: list[asyncio.Future[Reply]] = []
        self.ended: list[Connection] = []
        session, share = Session(1, BOTH, Limits(**limits)), share or Share("admin", Turns(4), Turns(2))
        self.connection = Connection(
            session, self.channel, self._execute, self.ended.append, share=share, unread_timeout=unread_timeout
        )
        self.connection.start()
        self.connection.received(frame(hello(*BOTH), Framing.END_OF_MESSAGE))
        self.channel.written = b""

    def _execute(self, operation: etree._Element) -> Reply | asyncio.Future[Reply]:
        if self.at_once:
            outcome = self.at_once.pop(0)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        self.running.append(asyncio.get_running_loop().create_future())
        return self.running[-1]

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)

    async def ask(self, octets: bytes = GET) -> None:
        self.connection.received(octets)
        await self.settle()

    async def finish(self, outcome: Reply | Exception = OK) -> None:
        operation = self.running.pop(0)
        if isinstance(outcome, Exception):
            operation.set_exception(outcome)
        else:
            operation.set_result(outcome)
        await self.settle()

    def replies(self) -> list[etree._Element]:
        deframer = Deframer()
        deframer.framing = Framing.CHUNKED
        octets, self.channel.written = self.channel.written, b""
        return [etree.fromstring(message) for message in deframer.receive(octets)]


async def test_an_operation_is_answered() -> None:
    stage = Stage()
    await stage.ask()
    assert stage.replies() == []
    await stage.finish()
    assert len(stage.replies()) == 1
    assert stage.channel.told == []


async def test_a_netconf_error_is_told_and_any_other_is_logged_only(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage()
    await stage.ask()
    await stage.finish(DataExists("it is there"))
    assert tag(stage.replies()[0]) == "data-exists"
    assert not caplog.records
    await stage.ask()
    await stage.finish(KeyError("some secret detail"))
    [reply] = stage.replies()
    assert tag(reply) == "operation-failed"
    assert b"secret" not in etree.tostring(reply)
    assert "Traceback" in caplog.text
    await stage.ask()
    await stage.finish()
    assert len(stage.replies()) == 1


async def test_what_needs_no_waiting_is_answered_before_anything_else_happens() -> None:
    stage = Stage(at_once=[OK])
    stage.connection.received(GET)
    assert len(stage.replies()) == 1


async def test_what_stands_behind_another_rpc_waits_until_others_had_their_turn() -> None:
    stage = Stage(at_once=[OK, OK])
    stage.connection.received(GET + GET)
    assert len(stage.replies()) == 1
    await stage.settle()
    assert len(stage.replies()) == 1


async def test_thousands_of_rpcs_at_once_are_answered() -> None:
    stage = Stage(at_once=[OK] * 5000)
    stage.connection.received(GET * 5000)
    while stage.at_once:
        await stage.settle()
    assert len(stage.replies()) == 5000


async def test_nothing_is_executed_at_once_for_a_client_that_does_not_read() -> None:
    stage = Stage(at_once=[OK])
    stage.connection.pause_writing()
    stage.connection.received(GET)
    await stage.settle()
    assert stage.replies() == []
    stage.connection.resume_writing()
    await stage.settle()
    assert len(stage.replies()) == 1


async def test_an_error_at_once_is_answered_like_any_other(caplog: pytest.LogCaptureFixture) -> None:
    stage = Stage(at_once=[DataExists("it is there"), KeyError("some secret detail")])
    stage.connection.received(GET)
    assert tag(stage.replies()[0]) == "data-exists"
    assert not caplog.records
    stage.connection.received(GET)
    [reply] = stage.replies()
    assert tag(reply) == "operation-failed"
    assert b"secret" not in etree.tostring(reply)
    assert "Traceback" in caplog.text


async def test_what_follows_a_reply_at_once_comes_before_the_next_rpc() -> None:
    happened: list[str] = []
    first = Reply(b"<ok/>", then=lambda: happened.append(f"{len(stage.running)} running"))
    stage = Stage(at_once=[first])
    await stage.ask(GET + GET)
    assert happened == ["0 running"]
    assert len(stage.running) == 1


async def test_a_session_that_ends_with_a_reply_at_once_has_ended() -> None:
    stage = Stage(at_once=[Reply(b"<ok/>", ends_session=True)])
    stage.connection.received(GET)
    assert len(stage.replies()) == 1
    assert stage.ended == [stage.connection]


async def test_a_client_that_does_not_read_is_not_read_from_and_gets_no_new_reply() -> None:
    stage = Stage()
    stage.connection.pause_writing()
    assert stage.channel.told == ["pause_reading"]
    stage.connection.received(GET + GET)
    await stage.settle()
    await stage.finish()
    assert stage.replies() == []
    assert stage.running == []
    stage.connection.resume_writing()
    await stage.settle()
    assert len(stage.replies()) == 1
    assert len(stage.running) == 1
    assert stage.channel.told == ["pause_reading", "resume_reading"]
    await stage.finish()


async def test_a_client_that_sends_ahead_without_end_is_not_read_from() -> None:
    stage = Stage()
    await stage.ask(GET + b"\n#70000\n" + b" " * 70000)
    assert stage.channel.told == ["pause_reading"]
    await stage.finish()
    assert stage.channel.told == ["pause_reading", "resume_reading"]


async def test_an_operation_outlives_its_session_and_only_then_the_session_has_ended() -> None:
    stage = Stage()
    await stage.ask()
    stage.connection.kill()
    assert stage.channel.told == ["close"]
    assert stage.connection.closing.is_set()
    assert not stage.ended
    await stage.finish()
    assert stage.ended == [stage.connection]
    assert stage.connection.ended.is_set()
    assert stage.replies() == []
    stage.connection.lost()
    assert len(stage.ended) == 1


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_session_whose_user_is_no_more_ends_at_once_or_with_its_reply(at_once: bool) -> None:
    stage = Stage()
    await stage.ask(GET + GET)
    stage.connection.revoke("removed", at_once=at_once)
    assert stage.channel.told == (["close"] if at_once else [])
    await stage.finish()
    assert len(stage.replies()) == (0 if at_once else 1)
    assert stage.channel.told == ["close"]
    assert stage.connection.session.termination is Termination.OTHER
    assert (stage.running, stage.ended) == ([], [stage.connection])
    stage.connection.lost()


async def test_a_killed_session_that_does_not_read_ends_all_the_same() -> None:
    stage = Stage()
    await stage.ask()
    stage.connection.pause_writing()
    await stage.finish()
    stage.connection.kill()
    await stage.settle()
    assert stage.ended == [stage.connection]
    stage.connection.lost()


async def test_a_lost_transport_is_not_closed_again() -> None:
    stage = Stage()
    stage.connection.lost()
    assert stage.channel.told == []
    assert stage.ended == [stage.connection]
    assert stage.connection.session.termination is Termination.DROPPED


async def test_a_transport_that_does_not_close_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headstay.netconf.connection.CLOSE_GRACE", 0)
    stage = Stage()
    stage.connection.kill()
    await stage.settle()
    await asyncio.sleep(0)
    assert stage.channel.told == ["close", "abort"]


async def test_a_client_without_hello_is_dropped_at_the_deadline() -> None:
    channel, ended = MemoryChannel(), []  # type: ignore[var-annotated]
    session = Session(1, BOTH, Limits(hello_timeout=0))

    async def nothing(operation: etree._Element) -> Reply:
        raise AssertionError

    Connection(session, channel, nothing, ended.append, share=Share("admin", Turns(1), Turns(1))).start()
    for _ in range(10):
        await asyncio.sleep(0)
    assert channel.told == ["close"]
    assert session.termination is Termination.TIMEOUT
    ended[0].lost()


async def test_a_large_message_is_parsed_in_a_thread_and_answered_in_its_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = Threads(monkeypatch)
    stage = Stage()
    await stage.ask(GET + frame(LARGE_RPC, Framing.CHUNKED) + GET)
    assert (len(stage.running), threads.waiting) == (1, [])
    await stage.finish()
    assert [reply.get("message-id") for reply in stage.replies()] == ["1"]
    assert (len(threads.waiting), stage.running) == (1, [])
    threads.finish()
    await stage.settle()
    assert len(stage.running) == 1
    await stage.finish()
    assert [reply.get("message-id") for reply in stage.replies()] == ["2"]
    await stage.finish()
    assert [reply.get("message-id") for reply in stage.replies()] == ["1"]


async def test_a_session_that_is_killed_while_a_message_is_parsed_ends_once_that_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = Threads(monkeypatch)
    stage = Stage()
    await stage.ask(frame(LARGE_RPC, Framing.CHUNKED) + GET)
    stage.connection.kill()
    assert stage.channel.told == ["pause_reading", "resume_reading", "close"]
    assert not stage.ended
    threads.finish()
    await stage.settle()
    assert stage.ended == [stage.connection]
    assert (stage.running, stage.replies()) == ([], [])
    stage.connection.lost()


async def test_a_client_that_does_not_read_gets_no_refusal_of_a_large_message_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads = Threads(monkeypatch)
    stage = Stage()
    await stage.ask(frame(b"<x/>".ljust(LARGE), Framing.CHUNKED))
    stage.connection.pause_writing()
    threads.finish()
    await stage.settle()
    assert stage.replies() == []
    stage.connection.resume_writing()
    await stage.settle()
    assert [tag(reply) for reply in stage.replies()] == ["unknown-namespace"]


async def test_a_defect_of_the_parser_is_logged_and_the_session_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    threads = Threads(monkeypatch)
    stage = Stage()
    await stage.ask(frame(LARGE_RPC, Framing.CHUNKED))
    threads.waiting.pop().set_exception(KeyError("some secret detail"))
    await stage.settle()
    [reply] = stage.replies()
    assert tag(reply) == "operation-failed"
    assert b"secret" not in etree.tostring(reply)
    assert "Traceback" in caplog.text
    await stage.ask()
    await stage.finish()
    assert len(stage.replies()) == 1


class Sender:
    """A client that sends a message as fast as it is read."""

    def __init__(self, stage: Stage, message: bytes) -> None:
        self.stage = stage
        self.left = frame(message, Framing.CHUNKED)

    @property
    def reading(self) -> bool:
        told = [word for word in self.stage.channel.told if word != "close"]
        return not told or told[-1] == "resume_reading"

    @property
    def held(self) -> int:
        return self.stage.connection.session._deframer.held

    def send(self) -> None:
        while self.left and self.reading:
            self.send_a_piece()

    def send_a_piece(self, octets: int = 32_768) -> None:
        if self.left and self.reading:
            piece, self.left = self.left[:octets], self.left[octets:]
            self.stage.connection.received(piece)


async def test_no_more_large_messages_are_held_than_there_are_reservations() -> None:
    large, computing = Turns(2), Turns(2)
    senders = [
        Sender(Stage(share=Share(f"user{number // 3}", large, computing)), LARGE_RPC.ljust(10 * LARGE))
        for number in range(15)
    ]
    answered = most_unfinished = 0
    while answered < len(senders):
        for _ in range(50):
            for sender in senders:
                sender.send_a_piece()
            await asyncio.sleep(0)
            unfinished = [sender for sender in senders if sender.held >= 2 * LARGE]
            assert len({sender.stage.connection._share.user for sender in unfinished}) == len(unfinished) <= 2
            most_unfinished = max(most_unfinished, len(unfinished))
        [*running] = [sender for sender in senders if sender.stage.running]
        assert len(running) <= 2
        for sender in running:
            await sender.stage.finish()
            assert len(sender.stage.replies()) == 1
            answered += 1
    assert most_unfinished == 2


async def test_a_session_that_ends_gives_its_reservation_to_the_next() -> None:
    share = Share("admin", Turns(1), Turns(1))
    first, second, third = (Sender(Stage(share=share), LARGE_RPC) for _ in range(3))
    first.left = first.left[:-1]
    for sender in (first, second, third):
        sender.send()
        await sender.stage.settle()
    assert [sender.reading for sender in (first, second, third)] == [True, False, False]
    second.stage.connection.kill()  # it waits
    await second.stage.settle()
    first.stage.connection.kill()
    await third.stage.settle()
    assert third.reading
    for stage in (first.stage, second.stage):
        assert stage.ended == [stage.connection]
        stage.connection.lost()
    third.stage.connection.kill()
    third.stage.connection.lost()


async def test_the_last_operation_of_a_session_keeps_its_reservation(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = Threads(monkeypatch)
    share = Share("admin", Turns(1), Turns(1))
    first, second = (Sender(Stage(share=share), LARGE_RPC) for _ in range(2))
    first.send()
    await first.stage.settle()
    second.send()
    threads.finish()
    await first.stage.settle()
    assert len(first.stage.running) == 1
    first.stage.connection.lost()
    await first.stage.settle()
    assert not second.reading  # what was asked for is still in memory
    await first.stage.finish()
    await second.stage.settle()
    assert second.reading
    threads.finish()
    await second.stage.settle()
    await second.stage.finish()
    assert len(second.stage.replies()) == 1


async def test_a_large_message_that_stalls_ends_its_session_and_lets_the_next_in() -> None:
    share = Share("admin", Turns(1), Turns(1))
    first, second = (Sender(Stage(share=share, large_message_timeout=0), LARGE_RPC) for _ in range(2))
    first.left = first.left[:-1]
    first.send()
    await first.stage.settle()
    second.send()
    await second.stage.settle()
    assert first.stage.connection.session.termination is Termination.TIMEOUT
    assert second.reading


async def test_a_client_that_reads_nothing_is_cut_at_the_deadline() -> None:
    stage = Stage(unread_timeout=0)
    stage.connection.pause_writing()
    await stage.settle()
    assert stage.channel.told == ["pause_reading", "close", "abort"]
    assert stage.connection.session.termination is Termination.DROPPED


async def test_a_client_that_reads_again_in_time_keeps_its_session() -> None:
    stage = Stage(unread_timeout=0)
    stage.connection.pause_writing()
    stage.connection.resume_writing()
    await stage.settle()
    assert stage.channel.told == ["pause_reading", "resume_reading"]
    await stage.ask()
    await stage.finish()
    assert len(stage.replies()) == 1


async def test_the_log_names_the_session_and_no_content(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, logger="headstay")
    stage = Stage()
    await stage.ask()
    await stage.finish(Reply(b"<ok/>", ends_session=True))
    assert [record.message for record in caplog.records] == ["session 1 ended: closed by its client"]
    stage.connection.lost()
