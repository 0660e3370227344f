"""The leases that are held: what ends one, what replaces one, when one is gone without a word."""

from __future__ import annotations

from dataclasses import replace

from headstay.dhcp.event import INFINITE, Happening, LeaseEvent
from headstay.dhcp.lease import GRACE, MOST, Lease, Leases

WALL, MONOTONIC = 1_700_000_000.0, 1000.0


def bound(interface: str = "eth0", client: str = "dhclient", lease_time: int | None = 120) -> LeaseEvent:
    return LeaseEvent(interface, client, Happening.BOUND, b"cloud.example", b"hunter2", lease_time)


def ended(happening: Happening = Happening.EXPIRED, client: str = "dhclient") -> LeaseEvent:
    return LeaseEvent("eth0", client, happening)


def holding(*events: LeaseEvent) -> Leases:
    leases = Leases()
    for event in events:
        leases.take(event, WALL, WALL, MONOTONIC)
    return leases


def test_bound() -> None:
    assert holding(bound()).of("eth0") == Lease(
        "eth0", "dhclient", WALL, "cloud.example", "hunter2", expires_at=WALL + 120
    )
    assert holding(bound()).of("eth1") is None


def test_an_option_that_a_renewal_no_longer_carries_is_gone() -> None:
    lease = holding(bound(), LeaseEvent("eth0", "dhclient", Happening.RENEWED, b"b.example")).of("eth0")
    assert lease is not None
    assert (lease.domain, lease.password, lease.expires_at) == ("b.example", None, None)


def test_each_end_ends_it() -> None:
    for happening in (Happening.EXPIRED, Happening.RELEASED, Happening.REFUSED):
        leases = holding(bound())
        assert leases.take(ended(happening), WALL, WALL, MONOTONIC)
        assert leases.all() == ()
        assert leases.deadline() is None


def test_the_end_of_what_is_not_held_changes_nothing() -> None:
    assert not Leases().take(ended(), WALL, WALL, MONOTONIC)
    leases = holding(bound())
    assert not leases.take(ended(client="udhcpc"), WALL, WALL, MONOTONIC)
    assert leases.of("eth0") is not None


def test_a_client_that_died_without_a_word() -> None:
    leases = holding(bound(), bound("eth1", lease_time=300))
    assert leases.deadline() == MONOTONIC + 120 + GRACE
    assert leases.expire(MONOTONIC + 119 + GRACE) == []
    assert [lease.interface for lease in leases.expire(MONOTONIC + 120 + GRACE)] == ["eth0"]
    assert [lease.interface for lease in leases.all()] == ["eth1"]


def test_a_lease_without_end() -> None:
    for lease_time in (None, INFINITE):
        leases = holding(bound(lease_time=lease_time))
        assert leases.deadline() is None
        assert leases.expire(MONOTONIC + 1e9) == []


def test_an_event_that_waited_counts_from_when_it_happened() -> None:
    leases = Leases()
    leases.take(bound(), WALL - 100, WALL, MONOTONIC)
    assert leases.deadline() == MONOTONIC + 20 + GRACE


def test_a_restart() -> None:
    before = holding(bound(), bound("eth1", lease_time=1000), bound("eth2", lease_time=None))
    after = Leases()
    after.restore(before.all(), WALL + 500, 7.0)
    assert [lease.interface for lease in after.all()] == ["eth1", "eth2"]
    assert after.deadline() == 7.0 + 500 + GRACE


def test_there_is_a_bound_on_interfaces() -> None:
    leases = holding(*(bound(f"eth{number}") for number in range(MOST + 5)))
    assert len(leases.all()) == MOST
    assert leases.of("eth4") is None
    assert leases.of(f"eth{MOST + 4}") is not None


def test_no_password_in_a_repr() -> None:
    assert "hunter2" not in repr(holding(bound()).of("eth0"))


def test_an_event_that_a_later_one_of_its_client_overtook_changes_nothing() -> None:
    leases = holding(bound())
    assert leases.take(replace(ended(Happening.RELEASED), told_at=2000), WALL, WALL, MONOTONIC)
    assert not leases.take(replace(bound(), told_at=1990), WALL, WALL, MONOTONIC)
    assert leases.all() == ()
    for told_at in (2000, None):  # the same moment, and one that nobody told: as they come in
        assert leases.take(replace(bound(), told_at=told_at), WALL, WALL, MONOTONIC)
    assert not leases.take(replace(ended(), told_at=1990), WALL, WALL, MONOTONIC)
    assert leases.of("eth0") is not None


def test_an_end_that_changed_nothing_overtakes_too() -> None:
    leases = Leases()
    assert not leases.take(replace(ended(), told_at=2000), WALL, WALL, MONOTONIC)
    assert not leases.take(replace(bound(), told_at=1990), WALL, WALL, MONOTONIC)
    assert leases.all() == ()


def test_events_of_other_clients_and_interfaces_overtake_nothing() -> None:
    leases = holding(bound())
    assert not leases.take(replace(ended(client="udhcpc"), told_at=3000), WALL, WALL, MONOTONIC)
    assert leases.take(replace(bound("eth1"), told_at=3000), WALL, WALL, MONOTONIC)
    assert leases.take(replace(ended(), told_at=2000), WALL, WALL, MONOTONIC)


def test_what_is_remembered_of_the_order_is_bounded() -> None:
    leases = holding(*(replace(bound(f"veth{number}"), told_at=number) for number in range(3 * MOST)))
    assert len(leases._told) == MOST
    assert not leases.take(replace(bound(f"veth{3 * MOST - 1}"), told_at=1), WALL, WALL, MONOTONIC)
