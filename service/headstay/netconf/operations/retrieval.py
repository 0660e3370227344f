"""<get> and <get-config> (RFC 6241 sections 7.1 and 7.7)."""

from __future__ import annotations

from lxml import etree

from headstay.netconf import messages
from headstay.netconf.filters import filtered
from headstay.netconf.messages import Reply
from headstay.netconf.operations import with_defaults
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters


async def get(context: Context, operation: etree._Element) -> Reply:
    """Return running and the operational state, merged."""
    parameters = Parameters(operation, ("filter",), augmented=with_defaults.PARAMETER)
    requester, mode = context.requester, with_defaults.requested(parameters)
    states = context.state(requester), context.sessions.netconf_state()
    return _reply(context, parameters, context.datastores.with_state(requester, *states, mode=mode))


async def get_config(context: Context, operation: etree._Element) -> Reply:
    """Return a datastore."""
    parameters = Parameters(operation, ("source", "filter"), augmented=with_defaults.PARAMETER)
    source = parameters.datastore("source", context.datastores.names)
    tree = context.datastores.visible(source, context.requester, with_defaults.requested(parameters))
    return _reply(context, parameters, tree)


def _reply(context: Context, parameters: Parameters, tree: etree._Element) -> Reply:
    return messages.data(filtered(tree, parameters.optional("filter"), context.datastores.model))
