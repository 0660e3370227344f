"""The sessions that are alive: their ids, how many there may be, who they are, what they count.

Makes each session with its context, ends it when another asks for that, and tells the datastores when it is over.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from lxml import etree

from headstay.datastore.access import Requester, Source
from headstay.datastore.stores import Datastores
from headstay.datastore.turns import Turns
from headstay.netconf import base_notifications
from headstay.netconf.capabilities import capabilities
from headstay.netconf.connection import Channel, Connection, Share
from headstay.netconf.limits import Limits
from headstay.netconf.memory import Trimmer
from headstay.netconf.notifications import Notifications
from headstay.netconf.operations import Context, LearnedFunction, ModelRpc, StateFunction, execute, nothing_learned
from headstay.netconf.operations.monitoring import ServerState, SessionState, Transport, netconf_state
from headstay.netconf.session import Session
from headstay.netconf.session_words import Termination
from headstay.netconf.statistics import Counters, Statistics
from headstay.netconf.streams import Subscription
from headstay.netconf.vocabulary import Vocabulary

_LARGEST_SESSION_ID = 4_294_967_295

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Service:
    """What the server serves; the composition root puts it together."""

    datastores: Datastores
    state: StateFunction
    clock: Callable[[], datetime]
    """The time of day, with its zone."""
    rpcs: Mapping[tuple[str, str], ModelRpc] = field(default_factory=dict)
    """The model's own RPCs by (namespace, name)."""
    abandoned: Collection[tuple[str, str]] = ()
    """Those of them that are cancelled when their session ends."""
    learned: LearnedFunction = nothing_learned
    notifications: Notifications = field(default_factory=Notifications)


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end of a session, as its transport has established."""

    user: str
    source: Source
    transport: Transport
    host: str | None = None
    """The client's address, where there is one."""
    recovery: bool = False
    groups: frozenset[str] = frozenset()
    """The groups that the transport reports."""


@dataclass(frozen=True, slots=True)
class _Live:
    peer: Peer
    requester: Requester
    connection: Connection
    login_time: datetime


