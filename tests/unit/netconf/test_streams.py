"""The stream's core: the log, and who is sent what of it in which order. No session, no clock, no file."""

from __future__ import annotations

import pytest
from lxml import etree

from headstay import xml
from headstay.netconf import streams
from headstay.netconf.streams import (
    Completed,
    Cut,
    Effect,
    Entry,
    Happened,
    Log,
    Notify,
    Regulated,
    Stream,
    Subscribed,
    Subscription,
    Tick,
    Unsubscribed,
    event_time,
)

NOW = 1_500_000_000.0


def event(name: object) -> bytes:
    return f'<e xmlns="urn:e">{name}</e>'.encode()


def said(effects: list[Effect]) -> list[str]:
    """What is sent: the text of an event, or the name of a notification about the subscription, which is over with
    notificationComplete and not before.
    """
    found: list[str] = []
    for effect in effects:
        if isinstance(effect, Completed):
            assert found[-1] == "notificationComplete"
            continue
        assert isinstance(effect, Notify)
        message = etree.fromstring(effect.message)
        assert message.tag == f"{{{xml.NOTIFICATION}}}notification"
        time, content = message
        assert (time.tag, content.getparent()) == (f"{{{xml.NOTIFICATION}}}eventTime", message)
        found.append(content.text or xml.local_name(content))
    ends = [effect for effect in effects if isinstance(effect, Completed)]
    assert len(ends) == found.count("notificationComplete")
    return found


class Talk:
    """A stream, with events a second apart unless a test says when."""

    def __init__(self, **bounds: int) -> None:
        self.stream = Stream(Log(NOW, **bounds))
        self.now = NOW

    def happen(self, *names: object) -> list[Effect]:
        effects: list[Effect] = []
        for name in names:
            self.now += 1
            effects += self.stream.handle(Happened(event(name), self.now), self.now)
        return effects

    def subscribe(self, session_id: int = 1, *, ready: bool = True, **asked: object) -> list[Effect]:
        subscription = Subscription(**{"accepts": lambda _: True, **asked})  # type: ignore[arg-type]
        return self.stream.handle(Subscribed(session_id, subscription, ready), self.now)

    def tick(self) -> list[Effect]:
        return self.stream.handle(Tick(), self.now)


# what is sent


def test_what_happens_is_sent_as_it_happens() -> None:
    talk = Talk()
    assert talk.happen("before") == []
    assert talk.subscribe() == []
    assert said(talk.happen("a", "b")) == ["a", "b"]


def test_the_message_is_the_rfcs() -> None:
    talk = Talk()
    talk.subscribe()
    [sent] = talk.stream.handle(Happened(event("a"), NOW + 0.25), NOW)
    assert sent == Notify(
        1,
        b'<notification xmlns="urn:ietf:params:xml:ns:netconf:notification:1.0">'
        b"<eventTime>2017-07-14T02:40:00.250000Z</eventTime>"
        b'<e xmlns="urn:e">a</e></notification>',
    )


def test_a_session_that_did_not_subscribe_is_sent_nothing() -> None:
    talk = Talk()
    talk.subscribe(1)
    assert {effect.session_id for effect in talk.happen("a", "b")} == {1}
    talk.stream.handle(Unsubscribed(1), talk.now)
    assert not talk.stream.has_subscription(1)
    assert talk.happen("c") == []
    assert talk.stream.handle(Regulated(1, True), talk.now) == []


def test_only_what_is_accepted_is_sent() -> None:
    talk = Talk()
    talk.subscribe(accepts=lambda tree: tree[0].text == "b" and tree.tag == f"{{{xml.NETCONF}}}data")
    assert said(talk.happen("a", "b", "c")) == ["b"]


def test_every_session_sees_the_same_order() -> None:
    talk = Talk()
    talk.subscribe(1)
    talk.subscribe(2)
    effects = talk.happen("a", "b", "c")
    for session_id in (1, 2):
        own = [effect for effect in effects if effect.session_id == session_id]
        assert said(own) == ["a", "b", "c"]


