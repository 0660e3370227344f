"""SHELL: one session on one transport. Carries out the session's effects, runs its operations, owns its one timer.

Knows neither SSH nor Unix sockets: a transport is four methods. An operation that has begun goes on to its end even
when its session is over, since the datastores ask for that; only then is the session reported as ended.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Final, Protocol

from lxml import etree

from headstay.datastore.computing import computed_apart
from headstay.datastore.turns import Turns
from headstay.errors import NetconfError, OperationFailed, RpcErrors
from headstay.netconf import messages
from headstay.netconf.messages import Reply, Rpc, Unreadable
from headstay.netconf.session import Session
from headstay.netconf.session_words import (
    CloseTransport,
    Execute,
    Input,
    Killed,
    Lost,
    Notified,
    Octets,
    Opened,
    Parse,
    Parsed,
    PeerClosed,
    Release,
    Replied,
    Reserve,
    Reserved,
    Revoked,
    Send,
    Subscribed,
    Termination,
    Tick,
    Unsubscribed,
)

CLOSE_GRACE = 5.0
"""Seconds for a closed transport to send what it still has; then it is cut."""

_Outcome = Reply | NetconfError | RpcErrors
"""What becomes of an rpc that was executed."""
_OUTCOMES: Final = (Reply, NetconfError, RpcErrors)

_log = logging.getLogger(__name__)


class Channel(Protocol):
    """A transport as the session needs it. asyncio's and asyncssh's have these methods already."""

    def write(self, data: bytes) -> None:
        """Send octets, or keep them until they can be sent."""

    def close(self) -> None:
        """Close once everything written has left."""

    def abort(self) -> None:
        """Close at once."""

    def pause_reading(self) -> None:
        """Stop handing over what the client sends."""

    def resume_reading(self) -> None:
        """Hand over what the client sends again."""


@dataclass(frozen=True, slots=True)
class Share:
    """What a user's sessions share with everybody's."""

    user: Hashable
    large: Turns
    """For large messages, each until it is answered."""
    computing: Turns
    freed: Callable[[], None] = lambda: None
    """Called when a large message is not needed any more."""


class Connection:
    """Runs one session. The transport reports to the methods named after what happens to it."""

    def __init__(
        self,
        session: Session,
        channel: Channel,
        execute: Callable[[etree._Element], Reply | Awaitable[Reply]],
        ended: Callable[[Connection], None],
        regulated: Callable[[bool], None] = lambda _: None,
        *,
        share: Share,
        unread_timeout: float = 60,
    ) -> None:
        """`ended` is called once, when the session is over and its last operation has ended; `regulated` whenever the
        transport takes octets again, or no longer. `unread_timeout` is for how many seconds the client may leave
        unread what was sent to it.
        """
        self.session = session
        self.closing = asyncio.Event()
        """Set when the session is over."""
        self.deserted = asyncio.Event()
        """Set when nobody is left to read what is answered: the session is over, or its client has gone."""
        self.ended = asyncio.Event()
        """Set when its last operation has ended too, and its locks are released."""
        self._channel = channel
        self._execute = execute
        self._report_end = ended
        self._regulated = regulated
        self._loop = asyncio.get_running_loop()
        self._share = share
        self._operation: asyncio.Task[None] | None = None
        self._reservation: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lost = False
        self._reading = True
        self._writable = asyncio.Event()
        self._writable.set()
        self._unread_timeout = unread_timeout
        self._unread_since: float | None = None

    def start(self) -> None:
        """Open the session; call it once the transport is ready."""
        self._handle(Opened())

    def kill(self, termination: Termination = Termination.KILLED) -> None:
        """End the session at once."""
        self._handle(Killed(termination))

    def revoke(self, reason: str, *, at_once: bool) -> None:
        """End the session because its user is one no more; unless at once, the rpc that runs is answered first."""
        self._handle(Killed(Termination.OTHER, reason) if at_once else Revoked(reason))

    @property
    def writable(self) -> bool:
        """Whether the client reads what it was sent."""
        return self._writable.is_set()

    def subscribed(self) -> None:
        """Note that the session has subscribed to notifications."""
        self._handle(Subscribed())

    def unsubscribed(self) -> None:
        """Note that the session's subscription is over."""
        self._handle(Unsubscribed())

    def notify(self, message: bytes) -> None:
        """Send a notification, between two other messages."""
        self._handle(Notified(message))

    # what happens to the transport

    def received(self, octets: bytes) -> None:
        """Take in what the client sent."""
        outcome = self._carry_out(Octets(octets), at_once=True)
        if outcome is not None:
            self._replied(outcome)
        self._settle()

    def peer_closed(self) -> None:
        """Note that the client will send nothing more."""
        self._handle(PeerClosed())

    def lost(self) -> None:
        """Note that the transport is gone."""
        self._lost = True
        self._writable.set()
        self._handle(Lost())
        self._set_timer()

    def pause_writing(self) -> None:
        """Note that the client does not read what was sent. Until it does it gets no reply and is not read from."""
        self._writable.clear()
        self._unread_since = self._loop.time()
        self._regulate_reading()
        self._set_timer()
        self._regulated(False)

    def resume_writing(self) -> None:
        """Note that the client reads again."""
        self._writable.set()
        self._unread_since = None
        self._regulate_reading()
        self._set_timer()
        self._regulated(True)

    # the session

    def _handle(self, input: Input) -> None:
        self._carry_out(input)
        self._settle()

    def _carry_out(self, input: Input, *, at_once: bool = False) -> _Outcome | None:
        """Return the outcome of an rpc if it was to be executed at once, and needed nothing to be waited for."""
        for effect in self.session.handle(input, self._loop.time()):
            match effect:
                case Send(octets):
                    self._channel.write(octets)
                case Execute(rpc):
                    return self._begin(rpc, at_once=at_once)  # nothing ever comes after it
                case Reserve():
                    self._reservation = self._loop.create_task(self._reserve())
                case Release():
                    self._release()
                case Parse():
                    self._operation = self._loop.create_task(self._parse(effect))
                case CloseTransport(reason):
                    self._close(reason)
        return None

    def _settle(self) -> None:
        if not self.closing.is_set():
            self._set_timer()
            # Last, because it may hand over waiting octets at once.
            self._regulate_reading()

    async def _reserve(self) -> None:
        async with self._share.large.of(self._share.user):
            self._handle(Reserved())
            await asyncio.Event().wait()  # until it is cancelled

    def _release(self) -> None:
        if self._reservation is not None:
            self._reservation.cancel()
            self._reservation = None
            self._share.freed()

    async def _parse(self, message: Parse) -> None:
        read = await self._read(message)
        await self._writable.wait()
        self._operation = None
        self._handle(Parsed(read))
        if self.closing.is_set():
            self._end()

    async def _read(self, message: Parse) -> Rpc | Unreadable:
        try:
            read = functools.partial(messages.read_message, message.octets, message.most_elements, apart=True)
            return await computed_apart(self._share.computing, self._share.user, read)
        except Exception:  # noqa: BLE001 - as with operations
            _log.exception("session %d: a message could not be parsed", self.session.session_id)
            return Unreadable(messages.reply_opening(None), OperationFailed("internal error"))

    def _begin(self, rpc: Rpc, *, at_once: bool) -> _Outcome | None:
        # An rpc that waited behind another one has a turn like everybody's.
        if at_once and self._writable.is_set():
            outcome = self._outcome(rpc)
            if isinstance(outcome, _OUTCOMES):
                return outcome
            self._operation = self._loop.create_task(self._perform(rpc, outcome))
        else:
            self._operation = self._loop.create_task(self._perform(rpc))
        return None

    async def _perform(self, rpc: Rpc, begun: Awaitable[Reply] | None = None) -> None:
        outcome = self._outcome(rpc) if begun is None else begun
        if not isinstance(outcome, _OUTCOMES):
            outcome = await self._awaited(rpc, outcome)
        await self._writable.wait()
        self._operation = None
        self._replied(outcome)
        self._settle()
        if self.closing.is_set():
            self._end()

    def _replied(self, outcome: _Outcome) -> None:
        self._carry_out(Replied(outcome))
        if isinstance(outcome, Reply) and outcome.then is not None and not self.closing.is_set():
            outcome.then()

    # the boundary: whatever goes wrong in an operation becomes an answer here

    def _outcome(self, rpc: Rpc) -> _Outcome | Awaitable[Reply]:
        try:
            return self._execute(rpc.operation)
        except Exception as error:  # noqa: BLE001 - logged in full, and the client learns nothing of it
            return self._answer_to(error, rpc)

    async def _awaited(self, rpc: Rpc, outcome: Awaitable[Reply]) -> _Outcome:
        try:
            return await outcome
        except Exception as error:  # noqa: BLE001 - as above
            return self._answer_to(error, rpc)

    def _answer_to(self, error: Exception, rpc: Rpc) -> NetconfError | RpcErrors:
        if isinstance(error, NetconfError | RpcErrors):
            error.__context__ = None  # it would keep the rpc as its traceback does
            return error.with_traceback(None)
        name = etree.QName(rpc.operation).localname
        _log.error("session %d: %s failed", self.session.session_id, name, exc_info=error)
        return OperationFailed("internal error")

    def _close(self, reason: str) -> None:
        _log.info("session %d ended: %s", self.session.session_id, reason)
        self.closing.set()
        self.deserted.set()
        self._writable.set()
        if not self._lost:
            self._channel.close()
            self._set_timer()
        if self._operation is None:
            self._end()

    def _end(self) -> None:
        if not self.ended.is_set():
            self._release()
            self.ended.set()
            self._report_end(self)

    # its timer and its appetite

    def _set_timer(self) -> None:
        due = None if self.closing.is_set() else self._deadline()
        if self._timer is not None:
            if not self.closing.is_set() and (due is None or self._timer.when() <= due):
                return  # it will look again then; most deadlines move with every request and never come
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self._loop.call_at(due, self._check_time)
        elif self.closing.is_set() and not self._lost:
            self._timer = self._loop.call_later(CLOSE_GRACE, self._channel.abort)

    def _deadline(self) -> float | None:
        due = self.session.deadline()
        if self._unread_since is None:
            return due
        unread_due = self._unread_since + self._unread_timeout
        return unread_due if due is None else min(due, unread_due)

    def _check_time(self) -> None:
        self._timer = None
        if self._unread_since is not None and self._loop.time() >= self._unread_since + self._unread_timeout:
            self._handle(Killed(Termination.DROPPED, "its client does not read what is sent to it"))
            self._channel.abort()  # closing would wait for that client
        else:
            self._handle(Tick())

    def _regulate_reading(self) -> None:
        if self.closing.is_set():
            return
        reading = self.session.wants_octets and self._writable.is_set()
        if reading is not self._reading:
            self._reading = reading
            if reading:
                self._channel.resume_reading()
            else:
                self._channel.pause_reading()
