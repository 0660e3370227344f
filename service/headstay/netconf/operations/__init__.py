"""What managers can ask for: a table from (namespace, name) to a function, a file for each capability.

To add an operation, write its function in the file of its capability and enter it in OPERATIONS. The model's own RPCs
do not stand here: they come in through the context.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Final

from lxml import etree

from headstay import xml
from headstay.errors import (
    ErrorInfo,
    ErrorType,
    NetconfError,
    OperationFailed,
    OperationNotSupported,
    RpcErrors,
    UnknownNamespace,
)
from headstay.netconf import messages
from headstay.netconf.messages import Reply
from headstay.netconf.operations import (
    candidate,
    editing,
    ending,
    locking,
    monitoring,
    nmda,
    retrieval,
    subscription,
    validate,
)
from headstay.netconf.operations.context import (
    Context,
    LearnedFunction,
    ModelRpc,
    Operation,
    Picture,
    SessionsInReach,
    StateFunction,
    nothing_learned,
)
from headstay.netconf.operations.datastores import NMDA

__all__ = [
    "OPERATIONS",
    "Context",
    "LearnedFunction",
    "ModelRpc",
    "Operation",
    "Picture",
    "SessionsInReach",
    "StateFunction",
    "execute",
    "nothing_learned",
]

OPERATIONS: Final[Mapping[tuple[str, str], Operation]] = {
    (xml.NETCONF, "get"): retrieval.get,
    (xml.NETCONF, "get-config"): retrieval.get_config,
    (xml.NETCONF, "edit-config"): editing.edit_config,
    (xml.NETCONF, "copy-config"): editing.copy_config,
    (xml.NETCONF, "delete-config"): editing.delete_config,
    (xml.NETCONF, "commit"): candidate.commit,
    (xml.NETCONF, "cancel-commit"): candidate.cancel_commit,
    (xml.NETCONF, "discard-changes"): candidate.discard_changes,
    (xml.NETCONF, "validate"): validate.validate,
    (xml.NETCONF, "lock"): locking.lock,
    (xml.NETCONF, "unlock"): locking.unlock,
    (xml.NETCONF, "close-session"): ending.close_session,
    (xml.NETCONF, "kill-session"): ending.kill_session,
    (xml.MONITORING, "get-schema"): monitoring.get_schema,
    (NMDA, "get-data"): nmda.get_data,
    (NMDA, "edit-data"): nmda.edit_data,
    (xml.NOTIFICATION, "create-subscription"): subscription.create_subscription,
}


def execute(context: Context, operation: etree._Element) -> Reply | Awaitable[Reply]:
    """Execute an operation for the context's requester: at once, or when what is returned is awaited.

    Raises NetconfError or RpcErrors; so does what is awaited.
    """
    # Clients that send an operation without a namespace mean the protocol's own.
    namespace, local_name = xml.name(operation)
    name = (namespace or xml.NETCONF, local_name)
    function = OPERATIONS.get(name) or _model_rpc(context, name)
    if function is None:
        raise _unknown_operation(context, *name)
    context.datastores.authorize(context.requester, f"{{{name[0]}}}{name[1]}")
    try:
        outcome = function(context, operation)
    except (NetconfError, RpcErrors) as error:
        raise _as_told(context, error) from None
    return outcome if isinstance(outcome, Reply) else _awaited(context, outcome)


async def _awaited(context: Context, outcome: Awaitable[Reply]) -> Reply:
    try:
        return await outcome
    except (NetconfError, RpcErrors) as error:
        raise _as_told(context, error) from None


def _as_told(context: Context, error: NetconfError | RpcErrors) -> NetconfError | RpcErrors:
    """Return an error as it may be told to the requester."""
    if isinstance(error, RpcErrors):
        return RpcErrors(_concealed(context, error.errors))
    return context.datastores.concealed(context.requester, error)


def _concealed(context: Context, errors: Sequence[NetconfError]) -> Iterator[NetconfError]:
    """Yield the errors as they may be told. How many things are wrong where the requester may not look is not told."""
    concealed = False
    for error in errors:
        told = context.datastores.concealed(context.requester, error)
        if told is error or not concealed:
            yield told
        concealed |= told is not error


def _model_rpc(context: Context, name: tuple[str, str]) -> Operation | None:
    model_rpc = context.rpcs.get(name)
    if model_rpc is None:
        return None

    async def operation(context: Context, element: etree._Element) -> Reply:
        work = model_rpc(context.requester, element)
        if name in context.abandoned:
            return messages.output(await _while_session_lasts(context, work))
        return messages.output(await work)

    return operation


async def _while_session_lasts(context: Context, work: Awaitable[Sequence[etree._Element]]) -> Sequence[etree._Element]:
    """Return what comes of `work`; cancel it when nobody is left to hear of it."""
    working = asyncio.ensure_future(work)
    over = asyncio.ensure_future(context.sessions.over(context.requester.session_id))
    try:
        await asyncio.wait((working, over), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise OperationFailed("the session has ended")
        return working.result()
    finally:
        over.cancel()
        working.cancel()
        await asyncio.wait((working, over))


def _unknown_operation(context: Context, namespace: str, name: str) -> NetconfError:
    known = {xml.NETCONF} | {module.namespace for module in context.datastores.model.modules}
    if namespace in known:
        return OperationNotSupported(f"there is no operation <{name}> here")
    info = [ErrorInfo("bad-element", name), ErrorInfo("bad-namespace", namespace)]
    return UnknownNamespace(f"no module has the namespace {namespace}", info=info, type=ErrorType.PROTOCOL)