# replay


def test_replay_then_replay_complete_then_live() -> None:
    talk = Talk()
    talk.happen("a", "b")
    assert said(talk.subscribe(start=0.0)) == ["a", "b", "replayComplete"]
    assert said(talk.happen("c")) == ["c"]


def test_replay_begins_with_what_happened_at_the_start_time() -> None:
    talk = Talk()
    talk.happen("a", "b", "c")
    assert said(talk.subscribe(start=NOW + 2)) == ["b", "c", "replayComplete"]


def test_an_empty_replay_is_complete_at_once() -> None:
    talk = Talk()
    talk.happen("a")
    assert said(talk.subscribe(start=talk.now + 0.5)) == ["replayComplete"]


def test_a_stop_time_in_the_past_ends_the_subscription_after_the_replay() -> None:
    talk = Talk()
    talk.happen("a", "b", "c")
    assert said(talk.subscribe(start=0.0, stop=NOW + 2)) == ["a", "b", "replayComplete", "notificationComplete"]
    assert not talk.stream.has_subscription(1)
    assert talk.happen("d") == []


def test_a_filter_never_holds_back_replay_complete_and_notification_complete() -> None:
    talk = Talk()
    talk.happen("a")
    sent = talk.subscribe(start=0.0, stop=NOW + 1, accepts=lambda _: False)
    assert said(sent) == ["replayComplete", "notificationComplete"]


def test_a_stop_time_to_come() -> None:
    talk = Talk()
    talk.happen("a")
    assert said(talk.subscribe(start=0.0, stop=NOW + 2.5)) == ["a", "replayComplete"]
    assert talk.stream.deadline() == NOW + 2.5
    assert said(talk.happen("b")) == ["b"]
    assert talk.tick() == []
    assert said(talk.happen("late")) == ["notificationComplete"]
    assert talk.stream.deadline() is None


def test_the_stop_time_comes_without_an_event() -> None:
    talk = Talk()
    talk.subscribe(start=NOW, stop=NOW + 5)
    talk.now = NOW + 5
    assert said(talk.tick()) == ["notificationComplete"]


def test_a_time_read_from_a_notification_finds_it_again() -> None:
    for micros in range(997):
        time = NOW + micros * 1.001e-3
        log = Log(NOW)
        entry = log.add(event("a"), time)
        assert event_time(entry.time) == event_time(time)
        assert streams.to_microseconds(entry.time) == entry.time


# a clock that is set


def test_what_is_new_is_sent_although_the_clock_was_set_back() -> None:
    talk = Talk()
    talk.happen("a")
    talk.subscribe(start=NOW)
    talk.now = NOW - 1000
    assert said(talk.happen("b")) == ["b"]


def test_replay_goes_by_the_times_and_keeps_the_order_of_the_log() -> None:
    talk = Talk()
    talk.happen("a", "b")
    talk.now = NOW - 1000
    talk.happen("earlier")
    talk.now = NOW + 10
    assert said(talk.subscribe(start=NOW)) == ["a", "b", "replayComplete"]
    assert said(talk.subscribe(2, start=0.0)) == ["a", "b", "earlier", "replayComplete"]


def test_a_subscription_ends_when_the_clock_says_so() -> None:
    talk = Talk()
    talk.subscribe(start=NOW, stop=NOW + 3600)
    talk.now = NOW + 7200
    assert said(talk.tick()) == ["notificationComplete"]


# slow readers and turns


def test_a_session_that_does_not_read_waits_and_misses_nothing() -> None:
    talk = Talk()
    talk.subscribe(1, ready=False, start=0.0)
    talk.subscribe(2)
    assert {effect.session_id for effect in talk.happen("a", "b")} == {2}
    assert talk.stream.deadline() is None
    assert said(talk.stream.handle(Regulated(1, True), talk.now)) == ["replayComplete", "a", "b"]
    assert talk.stream.handle(Regulated(1, False), talk.now) == []
    assert {effect.session_id for effect in talk.happen("c")} == {2}


