"""What a test of a server says of each stage. Frozen; the fields bear the names of the model's leafs."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from headstay.engine.reasons import FailureReason
from headstay.engine.stages import TIME_LIMIT, Stage


class StageName(enum.Enum):
    """The stages of a test, in order."""

    RESOLVE = "resolve"
    CONNECT = "connect"
    TLS = "tls"
    HTTP = "http"
    AUTHENTICATE = "authenticate"
    REGISTER = "register"
    HANDSHAKE = "handshake"


class Result(enum.Enum):
    """What came of a stage."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


STAGE_OF = {
    StageName.RESOLVE: Stage.RESOLVING,
    StageName.CONNECT: Stage.CONNECTING,
    StageName.TLS: Stage.CONNECTING,
    StageName.HTTP: Stage.AUTHENTICATING,
    StageName.AUTHENTICATE: Stage.AUTHENTICATING,
    StageName.REGISTER: Stage.REGISTERING,
    StageName.HANDSHAKE: Stage.HANDSHAKING,
}
"""The stage of an attempt whose time limit and whose reason for being late count; `connect` and `tls` share one."""
LONGEST_TEST = TIME_LIMIT[Stage.RESOLVING] + sum(
    TIME_LIMIT[STAGE_OF[name]] for name in StageName if name not in (StageName.RESOLVE, StageName.CONNECT)
)
"""Seconds that the test of one server may take."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What came of one stage."""

    domain: str
    name: StageName
    result: Result
    time_taken: int | None = None
    """Milliseconds."""
    port: int | None = None
    address: str | None = None
    reason: FailureReason | None = None
    explanation: str | None = None
    """For a person to read; one line, and no secret in it."""
