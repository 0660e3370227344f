"""What a device can do with the cloud, over real TLS and real WebSockets."""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import socket
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

from cloud_device import (
    Answer,
    Cloud,
    Device,
    DeviceAuthority,
    TestTime,
    cloud_in,
    device_of,
    receive,
    report,
    send,
    ticket_of,
)
from headstay.cloud.administration import Outcome
from headstay.cloud.codes import USUAL_LIFE
from headstay.cloud.limits import Allowance, Limits
from headstay.cloud.links import Link
from headstay.cloud.registry import Registry, RegistryUnavailable
from headstay.wire.scram import ClientProof


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud_in(tmp_path / "state") as running:
        yield running


@pytest.fixture
async def device(cloud: Cloud) -> AsyncIterator[Device]:
    async with device_of(cloud, "SW-1") as one:
        yield one


async def closed(connection: ClientConnection) -> int:
    """Read to the end of the connection and return the close code that came."""
    try:
        async with asyncio.timeout(10):
            while True:
                await connection.recv()
    except ConnectionClosed as ended:
        return ended.rcvd.code if ended.rcvd is not None else 1006


async def refused_handshake(device: Device, url: str, subprotocol: str = "headstay.v1") -> int:
    with pytest.raises(InvalidStatus) as caught:
        await device.open(url, subprotocol)
    return caught.value.response.status_code


# the whole way ------------------------------------------------------------------------------------


