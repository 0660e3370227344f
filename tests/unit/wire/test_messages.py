"""The bodies and messages of the wire: their JSON, what is refused, what is ignored."""

from __future__ import annotations

import json
from typing import Any

import pytest

from headstay.errors import WireError
from headstay.wire import MAXIMUM_BODY, messages, subprotocol_of
from headstay.wire.text import LONGEST_LEGIBLE

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
    (messages.UnbindRequest("SW-1", "1234"), {"serial": "SW-1", "code": "1234"}),
    (messages.UnbindAnswer("wrong-code"), {"result": "wrong-code"}),
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


def test_what_is_not_utf_8_is_refused() -> None:
    """The JSON library reports it in another way than everything else, and only where it looks at the text."""
    with pytest.raises(WireError, match="UTF-8"):
        messages.decode_body(b'{"serial": "\xff", "mechanism": "none"}', messages.Authenticate)
    with pytest.raises(WireError, match="UTF-8"):
        messages.TO_CLOUD.decode(b'{"type": "\xff"}')


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
    def report_of(octets: int) -> bytes:
        frame = messages.encode(messages.Report("b", 1, "t", {"x": ""}))
        return messages.encode(messages.Report("b", 1, "t", {"x": "x" * (octets - len(frame))}))

    assert isinstance(messages.TELEMETRY_TO_CLOUD.decode(report_of(MAXIMUM_BODY)), messages.Report)
    with pytest.raises(WireError, match="larger"):
        messages.TELEMETRY_TO_CLOUD.decode(report_of(MAXIMUM_BODY + 1))


LEGIBLE = ["bad-proof", "Später, bitte", "x" * 256, "日本"]
ILLEGIBLE = ["a\x00", "\x1b[31m", "two\nlines", "a\n", "\x7f", "\x85", "\u202eevil", "\u2028", "\ufffe", "\ufdd0"]
VISIBLE = ["x", "!~", "x" * 64]
INVISIBLE = ["", " ", "a b", "a\r\nX-Evil: 1", "a\n", "é", "\x00", "\x7f"]
REASON = LEGIBLE, [*ILLEGIBLE, "", "x" * 257]
DESCRIPTION = ["", "x" * 255], [*ILLEGIBLE, "x" * 256]
WORD = VISIBLE, [*INVISIBLE, "x" * 65]
INSTANCE = [*VISIBLE, "x" * 128], [*INVISIBLE, "x" * 129]
LONG = [*VISIBLE, "x" * 2048], [*INVISIBLE, "x" * 2049]
SCRAM = ["", "n,,n=S1,r=x", "x" * 1024], [*INVISIBLE[1:], "x" * 1025]
SERIAL = ["S", "a.b_c-1", "x" * 63], ["", "-a", "a\n", "ä", "x" * 64]
SERVICE = ["netconf", "a-1", "x" * 64], ["", "Netconf", "a_b", "a\n", "\x01bad", "x" * 65]
SERVICES = [[], ["a"] * 64], [["a"] * 65, [""], "a"]
SECONDS = [0, 0.5, 1e9], [-1, -0.001, "1"]
NUMBER = [0, 2**63 - 1], [-1, 2**63, 10**30, 1.5]
SEQUENCE = [1, 2**63 - 1], [0, -1, 2**63]
BOUNDS: dict[type[messages.Body], dict[str, tuple[list[Any], list[Any]]]] = {
    messages.Authenticate: {"serial": SERIAL, "mechanism": WORD, "message": SCRAM},
    messages.AuthenticateFinal: {"exchange": LONG, "message": SCRAM},
    messages.Challenge: {"exchange": LONG, "message": SCRAM},
    messages.Granted: {"token": LONG, "expires-in": SECONDS, "message": SCRAM},
    messages.Refused: {"reason": REASON},
    messages.Busy: {"retry-after": SECONDS, "reason": REASON},
    messages.Register: {
        "serial": SERIAL,
        "model": DESCRIPTION,
        "software": DESCRIPTION,
        "boot-id": WORD,
        "services": SERVICES,
    },
    messages.Registered: {"url": LONG, "generation": NUMBER, "expires-in": SECONDS},
    messages.Keepalive: {"id": NUMBER},
    messages.KeepaliveAck: {"id": NUMBER},
    messages.Open: {"service": SERVICE, "instance": INSTANCE, "url": LONG},
    messages.Close: {"instance": INSTANCE, "reason": REASON},
    messages.Bye: {"reason": REASON, "retry-after": SECONDS},
    messages.Closed: {"instance": INSTANCE, "reason": REASON},
    messages.Services: {"services": SERVICES},
    messages.UnbindRequest: {"serial": SERIAL, "code": WORD},
    messages.UnbindAnswer: {"result": REASON},
    messages.Unbind: {"code": WORD},
    messages.UnbindResult: {"result": REASON},
    messages.Report: {"boot-id": WORD, "sequence": SEQUENCE, "time": WORD},
    messages.ReportAck: {"boot-id": WORD, "sequence": SEQUENCE},
}


def test_the_bounds_are_complete() -> None:
    forms = {type(message): set(form) - {"type", "body"} for message, form in FORMS}
    forms[messages.Authenticate] |= {"message"}
    assert {kind: set(fields) for kind, fields in BOUNDS.items()} == forms | {
        messages.Bye: {"reason", "retry-after"},
        messages.Granted: {"token", "expires-in", "message"},
    }


@pytest.mark.parametrize(
    ("kind", "field"), [(kind, field) for kind, fields in BOUNDS.items() for field in fields], ids=str
)
def test_each_field_has_its_bounds(kind: type[messages.Body], field: str) -> None:
    form = next(form for message, form in FORMS if type(message) is kind)
    allowed, refused = BOUNDS[kind][field]
    for value in allowed:
        body = messages.decode_body(json.dumps({**form, field: value}).encode(), kind)
        assert json.loads(messages.encode(body)).get(field, "") == value
    for value in refused:
        with pytest.raises(WireError) as error:
            messages.decode_body(json.dumps({**form, field: value}).encode(), kind)
        assert str(error.value).isprintable()
        assert len(str(error.value)) <= LONGEST_LEGIBLE
        assert "regex" not in str(error.value)
        assert f"$.{field}" in str(error.value)


@pytest.mark.parametrize("octets", [b'{"type":"bye","reason":"\\ud800"}', b'{"type":"\\u0001"}', b'{"type":""}'])
def test_no_such_text(octets: bytes) -> None:
    with pytest.raises(WireError):
        messages.TO_DEVICE.decode(octets)


def test_an_error_that_quotes_is_legible_and_short() -> None:
    octets = json.dumps("\x1b[31m" + "x" * 60_000).encode()
    with pytest.raises(WireError) as error:
        messages.TO_DEVICE.decode(b'{"type": ' + octets + b', "type": "bye", "reason": "x"}')
    assert str(error.value).isprintable()
    assert len(str(error.value)) <= LONGEST_LEGIBLE


@pytest.mark.parametrize(
    "message",
    [
        messages.Granted("SECRET", 1.0, "SECRET"),
        messages.Registered("wss://x/?ticket=SECRET", 1, 1.0),
        messages.Open("s", "i", "wss://x/?ticket=SECRET"),
        messages.Unbind("SECRET"),
        messages.UnbindRequest("SW-1", "SECRET"),
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
