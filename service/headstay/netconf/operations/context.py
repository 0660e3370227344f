"""What an operation is given, and what it looks like. Knows no operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from lxml import etree

from headstay import xml
from headstay.datastore.access import Requester
from headstay.datastore.computing import computed_apart
from headstay.datastore.model import DATA
from headstay.datastore.stores import Datastores
from headstay.netconf.limits import Limits
from headstay.netconf.messages import Reply
from headstay.netconf.streams import Subscription

Picture = Callable[[], Sequence[etree._Element]]
"""Operational data of one moment. Makes trees of the model's form of it, in any thread; that takes time."""
StateFunction = Callable[[Requester], Picture]
"""The operational data that this requester may see. Called on the event loop, so it only takes down what there is."""
ModelRpc = Callable[[Requester, etree._Element], Awaitable[Sequence[etree._Element]]]
"""An RPC of the model's own: the requester and the RPC's element in, the output parameters out (none: <ok/>)."""

LearnedFunction = Callable[[], etree._Element]
"""The configuration in use that nobody has set, because it was learned: a tree of the model's form."""

_Result = TypeVar("_Result")


def nothing_learned() -> etree._Element:
    """Return a tree of what was learned where there is nothing to learn from."""
    return xml.element(DATA)


class NotificationsInReach(Protocol):
    """The notifications, as far as operations reach for them."""

    def now(self) -> float:
        """Return the time of day, in seconds since the epoch."""

    def has_subscription(self, session_id: int) -> bool:
        """Whether this session has a subscription that is not over."""


class SessionsInReach(Protocol):
    """The sessions, as far as operations reach for them."""

    @property
    def notifications(self) -> NotificationsInReach:
        """What sessions can subscribe to."""

    def subscribe(self, session_id: int, subscription: Subscription) -> None:
        """Begin with the subscription of a session that has been told so."""

    async def kill(self, session_id: int, by: int) -> bool:
        """End another session and wait until its locks are released and its confirmed commit is undone; False if there
        is none of that id.
        """

    async def over(self, session_id: int) -> None:
        """Wait until nobody waits for a session's answers any more. Its last operation may still run."""

    def netconf_state(self) -> Callable[[], etree._Element]:
        """Take down ietf-netconf-monitoring's netconf-state, and return what makes a tree of it, in any thread."""


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that an operation may use. The same for all rpcs of a session."""

    datastores: Datastores
    requester: Requester
    sessions: SessionsInReach
    state: StateFunction
    rpcs: Mapping[tuple[str, str], ModelRpc] = field(default_factory=dict)
    """The model's own RPCs by (namespace, name)."""
    abandoned: Collection[tuple[str, str]] = ()
    """Those of them that are cancelled when their session ends. Any other goes on to its end."""
    learned: LearnedFunction = nothing_learned
    limits: Limits = field(default_factory=Limits)

    async def computed(self, work: Callable[[], _Result]) -> _Result:
        """Return what comes of `work`, which takes long and is done when it is the requester's turn, in a thread that
        ends with it and keeps nothing of what the requester has sent.
        """
        return await computed_apart(self.datastores.computing, self.requester.account, work)

    def operational_state(self) -> Picture:
        """Take down all operational data of this moment that the requester may ask for."""
        state, sessions, datastores = self.state(self.requester), self.sessions.netconf_state(), self.datastores.state()
        return lambda: (*state(), sessions(), datastores)


Operation = Callable[[Context, etree._Element], Reply | Awaitable[Reply]]
"""An operation of the protocol: its element in, the reply out. Raises NetconfError or RpcErrors.

What takes no time worth mentioning and waits for nothing is done when it is called, without a task of its own.
"""
