"""The shell around the stream: what reaches whom, when the log is written, and what is too large."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from lxml import etree

from headstay import xml
from headstay.netconf import notifications as shell
from headstay.netconf import streams
from headstay.netconf.event_log import EventLog
from headstay.netconf.notifications import Notifications
from headstay.netconf.streams import Subscription
from models import device_model

NOW = 1_500_000_000.0
ALL = Subscription(lambda _: True)
REPLAY = Subscription(lambda _: True, start=0.0)


class Receivers:
    """Sessions that keep what they are sent. One that is cut is over, and that is notified of."""

    def __init__(self, notifications: Notifications) -> None:
        self.notifications = notifications
        self.sent: list[tuple[int, str]] = []
        self.cuts: list[int] = []
        self.over: list[int] = []
        notifications.delivers_to(self)

    def notify(self, session_id: int, message: bytes) -> None:
        content = etree.fromstring(message)[1]
        self.sent.append((session_id, content.text or xml.local_name(content)))

    def cut(self, session_id: int) -> None:
        self.cuts.append(session_id)
        self.notifications.unsubscribe(session_id)
        self.notifications.publish(event("cut"))

    def completed(self, session_id: int) -> None:
        self.over.append(session_id)

    def sent_to(self, session_id: int) -> list[str]:
        return [text for receiver, text in self.sent if receiver == session_id]


def event(text: str) -> etree._Element:
    return xml.element("{urn:e}e", text)


def copy_database(file: Path, copy: Path) -> None:
    for suffix in ("", "-wal"):
        Path(f"{copy}{suffix}").write_bytes(Path(f"{file}{suffix}").read_bytes())


async def replayed(file: Path) -> list[str]:
    """What a session that asks for all of the past is sent by a daemon that starts now."""
    notifications = Notifications(EventLog(file))
    receivers = Receivers(notifications)
    notifications.subscribe(1, REPLAY, ready=True)
    await notifications.close()
    return receivers.sent_to(1)


async def test_what_is_published_reaches_who_subscribed() -> None:
    notifications = Notifications()
    receivers = Receivers(notifications)
    notifications.subscribe(1, ALL, ready=True)
    notifications.publish(event("a"))
    notifications.unsubscribe(1)
    notifications.publish(event("b"))
    assert receivers.sent == [(1, "a")]


async def test_replay_outlives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "events.db"
    first = Notifications(EventLog(file))
    first.publish(event("a"))
    await first.close()
    second = Notifications(EventLog(file))
    second.publish(event("b"))
    await second.close()
    assert await replayed(file) == ["a", "b", "replayComplete"]


async def test_the_log_is_written_without_waiting_for_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "SAVE_AFTER", 0.0)
    file = tmp_path / "events.db"
    notifications = Notifications(EventLog(file))
    for text in ("a", "b"):
        notifications.publish(event(text))
        while notifications._saving is not None:
            await notifications._saving
        # A daemon that is killed now leaves the file as it is.
        copy_database(file, tmp_path / f"{text}.db")
    await notifications.close()
    assert await replayed(tmp_path / "a.db") == ["a", "replayComplete"]
    assert await replayed(tmp_path / "b.db") == ["a", "b", "replayComplete"]


async def test_what_comes_while_a_batch_is_written_is_written_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shell, "SAVE_AFTER", 0.0)
    event_log = EventLog(tmp_path / "events.db")
    notifications = Notifications(event_log)
    real, batches = event_log.save, []

    async def save(batch: object) -> bool:
        batches.append(batch)
        if len(batches) == 1:
            notifications.publish(event("b"))
        return await real(batch)  # type: ignore[arg-type]

    monkeypatch.setattr(event_log, "save", save)
    notifications.publish(event("a"))
    while notifications._saving is not None:
        await notifications._saving
    assert len(batches) == 2
    await notifications.close()
    assert await replayed(tmp_path / "events.db") == ["a", "b", "replayComplete"]


async def test_what_is_too_large_is_not_sent(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)
    notifications = Notifications()
    receivers = Receivers(notifications)
    notifications.subscribe(1, ALL, ready=True)
    notifications.publish(event("x" * streams.MOST_CONTENT))
    many = xml.element("{urn:e}e")
    for _ in range(streams.MOST_ELEMENTS):
        etree.SubElement(many, "{urn:e}f")
    notifications.publish(many)
    assert receivers.sent == []
    assert len(caplog.records) == 2


async def test_a_session_that_is_cut_disturbs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    notifications = Notifications()
    receivers = Receivers(notifications)
    notifications.subscribe(1, ALL, ready=False)
    notifications.subscribe(2, ALL, ready=True)
    texts = [str(number) for number in range(streams.MOST_ENTRIES + 1)]
    for text in texts:
        notifications.publish(event(text))
    assert receivers.cuts == [1]
    assert receivers.sent_to(1) == []
    assert receivers.sent_to(2) == [*texts, "cut"]


async def test_a_long_replay_goes_on_by_itself_and_lets_others_run() -> None:
    notifications = Notifications()
    receivers = Receivers(notifications)
    texts = [str(number) for number in range(100)]
    for text in texts:
        notifications.publish(event(text))
    notifications.subscribe(1, REPLAY, ready=True)
    assert len(receivers.sent) < 100
    for _ in range(1000):
        await asyncio.sleep(0)
    assert receivers.sent_to(1) == [*texts, "replayComplete"]


async def test_a_session_that_reads_again_gets_the_rest() -> None:
    notifications = Notifications()
    receivers = Receivers(notifications)
    notifications.subscribe(1, ALL, ready=True)
    notifications.regulate(1, ready=False)
    notifications.publish(event("a"))
    assert receivers.sent == []
    notifications.regulate(1, ready=True)
    assert receivers.sent == [(1, "a")]


async def test_the_stop_time_comes_by_the_clock() -> None:
    times = [NOW]
    notifications = Notifications(clock=lambda: times[0])
    receivers = Receivers(notifications)
    notifications.subscribe(1, Subscription(lambda _: True, NOW, NOW + 3600), ready=True)
    assert receivers.sent_to(1) == ["replayComplete"]
    assert receivers.over == []
    timer = notifications._timer
    assert timer is not None
    # Not an hour from now: the clock may be set meanwhile.
    assert timer.when() <= asyncio.get_running_loop().time() + shell.LONGEST_SLEEP
    times[0] += 3600
    notifications.regulate(1, ready=True)
    assert receivers.sent_to(1) == ["replayComplete", "notificationComplete"]
    assert receivers.over == [1]
    assert notifications._timer is None


async def test_the_streams_as_state() -> None:
    times = [NOW]
    notifications = Notifications(clock=lambda: times[0])

    def leafs() -> dict[str, str | None]:
        tree = notifications.state_tree()
        schema = device_model().schema.find("/hns:netconf/streams/stream")
        [stream] = tree.iter(schema.tag)
        for leaf in stream:
            assert schema.children[str(leaf.tag)].canonical(leaf.text or "", {}).text
        return {xml.local_name(leaf): leaf.text for leaf in stream}

    assert leafs() == {
        "name": "NETCONF",
        "description": "All notifications of this device.",
        "replaySupport": "true",
        "replayLogCreationTime": "2017-07-14T02:40:00.000000Z",
    }
    for _ in range(streams.MOST_ENTRIES + 1):
        notifications.publish(event("a"))
        times[0] += 1
    assert leafs()["replayLogAgedTime"] == "2017-07-14T02:40:00.000000Z"
    assert leafs()["replayLogCreationTime"] == "2017-07-14T02:40:00.000000Z"
