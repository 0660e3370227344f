"""<edit-config>, <copy-config> and <delete-config> (RFC 6241 sections 7.2 to 7.4)."""

from __future__ import annotations

from typing import Any

from lxml import etree

from headstay.datastore.edit import EditOptions
from headstay.datastore.name import Name
from headstay.errors import ErrorType, InvalidValue
from headstay.netconf.messages import OK, Reply
from headstay.netconf.operations import with_defaults
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters

_OPTIONS: dict[str, tuple[str, ...]] = {
    "default-operation": ("merge", "replace", "none"),
    "test-option": ("test-then-set", "set", "test-only"),
    "error-option": ("stop-on-error", "continue-on-error", "rollback-on-error"),
}
"""The values of each option."""


async def edit_config(context: Context, operation: etree._Element) -> Reply:
    """Edit a datastore; <startup> is none that can be edited (section 8.7.5)."""
    parameters = Parameters(operation, ("target", "config", *_OPTIONS))
    target = parameters.datastore("target", (Name.RUNNING, Name.CANDIDATE))
    chosen = {option: parameters.choice(option, values) for option, values in _OPTIONS.items()}
    # An option that is not given keeps the default of EditOptions.
    given: dict[str, Any] = {option.replace("-", "_"): value for option, value in chosen.items() if value is not None}
    config = parameters.required("config")
    await context.datastores.edit(context.requester, target, config, EditOptions(**given))
    return OK


async def copy_config(context: Context, operation: etree._Element) -> Reply:
    """Replace a whole datastore by another, or by a configuration given in the rpc."""
    parameters = Parameters(operation, ("target", "source"), augmented=with_defaults.PARAMETER)
    target = parameters.datastore("target", context.datastores.names)
    source = parameters.datastore_or_config("source", context.datastores.names)
    if source is target:
        raise InvalidValue("source and target are the same datastore", type=ErrorType.PROTOCOL)
    mode = with_defaults.requested(parameters)
    await context.datastores.copy(context.requester, source, target, mode)
    return OK


async def delete_config(context: Context, operation: etree._Element) -> Reply:
    """Delete <startup>: running cannot be deleted, and candidate is no target of this operation (section 7.4)."""
    parameters = Parameters(operation, ("target",))
    deletable = [name for name in context.datastores.names if name is Name.STARTUP]
    await context.datastores.delete(context.requester, parameters.datastore("target", deletable))
    return OK
