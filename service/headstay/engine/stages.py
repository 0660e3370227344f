"""How the machine's states hang together: the stages of an attempt with their time limits, and groups of states."""

from __future__ import annotations

import enum

from headstay.engine.reasons import DeviceState, FailureReason, State


class Stage(enum.Enum):
    """The steps of an attempt, each with its own time limit."""

    RESOLVING = "resolving"
    CONNECTING = "connecting"
    AUTHENTICATING = "authenticating"
    REGISTERING = "registering"
    HANDSHAKING = "handshaking"


TIME_LIMIT = {stage: 5.0 if stage is Stage.RESOLVING else 10.0 for stage in Stage}
"""Seconds."""
TIMED_OUT = {stage: FailureReason(f"timeout-{stage.value}") for stage in Stage}
"""The failure reason of a stage that took too long."""
FAILED_STATE = {
    Stage.RESOLVING: DeviceState.WAITING,
    Stage.CONNECTING: DeviceState.WAITING,
    Stage.AUTHENTICATING: DeviceState.AUTHENTICATION_FAILED,
    Stage.REGISTERING: DeviceState.REGISTRATION_FAILED,
    Stage.HANDSHAKING: DeviceState.HANDSHAKE_FAILED,
}
"""Where the machine rests after a stage failed."""

RESTING = (
    DeviceState.WAITING,
    DeviceState.AUTHENTICATION_FAILED,
    DeviceState.REGISTRATION_FAILED,
    DeviceState.HANDSHAKE_FAILED,
)
"""Between attempts."""
ATTEMPTING = (
    DeviceState.CONNECTING,
    DeviceState.AUTHENTICATING,
    DeviceState.AUTHENTICATED,
    DeviceState.REGISTERING,
    DeviceState.REGISTERED,
    DeviceState.HANDSHAKING,
)
"""During an attempt, in the order in which it goes."""
ABOUT_TO_SEND = {
    DeviceState.AUTHENTICATED: DeviceState.REGISTERING,
    DeviceState.REGISTERED: DeviceState.HANDSHAKING,
}
"""Where the next request is not sent yet, and the state once it is."""
STATE_OF = {
    DeviceState.IDLE: State.UNCONNECTED,
    **dict.fromkeys(RESTING, State.UNCONNECTED),
    **dict.fromkeys(ATTEMPTING, State.REQUEST),
    DeviceState.CONNECTED: State.ESTABLISHED,
}
"""`connection/state` of each `connection/device-state`."""
