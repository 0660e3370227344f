from __future__ import annotations

import pytest

from headstay.engine.effects import CloseSubconnection, Emit, OpenSubconnection, SendMessage, TuneSubconnections
from headstay.engine.instant import Instant
from headstay.engine.reasons import SubconnectionState
from headstay.engine.settings import Service
from headstay.engine.subconnections import (
    MOST_LIVE,
    MOST_REMEMBERED,
    MOST_TOLD,
    OPEN_WITHIN,
    TOLD_EVERY,
    Subconnections,
    shown_url,
)
from headstay.wire.messages import Closed, Message, Open, Services

NOW = Instant(100.0, 1_000_100.0)
OFF = (Service("telemetry", enabled=False),)


def offer(instance: str = "1", service: str = "telemetry") -> Open:
    return Open(service, instance, "wss://cloud:1/sub?ticket=secret")


def said(effects: list) -> list[Message]:
    return [effect.message for effect in effects if isinstance(effect, SendMessage)]


def test_an_offer_is_opened_and_stands() -> None:
    subconnections = Subconnections(())
    effects = subconnections.offered(1, offer(), NOW)
    assert [type(effect) for effect in effects] == [Emit, OpenSubconnection]
    assert subconnections.deadline() == 100 + OPEN_WITHIN
    assert not subconnections.established("telemetry")
    subconnections.opened("1", NOW)
    assert subconnections.established("telemetry")
    assert subconnections.deadline() is None
    assert subconnections.statuses()[0].established_at == 1_000_100.0


def test_an_unknown_service_is_answered_and_shown() -> None:
    subconnections = Subconnections(())
    assert said(subconnections.offered(1, offer("7", "novelty"), NOW)) == [Closed("7", "unsupported")]
    (status,) = subconnections.statuses()
    assert (status.service, status.instance, status.state) == ("novelty", "7", SubconnectionState.UNSUPPORTED)


def test_a_disabled_service_is_answered_and_waits_for_a_new_offer_once_it_is_enabled() -> None:
    subconnections = Subconnections(OFF)
    assert subconnections.registering() == ()
    assert subconnections.offered(1, offer(), NOW) == [SendMessage(Closed("1", "disabled"))]
    assert [s.state for s in subconnections.statuses()] == [SubconnectionState.DISABLED]
    assert subconnections.configure(()) == []
    assert subconnections.news() == [SendMessage(Services(("telemetry",)))]
    assert subconnections.statuses() == ()
    opening = OpenSubconnection(1, "2", "telemetry", offer().url, Service("telemetry"))
    assert opening in subconnections.offered(1, offer("2"), NOW)


def test_disabling_closes_what_is_live_and_tells_the_cloud() -> None:
    subconnections = Subconnections(())
    assert subconnections.registering() == ("telemetry",)
    subconnections.offered(1, offer(), NOW)
    effects = subconnections.configure(OFF)
    assert effects[:2] == [CloseSubconnection("1"), SendMessage(Closed("1", "disabled"))]
    assert subconnections.news() == [SendMessage(Services(()))]
    assert [s.state for s in subconnections.statuses()] == [SubconnectionState.DISABLED]


def test_a_subconnection_is_opened_with_its_limits_and_takes_over_others() -> None:
    slow = Service("telemetry", rate_limit=5)
    subconnections = Subconnections((slow,))
    (opening,) = (e for e in subconnections.offered(1, offer(), NOW) if isinstance(e, OpenSubconnection))
    assert opening.limits == slow
    subconnections.offered(1, offer("2"), NOW)
    assert subconnections.configure((slow, Service("other", rate_limit=1))) == []
    narrow = Service("telemetry", queue_limit=7)
    assert subconnections.configure((narrow,)) == [TuneSubconnections(narrow)]  # once for both, and nothing else
    assert subconnections.configure(()) == [TuneSubconnections(Service("telemetry"))]
    assert subconnections.configure((Service("telemetry"),)) == []


def test_the_cloud_is_told_only_what_it_was_not_told_before() -> None:
    subconnections = Subconnections(())
    subconnections.registering()
    assert subconnections.news() == []
    subconnections.configure((Service("telemetry"), Service("novelty")))
    assert subconnections.news() == []
    subconnections.configure(OFF)
    subconnections.configure(())
    assert subconnections.news() == []
    subconnections.configure(OFF)
    assert subconnections.registering() == ()
    assert subconnections.news() == []


def test_no_ticket_is_kept() -> None:
    subconnections = Subconnections(())
    subconnections.offered(1, offer(), NOW)
    subconnections.offered(1, offer("2", "novelty"), NOW)
    assert "secret" not in repr((subconnections._live, subconnections._ended))


def test_configured_services_that_cannot_be_are_shown() -> None:
    subconnections = Subconnections((*OFF, Service("novelty")))
    assert subconnections.statuses() == ()
    assert [(s.service, s.instance, s.state) for s in subconnections.unoffered()()] == [
        ("telemetry", "-", SubconnectionState.DISABLED),
        ("novelty", "-", SubconnectionState.UNSUPPORTED),
    ]


