from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from headstay.cloud.sessions import (
    Arrived,
    Departed,
    Effect,
    End,
    EndSubconnection,
    Heard,
    Holder,
    Input,
    Judged,
    MarkOffline,
    MarkOnline,
    Offer,
    Removed,
    Send,
    Sessions,
    Stop,
    SubconnectionEnded,
    SubconnectionOpened,
    Superseded,
    Tick,
    Unbound,
)
from headstay.wire.messages import Closed, Keepalive, KeepaliveAck, Services, Unbind, UnbindResult, Unknown

OLD, NEW, OTHER = Holder("sw-1", 1), Holder("sw-1", 2), Holder("sw-2", 1)


def sessions() -> Sessions:
    return Sessions(["telemetry"], silence=1_800.0, offer_life=30.0)


def arrive(core: Sessions, holder: Holder, now: float = 0.0) -> list[Effect]:
    return core.handle(Arrived(holder, ("telemetry", "netconf")), now)


def test_arrival_marks_online_and_offers_what_both_have() -> None:
    core = sessions()
    assert arrive(core, OLD) == [MarkOnline(OLD), Offer(OLD, "telemetry", "telemetry-1")]
    assert core.handle(Arrived(OTHER, ("netconf",)), 0.0) == [MarkOnline(OTHER)]
    assert core.holds(OLD)
    assert len(core) == 2


def test_newest_generation_wins() -> None:
    core = sessions()
    arrive(core, OLD)
    effects = arrive(core, NEW)
    assert effects[:2] == [End(OLD, "replaced-by-newer-connection"), MarkOnline(NEW)]
    assert not core.holds(OLD)
    assert core.handle(Departed(OLD), 1.0) == [EndSubconnection(OLD, None)]
    assert core.holds(NEW)
    assert core.handle(Departed(NEW), 2.0) == [EndSubconnection(NEW, None), MarkOffline(NEW)]
    assert len(core) == 0


def test_older_generation_that_comes_late_is_turned_away() -> None:
    core = sessions()
    arrive(core, NEW)
    assert arrive(core, OLD) == [End(OLD, "replaced-by-newer-connection")]
    assert core.handle(Heard(OLD, Keepalive(1)), 0.0) == []
    assert core.holds(NEW)


def test_messages_are_answered() -> None:
    core = sessions()
    arrive(core, OLD)
    assert core.handle(Heard(OLD, Keepalive(7)), 1.0) == [Send(OLD, KeepaliveAck(7))]
    assert core.handle(Heard(OLD, Unknown("dance")), 1.0) == []
    assert core.unknown_messages("sw-1") == 1
    assert core.unknown_messages("sw-2") == 0


def test_code_is_answered_when_it_was_looked_up() -> None:
    core = sessions()
    arrive(core, OLD)
    assert core.handle(Heard(OLD, Unbind("123")), 1.0) == []
    assert core.handle(Judged(OLD, "wrong-code"), 1.0) == [Send(OLD, UnbindResult("wrong-code"))]
    assert core.holds(OLD)


def test_unbound_device_is_told_the_result_before_goodbye() -> None:
    core = sessions()
    arrive(core, OLD)
    told = [Send(OLD, UnbindResult("unbound")), End(OLD, "unbound"), MarkOffline(OLD)]
    assert core.handle(Judged(OLD, "unbound"), 1.0) == told
    assert len(core) == 0


def test_connection_that_took_the_place_of_the_one_that_asked_ends_too() -> None:
    core = sessions()
    arrive(core, OLD)
    arrive(core, NEW)
    assert core.handle(Judged(OLD, "wrong-code"), 1.0) == []
    assert core.handle(Judged(OLD, "unbound"), 1.0) == [End(NEW, "unbound"), MarkOffline(NEW)]


def test_serial_unbound_by_a_request_of_its_own_loses_its_connection() -> None:
    core = sessions()
    arrive(core, OLD)
    arrive(core, OTHER)
    assert core.handle(Unbound("sw-1"), 1.0) == [End(OLD, "unbound"), MarkOffline(OLD)]
    assert core.handle(Unbound("sw-1"), 1.0) == []
    assert core.holds(OTHER)


def test_removed_serial_is_told_and_marked_offline() -> None:
    core = sessions()
    arrive(core, OLD)
    arrive(core, OTHER)
    assert core.handle(Removed("sw-1"), 1.0) == [End(OLD, "removed-from-cloud"), MarkOffline(OLD)]
    assert core.handle(Removed("sw-1"), 1.0) == []
    assert core.handle(Superseded(OTHER), 1.0) == [End(OTHER, "removed-from-cloud"), MarkOffline(OTHER)]
    assert core.handle(Superseded(OTHER), 1.0) == []


def test_silence_ends_a_session_and_keepalives_prevent_it() -> None:
    core = sessions()
    arrive(core, OLD)
    core.handle(SubconnectionOpened(OLD, "telemetry-1"), 0.0)
    core.handle(Heard(OLD, Keepalive(1)), 1_000.0)
    assert core.handle(Tick(), 1_800.0) == []
    assert core.deadline() == 2_800.0
    assert core.handle(Tick(), 2_800.0) == [End(OLD, "closed-by-server"), MarkOffline(OLD)]
    assert core.deadline() is None


def test_subconnection_that_ends_is_offered_again() -> None:
    core = sessions()
    arrive(core, OLD)
    assert core.handle(SubconnectionOpened(OLD, "telemetry-1"), 0.0) == []
    assert core.handle(SubconnectionEnded(OLD, "telemetry-1"), 5.0) == []
    assert core.deadline() == 6.0
    assert core.handle(Tick(), 6.0) == [Offer(OLD, "telemetry", "telemetry-2")]
    assert core.handle(Heard(OLD, Closed("telemetry-2", "unsupported")), 7.0) == [EndSubconnection(OLD, "telemetry-2")]
    assert core.handle(Tick(), 1_000.0) == []


