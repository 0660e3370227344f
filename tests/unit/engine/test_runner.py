"""The shell, with real sockets on 127.0.0.1 and a fake cloud that behaves."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import ssl
from datetime import timedelta

import pytest

from fake_cloud import PATIENCE, Authority, FakeCloud, Peer, ok, refused, server_context
from fake_service import Echo
from headstay.engine.actions import SetEnabled, SetIntervals, SetPassword, SetServers, SetServices, SetTls
from headstay.engine.events import AuthenticationFailure, ConnectionStateChange
from headstay.engine.reasons import (
    DeviceState,
    DownReason,
    FailureReason,
    ProcessState,
    State,
    SubconnectionState,
)
from headstay.engine.runner import Engine
from headstay.engine.services import SERVICES
from headstay.engine.settings import AddressFamily, Identity, Server, Service, Settings, Source, Tls
from headstay.engine.subconnection import ServiceContext
from headstay.wire import AUTHENTICATE_PATH, REGISTER_PATH, messages

UP = lambda status: status.state is State.ESTABLISHED  # noqa: E731
FAILED = lambda status: status.failure_reason is not None  # noqa: E731
BUSY = (503, {}, messages.encode(messages.Busy(7.5)))


async def failure(lab, cloud: FakeCloud, **more: object):
    """Let a device try a cloud; returns how that failed and what was said about it."""
    device = lab.device(lab.settings(cloud, **more))
    status = await device.until(FAILED)
    change = next(e for e in device.events if isinstance(e, ConnectionStateChange) and e.failure_reason)
    await device.stop()
    return status.failure_reason, change.details


# success --------------------------------------------------------------------------------------------


async def test_one_connection_carries_everything(lab) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        status = device.connection
        assert (status.device_state, status.process_state) == (DeviceState.CONNECTED, ProcessState.MESSAGE_RECEIVED)
        assert (status.server_domain, status.server_address, status.server_port) == (
            "127.0.0.1",
            "127.0.0.1",
            cloud.port,
        )
        assert (cloud.accepted, peer.ticket) == (1, "secret-ticket")
        assert [(method, path) for method, path, _ in cloud.requests] == [
            ("POST", AUTHENTICATE_PATH),
            ("POST", REGISTER_PATH),
            ("GET", "/main"),
        ]
        assert json.loads(cloud.requests[0][2]) == {"serial": "SN1", "mechanism": "none"}
        assert json.loads(cloud.requests[1][2]) == {
            "serial": "SN1",
            "model": "m",
            "software": "1",
            "boot-id": "boot-1",
            "services": ["telemetry"],
        }


async def test_a_password_is_proved_by_scram_and_never_sent(lab) -> None:
    async with lab.cloud(password="hunter2") as cloud:
        await lab.established(cloud, password="hunter2")
        assert cloud.accepted == 1
        bodies = [json.loads(body) for method, _, body in cloud.requests if method == "POST"]
        assert bodies[0]["mechanism"] == "SCRAM-SHA-256"
        assert bodies[1].keys() == {"exchange", "message"}
        assert b"hunter2" not in b"".join(body for _, _, body in cloud.requests)


async def test_a_name_is_resolved_and_verified(lab) -> None:
    async with lab.cloud(host="localhost") as cloud:
        device, _ = await lab.established(cloud)
        assert device.connection.server_domain == "localhost"
        assert device.connection.server_address == "127.0.0.1"


async def test_a_client_certificate_is_shown_and_is_the_mechanism(lab) -> None:
    client = lab.authority.issue(common_name="SN1")
    cloud = FakeCloud(server_context(lab.good, client_authority=lab.authority.pem))
    async with cloud:
        tls = Tls((lab.authority.pem,), client.certificate, client.key)
        await lab.established(cloud, tls=tls)
        assert json.loads(cloud.requests[0][2])["mechanism"] == "certificate"


async def test_the_url_may_name_another_host(lab) -> None:
    async with lab.cloud() as cloud, lab.cloud(host="localhost") as node:
        cloud.main_host = node.authority
        device = lab.device(lab.settings(cloud))
        await device.until(UP)
        await node.mains.get()
        assert (cloud.accepted, node.accepted) == (1, 1)
        assert device.connection.server_domain == "127.0.0.1"
        await cloud.all_closed()  # the first connection is of no more use


async def test_a_server_that_closes_after_each_answer_is_dialled_again(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = lambda _: (
            200,
            {"Connection": "close"},
            messages.encode(messages.Granted("secret-token", 60.0)),
        )
        await lab.established(cloud)
        assert cloud.accepted == 2


async def test_an_answer_in_chunks_with_an_interim_one_is_understood(lab) -> None:
    body = messages.encode(messages.Granted("secret-token", 60.0))
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[i : i + 1]) for i in range(len(body))) + b"0\r\n\r\n"

    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = lambda _: (200, {"Transfer-Encoding": "chunked"}, chunks)
        original = cloud._serve

        async def serve(reader, writer):
            writer.write(b"" if cloud.requests else b"HTTP/1.1 100 Continue\r\n\r\n")
            return await original(reader, writer)

        device = lab.device(lab.settings(cloud))
        await device.until(lambda status: status.state is State.ESTABLISHED or status.failure_reason)
        # Content-Length beside Transfer-Encoding is a smuggling trick: h11 takes the latter (RFC 9112 section 6.1).
        assert device.connection.failure_reason is None


# failures -------------------------------------------------------------------------------------------


async def test_a_wrong_password(lab) -> None:
    async with lab.cloud(password="right") as cloud:
        device = lab.device(lab.settings(cloud, password="wrong"))
        event = await device.until_event(AuthenticationFailure)
        assert (event.failure_reason, event.details) == (FailureReason.AUTHENTICATION_REFUSED, "bad-proof")
        assert device.connection.device_state is DeviceState.AUTHENTICATION_FAILED


async def test_a_cloud_that_does_not_know_the_password_gets_no_token_back(lab) -> None:
    async with lab.cloud(password="right") as cloud:
        original = cloud._authenticate

        def impostor(body):
            if "exchange" in body:
                signature = "v=" + "A" * 43 + "="
                return ok(messages.Granted("secret-token", 60.0, signature))
            return original(body)

        cloud._authenticate = impostor
        assert (await failure(lab, cloud, password="right"))[0] is FailureReason.SERVER_PROOF_WRONG
        assert REGISTER_PATH not in [path for _, path, _ in cloud.requests]


async def test_a_grant_without_proof_is_not_taken(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = lambda _: ok(messages.Granted("secret-token", 60.0))
        reason, _ = await failure(lab, cloud, password="mine")
        assert reason is FailureReason.PROTOCOL_ERROR
        assert b'"none"' not in b"".join(body for _, _, body in cloud.requests)


@pytest.mark.parametrize("iterations", [4095, 100_001, 10_000_000])
async def test_iterations_out_of_bounds(lab, iterations) -> None:
    async with lab.cloud() as cloud:

        def challenge(body):
            nonce = json.loads(body)["message"].rsplit("r=", 1)[1]
            return ok(messages.Challenge("x", f"r={nonce}abc,s=QSXCR+Q6sek8bf92,i={iterations}"))

        cloud.answers[AUTHENTICATE_PATH] = challenge
        assert (await failure(lab, cloud, password="p"))[0] is FailureReason.PROTOCOL_ERROR


async def test_an_untrusted_certificate(lab) -> None:
    async with FakeCloud(server_context(Authority("another").issue("127.0.0.1"))) as cloud:
        reason, details = await failure(lab, cloud)
        assert reason is FailureReason.CERTIFICATE_UNTRUSTED
        assert details
        assert cloud.requests == []


async def test_the_systems_store_does_not_trust_it_either(lab) -> None:
    async with lab.cloud() as cloud:
        assert (await failure(lab, cloud, tls=Tls()))[0] is FailureReason.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize(("named", "dialled"), [("other.example", "127.0.0.1"), ("127.0.0.1", "localhost")])
async def test_a_certificate_for_another_name(lab, named, dialled) -> None:
    async with lab.cloud(lab.authority.issue(named), host=dialled) as cloud:
        assert (await failure(lab, cloud))[0] is FailureReason.CERTIFICATE_NAME_MISMATCH


@pytest.mark.parametrize(
    ("start", "end"),
    [(timedelta(days=-9), timedelta(days=-8)), (timedelta(days=8), timedelta(days=9))],
)
async def test_a_certificate_that_is_not_valid_now_is_named_with_both_times(lab, start, end) -> None:
    async with lab.cloud(lab.authority.issue("127.0.0.1", start=start, end=end)) as cloud:
        reason, details = await failure(lab, cloud)
        assert reason is FailureReason.CERTIFICATE_NOT_VALID_NOW
        assert details.startswith("the certificate is valid from 20")
        assert "; this device's clock says 20" in details
        assert cloud.requests == []


async def test_an_expired_certificate_of_a_stranger_shows_no_dates(lab) -> None:
    pem = Authority("another").issue("127.0.0.1", end=timedelta(hours=-1))
    async with FakeCloud(server_context(pem)) as cloud:
        assert (await failure(lab, cloud))[0] is FailureReason.CERTIFICATE_UNTRUSTED


@contextlib.asynccontextmanager
async def listening(handler):
    """Run a server that is no cloud; yields what a device needs to find it."""
    writers = []

    async def remembered(reader, writer):
        writers.append(writer)
        await handler(reader, writer)

    server = await asyncio.start_server(remembered, "127.0.0.1", 0)
    somewhere = FakeCloud(None)
    somewhere.port = server.sockets[0].getsockname()[1]
    try:
        yield somewhere
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()


async def test_plain_http_on_the_port(lab) -> None:
    async def plain(reader, writer):
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")

    async with listening(plain) as somewhere:
        assert (await failure(lab, somewhere))[0] is FailureReason.HTTP_INTERCEPTED


async def test_a_reset_instead_of_tls(lab) -> None:
    async def reset(reader, writer):
        writer.transport.abort()

    async with listening(reset) as somewhere:
        assert (await failure(lab, somewhere))[0] is FailureReason.SOCKET_FAILED


async def test_a_server_that_speaks_no_common_tls(lab) -> None:
    async def alert(reader, writer):
        await reader.read(1)
        writer.write(bytes.fromhex("15 0303 0002 02 28"))  # handshake_failure (RFC 8446 section 6.2)

    async with listening(alert) as somewhere:
        assert (await failure(lab, somewhere))[0] is FailureReason.TLS_FAILED


async def test_a_silent_tls_handshake(lab) -> None:
    reached = asyncio.Event()

    async def silent(reader, writer):
        reached.set()

    async with listening(silent) as somewhere:
        device = lab.device(lab.settings(somewhere))
        async with asyncio.timeout(10):
            await reached.wait()
        device.pass_time(10.1)
        assert (await device.until(FAILED)).failure_reason is FailureReason.TIMEOUT_CONNECTING
        await device.stop()


async def test_a_required_client_certificate_that_is_not_there(lab) -> None:
    # asyncio's own servers do not send the alert that tells why.
    context = server_context(lab.good, client_authority=lab.authority.pem)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)

    def serve() -> None:
        with listener, listener.accept()[0] as accepted:
            tls = context.wrap_socket(accepted, server_side=True, do_handshake_on_connect=False)
            with pytest.raises(ssl.SSLError):
                tls.do_handshake()
            # Closed with something unread, the connection would be reset, and the alert lost with it.
            with socket.socket(fileno=tls.detach()) as plain:
                while plain.recv(65536):
                    pass

    somewhere = FakeCloud(None)
    somewhere.port = listener.getsockname()[1]
    serving = asyncio.create_task(asyncio.to_thread(serve))
    assert (await failure(lab, somewhere))[0] is FailureReason.TLS_FAILED
    await serving


async def test_a_closed_port(lab) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        cloud = FakeCloud(None)
        cloud.port = held.getsockname()[1]
        reason, details = await failure(lab, cloud)
    assert reason is FailureReason.SOCKET_FAILED
    assert "refused" in details.lower() or "connect" in details.lower()


@pytest.mark.parametrize("domain", ["no-such-host.invalid", "x" * 64 + ".example", "a..example"])
async def test_a_name_that_does_not_resolve(lab, domain) -> None:
    cloud = FakeCloud(None, host=domain)
    cloud.port = 1
    device = lab.device(lab.settings(cloud))
    status = await device.until(FAILED)
    assert status.failure_reason is FailureReason.DNS_FAILED
    assert status.process_state is ProcessState.DNS_NOT_PARSED
    await device.stop()


async def test_a_name_without_an_address_of_the_family(lab) -> None:
    async with lab.cloud() as cloud:
        reason, _ = await failure(lab, cloud, address_family=AddressFamily.IPV6)
        assert reason is FailureReason.DNS_FAILED


async def test_the_source_address_is_used(lab) -> None:
    async with lab.cloud() as cloud:
        _, peer = await lab.established(cloud, source_address="127.0.0.2")
        assert peer.writer.get_extra_info("peername")[0] == "127.0.0.2"


async def test_a_source_address_that_the_device_does_not_have(lab) -> None:
    async with lab.cloud() as cloud:
        assert (await failure(lab, cloud, source_address="192.0.2.77"))[0] is FailureReason.SOCKET_FAILED


HTML = {"Content-Type": "text/html; charset=utf-8"}


@pytest.mark.parametrize("path", [AUTHENTICATE_PATH, REGISTER_PATH, "/main"])
@pytest.mark.parametrize(
    "answer",
    [
        (302, {"Location": "https://127.0.0.1:1/elsewhere"}, b""),
        (307, {"Location": AUTHENTICATE_PATH}, b""),
        (200, HTML, b"<html>log in</html>"),
        (403, HTML, b"<html>no</html>"),
        (503, HTML, b"<html>no</html>"),
        (401, HTML, b"<html>no</html>"),
    ],
)
async def test_redirects_and_pages_are_somebody_elses(lab, path, answer) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[path] = lambda _: answer
        assert (await failure(lab, cloud))[0] is FailureReason.HTTP_INTERCEPTED
        assert len([p for _, p, _ in cloud.requests if p == path]) == 1


PROTOCOL = FailureReason.PROTOCOL_ERROR


@pytest.mark.parametrize("path", [AUTHENTICATE_PATH, REGISTER_PATH])
@pytest.mark.parametrize(
    "answer",
    [
        (200, {}, b"{" + b" " * 66_000 + b"}"),
        (200, {"Transfer-Encoding": "chunked"}, b"11000\r\n" + b" " * 0x11000 + b"\r\n0\r\n\r\n"),
        (200, {}, b"not json"),
        (200, {}, b'{"token": 5, "url": 5}'),
        (200, {}, b"[" * 5000),
        (200, {"X": "y" * 100_000}, b"{}"),
        (403, {}, b"not json"),
        (503, {}, b'{"retry-after": "soon"}'),
        (404, {}, b"{}"),
        (500, {}, b""),
    ],
)
async def test_answers_that_break_the_wire(lab, path, answer) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[path] = lambda _: answer
        assert (await failure(lab, cloud))[0] is PROTOCOL


@pytest.mark.parametrize(
    "url",
    [
        "ws://{host}/main",
        "https://{host}/main",
        "wss://user:word@{host}/main",
        "wss:///main",
        "wss://{host}x/main",
        "",
        "\x00",
    ],
)
async def test_urls_that_are_not_for_us(lab, url) -> None:
    async with lab.cloud() as cloud:
        text = url.format(host=cloud.authority)
        cloud.answers[REGISTER_PATH] = lambda _: ok(messages.Registered(text, 1, 30.0))
        reason, details = await failure(lab, cloud)
        assert reason is PROTOCOL
        assert "main" not in details
        assert cloud.mains.empty()


async def test_refusals_are_told_from_one_another(lab) -> None:
    expected = {
        AUTHENTICATE_PATH: FailureReason.AUTHENTICATION_REFUSED,
        REGISTER_PATH: FailureReason.REGISTRATION_REFUSED,
        "/main": FailureReason.HANDSHAKE_REFUSED,
    }
    for path, reason in expected.items():
        async with lab.cloud() as cloud:
            cloud.answers[path] = lambda _: refused("unknown-serial")
            assert await failure(lab, cloud) == (reason, "unknown-serial")


async def test_a_forged_line_is_not_taken_over(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial\r\nforged")
        reason, details = await failure(lab, cloud)
        assert (reason, "forged" in details, details.isprintable()) == (PROTOCOL, False, True)


@pytest.mark.parametrize("token", ["A\r\nX-Evil: 1", "\u00e9", "", "a" * 60_000])
async def test_a_token_that_cannot_be_one(lab, token) -> None:
    async with lab.cloud() as cloud:
        body = json.dumps({"token": token, "expires-in": 100}).encode()
        cloud.answers[AUTHENTICATE_PATH] = lambda _: (200, {}, body)
        assert (await failure(lab, cloud))[0] is PROTOCOL
        assert [path for _, path, _ in cloud.requests] == [AUTHENTICATE_PATH]


async def test_a_spent_ticket_without_a_body(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers["/main"] = lambda _: (403, {"Content-Type": "text/plain"}, b"403: Forbidden")
        assert (await failure(lab, cloud))[0] is FailureReason.HANDSHAKE_REFUSED


@pytest.mark.parametrize("path", [AUTHENTICATE_PATH, REGISTER_PATH, "/main"])
async def test_a_busy_server_gives_a_slot(lab, path) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[path] = lambda _: BUSY
        device = lab.device(lab.settings(cloud))
        status = await device.until(FAILED)
        assert status.failure_reason is FailureReason.SERVER_BUSY
        (server,) = device.engine.status().servers
        assert 7.5 <= server.next_attempt - server.last_attempt <= 8.5
        await device.stop()


async def test_a_token_refused_twice(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[REGISTER_PATH] = lambda _: (401, {}, b"{}")
        assert (await failure(lab, cloud))[0] is FailureReason.REGISTRATION_REFUSED
        assert [path for _, path, _ in cloud.requests] == [AUTHENTICATE_PATH, REGISTER_PATH] * 2
        assert cloud.accepted == 1


async def test_another_subprotocol(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.subprotocol = "headstay.v2"
        assert (await failure(lab, cloud))[0] is PROTOCOL


async def test_a_server_that_closes_instead_of_answering(lab) -> None:
    async with lab.cloud() as cloud:

        async def hang_up(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            return False

        cloud._serve = hang_up
        assert (await failure(lab, cloud))[0] is FailureReason.SOCKET_FAILED


async def test_a_server_that_speaks_without_being_asked(lab) -> None:
    async with lab.cloud() as cloud:

        async def banner(reader, writer):
            writer.write(b"220 mail ready\r\n\r\n")
            await reader.read()
            return False

        cloud._serve = banner
        assert (await failure(lab, cloud))[0] is PROTOCOL


async def test_a_pem_that_is_none(lab) -> None:
    async with lab.cloud() as cloud:
        reason, details = await failure(lab, cloud, tls=Tls(trust_anchors=("rubbish",)))
        assert (reason, details.split(":")[0]) == (FailureReason.TLS_FAILED, "trust-anchor")


async def test_a_failed_server_leads_to_the_next(lab) -> None:
    async with lab.cloud() as bad, lab.cloud(host="localhost") as cloud:
        bad.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial")
        device = lab.device(lab.settings(bad, cloud))
        status = await device.until(UP)
        assert status.server_domain == "localhost"
        first, second = device.engine.status().servers
        assert (first.last_result, second.established) == (FailureReason.AUTHENTICATION_REFUSED, True)


# what it is told ------------------------------------------------------------------------------------


async def test_a_change_of_an_interval_keeps_it(lab) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        since = device.connection.connected_at
        device.engine.apply([SetIntervals(30, 30)])
        device.pass_time(31)
        assert (await peer.hear())["type"] == "keepalive"
        assert (device.connection.connected_at, cloud.accepted) == (since, 1)


async def test_a_new_password_is_used_at_once(lab) -> None:
    async with lab.cloud(password="right") as cloud:
        device = lab.device(lab.settings(cloud, password="wrong"))
        await device.until(FAILED)
        device.engine.apply([SetPassword("right", Source.CONFIGURED)])
        await device.until(UP)


async def test_removing_the_server_closes_it_properly(lab) -> None:
    async with lab.cloud() as cloud:
        device, peer = await lab.established(cloud)
        device.engine.apply([SetServers(())])
        assert device.connection.state is State.UNCONNECTED
        assert device.connection.server_domain is None
        await cloud.all_closed()
        assert peer.close_code == 1000


async def test_disabling_and_enabling_many_times_in_a_row_ends_as_told(lab) -> None:
    async with lab.cloud() as cloud:
        device, _ = await lab.established(cloud)
        for _ in range(20):
            device.engine.apply([SetEnabled(enabled=False)])
            device.engine.apply([SetEnabled(enabled=True)])
        await device.until(UP)
        device.engine.apply([SetEnabled(enabled=False)])
        await cloud.all_closed()


async def test_two_clouds_never_hold_it_at_once(lab, monkeypatch) -> None:
    monkeypatch.setattr("headstay.engine.websocket.CLOSE_WITHIN", 0.05)
    async with lab.cloud() as one, lab.cloud() as two:
        device, peer = await lab.established(one)
        peer.writer.close = lambda: None  # it never finishes closing
        two.beside = one
        device.engine.apply([SetServers((Server("127.0.0.1", two.port),))])
        await two.mains.get()
        assert two.others_open_at_accept == [0]
        assert one.open == 0


async def test_an_observer_may_talk_back(lab) -> None:
    async with lab.cloud() as cloud:
        calls = []

        def observe(event, time):
            calls.append(event)
            engine.report({"event": event.name}, time)
            if len(calls) == 2:
                engine.reconnect()
            if len(calls) == 7:
                raise ValueError("an observer's own fault")

        engine = Engine(Identity("SN1", "m", "1", "b"), lab.settings(cloud), observe=observe)
        running = asyncio.create_task(engine.run())
        await cloud.mains.get()
        peer = await cloud.mains.get()
        await peer.send(messages.Open("novelty", "1", "wss://x/"))
        assert (await peer.hear())["type"] == "closed"
        await engine.stop()
        await running


async def test_a_report_that_is_no_json_is_its_makers_error(lab) -> None:
    async with lab.cloud() as cloud:
        device, _ = await lab.established(cloud)
        with pytest.raises(TypeError):
            device.engine.report({"event": object()}, 0.0)
        with pytest.raises(ValueError, match="surrogates"):
            device.engine.report({"event": "\ud800"}, 0.0)
        assert UP(device.connection)


# subconnections -------------------------------------------------------------------------------------


async def telemetry(lab, cloud: FakeCloud, **more: object) -> tuple[object, Peer, Peer]:
    device, main = await lab.established(cloud, **more)
    await main.send(messages.Open("telemetry", "t1", cloud.url("/sub")))
    sub = await cloud.subconnections.get()
    up = SubconnectionState.ESTABLISHED
    await device.until(lambda _: any(sub.state is up for sub in device.engine.status().subconnections))
    return device, main, sub


async def test_telemetry_delivers_reports_and_takes_acknowledgements(lab) -> None:
    async with lab.cloud() as cloud:
        device = lab.device(lab.settings(cloud))
        device.engine.report({"event": "early"}, 1.5)
        await device.until(UP)
        assert device.connection.last_report_failure_reason is None
        main = await cloud.mains.get()
        await main.send(messages.Open("telemetry", "t1", cloud.url("/sub")))
        sub = await cloud.subconnections.get()
        assert await sub.hear() == {
            "type": "report",
            "boot-id": "boot-1",
            "sequence": 1,
            "time": "1970-01-01T00:00:01.500Z",
            "body": {"event": "early"},
        }
        device.engine.report({"event": "late"}, 2.0)
        assert (await sub.hear())["sequence"] == 2
        await sub.send(messages.ReportAck("boot-1", 2))
        await sub.send(messages.ReportAck("boot-1", 99))  # of what was never sent: the subconnection ends
        assert (await main.hear())["reason"].startswith("protocol-error")
        assert UP(device.connection)


async def test_unacknowledged_reports_go_out_again_on_the_next_subconnection(lab) -> None:
    async with lab.cloud() as cloud:
        device, main, sub = await telemetry(lab, cloud)
        for number in (1, 2, 3):
            device.engine.report({"event": str(number)}, 0.0)
        assert [(await sub.hear())["sequence"] for _ in range(3)] == [1, 2, 3]
        await sub.send(messages.ReportAck("boot-1", 1))
        sub.drop()
        assert (await main.hear())["type"] == "closed"
        await main.send(messages.Open("telemetry", "t2", cloud.url("/sub")))
        again = await cloud.subconnections.get()
        sequences = [(await again.hear())["sequence"] for _ in range(2)]
        # The acknowledgement may have been cut off together with the connection.
        assert sequences in ([2, 3], [1, 2])
        assert cloud.mains.empty()


async def test_its_status_counts_and_hides_the_ticket(lab) -> None:
    async with lab.cloud() as cloud:
        device, _, sub = await telemetry(lab, cloud)
        device.engine.report({"event": "x"}, 0.0)
        await sub.hear()
        (status,) = device.engine.status().subconnections
        assert (status.service, status.instance, status.state) == ("telemetry", "t1", SubconnectionState.ESTABLISHED)
        assert status.url == f"wss://{cloud.authority}/sub"
        assert (status.out_messages, status.queued) == (1, 1)
        assert status.out_octets > 50


async def test_its_counters_can_be_cleared(lab) -> None:
    async with lab.cloud() as cloud:
        device, _, sub = await telemetry(lab, cloud)
        device.engine.report({"event": "x"}, 0.0)
        await sub.hear()
        device.engine.clear_counters()
        (status,) = device.engine.status().subconnections
        assert (status.state, status.queued) == (SubconnectionState.ESTABLISHED, 1)
        assert (status.out_messages, status.out_octets) == (0, 0)
        assert (device.connection.attempts, device.connection.connected_at is None) == (0, False)
        device.engine.report({"event": "y"}, 0.0)
        await sub.hear()
        (status,) = device.engine.status().subconnections
        assert (status.out_messages, status.queued) == (1, 2)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(refused("spent"), "handshake-refused: spent"), ((302, {"Location": "/x"}, b""), "http-intercepted: HTTP 302")],
)
async def test_a_subconnection_that_cannot_be_opened_disturbs_nothing(lab, answer, reason) -> None:
    async with lab.cloud() as cloud:
        device, main = await lab.established(cloud)
        cloud.answers["/sub"] = lambda _: answer
        await main.send(messages.Open("telemetry", "t1", cloud.url("/sub")))
        assert await main.hear() == {"type": "closed", "instance": "t1", "reason": reason}
        assert UP(device.connection)


@pytest.mark.parametrize("url", ["ws://127.0.0.1:1/x", "wss://no-such-host.invalid/x", "nonsense"])
async def test_a_subconnection_to_nowhere_disturbs_nothing(lab, url) -> None:
    async with lab.cloud() as cloud:
        device, main = await lab.established(cloud)
        await main.send(messages.Open("telemetry", "t1", url))
        assert (await main.hear())["instance"] == "t1"
        assert UP(device.connection)


async def test_the_cloud_closes_a_subconnection(lab) -> None:
    async with lab.cloud() as cloud:
        _device, main, sub = await telemetry(lab, cloud)
        await main.send(messages.Close("t1", "enough"))
        assert await main.hear() == {"type": "closed", "instance": "t1", "reason": "enough"}
        assert await sub.received.get() is None
        assert sub.close_code == 1000


async def test_disabling_the_service_closes_it_alone(lab) -> None:
    async with lab.cloud() as cloud:
        device, main, sub = await telemetry(lab, cloud)
        device.engine.apply([SetServices((Service("telemetry", enabled=False),))])
        assert await main.hear() == {"type": "closed", "instance": "t1", "reason": "disabled"}
        assert await main.hear() == {"type": "services", "services": []}
        assert await sub.received.get() is None
        device.engine.apply([SetServices(())])
        assert await main.hear() == {"type": "services", "services": ["telemetry"]}
        assert UP(device.connection)


async def test_a_stalled_subconnection_does_not_delay_the_main_connection(lab) -> None:
    async with lab.cloud() as cloud:
        device, main, sub = await telemetry(lab, cloud)
        sub.writer.transport.pause_reading()
        for _ in range(100):
            device.engine.report({"event": "x" * 60_000}, 0.0)
        device.pass_time(181)
        assert (await main.hear())["type"] == "keepalive"
        sub.writer.transport.resume_reading()


# one that stalls or is flooded ------------------------------------------------------------------------


ROUND_TRIPS = 20


@pytest.fixture
def echo(monkeypatch) -> list[Echo]:
    """Give the device a second service, which carries octets; returns its cores as they are made."""
    made: list[Echo] = []

    def make(context: ServiceContext) -> Echo:
        made.append(Echo(context))
        return made[-1]

    monkeypatch.setitem(SERVICES, "echo", make)
    return made


async def with_echo(lab, cloud: FakeCloud, **more: object) -> tuple[object, Peer, Peer, Peer]:
    device, main = await lab.established(cloud, **more)
    for service in ("telemetry", "echo"):
        await main.send(messages.Open(service, service, cloud.url(f"/{service}")))
    peers = {peer.path: peer for peer in [await cloud.subconnections.get(), await cloud.subconnections.get()]}
    up = SubconnectionState.ESTABLISHED
    await device.until(lambda _: [sub.state for sub in device.engine.status().subconnections] == [up, up])
    return device, main, peers["/telemetry"], peers["/echo"]


async def everything_else_goes_on(device, main: Peer, telemetry: Peer) -> None:
    """Reports are sent and acknowledged one after another, keepalives are sent and answered."""
    for number in range(1, ROUND_TRIPS + 1):
        device.engine.report({"event": "x"}, 0.0)
        assert (await telemetry.hear())["sequence"] == number
        await telemetry.send(messages.ReportAck("boot-1", number))
        if number % 5 == 0:
            device.pass_time(181)
            assert (await main.hear())["type"] == "keepalive"
    assert device.connection.process_state in (ProcessState.MESSAGE_SENT, ProcessState.MESSAGE_RECEIVED)


def sub_status(device, service: str):
    return next(sub for sub in device.engine.status().subconnections if sub.service == service)


@pytest.mark.parametrize(
    "octets",
    [b"\x82\x00" * 100_000, b"\x82\x7e\xea\x60" + bytes(60_000), (b"\x89\x7d" + bytes(125)) * 1000],
    ids=["tiny messages", "large messages", "pings"],
)
async def test_a_flood_on_one_subconnection_delays_nothing_else(lab, echo, octets) -> None:
    async with lab.cloud() as cloud:
        device, main, sub, flooded = await with_echo(lab, cloud)
        flooding = asyncio.create_task(flooded.flood(octets))
        await everything_else_goes_on(device, main, sub)
        assert not flooding.done()  # it never ended, and what it brought is bounded
        (core,) = echo
        assert core.most_in_a_turn <= 2
        assert core.queued <= core.limits.queue_limit
        assert [s.state for s in device.engine.status().subconnections] == [SubconnectionState.ESTABLISHED] * 2
        assert (device.connection.state, device.connection.established_count) == (State.ESTABLISHED, 1)
        flooding.cancel()
        flooded.drop()


async def test_a_subconnection_that_the_cloud_does_not_read_delays_nothing_else_and_loses_nothing(lab, echo) -> None:
    async with lab.cloud() as cloud:
        limits = (Service("echo", queue_limit=5),)
        device, main, sub, stalled = await with_echo(lab, cloud, services=limits)
        stalled.writer.transport.pause_reading()
        enough = asyncio.Event()
        sending = asyncio.create_task(send_numbered(stalled, enough))
        (core,) = echo
        await nothing_moves(device, "echo")
        await everything_else_goes_on(device, main, sub)
        assert (core.queued, core.accepts) == (5, False)
        status = sub_status(device, "echo")
        assert (status.queued, status.dropped) == (5, 0)
        assert status.in_messages - status.out_messages == 6  # five in the queue, one that is being sent
        assert not sending.done()
        enough.set()
        stalled.writer.transport.resume_reading()
        for number in range(await sending):
            data = await stalled.received.get()
            assert data is not None
            assert (data[:4], len(data)) == (number.to_bytes(4), 60_000)


async def nothing_moves(device, service: str) -> None:
    """Wait until a subconnection has come to a standstill."""
    async with asyncio.timeout(PATIENCE):
        before, turns = sub_status(device, service), 0
        while turns < 500:
            await asyncio.sleep(0)
            now = sub_status(device, service)
            before, turns = now, turns + 1 if now == before else 0


async def send_numbered(peer: Peer, enough: asyncio.Event) -> int:
    """Send numbered messages of 60 000 octets; returns how many."""
    number = 0
    while not enough.is_set():
        await peer.send(number.to_bytes(4) + bytes(59_996))
        number += 1
    return number


async def test_a_storm_of_reports_keeps_to_the_rate_limit_and_the_queue_limit(lab) -> None:
    async with lab.cloud() as cloud:
        limits = (Service("telemetry", queue_limit=30, rate_limit=1),)
        device, main, sub = await telemetry(lab, cloud, services=limits)
        device.clock.stand_still()
        for _ in range(1000):
            device.engine.report({"event": "x"}, 0.0)
        assert (await sub.hear())["sequence"] == 1
        status = sub_status(device, "telemetry")
        assert (status.queued, status.dropped, status.out_messages) == (30, 970, 1)
        device.pass_time(181)
        assert (await main.hear())["type"] == "keepalive"
        device.engine.apply([SetServices((Service("telemetry", queue_limit=40),))])
        assert [(await sub.hear())["sequence"] for _ in range(15)][-1] == 16  # as many as may be unacknowledged
        device.engine.report({"event": "x"}, 0.0)
        assert sub_status(device, "telemetry").queued == 31
        assert (device.connection.established_count, cloud.accepted) == (1, 2)  # nothing was opened anew


async def test_a_subconnection_that_does_not_finish_closing_delays_no_attempt(lab, monkeypatch) -> None:
    monkeypatch.setattr("headstay.engine.websocket.CLOSE_WITHIN", 1000.0)
    async with lab.cloud() as cloud:
        device, main, sub = await telemetry(lab, cloud)
        sub.writer.transport.pause_reading()
        main.drop()
        await device.until(lambda status: UP(status) and status.established_count == 2)
        sub.writer.transport.resume_reading()


# TLS sessions ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_subconnections_and_later_connections_resume_the_tls_session(lab, version) -> None:
    context = lab.context()
    context.minimum_version = context.maximum_version = version
    async with FakeCloud(context) as cloud:
        device, main, _ = await telemetry(lab, cloud)
        main.drop()
        await device.until(lambda status: status.established_count == 2)
        assert cloud.resumed == [False, True, True]


async def test_other_tls_settings_begin_without_a_session(lab) -> None:
    async with lab.cloud() as cloud:
        device, _ = await lab.established(cloud)
        device.engine.apply([SetTls(Tls((lab.authority.pem, Authority("another").pem)))])
        await device.until(lambda status: status.established_count == 2)
        assert cloud.resumed == [False, False]


async def test_a_server_that_is_trusted_no_more_gets_no_second_connection(lab) -> None:
    async with lab.cloud() as cloud:
        device, _ = await lab.established(cloud)
        device.engine.apply([SetTls(Tls((Authority("another").pem,)))])
        status = await device.until(FAILED)
        assert status.failure_reason is FailureReason.CERTIFICATE_UNTRUSTED


async def test_a_session_is_for_its_server_only(lab) -> None:
    async with lab.cloud() as one, lab.cloud(host="localhost") as two:
        device, main = await lab.established(one)
        one.answers[REGISTER_PATH] = lambda _: ok(messages.Registered(f"wss://{two.authority}/main", 1, 30.0))
        main.drop()
        await two.mains.get()
        await device.until(lambda status: status.established_count == 2)
        assert (one.resumed, two.resumed) == ([False, True], [False])


# stopping, and the log ------------------------------------------------------------------------------


async def test_stopping_closes_every_socket_properly(lab) -> None:
    async with lab.cloud() as cloud:
        device, main, sub = await telemetry(lab, cloud)
        await device.stop()
        await cloud.all_closed()
        assert (main.close_code, sub.close_code) == (1000, 1000)
        assert device.connection.last_down_reason is DownReason.PROCESS_RESTARTED
        assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize("cut", [AUTHENTICATE_PATH, REGISTER_PATH, "/main"])
async def test_stopping_in_the_middle_of_an_attempt(lab, cut) -> None:
    async with lab.cloud(password="p") as cloud:
        reached = asyncio.Event()
        original = cloud._serve

        async def stall(reader, writer):
            if cloud.requests and cloud.requests[-1][1] == cut:
                reached.set()
                await reader.read()
                return False
            return await original(reader, writer)

        cloud._serve = stall
        device = lab.device(lab.settings(cloud, password="p"))
        if cut != "/main":
            async with asyncio.timeout(10):
                await reached.wait()
        await device.stop()
        await cloud.all_closed()
        assert device.task.done()


async def test_cancelling_run_leaves_nothing_behind(lab) -> None:
    async with lab.cloud() as cloud:
        device, *_ = await telemetry(lab, cloud)
        device.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await device.task
        lab.devices.remove(device)
        await cloud.all_closed()


async def test_without_servers_it_runs_and_stops(lab) -> None:
    device = lab.device(Settings())
    await device.stop()
    assert device.events == []


async def test_the_log_names_events_and_holds_no_secret(lab, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    async with lab.cloud(password="hunter2") as cloud:
        device = lab.device(lab.settings(cloud, password="wrong-hunter3"))
        await device.until_event(AuthenticationFailure)
        device.engine.apply([SetPassword("hunter2", Source.CONFIGURED)])
        await device.until(UP)
        main = await cloud.mains.get()
        await main.send(messages.Open("telemetry", "t1", cloud.url("/sub")))
        await cloud.subconnections.get()
        await device.stop()
    text = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("headstay"))
    assert (
        "authentication-failure server-domain=127.0.0.1 failure-reason=authentication-refused details=bad-proof" in text
    )
    assert "connection-state-change old-state=request new-state=established" in text
    for secret in ("hunter", "secret-ticket", "secret-token"):
        assert secret not in text


async def test_a_broken_machine_is_not_hidden(lab, caplog) -> None:
    device = lab.device(Settings())
    await asyncio.sleep(0)
    device.engine._machine.handle = lambda *_: 1 / 0
    device.engine.apply([])  # cannot fail
    with pytest.raises(ZeroDivisionError):
        await device.task
    (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert (record.name, record.getMessage()) == ("headstay.engine", "the connection engine is broken")
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError
    assert "Traceback" in caplog.text
    lab.devices.remove(device)


async def test_a_link_that_changes_ends_a_long_wait(lab) -> None:
    async with lab.cloud() as cloud:
        cloud.answers[AUTHENTICATE_PATH] = lambda _: refused("unknown-serial")
        device = lab.device(lab.settings(cloud))
        await device.until(FAILED)
        while (left := device.engine.status().servers[0].next_attempt - device.clock().wall) < 30:
            attempts = device.connection.attempts
            device.pass_time(max(left, 0.0))
            await device.until(lambda s, n=attempts: s.attempts > n and s.state is State.UNCONNECTED)
        del cloud.answers[AUTHENTICATE_PATH]
        device.clock.ahead += 5
        device.engine.link_changed()
        await device.until(UP)


async def test_a_device_that_wakes_does_at_once_what_is_due(lab) -> None:
    async with lab.cloud() as cloud:
        device, _peer = await lab.established(cloud)
        device.clock.ahead += 4 * 3600
        device.engine.link_changed()
        status = await device.until(lambda status: UP(status) and status.established_count == 2)
        assert (status.last_down_reason, status.attempts) == (DownReason.KEEPALIVE_TIMEOUT, 2)
