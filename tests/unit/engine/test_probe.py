"""Asking a server beside the connection, with real sockets."""

from __future__ import annotations

import asyncio

import pytest

from fake_cloud import FakeCloud, refused
from headstay.engine import inputs, probe
from headstay.engine.effects import Probe
from headstay.engine.reasons import DownReason, FailureReason, State
from headstay.engine.settings import Identity, Role, Server
from headstay.engine.stages import TIME_LIMIT, Stage
from headstay.engine.tls import TlsContexts
from headstay.wire import AUTHENTICATE_PATH, REGISTER_PATH

IDENTITY = Identity(serial="SN1", model="m", software="1", boot_id="boot-1")


def question(lab, cloud: FakeCloud, **more: object) -> Probe:
    settings = lab.settings(cloud, **more)
    return Probe(7, settings.servers[0], settings)


async def test_a_server_that_lets_the_device_in_is_asked_no_further(lab) -> None:
    async with lab.cloud(password="p") as cloud:
        asked = question(lab, cloud, password="p")
        assert await probe.ask(asked, IDENTITY, TlsContexts()) == inputs.Probed(7, asked.server, "secret-token", 3600.0)
        assert {path for _, path, _ in cloud.requests} == {AUTHENTICATE_PATH}
        await cloud.all_closed()


async def test_a_refusal_is_named(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial")
        answer = await probe.ask(question(lab, cloud), IDENTITY, TlsContexts())
        assert (answer.failure.reason, answer.failure.details) == (
            FailureReason.AUTHENTICATION_REFUSED,
            "unknown-serial",
        )
        await cloud.all_closed()


@pytest.mark.parametrize("stage", [Stage.CONNECTING, Stage.AUTHENTICATING])
async def test_a_silent_server_is_given_up(lab, stage, monkeypatch) -> None:
    monkeypatch.setitem(TIME_LIMIT, stage, 0.05)
    context = None if stage is Stage.CONNECTING else lab.context()
    async with FakeCloud(context) as cloud:

        async def silent(reader, writer):
            await reader.read()
            return False

        cloud._serve = silent
        answer = await probe.ask(question(lab, cloud), IDENTITY, TlsContexts())
        assert answer.failure.reason is FailureReason(f"timeout-{stage.value}")
        await cloud.all_closed()


async def test_the_device_goes_back_and_asks_beside_the_connection(lab) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        first.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial")
        settings = lab.settings(first, hold_down=300)
        servers = (settings.servers[0], Server(second.host, second.port, Role.BACKUP))
        device = lab.device(lab.settings(first, servers=servers, hold_down=300))
        await device.until(lambda status: status.state is State.ESTABLISHED)
        main = await second.mains.get()
        del first.answers[AUTHENTICATE_PATH]
        asked: list[int] = []
        original = first._authenticate

        def counted(body):
            asked.append(second.open)
            return original(body)

        first._authenticate = counted
        device.pass_time(301)
        status = await device.until(lambda status: status.established_count == 2)
        assert (status.server_domain, status.last_down_reason) == ("127.0.0.1", DownReason.RECONNECT_REQUESTED)
        assert asked == [1]  # the one connection to the other server stood meanwhile
        assert [path for _, path, _ in first.requests].count(REGISTER_PATH) == 1
        await second.all_closed()
        assert main.close_code == 1000


async def test_stopping_while_a_server_is_asked_leaves_nothing_behind(lab) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        first.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial")
        servers = (Server(first.host, first.port), Server(second.host, second.port, Role.BACKUP))
        device = lab.device(lab.settings(first, servers=servers, hold_down=300))
        await device.until(lambda status: status.state is State.ESTABLISHED)
        reached = asyncio.Event()

        async def stall(reader, writer):
            reached.set()
            await reader.read()
            return False

        first._serve = stall
        device.pass_time(301)
        async with asyncio.timeout(10):
            await reached.wait()
        await device.stop()
        await first.all_closed()
        await second.all_closed()
        assert len(asyncio.all_tasks()) == 1
