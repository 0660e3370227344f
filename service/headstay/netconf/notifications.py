"""SHELL: notifications from whoever has something to tell to the sessions that subscribed, and to the log on disk.

Performs the stream's effects, owns its one timer and the moments at which the log is written. Decides nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from lxml import etree

from headstay import xml
from headstay.datastore.model import DATA
from headstay.netconf import streams
from headstay.netconf.event_log import Batch, EventLog
from headstay.netconf.streams import Completed, Cut, Effect, Input, Log, Notify, Stream, Subscription

SAVE_AFTER: Final = 1.0
"""Seconds after which a notification is on disk at the latest; those of one such time are written together."""
LONGEST_SLEEP: Final = 30.0
"""Seconds after which the timer looks at the clock again, which may have been set."""

_DESCRIPTION: Final = "All notifications of this device."

_log = logging.getLogger(__name__)


class Receivers(Protocol):
    """The sessions, as far as notifications reach them."""

    def notify(self, session_id: int, message: bytes) -> None:
        """Send a notification to a session; nothing happens where it is over."""

    def cut(self, session_id: int) -> None:
        """End a session that does not read."""

    def completed(self, session_id: int) -> None:
        """Note that a session's subscription is over."""


class Notifications:
    """The one stream of a device. All methods belong to the loop's thread."""

    def __init__(self, event_log: EventLog | None = None, clock: Callable[[], float] = time.time) -> None:
        """Without an `event_log` the replay log is in memory only. `clock` tells the time of day."""
        self._clock = clock
        self._event_log = event_log
        log = Log(streams.to_microseconds(clock())) if event_log is None else event_log.load(clock())
        self._stream = Stream(log)
        self._saved = log.next  # everything before this number is on disk
        self._receivers: Receivers | None = None
        self._inbox: deque[Input] = deque()
        self._handling = False
        self._timer: asyncio.TimerHandle | None = None
        self._saving: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()

    def delivers_to(self, receivers: Receivers) -> None:
        """Say who the sessions are."""
        self._receivers = receivers

    def publish(self, content: etree._Element) -> None:
        """Notify of something that happens now: the notification's own element, without anything secret in it.

        Never waits, never raises.
        """
        octets = xml.serialise(content)
        if len(octets) > streams.MOST_CONTENT or sum(1 for _ in content.iter()) > streams.MOST_ELEMENTS:
            _log.error("a notification <%s> is too large; it is not sent", xml.local_name(content))
            return
        self._tell(streams.Happened(octets, self._clock()))
        self._save_in_time()

    # for the operation create-subscription, and for get

    def now(self) -> float:
        """Return the time of day, in seconds since the epoch."""
        return self._clock()

    def has_subscription(self, session_id: int) -> bool:
        """Whether this session has a subscription that is not over."""
        return self._stream.has_subscription(session_id)

    def state_tree(self) -> etree._Element:
        """Return a tree that holds the streams (RFC 5277 section 3.2.5.1)."""
        data = xml.element(DATA)
        top = xml.element(_tag("netconf"))
        data.append(top)
        stream = etree.SubElement(etree.SubElement(top, _tag("streams")), _tag("stream"))
        log = self._stream.log
        leafs = {
            "name": streams.NAME,
            "description": _DESCRIPTION,
            "replaySupport": "true",
            "replayLogCreationTime": streams.event_time(log.created),
            "replayLogAgedTime": None if log.aged is None else streams.event_time(log.aged),
        }
        for name, text in leafs.items():
            if text is not None:
                etree.SubElement(stream, _tag(name)).text = text
        return data

    # for the sessions

    def subscribe(self, session_id: int, subscription: Subscription, *, ready: bool) -> None:
        """Begin with a subscription whose session has been told <ok/>; `ready`: whether its transport takes octets."""
        self._tell(streams.Subscribed(session_id, subscription, ready))

    def regulate(self, session_id: int, *, ready: bool) -> None:
        """Note whether a session's transport takes octets."""
        self._tell(streams.Regulated(session_id, ready))

    def unsubscribe(self, session_id: int) -> None:
        """Note that a session is over."""
        self._tell(streams.Unsubscribed(session_id))

    async def close(self) -> None:
        """Write what is not on disk yet, and let go of the file."""
        if self._timer is not None:
            self._timer.cancel()
        self._closing.set()
        event_log, self._event_log = self._event_log, None
        if self._saving is not None:
            await self._saving
        if event_log is not None:
            await self._save(event_log)
            event_log.close()

    # the stream and its timer

    def _tell(self, given: Input) -> None:
        """Handle an input; one that comes out of an effect, such as the end of a session that is cut, waits."""
        self._inbox.append(given)
        if self._handling:
            return
        self._handling = True
        try:
            while self._inbox:
                for effect in self._stream.handle(self._inbox.popleft(), self._clock()):
                    self._perform(effect)
        finally:
            self._handling = False
        self._set_timer()

    def _perform(self, effect: Effect) -> None:
        if self._receivers is None:
            return
        match effect:
            case Notify(session_id, message):
                self._receivers.notify(session_id, message)
            case Cut(session_id):
                self._receivers.cut(session_id)
            case Completed(session_id):
                self._receivers.completed(session_id)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if (due := self._stream.deadline()) is not None:
            delay = min(max(0.0, due - self._clock()), LONGEST_SLEEP)
            self._timer = asyncio.get_running_loop().call_later(delay, self._tell, streams.Tick())

    # the log on disk

    def _save_in_time(self) -> None:
        if self._event_log is not None and self._saving is None:
            self._saving = asyncio.get_running_loop().create_task(self._save_soon(self._event_log), name="event log")

    async def _save_soon(self, event_log: EventLog) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SAVE_AFTER):
                await self._closing.wait()
        until = self._stream.log.next
        await self._save(event_log)
        self._saving = None
        if self._stream.log.next > until:
            self._save_in_time()

    async def _save(self, event_log: EventLog) -> None:
        log = self._stream.log
        entries = log.since(self._saved)
        # What could not be written stays in the log, and comes with the next batch.
        if entries and await event_log.save(Batch(entries, log.first, log.aged)):
            self._saved = entries[-1].number + 1


def _tag(name: str) -> str:
    return f"{{{xml.STREAMS}}}{name}"