async def test_device_without_password_connects(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect()
    assert main.subprotocol == "headstay.v1"
    assert (await receive(main))["type"] == "open"
    await send(main, {"type": "keepalive", "id": 7})
    assert await receive(main) == {"type": "keepalive-ack", "id": 7}
    await cloud.when("SW-1", connected=True)
    entry = await cloud.entry("SW-1")
    assert (entry.address, entry.model, entry.since) == ("127.0.0.1", "M", "2026-01-27T14:18:40Z")


async def test_device_proves_its_password(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1", "secret")
    main = await device.connect("secret")
    await send(main, {"type": "keepalive", "id": 1})
    assert (await receive(main))["type"] == "open"
    assert await receive(main) == {"type": "keepalive-ack", "id": 1}


async def test_serial_is_compared_without_regard_to_case(cloud: Cloud) -> None:
    await cloud.add("SW-1", "secret")
    async with device_of(cloud, "sw-1") as other_spelling:
        await other_spelling.connect("secret")
        await cloud.when("SW-1", connected=True)


async def test_everything_up_to_the_websocket_goes_over_one_connection(cloud: Cloud) -> None:
    await cloud.add("SW-1", "secret")
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.server.port, ssl=cloud.trust)
    host = f"127.0.0.1:{cloud.server.port}"

    async def post(path: str, body: object, token: str = "-") -> dict[str, str]:
        octets = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: keep-alive\r\nAuthorization: Bearer {token}\r\n"
        writer.write(f"{head}Content-Length: {len(octets)}\r\n\r\n".encode() + octets)
        answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        assert answer.startswith("http/1.1 200"), answer
        length = int(answer.partition("content-length: ")[2].partition("\r\n")[0])
        found: dict[str, str] = json.loads(await reader.readexactly(length))
        return found

    proof = ClientProof("SW-1", "secret")
    first = await post(
        "/v1/authenticate", {"serial": "SW-1", "mechanism": "SCRAM-SHA-256", "message": proof.client_first()}
    )
    final = {"exchange": first["exchange"], "message": proof.client_final(first["message"])}
    granted = await post("/v1/authenticate", final)
    proof.verify(granted["message"])
    said = {"serial": "SW-1", "model": "", "software": "", "boot-id": "b", "services": []}
    registered = await post("/v1/register", said, granted["token"])

    protocol = ClientProtocol(parse_uri(registered["url"]), subprotocols=[Subprotocol("headstay.v1")])
    protocol.send_request(protocol.connect())
    writer.writelines(protocol.data_to_send())
    events: list[object] = []
    while not events:
        protocol.receive_data(await reader.read(4096))
        events += protocol.events_received()
    assert isinstance(events[0], Response)
    assert events[0].status_code == 101
    protocol.send_text(b'{"type":"keepalive","id":1}')
    writer.writelines(protocol.data_to_send())
    events = []
    while not events:
        protocol.receive_data(await reader.read(4096))
        events += protocol.events_received()
    assert isinstance(events[0], Frame)
    assert json.loads(events[0].data) == {"type": "keepalive-ack", "id": 1}
    writer.transport.abort()


async def test_public_url_is_what_devices_are_given(tmp_path: Path) -> None:
    async with (
        cloud_in(tmp_path / "state", public_url="https://cloud.example:7") as cloud,
        device_of(cloud, "SW-1") as device,
    ):
        await cloud.add("SW-1")
        assert (await device.url()).startswith("wss://cloud.example:7/v1/connect?ticket=")


# refusals -----------------------------------------------------------------------------------------


async def test_unknown_serial_is_told_so(device: Device) -> None:
    for answer in (await device.authenticate(), await device.prove("secret")):
        assert (answer.status, answer.body) == (403, {"reason": "unknown-serial"})


async def test_wrong_password_is_told_so(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1", "secret")
    answer = await device.prove("wrong")
    assert (answer.status, answer.body) == (403, {"reason": "bad-proof"})


async def test_password_cannot_be_left_out(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1", "secret")
    for mechanism in ("none", "certificate"):
        answer = await device.authenticate(mechanism=mechanism)
        assert (answer.status, answer.body) == (403, {"reason": "password-required"})


async def test_password_that_the_cloud_does_not_hold_is_not_allowed(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    answer = await device.prove("secret")
    assert (answer.status, answer.body) == (403, {"reason": "not-allowed"})


async def test_exchange_is_good_once(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1", "secret")
    proof = ClientProof("SW-1", "secret")
    first = await device.challenge(proof)
    final = {"exchange": first.body["exchange"], "message": proof.client_final(first.body["message"])}
    assert (await device.post("/v1/authenticate", final)).status == 200
    replayed = await device.post("/v1/authenticate", final)
    assert (replayed.status, replayed.body) == (403, {"reason": "bad-proof"})


async def test_too_many_failures_have_to_wait(tmp_path: Path) -> None:
    limits = Limits(failures_of_pair=Allowance(burst=2, seconds=6.0, most=10))
    async with cloud_in(tmp_path / "state", limits) as cloud, device_of(cloud, "SW-1") as device:
        await cloud.add("SW-1", "secret")
        assert [(await device.prove("wrong")).status for _ in range(3)] == [403, 403, 503]
        answer = await device.prove("secret")
        assert (answer.status, answer.body) == (503, {"reason": "busy", "retry-after": 6.0})
        cloud.time.now += 6.0
        assert (await device.prove("secret")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'{"serial":1,"mechanism":"none"}',
        b'{"serial":"SW-1"}',
        b'{"serial":"SW-1","mechanism":"PLAIN"}',
        b'{"serial":"_","mechanism":"none"}',
        b'{"serial":"SW-1","mechanism":"SCRAM-SHA-256","message":"p=x,,n=SW-1"}',
        b'{"serial":"SW-1","mechanism":"SCRAM-SHA-256","message":"n,,n=SW-2,r=abc"}',
        b'{"exchange":1,"message":""}',
        b'{"exchange":"x"}',
        b"\xff\xfe",
        b'{"a":' + b"[" * 30_000,
    ],
)
async def test_malformed_requests_are_answered_with_400(cloud: Cloud, device: Device, body: bytes) -> None:
    await cloud.add("SW-1", "secret")
    answer = await device.post("/v1/authenticate", body)
    assert (answer.status, answer.body["reason"]) == (400, "malformed")
    assert (await device.prove("secret")).status == 200


async def test_body_that_is_too_large_is_answered_with_413(cloud: Cloud, device: Device) -> None:
    largest = b'{"serial":"SW-1","mechanism":"none"}'.ljust(64 * 1024)
    assert (await device.post("/v1/authenticate", largest)).status == 403
    assert (await device.post("/v1/authenticate", largest + b" ")).status == 413


async def test_other_paths_and_methods_are_answered_in_json(cloud: Cloud, device: Device) -> None:
    assert (await device.post("/v2/authenticate", {})).status == 404
    async with device.session.get(cloud.url + "/v1/register") as response:
        assert (response.status, await response.json()) == (405, {"reason": "Method Not Allowed"})


# register -----------------------------------------------------------------------------------------


async def test_bad_token_is_answered_with_401(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    assert (await device.register("bad")).status == 401
    granted = await device.authenticate()
    assert granted.body["expires-in"] == 900.0
    cloud.time.now += 899.0
    assert (await device.register(granted.body["token"])).status == 200
    cloud.time.now += 1.0
    answer = await device.register(granted.body["token"])
    assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


async def test_token_is_bound_to_its_serial(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    await cloud.add("SW-2")
    token = (await device.authenticate()).body["token"]
    answer = await device.register(token, serial="SW-2")
    assert (answer.status, answer.body) == (403, {"reason": "not-allowed"})


async def test_removed_or_changed_serial_loses_its_token(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    token = (await device.authenticate()).body["token"]
    await cloud.add("SW-1", "secret")
    assert (await device.register(token)).status == 401
    token = (await device.prove("secret")).body["token"]
    await cloud.server.administration.remove("sw-1")
    assert (await device.register(token)).status == 401


async def test_generation_grows_even_after_the_serial_was_removed(tmp_path: Path) -> None:
    generations = []
    for _ in range(2):
        async with cloud_in(tmp_path / "state") as cloud, device_of(cloud, "SW-1") as device:
            await cloud.add("SW-1")
            token = (await device.authenticate()).body["token"]
            generations += [(await device.register(token)).body["generation"] for _ in range(2)]
            await cloud.server.administration.remove("SW-1")
    assert generations == [1, 2, 3, 4]


@pytest.mark.parametrize("fields", [{"model": "x" * 256}, {"services": ["s"] * 65}, {"services": "all"}])
async def test_registration_that_is_too_long_is_malformed(
    cloud: Cloud, device: Device, fields: dict[str, object]
) -> None:
    await cloud.add("SW-1")
    token = (await device.authenticate()).body["token"]
    assert (await device.register(token, **fields)).status == 400


# the main connection ------------------------------------------------------------------------------


async def test_ticket_is_good_once_and_for_a_short_time(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    url = await device.url()
    await device.open(url)
    assert await refused_handshake(device, url) == 403
    assert await refused_handshake(device, url.partition("?")[0]) == 403
    late = await device.url()
    cloud.time.now += 30.0
    assert await refused_handshake(device, late) == 403


async def test_wrong_subprotocol_does_not_spend_the_ticket(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    url = await device.url()
    assert await refused_handshake(device, url, "headstay.v2") == 400
    async with device.session.get(url.replace("wss", "https")) as response:
        assert response.status == 400
    await device.open(url)


async def test_newest_connection_wins_and_the_old_one_marks_nothing(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    old = await device.connect()
    assert (await receive(old))["type"] == "open"
    await cloud.when("SW-1", connected=True)
    new = await device.connect()
    assert await receive(old) == {"type": "bye", "reason": "replaced-by-newer-connection"}
    assert await closed(old) == 1000
    await send(new, {"type": "keepalive", "id": 1})
    assert [(await receive(new))["type"], (await receive(new))["type"]] == ["open", "keepalive-ack"]
    assert (await cloud.entry("SW-1")).connected
    await new.close()
    await cloud.when("SW-1", connected=False)


async def test_older_ticket_used_later_does_not_replace_the_newer_connection(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    older = await device.url()
    new = await device.connect()
    late = await device.open(older)
    assert await receive(late) == {"type": "bye", "reason": "replaced-by-newer-connection"}
    assert (await receive(new))["type"] == "open"
    await send(new, {"type": "keepalive", "id": 1})
    assert (await receive(new))["type"] == "keepalive-ack"


async def test_removal_ends_the_connection_at_once(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect()
    telemetry = await device.telemetry(main)
    unused = await device.url()
    await cloud.server.administration.remove("SW-1")
    assert await receive(main) == {"type": "bye", "reason": "removed-from-cloud"}
    assert await closed(main) == 1000
    assert await closed(telemetry) == 1000
    assert await refused_handshake(device, unused) == 403
    assert (await device.authenticate()).body == {"reason": "unknown-serial"}


async def test_changed_password_keeps_the_connection(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect()
    assert (await receive(main))["type"] == "open"
    await cloud.add("SW-1", "secret")
    await send(main, {"type": "keepalive", "id": 1})
    assert (await receive(main))["type"] == "keepalive-ack"


async def test_stop_says_goodbye(tmp_path: Path) -> None:
    async with cloud_in(tmp_path / "state") as cloud:
        await cloud.add("SW-1")
        stack = device_of(cloud, "SW-1")
        device = await stack.__aenter__()
        main = await device.connect()
        assert (await receive(main))["type"] == "open"
    assert await receive(main) == {"type": "bye", "reason": "closed-by-server"}
    assert await closed(main) == 1001
    await stack.__aexit__(None, None, None)
    async with cloud_in(tmp_path / "state") as cloud:
        assert not (await cloud.entry("SW-1")).connected


async def test_unknown_messages_are_ignored(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    await send(main, {"type": "dance", "id": {}})
    await send(main, {"type": "keepalive", "id": 1})
    assert await receive(main) == {"type": "keepalive-ack", "id": 1}


# unbinding ----------------------------------------------------------------------------------------


async def code_for(cloud: Cloud, serial: str = "SW-1", life: datetime.timedelta = USUAL_LIFE) -> str:
    made = await cloud.server.administration.make_code(serial, life)
    assert made.outcome is Outcome.MADE
    return made.code


async def unbound_by(main: ClientConnection, code: str) -> str:
    await send(main, {"type": "unbind", "code": code})
    answer = await receive(main)
    assert answer["type"] == "unbind-result"
    return str(answer["result"])


async def token_of(device: Device) -> str:
    return str((await device.authenticate()).body["token"])


async def post_code(device: Device, token: str, code: str, serial: str = "SW-1") -> Answer:
    return await device.post(
        "/v1/unbind", {"serial": serial, "code": code}, headers={"Authorization": f"Bearer {token}"}
    )


async def test_device_is_unbound_over_its_connection(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    token = await token_of(device)
    ticket = (await device.register(token)).body["url"]
    main = await device.connect(services=[])
    code = await code_for(cloud)
    assert await unbound_by(main, "WRONG") == "wrong-code"
    assert await unbound_by(main, code) == "unbound"
    assert await receive(main) == {"type": "bye", "reason": "unbound"}
    assert await closed(main) == 1000
    await cloud.when("SW-1", connected=False)
    assert not (await cloud.entry("SW-1")).bound
    # What it was granted before is good no more; it may come back, and its code is spent.
    assert await refused_handshake(device, ticket) == 403
    assert (await device.register(token)).status == 401
    again = await device.connect(services=[])
    assert await unbound_by(again, code) == "wrong-code"
    assert (await cloud.server.administration.make_code("SW-1", USUAL_LIFE)).outcome is Outcome.UNBOUND
    await cloud.add("SW-1")
    assert (await cloud.entry("SW-1")).bound


@pytest.mark.parametrize("waits", ["register", "device"])
async def test_registration_under_way_when_the_device_is_unbound_grants_nothing(
    waits: str, cloud: Cloud, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add("SW-1")
    code, token = await code_for(cloud), await token_of(device)
    asked, unbound = asyncio.Event(), asyncio.Event()
    answer = getattr(Registry, waits)

    async def slow(registry: Registry, *given: Any) -> Any:
        answered = await answer(registry, *given)
        asked.set()
        await unbound.wait()
        return answered

    monkeypatch.setattr(Registry, waits, slow)
    probe = {"probe": True} if waits == "device" else {}
    registering = asyncio.create_task(device.register(token, **probe))
    await asked.wait()
    assert (await post_code(device, token, code)).body == {"result": "unbound"}
    unbound.set()
    assert (await registering).status == 401


async def test_a_password_that_changes_while_it_is_looked_up_is_good_no_more(
    cloud: Cloud, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add("SW-1", "old")
    looked_up = Registry.device

    async def slow(registry: Registry, folded: str) -> Any:
        found = await looked_up(registry, folded)
        monkeypatch.setattr(Registry, "device", looked_up)
        await cloud.add("SW-1", "new")
        return found

    monkeypatch.setattr(Registry, "device", slow)
    assert (await device.prove("old")).status == 403
    assert (await device.prove("new")).status == 200


async def test_device_is_unbound_by_a_request_of_its_own(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    token = await token_of(device)
    code = await code_for(cloud)
    wrong = await post_code(device, token, "WRONG")
    assert (wrong.status, wrong.body) == (200, {"result": "wrong-code"})
    right = await post_code(device, token, code.lower().replace("-", ""), serial="sw-1")
    assert (right.status, right.body) == (200, {"result": "unbound"})
    assert await receive(main) == {"type": "bye", "reason": "unbound"}
    assert (await post_code(device, token, code)).status == 401
    assert (await post_code(device, await token_of(device), code)).body == {"result": "wrong-code"}


async def test_code_is_tried_by_its_own_device_only(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    await cloud.add("SW-2")
    code = await code_for(cloud)
    async with device_of(cloud, "SW-2") as other:
        token = await token_of(other)
        answer = await post_code(other, token, code)
        assert (answer.status, answer.body) == (403, {"reason": "not-allowed"})
        assert (await post_code(other, token, code, serial="SW-2")).body == {"result": "wrong-code"}
    assert (await post_code(device, "no token", code)).status == 401
    assert (await cloud.entry("SW-1")).bound
    assert (await post_code(device, await token_of(device), code)).body == {"result": "unbound"}


async def test_code_expires(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    code = await code_for(cloud, life=datetime.timedelta(minutes=30))
    cloud.time.now += 30 * 60
    assert await unbound_by(main, code) == "expired-code"
    assert await unbound_by(main, "WRONG") == "wrong-code"
    assert (await cloud.entry("SW-1")).bound


async def test_too_many_wrong_codes_make_the_right_one_void(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    code = await code_for(cloud)
    results = [await unbound_by(main, f"WRONG-{n}") for n in range(5)]
    assert results == ["wrong-code"] * 4 + ["too-many-attempts"]
    assert await unbound_by(main, code) == "too-many-attempts"
    assert await unbound_by(main, await code_for(cloud)) == "unbound"


async def test_device_that_keeps_guessing_is_told_to_wait(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    results = {await unbound_by(main, "WRONG") for _ in range(10)}
    assert results == {"wrong-code"}
    assert await unbound_by(main, "WRONG") == "busy"
    answer = await post_code(device, await token_of(device), "WRONG")
    assert (answer.status, answer.body["reason"]) == (503, "busy")
    cloud.time.now += 6.0
    assert await unbound_by(main, await code_for(cloud)) == "unbound"


async def test_codes_sent_at_once_are_answered_in_order(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    code = await code_for(cloud)
    await asyncio.gather(*(send(main, {"type": "unbind", "code": c}) for c in ("WRONG", code, code)))
    assert [(await receive(main))["result"] for _ in range(2)] == ["wrong-code", "unbound"]
    assert await receive(main) == {"type": "bye", "reason": "unbound"}


async def test_code_stands_in_no_log_and_in_no_file(
    cloud: Cloud, device: Device, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    code = await code_for(cloud)
    stored = b"".join(path.read_bytes() for path in (tmp_path / "state").glob("registry.sqlite*"))
    assert code.encode() not in stored
    assert code.replace("-", "").encode() not in stored
    assert await unbound_by(main, "GUESS-GUESS") == "wrong-code"
    assert await unbound_by(main, code) == "unbound"
    assert await post_code(device, await token_of(device), code)
    # The client in this test logs what it sends; it is no part of the cloud.
    said = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("websockets"))
    assert "sw-1: unbound by its verification code" in said
    assert code not in said
    assert "GUESS" not in said


async def test_registry_that_cannot_be_written_is_busy(
    cloud: Cloud, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=[])
    token = await token_of(device)

    async def unavailable(*_: object) -> str:
        raise RegistryUnavailable("disk full")

    monkeypatch.setattr(cloud.server.registry, "unbind", unavailable)
    assert await unbound_by(main, "1") == "busy"
    assert (await post_code(device, token, "1")).status == 503


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("{", 1008),
        ('{"type":"keepalive"}', 1008),
        ('{"type":"keepalive","id":"1"}', 1008),
        (b"{}", 1003),
        ('{"type":"x","y":"' + "z" * 65_536 + '"}', 1009),
    ],
)
async def test_malformed_message_closes_its_connection_only(
    cloud: Cloud, device: Device, message: str | bytes, code: int
) -> None:
    await cloud.add("SW-1")
    await cloud.add("SW-2")
    async with device_of(cloud, "SW-2") as other:
        beside = await other.connect(services=[])
        main = await device.connect(services=[])
        await main.send(message)
        assert await closed(main) == code
        await cloud.when("SW-1", connected=False)
        await send(beside, {"type": "keepalive", "id": 1})
        assert (await receive(beside))["type"] == "keepalive-ack"


async def test_device_that_never_reads_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    start = Link.start

    def start_narrow(link: Link) -> None:
        # The kernel's own buffer would take tens of thousands of answers before anything is noticed.
        link._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        start(link)

    monkeypatch.setattr(Link, "start", start_narrow)
    async with (
        cloud_in(tmp_path / "state", Limits(goodbye=0.2, messages_at_once=100_000)) as cloud,
        device_of(cloud, "SW-1") as device,
    ):
        await cloud.add("SW-1")
        narrow = socket.socket()
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.connect(("127.0.0.1", cloud.server.port))
        main = await device.open(await device.url(services=[]), sock=narrow)
        main.transport.pause_reading()
        keepalive = json.dumps({"type": "keepalive", "id": 2**63 - 1, "more": "x" * 4000})
        with pytest.raises(TimeoutError):  # noqa: PT012 (the cloud stops reading what it cannot answer)
            while True:
                await asyncio.wait_for(main.send(keepalive), 0.5)
        await cloud.server.administration.remove("SW-1")
        async with asyncio.timeout(10):
            await main.wait_closed()
        assert main.close_code == 1006


# telemetry ----------------------------------------------------------------------------------------


async def test_reports_are_stored_and_acknowledged(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    telemetry = await device.telemetry(await device.connect())
    for sequence in (1, 2):
        await send(telemetry, report(sequence))
        assert await receive(telemetry) == {"type": "report-ack", "boot-id": "b1", "sequence": sequence}
    stored = await cloud.server.registry.reports("sw-1")
    assert [r.sequence for r in stored] == [1, 2]
    assert stored[0].body == report(1)["body"]


async def test_reports_sent_again_after_a_reconnect_are_stored_once(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    telemetry = await device.telemetry(await device.connect())
    for sequence in (1, 2):
        await send(telemetry, report(sequence))
        await receive(telemetry)
    telemetry = await device.telemetry(await device.connect(**{"boot-id": "b2"}))
    for sent in (report(2), report(3), report(1, "b2")):
        await send(telemetry, sent)
        acknowledged = {"type": "report-ack", "boot-id": sent["boot-id"], "sequence": sent["sequence"]}
        assert await receive(telemetry) == acknowledged
    stored = await cloud.server.registry.reports("sw-1")
    assert [(r.boot_id, r.sequence) for r in stored] == [("b1", 1), ("b1", 2), ("b1", 3), ("b2", 1)]


async def test_device_that_floods_is_slowed_and_delays_no_other(tmp_path: Path) -> None:
    limits = Limits(messages_per_second=0.001, messages_at_once=50)
    async with (
        cloud_in(tmp_path / "state", limits) as cloud,
        device_of(cloud, "SW-1") as flooding,
        device_of(cloud, "SW-2") as device,
    ):
        for each in (flooding, device):
            await cloud.add(each.serial)
        main, other_main = await flooding.connect(), await device.connect()
        telemetry, other = await flooding.telemetry(main), await device.telemetry(other_main)

        async def flood() -> None:
            sequence = 0
            while True:
                sequence += 1
                await send(telemetry, report(sequence))

        task = asyncio.create_task(flood())
        for sequence in range(1, 41):
            await send(other, report(sequence))
            assert (await receive(other))["sequence"] == sequence
        await send(main, {"type": "keepalive", "id": 1})  # its own main connection is not slowed either
        assert (await receive(main))["type"] == "keepalive-ack"
        for sequence in range(1, 51):
            assert (await receive(telemetry))["sequence"] == sequence
        await send(main, {"type": "keepalive", "id": 2})
        assert (await receive(main))["type"] == "keepalive-ack"
        assert not task.done()
        assert len(await cloud.server.registry.reports("sw-1")) == 50  # the rest was not even read
        task.cancel()
        await asyncio.wait([task])
        telemetry.transport.abort()


async def test_gap_is_not_acknowledged(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect()
    telemetry = await device.telemetry(main)
    await send(telemetry, report(1))
    await send(telemetry, report(3))
    assert (await receive(telemetry))["sequence"] == 1
    assert await closed(telemetry) == 1008
    assert [r.sequence for r in await cloud.server.registry.reports("sw-1")] == [1]
    await send(main, {"type": "keepalive", "id": 1})
    assert (await receive(main))["type"] == "keepalive-ack"


async def test_subconnection_that_ends_is_offered_again_later(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect()
    first = await device.telemetry(main)
    await first.close()
    await send(main, {"type": "closed", "instance": "telemetry-1", "reason": "lost"})
    await send(main, {"type": "keepalive", "id": 1})
    assert (await receive(main))["type"] == "keepalive-ack"
    cloud.time.now += 1.0
    await send(main, {"type": "closed", "instance": "telemetry-1", "reason": "lost"})
    offer = await receive(main)
    assert offer["instance"] == "telemetry-2"
    await device.open(offer["url"], "headstay.telemetry.v1")
    assert await refused_handshake(device, offer["url"], "headstay.telemetry.v1") == 403


async def test_subconnection_ticket_dies_with_its_main_connection(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    offer = await receive(await device.connect())
    await device.connect()
    assert await refused_handshake(device, offer["url"], "headstay.telemetry.v1") == 403


async def test_service_that_the_device_does_not_name_is_not_offered(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    main = await device.connect(services=["netconf"])
    await send(main, {"type": "keepalive", "id": 1})
    assert (await receive(main))["type"] == "keepalive-ack"


async def test_service_that_is_disabled_and_enabled_is_offered_with_a_fresh_ticket(
    cloud: Cloud, device: Device
) -> None:
    await cloud.add("SW-1")
    main = await device.connect()
    first = await receive(main)
    await device.open(first["url"], "headstay.telemetry.v1")
    await send(main, {"type": "closed", "instance": first["instance"], "reason": "disabled"})
    await send(main, {"type": "services", "services": []})
    await send(main, {"type": "keepalive", "id": 1})
    assert (await receive(main))["type"] == "keepalive-ack"
    await send(main, {"type": "services", "services": ["telemetry", "netconf"]})
    second = await receive(main)
    assert (second["type"], second["service"]) == ("open", "telemetry")
    assert second["instance"] != first["instance"]
    assert await refused_handshake(device, first["url"], "headstay.telemetry.v1") == 403
    telemetry = await device.open(second["url"], "headstay.telemetry.v1")
    await send(telemetry, report(1))
    assert (await receive(telemetry))["type"] == "report-ack"


async def test_reports_that_a_restarted_cloud_gets_again_are_stored_once(tmp_path: Path) -> None:
    async with cloud_in(tmp_path / "state") as cloud, device_of(cloud, "SW-1") as device:
        await cloud.add("SW-1")
        telemetry = await device.telemetry(await device.connect())
        for sequence in (1, 2):
            await send(telemetry, report(sequence))
            await receive(telemetry)  # the device does not live to see it
    async with cloud_in(tmp_path / "state") as cloud, device_of(cloud, "SW-1") as device:
        telemetry = await device.telemetry(await device.connect())
        for sent in (report(1), report(2), report(3), report(1, "b2")):
            await send(telemetry, sent)
            acknowledged = {"type": "report-ack", "boot-id": sent["boot-id"], "sequence": sent["sequence"]}
            assert await receive(telemetry) == acknowledged
        stored = await cloud.server.registry.reports("sw-1")
    assert [(r.boot_id, r.sequence) for r in stored] == [("b1", 1), ("b1", 2), ("b1", 3), ("b2", 1)]


async def test_serial_that_is_removed_and_added_again_begins_anew(cloud: Cloud, device: Device) -> None:
    """Its reports went with it; what the device still has comes, from whatever number on, and once."""
    await cloud.add("SW-1")
    telemetry = await device.telemetry(await device.connect())
    for sequence in (1, 2):
        await send(telemetry, report(sequence))
        await receive(telemetry)
    await cloud.server.administration.remove("sw-1")
    await cloud.add("SW-1")
    telemetry = await device.telemetry(await device.connect())
    for sequence in (2, 3, 3):
        await send(telemetry, report(sequence))
        assert (await receive(telemetry))["sequence"] == sequence
    assert [r.sequence for r in await cloud.server.registry.reports("sw-1")] == [2, 3]


async def test_device_that_is_removed_in_the_middle_of_it(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-1")
    telemetry = await device.telemetry(await device.connect())
    url = await device.url()
    # Under the cloud's feet: what is left when the removal falls between two of its steps.
    await cloud.server.registry.remove("sw-1")
    await send(telemetry, report(1))
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed):
            await telemetry.recv()
    late = await device.open(url)
    assert [(await receive(late))["type"], await receive(late)] == [
        "open",
        {"type": "bye", "reason": "removed-from-cloud"},
    ]


async def test_database_that_fails_loses_no_report(cloud: Cloud, device: Device, tmp_path: Path) -> None:
    await cloud.add("SW-1")
    telemetry = await device.telemetry(await device.connect())
    await cloud.when("SW-1", connected=True)
    with sqlite3.connect(tmp_path / "state" / "registry.sqlite") as beside:
        beside.execute("ALTER TABLE report RENAME TO gone")
        beside.execute("ALTER TABLE device RENAME TO away")
    beside.close()
    await send(telemetry, report(1))
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionClosed) as caught:
            await telemetry.recv()
    assert caught.value.rcvd is not None
    assert caught.value.rcvd.code == 1013
    answer = await device.authenticate()
    assert (answer.status, answer.body) == (503, {"reason": "busy", "retry-after": 5.0})


# bounds and secrets -------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"POST /v1/authenticate HTTP/1.1\r\nHost: x\r\n"])
async def test_request_head_that_does_not_come_closes_the_connection(tmp_path: Path, sent: bytes) -> None:
    async with cloud_in(tmp_path / "state", Limits(request_head=0.05)) as cloud:
        reader, writer = await asyncio.open_connection("127.0.0.1", cloud.server.port, ssl=cloud.trust)
        writer.write(sent)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_websocket_outlives_the_time_for_a_head(tmp_path: Path) -> None:
    async with cloud_in(tmp_path / "state", Limits(request_head=0.05)) as cloud, device_of(cloud, "SW-1") as device:
        await cloud.add("SW-1")
        main = await device.connect(services=[])
        silent = await asyncio.open_connection("127.0.0.1", cloud.server.port, ssl=cloud.trust)
        async with asyncio.timeout(10):
            assert await silent[0].read() == b""  # a head's time has passed by now
        silent[1].close()
        await send(main, {"type": "keepalive", "id": 1})
        assert (await receive(main))["type"] == "keepalive-ack"


async def test_handshake_that_does_not_come_closes_the_connection(tmp_path: Path) -> None:
    async with cloud_in(tmp_path / "state", Limits(handshake=0.05)) as cloud:
        reader, writer = await asyncio.open_connection("127.0.0.1", cloud.server.port)
        async with asyncio.timeout(10):
            assert await reader.read() == b""
        writer.close()


async def test_body_that_does_not_come_is_answered_with_408(tmp_path: Path) -> None:
    async with cloud_in(tmp_path / "state", Limits(request_body=0.05)) as cloud:
        reader, writer = await asyncio.open_connection("127.0.0.1", cloud.server.port, ssl=cloud.trust)
        writer.write(b"POST /v1/authenticate HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        async with asyncio.timeout(10):
            assert (await reader.read()).startswith(b"HTTP/1.1 408")
        writer.close()


async def test_plain_http_is_not_served(cloud: Cloud) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", cloud.server.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(10):
        assert b"HTTP" not in await reader.read()
    writer.close()


async def test_no_secret_is_ever_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    time = TestTime()
    async with cloud_in(tmp_path / "state", time=time) as cloud, device_of(cloud, "SW-1") as device:
        await cloud.add("SW-1", "correct horse")
        await device.prove("wrong horse")
        url = await device.url("correct horse")
        main = await device.open(url)
        await device.telemetry(main)
        await refused_handshake(device, url)
        # A malformed head that bears a token: aiohttp would log it.
        reader, writer = await asyncio.open_connection("127.0.0.1", cloud.server.port, ssl=cloud.trust)
        writer.write(f"GET /v1/connect?ticket={ticket_of(url)}\x00 HTTP/1.1\r\nA b: {time.drawn[0]}\r\n\r\n".encode())
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
        writer.close()
        await main.send("{" + ticket_of(url))
        await closed(main)
    ours = "\n".join(
        f"{record.getMessage()} {record.exc_text or ''}"
        for record in caplog.records
        if not record.name.startswith("websockets")  # the test's own client
    )
    assert "sw-1" in ours
    assert "bad-proof" in ours
    assert len(time.drawn) >= 4
    for secret in (*time.drawn, "correct horse", "wrong horse"):
        assert secret not in ours


async def test_certificate_proves_the_serial(tmp_path: Path) -> None:
    authority = DeviceAuthority(tmp_path / "devices.pem")
    async with cloud_in(tmp_path / "state", device_trust_anchor=tmp_path / "devices.pem") as cloud:
        await cloud.add("SW-1")
        await cloud.add("SW-2")
        trust = cloud.trust
        trust.load_cert_chain(authority.certify("sw-1", tmp_path / "device.pem"))
        async with device_of(cloud, "SW-1") as device:
            answers = [
                await device.post("/v1/authenticate", {"serial": serial, "mechanism": mechanism}, ssl=trust)
                for serial, mechanism in (("SW-1", "certificate"), ("SW-2", "certificate"), ("SW-2", "none"))
            ]
            without = await device.authenticate(mechanism="certificate")
    assert [a.status for a in answers] == [200, 403, 403]
    assert [a.body["reason"] for a in (*answers[1:], without)] == ["certificate-mismatch"] * 3
