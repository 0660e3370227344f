"""The :candidate capability: <commit> and <discard-changes> (RFC 6241 section 8.3)."""

from __future__ import annotations

from lxml import etree

from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters


async def commit(context: Context, operation: etree._Element) -> Reply:
    """Make candidate the running configuration. The reply says: accepted and durable."""
    Parameters(operation, ())
    await context.datastores.commit(context.requester)
    return OK


async def discard_changes(context: Context, operation: etree._Element) -> Reply:
    """Make candidate the same as running again."""
    Parameters(operation, ())
    await context.datastores.discard(context.requester)
    return OK
