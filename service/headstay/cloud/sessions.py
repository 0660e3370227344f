"""CORE: the main connections of the cloud: one session for each serial, and the newest generation wins.

Owns who is connected. `handle(input, now)` returns what the shell must do, `deadline()` when to hand in a Tick. Knows
no socket, no database, no URL. Only the end of the session that is current makes a device offline: an older connection
that closes late finds itself replaced and changes nothing.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from dataclasses import dataclass

from headstay.cloud.subconnections import Offers
from headstay.wire.messages import (
    UNBOUND,
    Closed,
    Keepalive,
    KeepaliveAck,
    Message,
    Services,
    Unbind,
    UnbindResult,
    Unknown,
)

REPLACED = "replaced-by-newer-connection"
REMOVED = "removed-from-cloud"
CLOSED_BY_SERVER = "closed-by-server"


@dataclass(frozen=True, slots=True)
class Holder:
    """One main connection: a generation is given once in the life of a serial."""

    folded: str
    generation: int


# inputs -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Arrived:
    """A device made its handshake."""

    holder: Holder
    services: tuple[str, ...]
    """What the device knows and has enabled."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A message came on a main connection."""

    holder: Holder
    message: Message | Unknown


@dataclass(frozen=True, slots=True)
class Departed:
    """A main connection is gone, whoever ended it."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class Superseded:
    """The registry would not mark this connection online: its serial was removed in the meantime."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class Removed:
    """A serial was removed from the cloud."""

    folded: str


@dataclass(frozen=True, slots=True)
class Judged:
    """The verification code that came on a main connection was looked up."""

    holder: Holder
    result: str


@dataclass(frozen=True, slots=True)
class Unbound:
    """A serial was unbound from whoever had registered it, on a request of its device's own."""

    folded: str


@dataclass(frozen=True, slots=True)
class SubconnectionOpened:
    """A device opened a subconnection."""

    holder: Holder
    instance: str


@dataclass(frozen=True, slots=True)
class SubconnectionEnded:
    """A subconnection is gone, whoever ended it."""

    holder: Holder
    instance: str


@dataclass(frozen=True, slots=True)
class Tick:
    """The time that deadline() named has come."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The cloud stops."""


Input = (
    Arrived
    | Heard
    | Departed
    | Superseded
    | Removed
    | Judged
    | Unbound
    | SubconnectionOpened
    | SubconnectionEnded
    | Tick
    | Stop
)

# effects ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message on a main connection."""

    holder: Holder
    message: Message


@dataclass(frozen=True, slots=True)
class Offer:
    """Draw a ticket for a subconnection and send `open` with its URL."""

    holder: Holder
    service: str
    instance: str


@dataclass(frozen=True, slots=True)
class End:
    """Say `bye` with this reason and close the main connection with all its subconnections."""

    holder: Holder
    reason: str


@dataclass(frozen=True, slots=True)
class EndSubconnection:
    """Close one subconnection; None stands for all of this main connection."""

    holder: Holder
    instance: str | None


@dataclass(frozen=True, slots=True)
class MarkOnline:
    """Write into the registry that this connection is the device's; hand in Superseded if it refuses."""

    holder: Holder


@dataclass(frozen=True, slots=True)
class MarkOffline:
    """Write into the registry that the device is gone."""

    holder: Holder


Effect = Send | Offer | End | EndSubconnection | MarkOnline | MarkOffline


@dataclass(slots=True)
class _Session:
    holder: Holder
    offers: Offers
    heard_at: float
    look_at: float = math.inf
    """The earliest time at which the agenda names this session."""
    unknown_messages: int = 0


