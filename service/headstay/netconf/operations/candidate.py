"""The :candidate and :confirmed-commit capabilities: <commit>, <cancel-commit> and <discard-changes> (RFC 6241 sections
8.3 and 8.4).
"""

from __future__ import annotations

from lxml import etree

from headstay.datastore.confirmed import TIMEOUT, CommitRequest
from headstay.errors import ErrorInfo, ErrorType, InvalidValue, MissingElement
from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters

_LONGEST_TIMEOUT = 4_294_967_295


async def commit(context: Context, operation: etree._Element) -> Reply:
    """Make candidate the running configuration. The reply says: accepted and durable."""
    parameters = Parameters(operation, ("confirmed", "confirm-timeout", "persist", "persist-id"))
    request = CommitRequest(
        confirmed=_confirmed(parameters),
        timeout=_timeout(parameters),
        persist=parameters.text("persist"),
        persist_id=parameters.text("persist-id"),
    )
    await context.datastores.commit(context.requester, request)
    return OK


async def cancel_commit(context: Context, operation: etree._Element) -> Reply:
    """Undo the confirmed commit that is pending."""
    persist_id = Parameters(operation, ("persist-id",)).text("persist-id")
    await context.datastores.cancel_commit(context.requester, persist_id)
    return OK


async def discard_changes(context: Context, operation: etree._Element) -> Reply:
    """Make candidate the same as running again."""
    Parameters(operation, ())
    await context.datastores.discard(context.requester)
    return OK


def _confirmed(parameters: Parameters) -> bool:
    confirmed = parameters.flag("confirmed")
    for name in ("confirm-timeout", "persist"):
        # Else a commit that was meant to be tried would be there for good.
        if not confirmed and parameters.optional(name) is not None:
            info = [ErrorInfo("bad-element", "confirmed")]
            raise MissingElement(f"<{name}> means something with <confirmed> only", info=info)
    return confirmed


def _timeout(parameters: Parameters) -> int:
    text = parameters.text("confirm-timeout")
    if text is None:
        return TIMEOUT
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _LONGEST_TIMEOUT):
        message = f"<confirm-timeout> is a number of seconds from 1 to {_LONGEST_TIMEOUT}"
        raise InvalidValue(message, info=[ErrorInfo("bad-element", "confirm-timeout")], type=ErrorType.PROTOCOL)
    return int(text)