class Sessions:
    """All sessions of one server."""

    def __init__(self, service: Service, limits: Limits) -> None:
        self._service = service
        self._limits = limits
        self._live: dict[int, _Live] = {}
        self._large = Turns(limits.large_messages)
        self._vocabulary = Vocabulary()
        self._trimmer = Trimmer()
        self._last_id = 0
        self._started = service.clock()
        self._capabilities = capabilities(service.datastores.model.modules, service.datastores.names)
        self._statistics = Statistics()
        self._past = Counters()
        self._killers: dict[int, int] = {}
        self.notifications = service.notifications
        self.notifications.delivers_to(self)

    def refusal(self, user: str, recovery: bool = False) -> str | None:
        """Return why this user may not have a further session now; None if there is room."""
        peers = [live.peer for live in self._live.values()]
        ordinary = sum(1 for peer in peers if not peer.recovery)
        if len(peers) >= self._limits.sessions:
            return "too many sessions"
        if not recovery and ordinary >= self._limits.sessions - self._limits.reserved:
            return "too many sessions"
        # A user of the same name who came over SSH takes nothing from a recovery session.
        own = sum(1 for peer in peers if (peer.user, peer.recovery) == (user, recovery))
        return f"too many sessions of the user {user!r}" if own >= self._limits.sessions_of_user else None

    def open(self, peer: Peer, channel: Channel) -> Connection:
        """Start a session on a transport that is ready. Check `refusal` before."""
        session_id = self._next_id()
        requester = Requester(peer.user, session_id, peer.source, peer.recovery, peer.host, peer.groups)
        service = self._service
        context = Context(
            service.datastores,
            requester,
            self,
            service.state,
            service.rpcs,
            service.abandoned,
            service.learned,
            self._limits,
        )
        session = Session(session_id, self._capabilities, self._limits, self._vocabulary)
        connection = Connection(
            session,
            channel,
            functools.partial(execute, context),
            self._ended,
            lambda ready: self.notifications.regulate(session_id, ready=ready),
            share=Share(requester.account, self._large, service.datastores.computing, self._trimmer.freed),
            unread_timeout=self._limits.unread_timeout,
        )
        self._live[session_id] = _Live(peer, requester, connection, self._service.clock())
        self._statistics.in_sessions += 1
        _log.info("session %d: %s from %s (%s)", session_id, peer.user, peer.host or "here", peer.source.value)
        connection.start()
        self.notifications.publish(base_notifications.session_start(requester))
        return connection

    def subscribe(self, session_id: int, subscription: Subscription) -> None:
        """Begin with the subscription of a session that has been told so."""
        if (live := self._live.get(session_id)) is not None:
            live.connection.subscribed()
            self.notifications.subscribe(session_id, subscription, ready=live.connection.writable)

    def notify(self, session_id: int, message: bytes) -> None:
        """Send a notification to a session; nothing happens where it is over."""
        if (live := self._live.get(session_id)) is not None:
            live.connection.notify(message)

    def cut(self, session_id: int) -> None:
        """End a session that does not read."""
        if (live := self._live.get(session_id)) is not None:
            _log.warning("session %d does not read its notifications", session_id)
            live.connection.kill(Termination.DROPPED)

    def completed(self, session_id: int) -> None:
        """Note that a session's subscription is over; nothing happens where the session is over, too."""
        if (live := self._live.get(session_id)) is not None:
            live.connection.unsubscribed()

    async def kill(self, session_id: int, by: int) -> bool:
        """End another session and wait until its locks are released; False if there is none of that id."""
        victim, killer = self._live.get(session_id), self._live.get(by)
        if victim is None:
            return False
        self._killers[session_id] = by
        victim.connection.kill()
        # Two sessions that kill each other must not wait for each other.
        ends = [victim.connection.ended, *([killer.connection.closing] if killer else [])]
        waits = [asyncio.ensure_future(event.wait()) for event in ends]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()
        await self._service.datastores.settled()
        return True

    async def over(self, session_id: int) -> None:
        """Wait until nobody waits for a session's answers any more. Its last operation may still run."""
        live = self._live.get(session_id)
        if live is not None:
            await live.connection.deserted.wait()

    def revoke(self, users: Collection[str]) -> None:
        """Let no operation of these configured users, who are no more, change anything now.

        Sessions whose clients have gone are among them: their last operations may still run.
        """
        for session_id, live in self._live.items():
            if live.peer.user in users and live.peer.source is not Source.LOCAL:
                self._service.datastores.session_revoked(session_id)

    async def end_all(self) -> None:
        """End every session and wait until their last operations have ended."""
        connections = [live.connection for live in self._live.values()]
        for connection in connections:
            connection.kill(Termination.OTHER)
        await asyncio.gather(*(connection.ended.wait() for connection in connections))
        self._trimmer.stop()

    def netconf_state(self) -> Callable[[], etree._Element]:
        """Take down ietf-netconf-monitoring's netconf-state, and return what makes a tree of it, in any thread."""
        counters = Counters()
        counters.add(self._past)
        for live in self._live.values():
            counters.add(live.connection.session.counters)
        datastores = self._service.datastores
        server = ServerState(
            self._capabilities,
            tuple(self._states()),
            self._started,
            replace(self._statistics),
            counters,
            dict(datastores.locks()),
        )
        return functools.partial(netconf_state, datastores.names, datastores.model, server)

    def _states(self) -> Iterator[SessionState]:
        for session_id, live in self._live.items():
            peer, counters = live.peer, live.connection.session.counters
            yield SessionState(session_id, peer.transport, peer.user, peer.host, live.login_time, replace(counters))

    def _next_id(self) -> int:
        # RFC 6241 section 8.1 and the model: 1 to 2^32-1, and no two sessions that are alive have the same.
        session_id = self._last_id
        while session_id == self._last_id or session_id in self._live:
            session_id = session_id % _LARGEST_SESSION_ID + 1
        self._last_id = session_id
        return session_id

    def _ended(self, connection: Connection) -> None:
        session = connection.session
        live = self._live.pop(session.session_id)
        self._past.add(session.counters)
        if session.termination is Termination.BAD_HELLO:
            self._statistics.in_bad_hellos += 1
        elif session.termination in (Termination.DROPPED, Termination.TIMEOUT):
            self._statistics.dropped_sessions += 1
        self._service.datastores.session_ended(session.session_id)
        self.notifications.unsubscribe(session.session_id)
        termination, killer = session.termination or Termination.OTHER, self._killers.pop(session.session_id, None)
        self.notifications.publish(base_notifications.session_end(live.requester, termination, killer))
