"""<lock> and <unlock> (RFC 6241 sections 7.5 and 7.6). Who may lock what, and when, is the datastores' to say."""

from __future__ import annotations

from lxml import etree

from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations import datastores
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters


async def lock(context: Context, operation: etree._Element) -> Reply:
    """Lock a datastore for this session."""
    target = datastores.named(Parameters(operation, ("target",)), "target", context.datastores.names)
    await context.datastores.lock(context.requester, target)
    return OK


async def unlock(context: Context, operation: etree._Element) -> Reply:
    """Release this session's lock."""
    target = datastores.named(Parameters(operation, ("target",)), "target", context.datastores.names)
    await context.datastores.unlock(context.requester, target)
    return OK
