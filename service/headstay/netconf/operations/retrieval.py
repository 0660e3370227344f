"""<get> and <get-config> (RFC 6241 sections 7.1 and 7.7)."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable

from lxml import etree

from headstay.datastore.computing import is_small
from headstay.datastore.defaults import DefaultsMode
from headstay.datastore.view import View
from headstay.netconf import messages
from headstay.netconf.filters import filtered
from headstay.netconf.messages import Reply
from headstay.netconf.operations import with_defaults
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters
from headstay.netconf.selection import everything


def get(context: Context, operation: etree._Element) -> Awaitable[Reply]:
    """Return running and the operational state, merged."""
    parameters = Parameters(operation, ("filter",), augmented=with_defaults.PARAMETER)
    mode, states = with_defaults.requested(parameters), context.operational_state()
    view = context.datastores.view(context.requester)
    # Never small: the modules that the state describes are more than a few.
    return context.computed(_reply(context, parameters, lambda: view.with_state(*states(), mode=mode)))


def get_config(context: Context, operation: etree._Element) -> Reply | Awaitable[Reply]:
    """Return a datastore."""
    parameters = Parameters(operation, ("source", "filter"), augmented=with_defaults.PARAMETER)
    tree = context.datastores.read(parameters.datastore("source", context.datastores.names))
    view, mode = context.datastores.view(context.requester), with_defaults.requested(parameters)
    # What a filter costs does not follow from the tree's size.
    if parameters.optional("filter") is None and _is_small(tree):
        return _unfiltered(view, tree, mode)
    return context.computed(_reply(context, parameters, lambda: view.config(tree, mode)))


def _unfiltered(view: View, tree: etree._Element, mode: DefaultsMode) -> Reply:
    shown = view.config(tree, mode)
    return _whole(tree) if shown is tree else messages.data(everything(shown))


def _reply(context: Context, parameters: Parameters, shown: Callable[[], etree._Element]) -> Callable[[], Reply]:
    """Return what makes the reply with what the filter chooses of what is shown."""
    chosen = parameters.optional("filter")
    return lambda: messages.data(filtered(shown(), chosen, context.datastores.model, context.limits))


# A published tree never changes again, so that what is known of it stays true. There are no more than three at a time.
_is_small = functools.lru_cache(maxsize=3)(is_small)


@functools.lru_cache(maxsize=3)
def _whole(published: etree._Element) -> Reply:
    """Return the reply with all of a tree."""
    return messages.data(everything(published))
