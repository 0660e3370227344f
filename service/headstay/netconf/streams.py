"""CORE: the event stream NETCONF, its replay log and its subscriptions (RFC 5277): who is sent what, and when.

Owns the order. There is one log, and each subscription goes through it from a place of its own: first through what is
past, then through what happens. So the turn from replay to live neither loses nor repeats anything, every session sees
the same order, and a session that does not read costs no memory but its place. When what it has not been sent yet
leaves the log, that session is cut.

Knows no session but its id, no socket, no file and no clock. `now` is the time of day in seconds since the epoch, not a
monotonic one: start and stop times are times of day, and stay so when the clock is set.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from headstay import xml

NAME: Final = "NETCONF"
"""The one stream, which every server has (RFC 5277 section 3.2.3)."""
MOST_ENTRIES: Final = 4096
"""Notifications in the log."""
MOST_OCTETS: Final = 2_097_152
"""Octets of their contents."""
MOST_CONTENT: Final = 32_768
"""Octets of one notification's content."""
MOST_ELEMENTS: Final = 256
"""Elements in one notification's content."""
MOST_AT_ONCE: Final = 16
"""Notifications held against one session's filter before the others have their turn."""
MOST_OCTETS_AT_ONCE: Final = 65_536
"""Octets sent to one session before its transport is asked whether they leave."""

_AT_ONCE: Final = 0.0
"""The deadline of what waits for its turn only: long past."""
_REPLAY_COMPLETE: Final = b'<replayComplete xmlns="%b"/>' % xml.STREAMS.encode()
_NOTIFICATION_COMPLETE: Final = b'<notificationComplete xmlns="%b"/>' % xml.STREAMS.encode()


@dataclass(frozen=True, slots=True)
class Entry:
    """One notification in the log."""

    number: int
    """Counts on through restarts, without a gap."""
    time: float
    """When it happened: seconds since the epoch, in whole microseconds."""
    content: bytes
    """The element of the event, serialised."""


class Log:
    """The bounded replay log. The oldest entries leave it first."""

    def __init__(
        self,
        created: float,
        entries: Iterable[Entry] = (),
        aged: float | None = None,
        *,
        most_entries: int = MOST_ENTRIES,
        most_octets: int = MOST_OCTETS,
    ) -> None:
        """`created` and `aged` are times as an entry's; the entries are in order, without a gap."""
        self.created = created
        """When the log was begun."""
        self.aged = aged
        """The time of the last entry that had to leave; None if none had to."""
        self._entries = {entry.number: entry for entry in entries}
        self._octets = sum(len(entry.content) for entry in self._entries.values())
        self._most_entries = most_entries
        self._most_octets = most_octets
        self.first = min(self._entries, default=1)
        """The number of the oldest entry, or of the next one where there is none."""
        self.next = max(self._entries, default=0) + 1
        """The number that the next entry will have."""
        self._shrink()

    def __getitem__(self, number: int) -> Entry:
        return self._entries[number]

    def add(self, content: bytes, time: float) -> Entry:
        """Add what happened at `time`."""
        entry = Entry(self.next, to_microseconds(time), content)
        self._entries[entry.number] = entry
        self._octets += len(content)
        self.next += 1
        self._shrink()
        return entry

    def since(self, number: int) -> list[Entry]:
        """Return what is there from this number on."""
        return [self._entries[each] for each in range(max(number, self.first), self.next)]

    def _shrink(self) -> None:
        while len(self._entries) > self._most_entries or self._octets > self._most_octets:
            oldest = self._entries.pop(self.first)
            self._octets -= len(oldest.content)
            self.aged = oldest.time
            self.first += 1


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a session asked for by <create-subscription>."""

    accepts: Callable[[etree._Element], bool]
    """Whether the session may and wants to see a notification, given as the one child of an element <data>. Is quick
    and never raises."""
    start: float | None = None
    """Replay what happened at this time or later; None: no replay."""
    stop: float | None = None
    """Nothing that happens after this time is sent, and the subscription ends then; None: it does not end by itself."""


# inputs


@dataclass(frozen=True, slots=True)
class Happened:
    """There is something to notify of."""

    content: bytes
    time: float


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A session has subscribed and has been told so."""

    session_id: int
    subscription: Subscription
    ready: bool
    """Whether its transport takes octets."""


@dataclass(frozen=True, slots=True)
class Unsubscribed:
    """A session is over."""

    session_id: int


@dataclass(frozen=True, slots=True)
class Regulated:
    """A session's transport takes octets again, or no longer."""

    session_id: int
    ready: bool


@dataclass(frozen=True, slots=True)
class Tick:
    """The time of `deadline` may have come."""


Input = Happened | Subscribed | Unsubscribed | Regulated | Tick


# effects


@dataclass(frozen=True, slots=True)
class Notify:
    """Send this message to a session."""

    session_id: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Cut:
    """End a session that has not read for so long that it has missed something."""

    session_id: int


