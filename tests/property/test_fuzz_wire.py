"""The wire between device and cloud: whatever comes over it is a message or a WireError, at either end."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headstay.errors import WireError
from headstay.wire import messages, scram
from headstay.wire.messages import Body, MessageDecoder
from mutations import damaged

BODIES: dict[type[Body], bytes] = {
    messages.Authenticate: b'{"serial": "SN-1", "mechanism": "SCRAM-SHA-256", "message": "n,,n=SN-1,r=abc"}',
    messages.AuthenticateFinal: b'{"exchange": "x", "message": "c=biws,r=abc,p=aaaa"}',
    messages.Challenge: b'{"exchange": "x", "message": "r=abc,s=c2FsdA==,i=4096"}',
    messages.Granted: b'{"token": "t", "expires-in": 60.5, "message": "v=aaaa"}',
    messages.Refused: b'{"reason": "bad-proof"}',
    messages.Busy: b'{"retry-after": 1.5, "reason": "busy"}',
    messages.Register: b'{"serial": "SN-1", "model": "m", "software": "s", "boot-id": "b", "services": ["netconf"]}',
    messages.Registered: b'{"url": "wss://a.example/v1", "generation": 1, "expires-in": 30}',
    messages.UnbindRequest: b'{"serial": "SN-1", "code": "ABCD"}',
    messages.UnbindAnswer: b'{"result": "unbound"}',
    messages.RegisterProbe: b'{"serial": "SN-1", "probe": true}',
    messages.Probed: b'{"url": "wss://a.example/v1", "expires-in": 30}',
}
DECODERS: dict[MessageDecoder, bytes] = {
    messages.TO_DEVICE: b'{"type": "open", "service": "netconf", "instance": "1", "url": "wss://a.example/"}',
    messages.TO_CLOUD: b'{"type": "services", "services": ["netconf", "telemetry"]}',
    messages.TELEMETRY_TO_DEVICE: b'{"type": "report-ack", "boot-id": "b", "sequence": 7}',
    messages.TELEMETRY_TO_CLOUD: b'{"type": "report", "boot-id": "b", "sequence": 7, "time": "t", "body": {"a": [1]}}',
}
PIECES = (
    *(b"{", b"}", b"[", b"]", b",", b":", b'"', b"null", b"true", b"1e999", b"-0", b"-1", b"9" * 25, b"1" * 5000),
    *(b'"\\u0000"', b'"\\ud800"', b'"\\u202e"', b'"type": "bye", ', b'"type": 1, ', b"\xff", b"[" * 3000, b"NaN"),
)  # fmt: skip


def test_every_body_is_here() -> None:
    ours = {kind for kind in vars(messages).values() if isinstance(kind, type) and issubclass(kind, Body)}
    assert {kind for kind in ours if not issubclass(kind, messages.Message)} == {Body, *BODIES}


M = TypeVar("M")


def decoded(decode: Callable[[], M]) -> M | None:
    """What is decoded; None if it is refused in words that a log can take."""
    refusal = ""
    try:
        return decode()
    except WireError as error:
        refusal = str(error)
    assert refusal.isprintable()
    return None


@given(st.sampled_from(list(BODIES)).flatmap(lambda kind: st.tuples(st.just(kind), damaged([BODIES[kind]], PIECES))))
def test_a_body_is_of_its_form_or_refused(drawn: tuple[type[Body], bytes]) -> None:
    kind, octets = drawn
    body = decoded(lambda: messages.decode_body(octets, kind))
    assert body is None or messages.decode_body(messages.encode(body), kind) == body


@given(st.sampled_from(list(DECODERS)), damaged(list(DECODERS.values()), PIECES))
def test_a_message_is_of_its_form_or_unknown_or_refused(decoder: MessageDecoder, octets: bytes) -> None:
    for given_as in (octets, octets.decode("utf-8", "replace")):
        message = decoded(functools.partial(decoder.decode, given_as))
        if isinstance(message, messages.Unknown):
            assert message.type.isprintable()
        elif message is not None:
            assert decoder.decode(messages.encode(message)) == message


VERIFIER = scram.verifier_of("secret", 4096)
SCRAM_PIECES = (
    b",",
    b"=",
    b"r=",
    b"i=",
    b"i=99999999",
    b"m=x",
    b"n,,",
    b"y,,",
    b"p=tls-unique,,",
    b"s=",
    b"v=",
    b"e=",
    b"\0",
)


def scram_texts(*documents: bytes) -> st.SearchStrategy[str]:
    return damaged(documents, SCRAM_PIECES).map(lambda octets: octets.decode("utf-8", "replace"))


@settings(deadline=None)
@given(scram_texts(b"n,,n=SN-1,r=abcdef"), scram_texts(b"c=biws,r=abcdef,p=AAAA"))
def test_the_cloud_lets_nobody_in_who_does_not_prove_it(first: str, final: str) -> None:
    proof = scram.ServerProof(lambda _: VERIFIER)
    try:
        proof.server_first(first)
    except WireError:
        return
    with pytest.raises(WireError):
        proof.server_final(final)


@settings(deadline=None)
@given(scram_texts(b"r=abcdef123,s=c2FsdA==,i=4096"), scram_texts(b"v=AAAA", b"e=unknown-user"))
def test_the_device_trusts_no_server_that_does_not_prove_it(first: str, final: str) -> None:
    proof = scram.ClientProof("SN-1", "secret", nonce="abcdef")
    proof.client_first()
    try:
        proof.client_final(first)
    except WireError:
        return
    with pytest.raises(WireError):
        proof.verify(final)
