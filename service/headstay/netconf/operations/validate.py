"""The :validate capability (RFC 6241 section 8.6)."""

from __future__ import annotations

from lxml import etree

from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations import datastores
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters


async def validate(context: Context, operation: etree._Element) -> Reply:
    """Check a datastore, or a configuration given in the rpc, against the model."""
    parameters = Parameters(operation, ("source",))
    source = datastores.named_or_config(parameters, "source", context.datastores.names)
    await context.datastores.validate(context.requester, source)
    return OK
