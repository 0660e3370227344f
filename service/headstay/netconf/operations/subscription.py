"""The :notification capability's <create-subscription> (RFC 5277 section 2.1.1).

The :interleave capability (section 6) asks for nothing but that every other operation goes on as before.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from lxml import etree

from headstay import xml
from headstay.errors import BadElement, ErrorInfo, ErrorType, InvalidValue, MissingElement, OperationFailed
from headstay.netconf import streams
from headstay.netconf.filters import condition
from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters
from headstay.netconf.streams import Subscription
from headstay.netconf.xpath_cost import Size

_DATE_AND_TIME: Final = re.compile(
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,64})?(?:Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE
)
_LARGEST: Final = Size(streams.MOST_ELEMENTS, streams.MOST_CONTENT)
"""No notification is larger, so a filter that this is not too large for is good for all."""


async def create_subscription(context: Context, operation: etree._Element) -> Reply:
    """Send notifications to this session, once the reply is sent."""
    allowed = ("stream", "filter", "startTime", "stopTime")
    # ncclient writes <filter> in the namespace of the base protocol, where its type is defined.
    parameters = Parameters(operation, allowed, namespace=xml.NOTIFICATION, in_base=("filter",))
    session_id, notifications = context.requester.session_id, context.sessions.notifications
    if notifications.has_subscription(session_id):
        raise OperationFailed("this session has a subscription already", type=ErrorType.PROTOCOL)
    if parameters.text("stream") not in (None, streams.NAME):
        raise InvalidValue(f"the only stream is {streams.NAME}", type=ErrorType.PROTOCOL)
    start, stop = _replay(parameters, notifications.now())
    subscription = Subscription(await _accepts(context, parameters.optional("filter")), start, stop)
    return Reply(OK.body, then=partial(context.sessions.subscribe, session_id, subscription))


def _replay(parameters: Parameters, now: float) -> tuple[float | None, float | None]:
    """Return startTime and stopTime. Raises the errors of section 2.1.1."""
    start, stop = _time(parameters, "startTime"), _time(parameters, "stopTime")
    if stop is not None and start is None:
        info = [ErrorInfo("bad-element", "startTime")]
        raise MissingElement("<stopTime> needs a <startTime>", info=info)
    if start is not None and start > now:
        raise _bad("startTime", "<startTime> is later than now")
    if start is not None and stop is not None and stop <= start:
        raise _bad("stopTime", "<stopTime> is not later than <startTime>")
    return start, stop


def _time(parameters: Parameters, name: str) -> float | None:
    """Return a time in seconds since the epoch (RFC 3339; its zone is not optional)."""
    text = parameters.text(name)
    if text is None:
        return None
    if not _DATE_AND_TIME.fullmatch(text):
        raise _bad(name, f"<{name}> is a date and time with a zone, as RFC 3339 writes it")
    try:
        return datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        raise _bad(name, f"<{name}> is no date and time of the calendar") from None


async def _accepts(context: Context, filter: etree._Element | None) -> Callable[[etree._Element], bool]:
    wanted = None
    if filter is not None:  # how large it is nobody has looked yet
        wanted = await context.computed(
            lambda: condition(filter, context.datastores.model, _LARGEST, context.limits),
        )

    def accepts(tree: etree._Element) -> bool:
        # Asked each time: the rules may have changed since the subscription began.
        may_receive = context.datastores.may_receive(context.requester, tree[0])
        return may_receive and (wanted is None or wanted(tree))

    return accepts


def _bad(name: str, message: str) -> BadElement:
    return BadElement(message, info=[ErrorInfo("bad-element", name)], type=ErrorType.PROTOCOL)