def test_a_session_that_does_not_read_for_too_long_is_cut() -> None:
    talk = Talk(most_entries=3)
    talk.subscribe(1, ready=False)
    talk.subscribe(2)
    assert {type(effect) for effect in talk.happen("a", "b", "c")} == {Notify}
    effects = talk.happen("d", "e")
    assert effects.count(Cut(1)) == 1
    assert said([effect for effect in effects if effect != Cut(1)]) == ["d", "e"]
    assert not talk.stream.has_subscription(1)


def test_a_stop_time_waits_for_a_reader() -> None:
    talk = Talk()
    talk.subscribe(ready=False, start=NOW, stop=NOW + 1)
    assert talk.stream.deadline() is None
    talk.happen("a", "b")
    sent = talk.stream.handle(Regulated(1, True), talk.now)
    assert said(sent) == ["replayComplete", "a", "notificationComplete"]


def test_a_long_replay_takes_turns() -> None:
    talk = Talk()
    names = [str(number) for number in range(40)]
    talk.happen(*names)
    sent = said(talk.subscribe(start=0.0))
    assert len(sent) == streams.MOST_AT_ONCE
    while talk.stream.deadline() is not None:
        assert talk.stream.deadline() < talk.now  # type: ignore[operator]
        more = said(talk.tick())
        assert 0 < len(more) <= streams.MOST_AT_ONCE + 1
        sent += more
    assert sent == [*names, "replayComplete"]


def test_much_is_not_sent_at_once() -> None:
    talk = Talk()
    talk.happen(*("x" * 20_000 for _ in range(10)))
    sent = talk.subscribe(start=0.0)
    assert len(sent) == 4
    assert talk.stream.deadline() is not None
    assert talk.stream.handle(Regulated(1, False), talk.now) == []
    assert talk.stream.deadline() is None


def test_what_is_not_in_time_takes_no_turn() -> None:
    talk = Talk()
    talk.happen(*range(100))
    assert said(talk.subscribe(start=NOW + 100)) == ["99", "replayComplete"]


# the log


def test_the_log_is_bounded_in_number() -> None:
    talk = Talk(most_entries=2)
    assert talk.stream.log.aged is None
    talk.happen("a", "b", "c")
    assert (talk.stream.log.first, talk.stream.log.next, talk.stream.log.aged) == (2, 4, NOW + 1)
    assert said(talk.subscribe(start=0.0)) == ["b", "c", "replayComplete"]


def test_the_log_is_bounded_in_octets() -> None:
    talk = Talk(most_octets=100)
    talk.happen("a" * 50, "b" * 50, "c")
    assert [entry.content for entry in talk.stream.log.since(0)] == [event("b" * 50), event("c")]
    talk.happen("d" * 200)
    assert talk.stream.log.since(0) == []
    assert talk.stream.log.first == talk.stream.log.next


def test_a_log_goes_on_from_what_was_kept() -> None:
    log = Log(NOW, [Entry(7, NOW, event("a")), Entry(8, NOW, event("b"))], NOW - 1, most_entries=2)
    assert (log.first, log.next, log.aged) == (7, 9, NOW - 1)
    assert log.add(event("c"), NOW + 1).number == 9
    assert (log.first, log.aged) == (8, NOW)
    assert [entry.number for entry in log.since(9)] == [9]


def test_what_cannot_be_read_is_passed_over() -> None:
    stream = Stream(Log(NOW, [Entry(1, NOW, b"<a"), Entry(2, NOW, event("b"))]))
    subscription = Subscription(lambda _: True, start=0.0)
    assert said(stream.handle(Subscribed(1, subscription, True), NOW)) == ["b", "replayComplete"]


@pytest.mark.parametrize("seconds", [0.0, -1.5, 253402300799.0])
def test_times_of_any_clock(seconds: float) -> None:
    assert event_time(seconds).endswith("Z")
