"""Asking servers by HTTPS, and the engine's two ways, with real sockets."""

from __future__ import annotations

import asyncio
import json

import pytest

from fake_cloud import FakeCloud, ok, refused
from headstay.engine import unbind_request
from headstay.engine.actions import SetEnabled
from headstay.engine.effects import AskToUnbind
from headstay.engine.events import Unbound
from headstay.engine.inputs import UnbindFailure, UnbindOutcome
from headstay.engine.reasons import DeviceState, DownReason, State
from headstay.engine.settings import Server
from headstay.engine.tls import TlsContexts
from headstay.engine.unbind_request import Asking
from headstay.wire import AUTHENTICATE_PATH, REGISTER_PATH, UNBIND_PATH, messages
from unit.engine.conftest import IDENTITY

CODE = "7K3M-9QXA-2BWD-HT5F"
UP = lambda status: status.state is State.ESTABLISHED  # noqa: E731
FAILED = lambda status: status.failure_reason is not None  # noqa: E731


def answering(cloud: FakeCloud, result: str) -> None:
    cloud.answers[UNBIND_PATH] = lambda _: ok(messages.UnbindAnswer(result))


async def asked(lab, *clouds: FakeCloud, **more: object):
    settings = lab.settings(*clouds, **more)
    return await Asking(AskToUnbind(3, CODE, settings), IDENTITY, TlsContexts()).run()


async def test_one_connection_authenticates_and_brings_the_code(lab) -> None:
    async with lab.cloud(password="p") as cloud:
        answering(cloud, "unbound")
        concluded = await asked(lab, cloud, password="p")
        assert (concluded.request, concluded.outcome) == (3, UnbindOutcome())
        assert concluded.server == Server(cloud.host, cloud.port)
        assert cloud.accepted == 1
        assert [path for _, path, _ in cloud.requests] == [AUTHENTICATE_PATH, AUTHENTICATE_PATH, UNBIND_PATH]
        assert json.loads(cloud.requests[-1][2]) == {"serial": "SN1", "code": CODE}
        await cloud.all_closed()


@pytest.mark.parametrize("result", ["wrong-code", "expired-code", "too-many-attempts"])
async def test_the_first_answer_counts(lab, result: str) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        answering(first, result)
        concluded = await asked(lab, first, second)
        assert concluded.outcome == UnbindOutcome(UnbindFailure(result))
        assert second.accepted == 0


async def test_a_server_that_does_not_let_the_device_in_leads_to_the_next(lab) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        first.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial")
        answering(second, "unbound")
        concluded = await asked(lab, first, second)
        assert (concluded.outcome, concluded.server) == (UnbindOutcome(), Server("localhost", second.port))
        assert [path for _, path, _ in first.requests] == [AUTHENTICATE_PATH]


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((404, {}, b"{}"), "protocol-error (HTTP 404)"),
        ((401, {}, b"{}"), "protocol-error (HTTP 401)"),
        (refused("not-allowed"), "authentication-refused (not-allowed)"),
        ((503, {}, messages.encode(messages.Busy(5.0))), "server-busy (busy)"),
        ((302, {"Location": "https://elsewhere/"}, b""), "http-intercepted (HTTP 302, which leads to elsewhere)"),
    ],
)
async def test_what_stood_in_the_way_is_named_for_each_server(lab, answer, why) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        first.answers[UNBIND_PATH] = lambda _: answer
        second.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial")
        outcome = (await asked(lab, first, second)).outcome
        assert outcome.failure is UnbindFailure.NOT_REACHED
        assert outcome.details == f"127.0.0.1: {why}; localhost: authentication-refused (unknown-serial)"
        assert CODE not in repr(outcome)


async def test_a_server_that_takes_the_code_and_says_nothing_is_the_last(lab, monkeypatch) -> None:
    monkeypatch.setattr(unbind_request, "ANSWER_WITHIN", 0.05)
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        stalled(first, asyncio.Event())
        outcome = (await asked(lab, first, second)).outcome
        assert outcome == UnbindOutcome(UnbindFailure.NO_ANSWER, "nothing within 0.05 s")
        assert second.accepted == 0
        await first.all_closed()


