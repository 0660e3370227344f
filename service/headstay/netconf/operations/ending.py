"""<close-session> and <kill-session> (RFC 6241 sections 7.8 and 7.9)."""

from __future__ import annotations

from lxml import etree

from headstay import xml
from headstay.errors import ErrorType, InvalidValue
from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters, leaf_text

_LARGEST_SESSION_ID = 4_294_967_295


async def close_session(_context: Context, operation: etree._Element) -> Reply:
    """End this session once the reply is sent."""
    Parameters(operation, ())
    return Reply(OK.body, ends_session=True)


async def kill_session(context: Context, operation: etree._Element) -> Reply:
    """End another session. When the reply comes, its locks are released."""
    session_id = _session_id(Parameters(operation, ("session-id",)).required("session-id"))
    if session_id == context.requester.session_id:
        raise _invalid("a session cannot kill itself; use <close-session>")
    if not await context.sessions.kill(session_id, by=context.requester.session_id):
        raise _invalid(f"there is no session {session_id}")
    return OK


def _session_id(leaf: etree._Element) -> int:
    text = leaf_text(leaf)
    if not (text.isascii() and text.isdecimal() and len(text) <= 10 and 1 <= int(text) <= _LARGEST_SESSION_ID):
        raise _invalid(f"<{xml.local_name(leaf)}> is a number from 1 to {_LARGEST_SESSION_ID}")
    return int(text)


def _invalid(message: str) -> InvalidValue:
    return InvalidValue(message, type=ErrorType.PROTOCOL)
