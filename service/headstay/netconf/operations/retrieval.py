"""<get> and <get-config> (RFC 6241 sections 7.1 and 7.7)."""

from __future__ import annotations

import functools
from collections.abc import Callable

from lxml import etree

from headstay.datastore.computing import is_small
from headstay.netconf import messages
from headstay.netconf.filters import filtered
from headstay.netconf.messages import Reply
from headstay.netconf.operations import with_defaults
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters
from headstay.netconf.selection import everything


async def get(context: Context, operation: etree._Element) -> Reply:
    """Return running and the operational state, merged."""
    parameters = Parameters(operation, ("filter",), augmented=with_defaults.PARAMETER)
    mode, states = with_defaults.requested(parameters), context.operational_state()
    view = context.datastores.view(context.requester)
    # Never small: the modules that the state describes are more than a few.
    return await _reply(context, parameters, lambda: view.with_state(*states(), mode=mode), small=False)


async def get_config(context: Context, operation: etree._Element) -> Reply:
    """Return a datastore."""
    parameters = Parameters(operation, ("source", "filter"), augmented=with_defaults.PARAMETER)
    tree = context.datastores.read(parameters.datastore("source", context.datastores.names))
    view, mode = context.datastores.view(context.requester), with_defaults.requested(parameters)
    return await _reply(context, parameters, lambda: view.config(tree, mode), tree, small=_is_small(tree))


async def _reply(
    context: Context,
    parameters: Parameters,
    shown: Callable[[], etree._Element],
    published: etree._Element | None = None,
    *,
    small: bool,
) -> Reply:
    """Return the reply with what is shown, which may be a tree that is published."""
    chosen = parameters.optional("filter")

    def reply() -> Reply:
        tree = shown()
        if chosen is None and tree is published:
            return _whole(tree)
        return messages.data(filtered(tree, chosen, context.datastores.model, context.limits))

    # What a filter costs does not follow from the tree's size.
    return reply() if small and chosen is None else await context.computed(reply)


# A published tree never changes again, so that what is known of it stays true. There are no more than three at a time.
_is_small = functools.lru_cache(maxsize=3)(is_small)


@functools.lru_cache(maxsize=3)
def _whole(published: etree._Element) -> Reply:
    """Return the reply with all of a tree."""
    return messages.data(everything(published))