def stalled(cloud: FakeCloud, reached: asyncio.Event) -> None:
    """Let a cloud take in requests to be unbound, and answer none."""
    serve = cloud._serve

    async def first_answers(reader, writer):
        if cloud.requests and cloud.requests[-1][1] == AUTHENTICATE_PATH:
            await reader.readuntil(b"\r\n\r\n")
            reached.set()
            await reader.read()
            return False
        return await serve(reader, writer)

    cloud._serve = first_answers


async def test_a_server_that_closes_instead_of_answering_is_the_last(lab) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:

        def close(_: bytes):
            raise ConnectionResetError

        first.answers[UNBIND_PATH] = close
        outcome = (await asked(lab, first, second)).outcome
        assert outcome.failure is UnbindFailure.NO_ANSWER
        assert second.accepted == 0


async def test_all_of_it_has_an_end(lab, monkeypatch) -> None:
    monkeypatch.setattr(unbind_request, "ALTOGETHER", 0.05)
    async with lab.cloud() as cloud:

        async def silent(reader, writer):
            await reader.read()
            return False

        cloud._serve = silent
        outcome = (await asked(lab, cloud)).outcome
        assert outcome == UnbindOutcome(UnbindFailure.NOT_REACHED, "given up after 0.05 s")
        await cloud.all_closed()


def silent(cloud: FakeCloud, reached: asyncio.Event) -> None:
    """Let a cloud accept connections, and answer nothing at all."""

    async def read_only(reader, writer):
        reached.set()
        await reader.read()
        return False

    cloud._serve = read_only


async def test_giving_up_before_the_code_is_sent_ends_it_at_once(lab) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        reached = asyncio.Event()
        silent(first, reached)
        asking = Asking(AskToUnbind(3, CODE, lab.settings(first, second)), IDENTITY, TlsContexts())
        work = asyncio.create_task(asking.run())
        async with asyncio.timeout(10):
            await reached.wait()
        asking.give_up()
        concluded = await work
        assert (concluded.request, concluded.outcome.failure) == (3, UnbindFailure.NOT_REACHED)
        assert second.accepted == 0
        await first.all_closed()


async def test_giving_up_after_that_still_hears_the_answer_and_asks_no_other_server(lab) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        reached, answer = asyncio.Event(), asyncio.Event()
        serve = first._serve

        async def slow(reader, writer):
            if first.requests and first.requests[-1][1] == AUTHENTICATE_PATH:
                reached.set()
                await answer.wait()
            return await serve(reader, writer)

        first._serve = slow
        answering(first, "unbound")
        asking = Asking(AskToUnbind(3, CODE, lab.settings(first, second)), IDENTITY, TlsContexts())
        work = asyncio.create_task(asking.run())
        async with asyncio.timeout(10):
            await reached.wait()
        while not asking._let_in:  # noqa: ASYNC110 - the device takes in what the cloud has answered before
            await asyncio.sleep(0)
        asking.give_up()
        answer.set()
        assert (await work).outcome == UnbindOutcome()
        assert second.accepted == 0


# the engine -----------------------------------------------------------------------------------------


async def test_over_the_main_connection(lab, caplog) -> None:
    caplog.set_level("DEBUG")
    async with lab.cloud() as cloud:
        device = lab.device(lab.settings(cloud))
        await device.until(UP)
        peer = await cloud.mains.get()
        answer = asyncio.create_task(device.engine.unbind(CODE))
        while json.loads(await peer.received.get() or "{}") != {"type": "unbind", "code": CODE}:
            pass
        await peer.send(messages.UnbindResult("unbound"))
        assert await answer == UnbindOutcome()
        assert device.connection.state is State.ESTABLISHED
        await peer.send(messages.Bye("unbound"))
        status = await device.until(lambda status: status.state is State.UNCONNECTED)
        assert (status.last_down_reason, status.device_state) == (DownReason.UNBOUND, DeviceState.WAITING)
        assert [event for event in device.events if isinstance(event, Unbound)] == [Unbound(server_domain="127.0.0.1")]
        assert UNBIND_PATH not in [path for _, path, _ in cloud.requests]
        # The fake cloud logs what it hears; the device must not.
        assert not [r for r in caplog.records if CODE in r.getMessage() and r.name != "websockets.server"]