@dataclass(frozen=True, slots=True)
class Completed:
    """A session's subscription is over; the session goes on without one."""

    session_id: int


Effect = Notify | Cut | Completed


@dataclass(slots=True)
class _Reader:
    """A subscription, and how far it is."""

    subscription: Subscription
    place: int
    """The number of the entry that it has not been sent yet."""
    replay_until: int | None
    """The entry that is no replay any more; None: the replay is over, or there was none."""
    ready: bool

    def is_in_time(self, entry: Entry) -> bool:
        start, stop = self.subscription.start, self.subscription.stop
        if stop is not None and entry.time > stop:
            return False
        # What happens from now on is new, even if the clock has been set back since.
        return self.replay_until is None or start is None or entry.time >= start


class Stream:
    """The stream. Give it every input as it comes, and carry out the effects in their order."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._readers: dict[int, _Reader] = {}
        self._interrupted: set[int] = set()  # those who could go on, but whose turn was over

    def has_subscription(self, session_id: int) -> bool:
        """Whether this session has a subscription that is not over."""
        return session_id in self._readers

    def deadline(self) -> float | None:
        """Return when `Tick` is due, in the seconds of `now`; None if there is nothing to wait for."""
        if self._interrupted:
            return _AT_ONCE
        stops = (reader.subscription.stop for reader in self._readers.values() if reader.ready)
        return min((stop for stop in stops if stop is not None), default=None)

    def handle(self, input: Input, now: float) -> list[Effect]:
        """Take in one input at time `now` and return what to do. Never raises."""
        match input:
            case Happened(content, time):
                self.log.add(content, time)
                return self._advance_all(now)
            case Subscribed():
                self._subscribe(input)
                return self._advance(input.session_id, now)
            case Unsubscribed(session_id):
                self._forget(session_id)
                return []
            case Regulated(session_id, ready):
                if (reader := self._readers.get(session_id)) is None:
                    return []
                reader.ready = ready
                return self._advance(session_id, now)
        return self._advance_all(now)

    def _subscribe(self, input: Subscribed) -> None:
        if input.subscription.start is None:
            reader = _Reader(input.subscription, self.log.next, None, input.ready)
        else:
            reader = _Reader(input.subscription, self.log.first, self.log.next, input.ready)
        self._readers[input.session_id] = reader

    def _forget(self, session_id: int) -> None:
        self._readers.pop(session_id, None)
        self._interrupted.discard(session_id)

    def _advance_all(self, now: float) -> list[Effect]:
        return [effect for session_id in list(self._readers) for effect in self._advance(session_id, now)]

    def _advance(self, session_id: int, now: float) -> list[Effect]:
        """Send a session what it has not been sent yet, as much as there is room and time for."""
        reader = self._readers[session_id]
        self._interrupted.discard(session_id)
        if reader.place < self.log.first:
            self._forget(session_id)
            return [Cut(session_id)]
        if not reader.ready:
            return []
        effects: list[Effect] = []
        considered = octets = 0
        while considered < MOST_AT_ONCE and octets < MOST_OCTETS_AT_ONCE:
            if reader.place == reader.replay_until:
                reader.replay_until = None
                effects.append(Notify(session_id, notification(now, _REPLAY_COMPLETE)))
            elif reader.place == self.log.next:
                return effects + self._complete(session_id, reader, now)
            else:
                entry = self.log[reader.place]
                in_time = reader.is_in_time(entry)
                reader.place += 1
                considered += in_time
                if in_time and _is_accepted(reader.subscription, entry):
                    message = notification(entry.time, entry.content)
                    octets += len(message)
                    effects.append(Notify(session_id, message))
        self._interrupted.add(session_id)
        return effects

    def _complete(self, session_id: int, reader: _Reader, now: float) -> list[Effect]:
        """End a subscription whose time is over, once it has been sent everything."""
        stop = reader.subscription.stop
        if stop is None or now < stop:
            return []
        self._forget(session_id)
        return [Notify(session_id, notification(now, _NOTIFICATION_COMPLETE)), Completed(session_id)]


def _is_accepted(subscription: Subscription, entry: Entry) -> bool:
    try:
        tree = xml.parse(b'<nc:data xmlns:nc="%b">%b</nc:data>' % (xml.NETCONF.encode(), entry.content))
    except xml.XmlError:
        return False  # a damaged log: what cannot be read cannot be sent
    return subscription.accepts(tree)


def notification(time: float, content: bytes) -> bytes:
    """Return the message (RFC 5277 section 2.2.1)."""
    opening = f'<notification xmlns="{xml.NOTIFICATION}"><eventTime>{event_time(time)}</eventTime>'
    return opening.encode() + content + b"</notification>"


def event_time(seconds: float) -> str:
    """Return a time as RFC 3339 writes it: UTC, to the microsecond."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def to_microseconds(seconds: float) -> float:
    """Return the time that `event_time` writes, so that a time read from a notification finds it again."""
    return datetime.fromtimestamp(seconds, UTC).timestamp()
