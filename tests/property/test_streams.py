"""The stream's laws: each event is sent exactly once and in order, however replay, pauses and turns fall."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from headstay.netconf.streams import Cut, Happened, Log, Notify, Regulated, Stream, Subscribed, Subscription, Tick

NOW = 1_500_000_000.0

STEPS = st.lists(st.sampled_from(["happen", "pause", "resume", "tick"]), max_size=120)


def numbers(messages: list[bytes]) -> list[str]:
    contents = [etree.fromstring(message)[1] for message in messages]
    return [content.text or etree.QName(content).localname for content in contents]


@given(before=st.integers(0, 60), start=st.none() | st.integers(0, 70), steps=STEPS, ready=st.booleans())
def test_each_event_once_and_in_order(before: int, start: int | None, steps: list[str], ready: bool) -> None:
    stream, sent, count, now = Stream(Log(NOW)), [], 0, NOW

    def give(*inputs: object) -> None:
        for given_input in inputs:
            for effect in stream.handle(given_input, now):  # type: ignore[arg-type]
                assert isinstance(effect, Notify)
                sent.append(effect.message)

    def happen() -> None:
        nonlocal count, now
        count, now = count + 1, now + 1
        give(Happened(f"<e>{count}</e>".encode(), now))

    for _ in range(before):
        happen()
    start_time = None if start is None else min(NOW + start, now)
    give(Subscribed(1, Subscription(lambda _: True, start_time), ready))
    for step in steps:
        match step:
            case "happen":
                happen()
            case "tick":
                give(Tick())
            case _:
                give(Regulated(1, step == "resume"))
    give(Regulated(1, True))
    while stream.deadline() is not None:
        give(Tick())
    past = [] if start_time is None else [str(n) for n in range(1, before + 1) if NOW + n >= start_time]
    live = [str(n) for n in range(before + 1, count + 1)]
    assert numbers(sent) == past + ([] if start_time is None else ["replayComplete"]) + live


@given(steps=STEPS, bound=st.integers(1, 5))
def test_who_is_not_cut_has_missed_nothing(steps: list[str], bound: int) -> None:
    stream = Stream(Log(NOW, most_entries=bound))
    sent: list[bytes] = []
    cut, count = False, 0
    stream.handle(Subscribed(1, Subscription(lambda _: True), True), NOW)
    for step in steps:
        count += step == "happen"
        step_input = {
            "happen": Happened(f"<e>{count}</e>".encode(), NOW),
            "tick": Tick(),
            "pause": Regulated(1, False),
            "resume": Regulated(1, True),
        }[step]
        for effect in stream.handle(step_input, NOW):  # type: ignore[arg-type]
            if isinstance(effect, Cut):
                cut = True
            else:
                assert not cut
                sent.append(effect.message)
    assert numbers(sent) == [str(n) for n in range(1, len(sent) + 1)]
    if not cut:
        for effect in stream.handle(Regulated(1, True), NOW):
            assert isinstance(effect, Notify)
            sent.append(effect.message)
        assert len(sent) == count
    assert cut is not stream.has_subscription(1)
