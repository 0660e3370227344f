"""The bodies and messages of the wire: their JSON, what is refused, what is ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headstay.errors import WireError
from headstay.wire import MAXIMUM_BODY, messages, subprotocol_of

FORMS: list[tuple[messages.Body, dict[str, Any]]] = [
    (messages.Authenticate("S1", "none"), {"serial": "S1", "mechanism": "none"}),
    (messages.AuthenticateFinal("e1", "c=biws"), {"exchange": "e1", "message": "c=biws"}),
    (messages.Challenge("e1", "r=x"), {"exchange": "e1", "message": "r=x"}),
    (messages.Granted("t", 60.0, "v=1"), {"token": "t", "expires-in": 60.0, "message": "v=1"}),
    (messages.Granted("t", 60.0), {"token": "t", "expires-in": 60.0}),
    (messages.Refused("unknown-serial"), {"reason": "unknown-serial"}),
    (messages.Busy(2.5), {"reason": "busy", "retry-after": 2.5}),
    (
        messages.Register("S1", "m", "s", "b", ("telemetry",)),
        {"serial": "S1", "model": "m", "software": "s", "boot-id": "b", "services": ["telemetry"]},
    ),
    (messages.Registered("wss://x/", 3, 30.0), {"url": "wss://x/", "generation": 3, "expires-in": 30.0}),
    (messages.Keepalive(7), {"type": "keepalive", "id": 7}),
    (messages.KeepaliveAck(7), {"type": "keepalive-ack", "id": 7}),
    (
        messages.Open("telemetry", "t1", "wss://x/"),
        {"type": "open", "service": "telemetry", "instance": "t1", "url": "wss://x/"},
    ),
    (messages.Close("t1", "done"), {"type": "close", "instance": "t1", "reason": "done"}),
    (messages.Bye("server-busy", 5.0), {"type": "bye", "reason": "server-busy", "retry-after": 5.0}),
    (messages.Bye("unbound"), {"type": "bye", "reason": "unbound"}),
    (messages.Closed("t1", "disabled"), {"type": "closed", "instance": "t1", "reason": "disabled"}),
    (messages.Services(("telemetry",)), {"type": "services", "services": ["telemetry"]}),
    (messages.Services(()), {"type": "services", "services": []}),
    (messages.Unbind("1234"), {"type": "unbind", "code": "1234"}),
    (messages.UnbindResult("unbound"), {"type": "unbind-result", "result": "unbound"}),
    (
        messages.Report("b", 1, "2018-01-27T14:18:40Z", {"event": "x"}),
        {"type": "report", "boot-id": "b", "sequence": 1, "time": "2018-01-27T14:18:40Z", "body": {"event": "x"}},
    ),
    (messages.ReportAck("b", 9), {"type": "report-ack", "boot-id": "b", "sequence": 9}),
]


@pytest.mark.parametrize(("message", "form"), FORMS, ids=lambda value: type(value).__name__)
def test_form_on_the_wire(message: messages.Body, form: dict[str, Any]) -> None:
    assert json.loads(messages.encode(message)) == form
    assert messages.decode_body(messages.encode(message), type(message)) == message


@pytest.mark.parametrize(
    ("decoder", "message"),
    [
        (messages.TO_DEVICE, messages.KeepaliveAck(1)),
        (messages.TO_DEVICE, messages.Bye("closed-by-server")),
        (messages.TO_CLOUD, messages.Keepalive(1)),
        (messages.TO_CLOUD, messages.Closed("i", "r")),
        (messages.TO_CLOUD, messages.Services(("telemetry", "netconf"))),
        (messages.TELEMETRY_TO_DEVICE, messages.ReportAck("b", 1)),
        (messages.TELEMETRY_TO_CLOUD, messages.Report("b", 1, "t", {})),
    ],
)
def test_each_direction_reads_its_own(decoder: messages.MessageDecoder, message: messages.Message) -> None:
    assert decoder.decode(messages.encode(message)) == message


def test_a_type_of_the_other_direction_is_unknown() -> None:
    assert messages.TO_DEVICE.decode(messages.encode(messages.Keepalive(1))) == messages.Unknown("keepalive")
    assert messages.TO_DEVICE.decode('{"type": "from-the-future", "x": [1]}') == messages.Unknown("from-the-future")


def test_unknown_fields_are_ignored() -> None:
    assert messages.TO_DEVICE.decode('{"type": "keepalive-ack", "id": 1, "new": true}') == messages.KeepaliveAck(1)


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"{}",
        b'{"type": 7}',
        b'{"type": "keepalive-ack"}',
        b'{"type": "keepalive-ack", "id": "1"}',
        b'{"type": "bye", "reason": null}',
        b"\xff\xfe",
        b'{"type": "keepalive-ack", "id": 1} {}',
        b"[" * 30_000,
    ],
)
def test_malformed_message_is_a_wire_error(octets: bytes) -> None:
    with pytest.raises(WireError):
        messages.TO_DEVICE.decode(octets)


def test_size_limit() -> None:
    def open_of(octets: int) -> bytes:
        frame = messages.encode(messages.Open("s", "i", ""))
        return messages.encode(messages.Open("s", "i", "x" * (octets - len(frame))))

    assert isinstance(messages.TO_DEVICE.decode(open_of(MAXIMUM_BODY)), messages.Open)
    with pytest.raises(WireError, match="larger"):
        messages.TO_DEVICE.decode(open_of(MAXIMUM_BODY + 1))


@pytest.mark.parametrize(
    "message",
    [
        messages.Granted("SECRET", 1.0, "SECRET"),
        messages.Registered("wss://x/?ticket=SECRET", 1, 1.0),
        messages.Open("s", "i", "wss://x/?ticket=SECRET"),
        messages.Unbind("SECRET"),
    ],
)
def test_no_secret_in_a_representation(message: messages.Body) -> None:
    assert "SECRET" not in repr(message)


def test_no_value_in_an_error() -> None:
    with pytest.raises(WireError) as refused:
        messages.decode_body(b'{"token": ["SECRET"], "expires-in": 1}', messages.Granted)
    assert "SECRET" not in str(refused.value)
    assert "token" in str(refused.value)


def test_subprotocol() -> None:
    assert subprotocol_of("telemetry") == "headstay.telemetry.v1"