def test_an_instance_that_is_live_is_left_as_it_is() -> None:
    subconnections = Subconnections(())
    subconnections.offered(1, offer(), NOW)
    assert subconnections.offered(1, offer(), NOW) == []


def test_a_cloud_that_asks_for_too_many_is_refused() -> None:
    subconnections = Subconnections(())
    for number in range(MOST_LIVE):
        assert said(subconnections.offered(1, offer(str(number)), NOW)) == []
    assert said(subconnections.offered(1, offer("x"), NOW)) == [Closed("x", "too-many")]
    assert "x" not in {status.instance for status in subconnections.statuses()}


def test_a_flood_of_unknown_services_is_not_remembered_without_end() -> None:
    subconnections = Subconnections(())
    for number in range(100):
        subconnections.offered(1, offer("1", f"s{number}"), NOW)
    assert len(subconnections.statuses()) == MOST_REMEMBERED


def test_unsupported_services_go_with_the_main_connection_that_asked_for_them() -> None:
    subconnections = Subconnections((Service("configured"),))
    subconnections.offered(1, offer("7", "novelty"), NOW)
    subconnections.offered(1, offer("8", "configured"), NOW)
    subconnections.offered(1, offer("9"), NOW)
    subconnections.ended("9", "it broke")
    subconnections.main_connection_ended()
    shown = (*subconnections.statuses(), *subconnections.unoffered()())
    assert [(s.service, s.instance, s.state.value) for s in shown] == [
        ("telemetry", "9", "failed"),
        ("configured", "-", "unsupported"),
    ]


def test_of_a_flood_of_offers_observers_are_told_little() -> None:
    subconnections = Subconnections(())

    def cycle(number: int, now: Instant) -> int:
        instance = str(number)
        effects = subconnections.offered(1, offer(instance), now)
        assert any(isinstance(effect, OpenSubconnection) for effect in effects)
        effects += subconnections.opened(instance, now) + subconnections.close(instance, "again")
        assert said(effects) == [Closed(instance, "again")]
        return sum(isinstance(effect, Emit) for effect in effects)

    assert sum(cycle(number, NOW) for number in range(3000)) == 3 * MOST_TOLD
    later = Instant(NOW.monotonic + TOLD_EVERY, 0)
    assert sum(cycle(number, later) for number in range(10)) == 3
    assert subconnections.statuses()[0].instance == "9"


def test_a_flood_of_unknown_services_is_told_to_nobody() -> None:
    subconnections = Subconnections(())
    effects = [e for n in range(3000) for e in subconnections.offered(1, offer("1", f"s{n}"), NOW)]
    assert {type(effect) for effect in effects} == {SendMessage}


def test_what_opens_for_too_long_is_given_up() -> None:
    subconnections = Subconnections(())
    subconnections.offered(1, offer(), NOW)
    assert subconnections.expire(Instant(109.9, 0)) == []
    effects = subconnections.expire(Instant(110.0, 0))
    assert effects[0] == CloseSubconnection("1")
    assert said(effects) == [Closed("1", "timeout-handshaking")]
    assert subconnections.statuses()[0].state is SubconnectionState.FAILED


def test_the_cloud_closes_one() -> None:
    subconnections = Subconnections(())
    subconnections.offered(1, offer(), NOW)
    effects = subconnections.close("1", "no longer needed")
    assert effects[:2] == [SendMessage(Closed("1", "no longer needed")), CloseSubconnection("1")]
    assert said(subconnections.close("1", "again")) == [Closed("1", "again")]


def test_each_pair_of_service_and_instance_is_shown_once() -> None:
    subconnections = Subconnections(())
    subconnections.offered(1, offer(), NOW)
    subconnections.main_connection_ended()
    subconnections.offered(2, offer(), NOW)
    (status,) = subconnections.statuses()
    assert status.state is SubconnectionState.OPENING


def test_a_service_that_is_disabled_shows_it_whatever_became_of_its_last_subconnection() -> None:
    subconnections = Subconnections(())
    subconnections.offered(1, offer(), NOW)
    subconnections.main_connection_ended()
    subconnections.configure(OFF)
    assert [s.state for s in subconnections.statuses()] == [SubconnectionState.DISABLED]
    assert subconnections.configure(()) == []
    assert [s.state for s in subconnections.statuses()] == [SubconnectionState.CLOSED]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://h:1/p?ticket=x", "wss://h:1/p"),
        ("wss://u:p@h/p#f", "wss://h/p"),
        ("wss://[::1]:5/p", "wss://[::1]:5/p"),
        ("wss://h:x/p", None),
        ("wss:///p", None),
        ("//h/p", None),
        ("nothing", None),
    ],
)
def test_a_url_is_shown_without_its_secrets(url, shown) -> None:
    assert shown_url(url) == shown
