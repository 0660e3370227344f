from __future__ import annotations

import pytest

from headstay.cloud.limits import Allowance, Failures, Limits, Places, origin_of


def test_key_may_fail_as_often_as_its_burst_and_then_has_to_wait() -> None:
    failures = Failures(Allowance(burst=3, seconds=6.0, most=10))
    waits = []
    for _ in range(4):
        waits.append(failures.wait("k", 100.0))
        failures.count("k", 100.0)
    assert waits == [0.0, 0.0, 0.0, 6.0]
    assert failures.wait("k", 112.0) == 0.0
    assert failures.wait("other", 100.0) == 0.0


def test_failures_are_forgotten_with_time() -> None:
    failures = Failures(Allowance(burst=1, seconds=6.0, most=10))
    failures.count("k", 0.0)
    assert failures.wait("k", 5.0) == 1.0
    assert failures.wait("k", 6.0) == 0.0
    failures.count("other", 10.0)
    assert len(failures) == 1


def test_table_is_bounded() -> None:
    failures = Failures(Allowance(burst=1, seconds=6.0, most=3))
    for key in "abcde":
        failures.count(key, 0.0)
    assert len(failures) == 3
    assert [failures.wait(key, 0.0) for key in "abcde"] == [0.0, 0.0, 6.0, 6.0, 6.0]


def test_the_last_few_places_are_known() -> None:
    places = Places(most=2)
    for origin in ("a", "b", "a", "c"):
        places.note("sw-1", origin)
    assert [places.known("sw-1", origin) for origin in "abc"] == [True, False, True]
    assert not places.known("sw-2", "a")
    places.forget("sw-1")
    places.forget("sw-1")
    assert not places.known("sw-1", "a")


def test_one_pair_can_use_up_neither_its_address_nor_its_serial() -> None:
    limits = Limits()
    for wider in (limits.failures_of_address, limits.failures_of_serial):
        assert wider.burst > limits.failures_of_pair.burst
        assert wider.seconds < limits.failures_of_pair.seconds


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_one_host_is_counted_once(address: str, origin: str) -> None:
    assert origin_of(address) == origin