async def test_by_https_while_there_is_none(lab, caplog) -> None:
    caplog.set_level("DEBUG")
    async with lab.cloud() as cloud:
        cloud.answers[REGISTER_PATH] = lambda _: refused("not-allowed")
        answering(cloud, "wrong-code")
        device = lab.device(lab.settings(cloud))
        await device.until(FAILED)
        assert (await device.engine.unbind(CODE)).failure is UnbindFailure.WRONG_CODE
        answering(cloud, "unbound")
        assert await device.engine.unbind(CODE) == UnbindOutcome()
        assert isinstance(await device.until_event(Unbound), Unbound)
        assert CODE not in caplog.text
        attempts = device.connection.attempts
        device.pass_time(290)
        assert device.connection.attempts == attempts
        device.pass_time(50)
        await device.until(lambda status: status.attempts > attempts)


async def test_an_engine_that_stops_leaves_nobody_waiting(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[REGISTER_PATH] = lambda _: refused("not-allowed")
        device = lab.device(lab.settings(cloud))
        await device.until(FAILED)
        reached = asyncio.Event()
        stalled(cloud, reached)
        cloud.requests.clear()
        device.engine.apply([SetEnabled(True)])
        answer = asyncio.create_task(device.engine.unbind(CODE))
        async with asyncio.timeout(10):
            await reached.wait()
        await device.stop()
        assert await answer == UnbindOutcome(UnbindFailure.STOPPED)
        assert await device.engine.unbind(CODE) == UnbindOutcome(UnbindFailure.STOPPED)
        await cloud.all_closed()
        assert len(asyncio.all_tasks()) == 1


async def test_whoever_stops_waiting_disturbs_nothing(lab) -> None:
    async with lab.cloud() as cloud:
        device = lab.device(lab.settings(cloud))
        await device.until(UP)
        peer = await cloud.mains.get()
        answer = asyncio.create_task(device.engine.unbind("one"))
        assert await peer.received.get()
        answer.cancel()
        await asyncio.wait([answer])
        await peer.send(messages.UnbindResult("wrong-code"))
        await peer.send(messages.Open("novelty", "n1", "wss://x/"))  # the answer to this comes after
        assert '"closed"' in str(await peer.received.get())
        again = asyncio.create_task(device.engine.unbind("two"))
        assert '"two"' in str(await peer.received.get())
        await peer.send(messages.UnbindResult("expired-code"))
        assert (await again).failure is UnbindFailure.EXPIRED_CODE
        assert device.connection.state is State.ESTABLISHED


async def test_who_gives_up_before_the_code_is_sent_is_in_nobodys_way(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[REGISTER_PATH] = lambda _: refused("not-allowed")
        device = lab.device(lab.settings(cloud))
        await device.until(FAILED)
        serve, reached = cloud._serve, asyncio.Event()
        silent(cloud, reached)
        first = asyncio.create_task(device.engine.unbind(CODE))
        async with asyncio.timeout(10):
            await reached.wait()
        assert (await device.engine.unbind(CODE)).failure is UnbindFailure.UNDER_WAY
        first.cancel()
        await asyncio.wait([first])
        cloud._serve = serve
        answering(cloud, "unbound")
        async with asyncio.timeout(10):
            while (outcome := await device.engine.unbind(CODE)).failure is UnbindFailure.UNDER_WAY:  # noqa: ASYNC110
                await asyncio.sleep(0)  # what was given up is being put away
        assert outcome == UnbindOutcome()
