"""<get> and <get-config> (RFC 6241 sections 7.1 and 7.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from lxml import etree

from headstay.datastore.computing import computed
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
    view = context.datastores.view(requester)
    return await _reply(context, parameters, lambda: view.with_state(*states, mode=mode), (view.running, *states))


async def get_config(context: Context, operation: etree._Element) -> Reply:
    """Return a datastore."""
    parameters = Parameters(operation, ("source", "filter"), augmented=with_defaults.PARAMETER)
    tree = context.datastores.read(parameters.datastore("source", context.datastores.names))
    view, mode = context.datastores.view(context.requester), with_defaults.requested(parameters)
    return await _reply(context, parameters, lambda: view.config(tree, mode), (tree,))


async def _reply(
    context: Context, parameters: Parameters, shown: Callable[[], etree._Element], trees: Sequence[etree._Element]
) -> Reply:
    """Return the reply with what is shown; `trees` are those that it is made of."""
    chosen = parameters.optional("filter")

    def reply() -> Reply:
        return messages.data(filtered(shown(), chosen, context.datastores.model, context.limits))

    # What a filter costs does not follow from the tree's size.
    return await computed(reply, *trees) if chosen is None else await asyncio.to_thread(reply)
