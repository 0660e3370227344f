from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest

from headstay.cli.cloud_devices import table
from headstay.cloud.administration import DeviceEntry


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Take the test to a time zone."""

    def go(zone: str) -> None:
        monkeypatch.setenv("TZ", zone)
        time.tzset()

    yield go
    monkeypatch.undo()
    time.tzset()


def entry(serial: str, since: str | None = None, address: str | None = None, bound: bool = True) -> DeviceEntry:
    return DeviceEntry(serial, True, bound, address is not None, since, address, None, None, "2026-01-27T14:18:40Z")


def test_table(at: Callable[[str], None]) -> None:
    at("Europe/Bucharest")
    assert table([entry("SW-1", "2026-01-27T14:18:40Z", "192.0.2.1"), entry("SW-2", bound=False)]) == [
        "SERIAL PASSWORD BOUND CONNECTED SINCE (LOCAL)       ADDRESS",
        "SW-1   yes      yes   yes       2026-01-27 16:18:40 192.0.2.1",
        "SW-2   yes      no    no        -                   -",
    ]


def test_empty_table_has_its_heading() -> None:
    assert table([]) == ["SERIAL PASSWORD BOUND CONNECTED SINCE (LOCAL) ADDRESS"]


@pytest.mark.parametrize("address", ["192.0.2.100", "2001:db8:1234:5678:1234:5678:1234:5678", None])
@pytest.mark.parametrize("length", [1, 24, 25, 63])
def test_table_fits_eighty_columns(length: int, address: str | None) -> None:
    lines = table([entry("s" * length, "2026-01-27T14:18:40Z", address)])
    assert max(map(len, lines)) <= 80
    assert lines[1].startswith("s" * min(length, 14))