def test_services_that_the_device_names_later_are_offered() -> None:
    core = sessions()
    core.handle(Arrived(OLD, ()), 0.0)
    heard = Heard(OLD, Services(("novelty", "telemetry")))
    assert core.handle(heard, 1.0) == [Offer(OLD, "telemetry", "telemetry-1")]
    assert core.handle(heard, 1.0) == []
    assert core.deadline() == 31.0
    assert core.unknown_messages("sw-1") == 0


def test_service_that_is_disabled_and_enabled_is_offered_anew_at_once() -> None:
    core = sessions()
    arrive(core, OLD)
    core.handle(SubconnectionOpened(OLD, "telemetry-1"), 0.0)
    assert core.handle(Heard(OLD, Closed("telemetry-1", "disabled")), 5.0) == [EndSubconnection(OLD, "telemetry-1")]
    assert core.handle(Heard(OLD, Services(())), 5.0) == []
    assert core.handle(SubconnectionEnded(OLD, "telemetry-1"), 5.0) == []
    assert core.handle(Tick(), 1_000.0) == []
    assert core.handle(Heard(OLD, Services(("telemetry",))), 1_000.0) == [Offer(OLD, "telemetry", "telemetry-2")]
    assert core.handle(SubconnectionOpened(OLD, "telemetry-2"), 1_000.0) == []


def test_offer_that_was_withdrawn_cannot_be_taken() -> None:
    core = sessions()
    arrive(core, OLD)
    core.handle(Heard(OLD, Services(())), 1.0)
    assert core.handle(SubconnectionOpened(OLD, "telemetry-1"), 2.0) == [EndSubconnection(OLD, "telemetry-1")]


def test_list_of_a_connection_that_is_not_current_changes_nothing() -> None:
    core = sessions()
    core.handle(Arrived(NEW, ()), 0.0)
    assert core.handle(Heard(OLD, Services(("telemetry",))), 1.0) == []


def test_subconnection_of_a_session_that_is_gone_is_ended() -> None:
    core = sessions()
    assert core.handle(SubconnectionOpened(OLD, "telemetry-1"), 0.0) == [EndSubconnection(OLD, "telemetry-1")]
    assert core.handle(SubconnectionEnded(OLD, "telemetry-1"), 0.0) == []
    arrive(core, OLD)
    assert core.handle(SubconnectionOpened(OLD, "telemetry-9"), 0.0) == [EndSubconnection(OLD, "telemetry-9")]


def test_stop_ends_all() -> None:
    core = sessions()
    arrive(core, OLD)
    arrive(core, OTHER)
    ended = [effect for effect in core.handle(Stop(), 1.0) if isinstance(effect, End)]
    assert ended == [End(OLD, "closed-by-server"), End(OTHER, "closed-by-server")]
    assert len(core) == 0


def test_flood_does_not_make_the_agenda_grow() -> None:
    core = sessions()
    arrive(core, OLD)
    core.handle(SubconnectionOpened(OLD, "telemetry-1"), 0.0)
    for _ in range(1_000):
        core.handle(Heard(OLD, Closed("telemetry-1", "lost")), 1.0)
        core.handle(Heard(OLD, Keepalive(1)), 1.0)
        core.handle(Heard(OLD, Services(())), 1.0)
        core.handle(Heard(OLD, Services(("telemetry",))), 1.0)
    assert len(core._agenda) <= 3


holders = st.builds(Holder, st.sampled_from(["sw-1", "sw-2"]), st.integers(1, 3))
instances = st.sampled_from(["telemetry-1", "telemetry-2", "x"])
inputs: st.SearchStrategy[Input] = st.one_of(
    st.builds(Arrived, holders, st.just(("telemetry",))),
    st.builds(
        Heard,
        holders,
        st.one_of(
            st.builds(Keepalive, st.integers()),
            st.builds(Closed, instances, st.sampled_from(["lost", "disabled"])),
            st.builds(Services, st.sampled_from([(), ("telemetry",)])),
        ),
    ),
    st.builds(Departed, holders),
    st.builds(Superseded, holders),
    st.builds(Removed, st.sampled_from(["sw-1", "sw-2"])),
    st.builds(Judged, holders, st.sampled_from(["unbound", "wrong-code"])),
    st.builds(Unbound, st.sampled_from(["sw-1", "sw-2"])),
    st.builds(SubconnectionOpened, holders, instances),
    st.builds(SubconnectionEnded, holders, instances),
    st.just(Tick()),
    st.just(Stop()),
)


@given(st.lists(st.tuples(inputs, st.floats(0.0, 2_000.0)), max_size=40))
def test_marks_always_name_the_one_current_connection(steps: list[tuple[Input, float]]) -> None:
    core, now = sessions(), 0.0
    online: dict[str, int] = {}
    newest: dict[str, int] = {}
    for happened, pause in steps:
        now += pause
        for effect in core.handle(happened, now):
            if isinstance(effect, MarkOnline):
                assert effect.holder.generation > online.get(effect.holder.folded, 0)
                online[effect.holder.folded] = effect.holder.generation
                newest[effect.holder.folded] = effect.holder.generation
            elif isinstance(effect, MarkOffline):
                assert online.pop(effect.holder.folded) == effect.holder.generation
            elif isinstance(effect, (Send, Offer)):
                assert online[effect.holder.folded] == effect.holder.generation
        assert len(core) == len(online)
        assert all(core.holds(Holder(folded, generation)) for folded, generation in online.items())
        deadline = core.deadline()
        assert deadline is not None or not online