class Sessions:
    """All sessions. `offered` are the cloud's services; `silence` and `offer_life` are seconds."""

    def __init__(self, offered: Iterable[str], silence: float, offer_life: float) -> None:
        self._offered = tuple(offered)
        self._silence = silence
        self._offer_life = offer_life
        self._sessions: dict[str, _Session] = {}
        # (when, folded, generation): when to look at a session again; an entry may be out of date, never too late
        self._agenda: list[tuple[float, str, int]] = []

    def __len__(self) -> int:
        return len(self._sessions)

    def holds(self, holder: Holder) -> bool:
        """Return whether this connection is the current one of its serial."""
        return self._session(holder) is not None

    def unknown_messages(self, folded: str) -> int:
        """Return how many messages of unknown type the current connection of a serial brought."""
        session = self._sessions.get(folded)
        return 0 if session is None else session.unknown_messages

    def deadline(self) -> float | None:
        """Return when to hand in a Tick; None while nobody is connected."""
        return self._agenda[0][0] if self._agenda else None

    def handle(self, happened: Input, now: float) -> list[Effect]:
        """Take one input and return what the shell must do, in order."""
        match happened:
            case Arrived():
                return self._arrived(happened, now)
            case Heard():
                return self._heard(happened, now)
            case Departed(holder):
                return self._departed(holder)
            case Superseded(holder):
                return self._removed(holder)
            case Removed(folded):
                session = self._sessions.get(folded)
                return [] if session is None else self._removed(session.holder)
            case Judged():
                return self._judged(happened)
            case Unbound(folded):
                return self._unbound(folded)
            case SubconnectionOpened(holder, instance):
                return self._subconnection_opened(holder, instance, now)
            case SubconnectionEnded(holder, instance):
                return self._subconnection_ended(holder, instance, "", now)
            case Tick():
                return self._tick(now)
            case Stop():
                return [effect for s in tuple(self._sessions.values()) for effect in self._end(s, CLOSED_BY_SERVER)]

    def _arrived(self, arrived: Arrived, now: float) -> list[Effect]:
        holder = arrived.holder
        current = self._sessions.get(holder.folded)
        if current is not None and current.holder.generation >= holder.generation:
            return [End(holder, REPLACED)]
        effects: list[Effect] = [] if current is None else [End(current.holder, REPLACED)]
        session = _Session(holder, Offers(self._offered, self._offer_life), now)
        session.offers.want(arrived.services, now)
        self._sessions[holder.folded] = session
        return [*effects, MarkOnline(holder), *self._look_at(session, now)]

    def _heard(self, heard: Heard, now: float) -> list[Effect]:
        session = self._session(heard.holder)
        if session is None:
            return []
        session.heard_at = now
        match heard.message:
            case Keepalive(id):
                return [Send(heard.holder, KeepaliveAck(id))]
            case Closed(instance, reason):
                ended = self._subconnection_ended(heard.holder, instance, reason, now)
                return [EndSubconnection(heard.holder, instance), *ended]
            case Services(services):
                session.offers.want(services, now)
                return self._look_at(session, now)
            case Unbind():
                return []  # the shell has it looked up, and hands in Judged
            case _:
                session.unknown_messages += 1
                return []

    def _departed(self, holder: Holder) -> list[Effect]:
        session = self._session(holder)
        if session is None:
            return [EndSubconnection(holder, None)]
        del self._sessions[holder.folded]
        return [EndSubconnection(holder, None), MarkOffline(holder)]

    def _removed(self, holder: Holder) -> list[Effect]:
        session = self._session(holder)
        return [] if session is None else self._end(session, REMOVED)

    def _judged(self, judged: Judged) -> list[Effect]:
        """Tell the device the result, and only then goodbye."""
        holder = judged.holder
        effects: list[Effect] = []
        if self._session(holder) is not None:
            effects.append(Send(holder, UnbindResult(judged.result)))
        return effects + self._unbound(holder.folded) if judged.result == UNBOUND else effects

    def _unbound(self, folded: str) -> list[Effect]:
        session = self._sessions.get(folded)
        return [] if session is None else self._end(session, UNBOUND)

    def _end(self, session: _Session, reason: str) -> list[Effect]:
        del self._sessions[session.holder.folded]
        return [End(session.holder, reason), MarkOffline(session.holder)]

    def _subconnection_opened(self, holder: Holder, instance: str, now: float) -> list[Effect]:
        session = self._session(holder)
        if session is None or not session.offers.opened(instance, now):
            return [EndSubconnection(holder, instance)]
        return []

    def _subconnection_ended(self, holder: Holder, instance: str, reason: str, now: float) -> list[Effect]:
        session = self._session(holder)
        if session is None:
            return []
        session.offers.ended(instance, reason, now)
        return self._look_at(session, now)

    def _tick(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        while self._agenda and self._agenda[0][0] <= now:
            _, folded, generation = heapq.heappop(self._agenda)
            session = self._session(Holder(folded, generation))
            if session is not None:
                session.look_at = math.inf
                effects += self._look_at(session, now)
        return effects

    def _look_at(self, session: _Session, now: float) -> list[Effect]:
        """Do what is due for a session and note when to look at it next."""
        if now >= session.heard_at + self._silence:
            return self._end(session, CLOSED_BY_SERVER)
        holder = session.holder
        offers = [Offer(holder, offered.service, offered.instance) for offered in session.offers.due(now)]
        silent_at = session.heard_at + self._silence
        due_at = session.offers.deadline()
        next_at = silent_at if due_at is None else min(silent_at, due_at)
        if next_at < session.look_at:  # else it will be looked at early enough, however often this is called
            session.look_at = next_at
            heapq.heappush(self._agenda, (next_at, holder.folded, holder.generation))
        return list(offers)

    def _session(self, holder: Holder) -> _Session | None:
        session = self._sessions.get(holder.folded)
        return session if session is not None and session.holder == holder else None
