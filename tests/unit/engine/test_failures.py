from __future__ import annotations

import socket

import h11
import pytest
from websockets.exceptions import InvalidUpgrade, NegotiationError

from headstay.engine.failures import Answer, classify, refusal
from headstay.engine.inputs import Failure
from headstay.engine.reasons import FailureReason
from headstay.errors import WireError

ODD = "\x1b[31m" + "x\n" * 60_000


@pytest.mark.parametrize("error", ["é".encode, "\ud800".encode])
def test_a_text_that_cannot_be_written_is_no_failure_to_resolve(error) -> None:
    with pytest.raises(UnicodeError) as raised:
        error("ascii")
    assert classify(raised.value) == Failure(FailureReason.PROTOCOL_ERROR, "a text has characters that cannot be sent")


@pytest.mark.parametrize(
    ("error", "reason", "words"),
    [
        (ConnectionResetError(), FailureReason.SOCKET_FAILED, "the connection was reset"),
        (
            ConnectionResetError(104, "Connection reset by peer"),
            FailureReason.SOCKET_FAILED,
            "Connection reset by peer",
        ),
        (OSError(" \n"), FailureReason.SOCKET_FAILED, "the connection broke"),
        (EOFError(), FailureReason.SOCKET_FAILED, "the server closed the connection"),
        (h11.RemoteProtocolError("TICKET"), FailureReason.PROTOCOL_ERROR, "what the server answers is not HTTP"),
        (
            NegotiationError("TICKET"),
            FailureReason.PROTOCOL_ERROR,
            "the server chose a WebSocket subprotocol or extension that was not offered",
        ),
        (InvalidUpgrade("Upgrade", "TICKET"), FailureReason.PROTOCOL_ERROR, "the server did not switch to WebSocket"),
        (RuntimeError("TICKET"), FailureReason.PROTOCOL_ERROR, "something unforeseen; the log names it at level debug"),
    ],
)
def test_an_exception_is_told_in_words(error: Exception, reason: FailureReason, words: str) -> None:
    assert classify(error) == Failure(reason, words)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (socket.gaierror(-2, ODD), FailureReason.DNS_FAILED),
        (OSError(1, ODD), FailureReason.SOCKET_FAILED),
        (OSError(ODD), FailureReason.SOCKET_FAILED),
        (WireError(ODD), FailureReason.PROTOCOL_ERROR),
        (RuntimeError(ODD), FailureReason.PROTOCOL_ERROR),
    ],
)
def test_details_are_one_line_of_bounded_length(error: Exception, reason: FailureReason) -> None:
    failure = classify(error)
    assert failure.reason is reason
    assert failure.details is not None
    assert failure.details.isprintable()
    assert len(failure.details) <= 200


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, b'{"reason":"busy","retry-after":-1}'),
        (503, b'{"reason":"busy","retry-after":1e400}'),
        (403, b'{"reason":"\\u0000"}'),
        (403, b'{"reason":"' + b"x" * 60_000 + b'"}'),
    ],
)
def test_an_answer_outside_the_bounds_is_a_protocol_error(status: int, body: bytes) -> None:
    failure = refusal(Answer(status, "application/json", body), FailureReason.AUTHENTICATION_REFUSED)
    assert (failure.reason, failure.retry_after) == (FailureReason.PROTOCOL_ERROR, None)
