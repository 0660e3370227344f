"""Every stage of a test fails once, with real sockets and real TLS, and says what a technician can act on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fake_cloud import Answer, Authority, FakeCloud, refused, server_context
from headstay.engine.examination import examine
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import Identity, Server, Settings, Tls
from headstay.engine.stages import TIME_LIMIT, Stage
from headstay.engine.verdicts import LONGEST_TEST, Result, StageName, Verdict
from headstay.wire import AUTHENTICATE_PATH, REGISTER_PATH, messages

IDENTITY = Identity(serial="SN1", model="m", software="1", boot_id="boot-1")
ORDER = list(StageName)


async def examined(settings: Settings, server: Server | None = None) -> dict[StageName, Verdict]:
    verdicts = await examine(server or settings.servers[0], settings, IDENTITY)
    assert [verdict.name for verdict in verdicts] == ORDER
    return {verdict.name: verdict for verdict in verdicts}


async def failed(settings: Settings, stage: StageName, server: Server | None = None) -> Verdict:
    """Test; everything before the stage has passed, everything after it is skipped, and nothing tells a secret."""
    verdicts = await examined(settings, server)
    place = ORDER.index(stage)
    assert [verdicts[name].result for name in ORDER] == [
        *[Result.PASSED] * place,
        Result.FAILED,
        *[Result.SKIPPED] * (len(ORDER) - place - 1),
    ]
    for verdict in verdicts.values():
        assert (verdict.time_taken is None) == (verdict.result is Result.SKIPPED)
        text = verdict.explanation or ""
        assert text.isprintable()
        for secret in ("secret-ticket", "secret-token", "swordfish"):
            assert secret not in text
    verdict = verdicts[stage]
    assert verdict.reason is not None
    assert verdict.explanation is not None
    return verdict


def says(verdict: Verdict, reason: FailureReason, *parts: str) -> None:
    assert verdict.reason is reason
    for part in parts:
        assert part in str(verdict.explanation)


# passed -------------------------------------------------------------------------------------------


async def test_everything_is_in_order(lab) -> None:
    async with lab.cloud(password="swordfish") as cloud:
        verdicts = await examined(lab.settings(cloud, password="swordfish"))
        assert {verdict.result for verdict in verdicts.values()} == {Result.PASSED}
        assert {verdict.domain for verdict in verdicts.values()} == {"127.0.0.1"}
        reached = [verdict for verdict in verdicts.values() if verdict.name is not StageName.RESOLVE]
        assert {(verdict.port, verdict.address) for verdict in reached} == {(cloud.port, "127.0.0.1")}
        assert "127.0.0.1" in str(verdicts[StageName.RESOLVE].explanation)
        for part in ("TLSv1.3", "localhost", "“test authority”", "valid until"):
            assert part in str(verdicts[StageName.TLS].explanation)
        await cloud.all_closed()
        assert cloud.accepted == 1
        assert cloud.resumed == [False]


async def test_nothing_is_registered(lab) -> None:
    async with lab.cloud() as cloud:
        await examined(lab.settings(cloud))
        bodies = [body for _, path, body in cloud.requests if path == REGISTER_PATH]
        assert bodies == [b'{"serial":"SN1","probe":true}']
        assert cloud.mains.empty()


async def test_a_running_link_does_not_notice(lab) -> None:
    async with lab.cloud() as cloud:
        device = lab.device(lab.settings(cloud))
        before = await device.until(lambda status: status.connected_at is not None)
        await examined(lab.settings(cloud))
        after = device.connection
        assert (after.connected_at, after.attempts) == (before.connected_at, before.attempts)
        assert after.failure_reason is None


async def test_a_cloud_that_does_not_know_the_question_is_not_registered_with(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[REGISTER_PATH] = lambda _: (400, {}, b'{"reason": "malformed"}')
        verdicts = await examined(lab.settings(cloud))
        assert verdicts[StageName.REGISTER].result is Result.PASSED
        assert verdicts[StageName.HANDSHAKE].result is Result.SKIPPED
        assert "cannot be tested any further" in str(verdicts[StageName.HANDSHAKE].explanation)


async def test_the_connection_may_go_to_another_host(lab) -> None:
    async with lab.cloud() as first, lab.cloud(host="localhost") as second:
        first.main_host = second.authority
        verdicts = await examined(lab.settings(first))
        assert verdicts[StageName.HANDSHAKE].result is Result.PASSED
        assert verdicts[StageName.HANDSHAKE].port == second.port
        assert second.authority in str(verdicts[StageName.REGISTER].explanation)


# resolve, connect ---------------------------------------------------------------------------------


async def test_a_name_that_nobody_knows(lab, monkeypatch) -> None:
    def unknown(*_: object, **__: object) -> object:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    verdict = await failed(Settings(), StageName.RESOLVE, Server("cloud.example"))
    says(verdict, FailureReason.DNS_FAILED, "Name or service not known", "name servers")
    assert (verdict.address, verdict.port) == (None, None)


async def test_a_port_where_nobody_listens(lab) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        verdict = await failed(lab.settings(), StageName.CONNECT, Server("127.0.0.1", port))
    says(verdict, FailureReason.SOCKET_FAILED, f"Connection refused at 127.0.0.1, port {port}")
    assert (verdict.address, verdict.port) == (None, port)


async def test_a_source_address_that_the_device_does_not_have(lab) -> None:
    async with lab.cloud() as cloud:
        verdict = await failed(lab.settings(cloud, source_address="192.0.2.1"), StageName.CONNECT)
        says(verdict, FailureReason.SOCKET_FAILED, "no address 192.0.2.1, which is its source-address")


# tls ----------------------------------------------------------------------------------------------


class Silent(FakeCloud):
    """Takes connections and says nothing."""

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        return bool(await reader.read(65536))


async def test_a_server_that_is_silent_in_tls(lab, monkeypatch) -> None:
    monkeypatch.setitem(TIME_LIMIT, Stage.CONNECTING, 0.05)
    async with Silent(None) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.TLS)
        says(verdict, FailureReason.TIMEOUT_CONNECTING, "No result within", "TCP works")
        assert verdict.address == "127.0.0.1"
        await cloud.all_closed()


async def test_plain_http_on_the_port(lab) -> None:
    class Plain(FakeCloud):
        async def _serve(self, reader, writer) -> bool:
            await reader.read(16)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            await writer.drain()
            return bool(await reader.read(65536))

    async with Plain(None) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.TLS)
        says(verdict, FailureReason.HTTP_INTERCEPTED, "does not speak TLS", "Check the port")


async def test_an_issuer_that_is_not_trusted_is_named(lab) -> None:
    stranger = Authority("somebody's proxy")
    async with FakeCloud(server_context(stranger.issue("127.0.0.1"))) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.TLS)
        missing = "the certificate of its issuer “somebody's proxy” is missing"
        says(verdict, FailureReason.CERTIFICATE_UNTRUSTED, missing, "trust-anchor", "configured trust anchors")
        await cloud.all_closed()
        assert cloud.requests == []
        system = replace(lab.settings(cloud), tls=Tls())
        says(await failed(system, StageName.TLS), FailureReason.CERTIFICATE_UNTRUSTED, "this system's trust store")


async def test_a_name_that_the_certificate_does_not_hold(lab) -> None:
    async with lab.cloud(lab.authority.issue("one.example", "two.example", "192.0.2.1")) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.TLS)
        found = "for one.example, two.example, 192.0.2.1, not for 127.0.0.1"
        says(verdict, FailureReason.CERTIFICATE_NAME_MISMATCH, found, "“test authority”")
        await cloud.all_closed()


@pytest.mark.parametrize("days", [(-3, -2), (2, 3)])
async def test_a_certificate_that_is_not_valid_now_or_a_clock_that_is_wrong(lab, days) -> None:
    start, end = (timedelta(days=number) for number in days)
    async with lab.cloud(lab.authority.issue("127.0.0.1", start=start, end=end)) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.TLS)
        says(verdict, FailureReason.CERTIFICATE_NOT_VALID_NOW, "is valid from", "this device's clock says", "set it")


async def test_a_server_that_tells_nothing_readable_of_itself(lab, monkeypatch) -> None:
    """What the test wants to say of a certificate may fail; the verdict stands."""
    monkeypatch.setattr("headstay.engine.shown_certificate.LOOK_WITHIN", 0.0)
    async with lab.cloud(lab.authority.issue("other.example")) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.TLS)
        says(verdict, FailureReason.CERTIFICATE_NAME_MISMATCH, "mismatch")


# http ---------------------------------------------------------------------------------------------


def redirect(_: bytes) -> Answer:
    return 302, {"Location": "https://login.hotel.example/?from=device"}, b""


def page(_: bytes) -> Answer:
    return 200, {"Content-Type": "text/html; charset=utf-8"}, b"<html><TITLE>Hotel\n Wi-Fi &amp; more\x1b[31m</TITLE>"


@pytest.mark.parametrize(
    ("answer", "reason", "found"),
    [
        (redirect, FailureReason.HTTP_INTERCEPTED, "HTTP 302, which leads to login.hotel.example"),
        (page, FailureReason.HTTP_INTERCEPTED, "HTTP 200, a page with the title “Hotel Wi-Fi & more"),
        (lambda _: (404, {}, b"{}"), FailureReason.PROTOCOL_ERROR, "HTTP 404"),
        (lambda _: (200, {}, b"{}"), FailureReason.PROTOCOL_ERROR, "HTTP 200"),
        (lambda _: refused("x"), FailureReason.PROTOCOL_ERROR, "X."),
    ],
)
async def test_something_else_than_a_cloud_answers(
    lab, answer: Callable[[bytes], Answer], reason: FailureReason, found: str
) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = answer
        says(await failed(lab.settings(cloud), StageName.HTTP), reason, found)
        assert len(cloud.requests) == 1


async def test_a_server_that_does_not_answer(lab, monkeypatch) -> None:
    monkeypatch.setitem(TIME_LIMIT, Stage.AUTHENTICATING, 0.05)
    async with Silent(lab.context()) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.HTTP)
        says(verdict, FailureReason.TIMEOUT_AUTHENTICATING, "overloaded")
        await cloud.all_closed()


async def test_a_server_that_demands_a_client_certificate(lab) -> None:
    async with FakeCloud(server_context(lab.good, client_authority=lab.authority.pem)) as cloud:
        verdicts = await examined(lab.settings(cloud))
        broken = [verdict for verdict in verdicts.values() if verdict.result is Result.FAILED]
        assert [verdict.name in (StageName.TLS, StageName.HTTP) for verdict in broken] == [True]


# authenticate, register ---------------------------------------------------------------------------


def after_greeting(answer: Callable[[bytes], Answer]) -> Callable[[bytes], Answer]:
    return lambda body: (400, {}, b'{"reason": "malformed"}') if body == b"{}" else answer(body)


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("unknown-serial", "Add this device's serial number"),
        ("password-required", "configure server/password"),
        ("certificate-mismatch", "common name"),
        ("not-allowed", "the cloud holds none"),
        ("something-new", "its log says why"),
    ],
)
async def test_a_refusal_says_what_to_do(lab, reason: str, advice: str) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = after_greeting(lambda _: refused(reason))
        verdict = await failed(lab.settings(cloud), StageName.AUTHENTICATE)
        says(verdict, FailureReason.AUTHENTICATION_REFUSED, f"Refused: {reason}.", advice)


async def test_a_wrong_password(lab) -> None:
    async with lab.cloud(password="swordfish") as cloud:
        verdict = await failed(lab.settings(cloud, password="perch"), StageName.AUTHENTICATE)
        says(verdict, FailureReason.AUTHENTICATION_REFUSED, "bad-proof", "different passwords")


async def test_a_busy_cloud(lab) -> None:
    busy = 503, {}, messages.encode(messages.Busy(7.0))
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = after_greeting(lambda _: busy)
        says(await failed(lab.settings(cloud), StageName.AUTHENTICATE), FailureReason.SERVER_BUSY, "again in 7 s")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ((401, {}, b"{}"), FailureReason.REGISTRATION_REFUSED),
        (refused("unknown-serial"), FailureReason.REGISTRATION_REFUSED),
        ((404, {}, b"{}"), FailureReason.PROTOCOL_ERROR),
        ((200, {}, b'{"url": "ws://127.0.0.1/", "expires-in": 1}'), FailureReason.PROTOCOL_ERROR),
        ((200, {}, b"{}"), FailureReason.PROTOCOL_ERROR),
        (redirect(b""), FailureReason.HTTP_INTERCEPTED),
    ],
)
async def test_a_cloud_that_offers_no_registration(lab, answer: Answer, reason: FailureReason) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[REGISTER_PATH] = lambda _: answer
        says(await failed(lab.settings(cloud), StageName.REGISTER), reason)


# handshake ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "reason", "advice"),
    [
        ((400, {}, b'{"reason": "malformed"}'), FailureReason.PROTOCOL_ERROR, "hand on the Upgrade and Connection"),
        ((426, {}, b"{}"), FailureReason.PROTOCOL_ERROR, "HTTP 426"),
        ((502, {"Content-Type": "text/html"}, b"<title>Bad gateway</title>"), FailureReason.HTTP_INTERCEPTED, "Bad g"),
        (refused("ticket"), FailureReason.HANDSHAKE_REFUSED, "did not accept its ticket"),
    ],
)
async def test_a_way_that_lets_no_websocket_through(lab, answer: Answer, reason: FailureReason, advice: str) -> None:
    async with lab.cloud() as cloud:
        cloud.answers["/probe"] = lambda _: answer
        says(await failed(lab.settings(cloud), StageName.HANDSHAKE), reason, advice)
        await cloud.all_closed()


async def test_a_websocket_that_is_cut_as_soon_as_it_stands(lab) -> None:
    class Cuts(FakeCloud):
        async def _upgrade(self, head, target, reader, writer) -> None:
            flushed = writer.drain

            async def cut() -> None:
                await flushed()
                writer.close()

            writer.drain = cut
            await super()._upgrade(head, target.replace("/probe", "/other"), reader, writer)

    async with Cuts(lab.context()) as cloud:
        verdict = await failed(lab.settings(cloud), StageName.HANDSHAKE)
        says(verdict, FailureReason.SOCKET_FAILED, "opened, and then cut")


async def test_a_websocket_through_which_nothing_comes(lab, monkeypatch) -> None:
    monkeypatch.setitem(TIME_LIMIT, Stage.HANDSHAKING, 0.1)

    class Keeps(FakeCloud):
        async def _upgrade(self, head, target, reader, writer) -> None:
            await super()._upgrade(head, target.replace("/probe", "/other"), reader, writer)

    async with Keeps(lab.context()) as cloud:
        says(await failed(lab.settings(cloud), StageName.HANDSHAKE), FailureReason.TIMEOUT_HANDSHAKING, "WebSockets")
        await cloud.all_closed()


async def test_the_host_that_registration_names_is_named_when_it_fails(lab) -> None:
    async with lab.cloud() as cloud:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            cloud.main_host = f"localhost:{held.getsockname()[1]}"
            verdict = await failed(lab.settings(cloud), StageName.HANDSHAKE)
            says(verdict, FailureReason.SOCKET_FAILED, f"At {cloud.main_host}, which registration named: ")
            assert verdict.port == held.getsockname()[1]


# its end ------------------------------------------------------------------------------------------


async def test_cancelling_closes_its_connection(lab) -> None:
    class Waits(FakeCloud):
        async def _serve(self, reader, writer) -> bool:
            asked.set()
            return bool(await reader.read(65536))

    asked = asyncio.Event()
    async with Waits(lab.context()) as cloud:
        testing = asyncio.create_task(examine(Server(cloud.host, cloud.port), lab.settings(cloud), IDENTITY))
        await asked.wait()
        testing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await testing
        await cloud.all_closed()
        assert len(asyncio.all_tasks()) == 1


def test_the_longest_test_is_the_sum_of_its_stages() -> None:
    assert LONGEST_TEST == 55.0
