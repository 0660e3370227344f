"""What an operation is given, and what it looks like. Knows no operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from lxml import etree

from headstay.datastore.access import Requester
from headstay.datastore.stores import Datastores
from headstay.netconf.messages import Reply

StateFunction = Callable[[Requester], etree._Element]
"""The operational data that this requester may see, as a tree of the model's form."""
ModelRpc = Callable[[Requester, etree._Element], Awaitable[Sequence[etree._Element]]]
"""An RPC of the model's own: the requester and the RPC's element in, the output parameters out (none: <ok/>)."""


class SessionsInReach(Protocol):
    """The sessions, as far as operations reach for them."""

    async def kill(self, session_id: int, by: int) -> bool:
        """End another session and wait until its locks are released and its confirmed commit is undone; False if there
        is none of that id.
        """

    def netconf_state(self) -> etree._Element:
        """Return a tree that holds ietf-netconf-monitoring's netconf-state."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that an operation may use. The same for all rpcs of a session."""

    datastores: Datastores
    requester: Requester
    sessions: SessionsInReach
    state: StateFunction
    rpcs: Mapping[tuple[str, str], ModelRpc] = field(default_factory=dict)
    """The model's own RPCs by (namespace, name)."""


Operation = Callable[[Context, etree._Element], Awaitable[Reply]]
"""An operation of the protocol: its element in, the reply out. Raises NetconfError or RpcErrors."""
