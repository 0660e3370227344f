"""Why the device was not unbound, in words for whoever asked: what is the matter and what to do. Knows no code."""

from __future__ import annotations

from headstay.engine.inputs import UnbindFailure
from headstay.errors import InUse, NetconfError, OperationFailed

_MESSAGES = {
    UnbindFailure.WRONG_CODE: "the code is wrong, or was used before; check it, or have the cloud make a new one",
    UnbindFailure.EXPIRED_CODE: "the code has expired; have the cloud make a new one",
    UnbindFailure.TOO_MANY_ATTEMPTS: "wrong codes were given too often, so none is good any more; "
    "have the cloud make a new one",
    UnbindFailure.SERVER_BUSY: "the cloud cannot look the code up just now; try again in a minute",
    UnbindFailure.PROTOCOL_ERROR: "the cloud's answer cannot be understood",
    UnbindFailure.NOT_REACHED: "no server of the cloud could be asked; mend that, then give the code again",
    UnbindFailure.NO_ANSWER: "the cloud did not answer, so it may have taken the code or not; "
    "give the code again: if it is wrong then, the device is unbound",
    UnbindFailure.NO_SERVER: "there is no cloud server to ask; configure server/domain",
    UnbindFailure.DISABLED: "the cloud connection is disabled; set enabled to true, then give the code again",
    UnbindFailure.UNREADABLE_SECRET: "a secret of the cloud connection is missing; mend that, then give the code again",
    UnbindFailure.UNDER_WAY: "a code is being checked already; wait for its result",
    UnbindFailure.STOPPED: "the daemon is stopping; give the code again when it runs",
}


def unbind_error(failure: UnbindFailure, details: str | None) -> NetconfError:
    """Return the error for a failure; its error-app-tag is the failure's name."""
    kind = InUse if failure is UnbindFailure.UNDER_WAY else OperationFailed
    message = _MESSAGES[failure]
    return kind(message if details is None else f"{message} ({details})", app_tag=failure.value)
