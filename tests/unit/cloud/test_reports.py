"""The reports of devices, as the registry stores them."""

from __future__ import annotations

import datetime
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headstay.cloud import reports as module
from headstay.cloud.registry import Registry, RegistryUnavailable
from headstay.wire.messages import Report

NOW = datetime.datetime(2026, 1, 27, 14, 18, 40, tzinfo=datetime.UTC)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    opened = await Registry.open(tmp_path / "registry.sqlite")
    yield opened
    await opened.close()


def report(sequence: int) -> Report:
    return Report("b1", sequence, "2026-01-27T14:18:40Z", {"event": "unbound"})


async def test_report_is_stored_once(registry: Registry) -> None:
    await registry.add("SW-1", None, NOW)
    for sequence in (1, 2, 1, 2, 3):
        assert await registry.store_report("sw-1", report(sequence), NOW)
    assert await registry.reports("sw-1") == [report(1), report(2), report(3)]


async def test_a_report_that_made_room_long_ago_is_not_stored_again(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORTS_KEPT", 5)
    await registry.add("SW-1", None, NOW)
    for sequence in range(1, 11):
        await registry.store_report("sw-1", report(sequence), NOW)
    await registry.close()
    again = await Registry.open(tmp_path / "registry.sqlite")
    for sequence in (1, 5, 10, 11):
        assert await again.store_report("sw-1", report(sequence), NOW)
    assert [r.sequence for r in await again.reports("sw-1")] == [7, 8, 9, 10, 11]
    await again.close()


async def test_what_another_server_acknowledged_is_not_missed(registry: Registry) -> None:
    await registry.add("SW-1", None, NOW)
    for sequence in (4, 9, 6, 10):
        assert await registry.store_report("sw-1", report(sequence), NOW)
    assert [r.sequence for r in await registry.reports("sw-1")] == [4, 9, 10]


async def test_boots_that_sent_longest_ago_are_forgotten(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_BOOTS", 3)
    monkeypatch.setattr(module, "REPORTS_KEPT", 4)
    for serial in ("SW-1", "SW-2"):
        await registry.add(serial, None, NOW)
    await registry.store_report("sw-2", Report("a", 1, "t", {}), NOW)
    for boot in "abcad":  # the second time, a brings nothing new
        assert await registry.store_report("sw-1", Report(boot, 1, "t", {}), NOW)
    with sqlite3.connect(tmp_path / "registry.sqlite") as plain:
        rows = plain.execute("SELECT folded, boot_id FROM report_boot ORDER BY folded, used").fetchall()
    plain.close()
    assert rows == [("sw-1", "c"), ("sw-1", "a"), ("sw-1", "d"), ("sw-2", "a")]
    # Forgotten, but still there to be seen.
    assert await registry.store_report("sw-1", Report("b", 1, "t", {}), NOW)
    assert [r.boot_id for r in await registry.reports("sw-1")] == list("abcd")


async def test_a_report_and_what_is_remembered_of_it_are_stored_together(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    await registry.add("SW-1", None, NOW)
    with monkeypatch.context() as broken:
        broken.setattr(module.Reports, "_make_room", failing)
        with pytest.raises(RegistryUnavailable):
            await registry.store_report("sw-1", report(1), NOW)
    assert await registry.reports("sw-1") == []
    assert await registry.store_report("sw-1", report(1), NOW)
    assert await registry.reports("sw-1") == [report(1)]


async def test_reports_go_with_their_device(registry: Registry) -> None:
    await registry.add("SW-1", None, NOW)
    await registry.store_report("sw-1", report(1), NOW)
    await registry.remove("sw-1")
    assert not await registry.store_report("sw-1", report(2), NOW)
    assert await registry.reports("sw-1") == []


async def test_reports_are_bounded_whatever_their_boots(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORTS_KEPT", 20)
    for serial in ("SW-1", "SW-2"):
        await registry.add(serial, None, NOW)
    await registry.store_report("sw-2", report(1), NOW)
    kept = []
    for boot in range(50):
        await registry.store_report("sw-1", Report(f"b{boot}", 1, "t", {}), NOW)
        kept.append(len(await registry.reports("sw-1")))
    assert kept[:20] == list(range(1, 21))
    assert set(kept[20:]) == {18, 19, 20}
    newest = [f"b{boot}" for boot in range(50)][-kept[-1] :]
    assert [r.boot_id for r in await registry.reports("sw-1")] == newest
    assert await registry.reports("sw-2") == [report(1)]


async def test_reports_are_counted_through_restart_failure_and_removal(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPORTS_KEPT", 20)
    await registry.add("SW-1", None, NOW)
    for sequence in range(1, 19):
        await registry.store_report("sw-1", report(sequence), NOW)
    again = await Registry.open(tmp_path / "registry.sqlite")
    await again.store_report("sw-1", report(19), NOW)
    with monkeypatch.context() as broken:
        broken.setattr(module.Reports, "_make_room", failing)
        with pytest.raises(RegistryUnavailable):
            await again.store_report("sw-1", report(20), NOW)
    # It may have been stored all the same.
    with sqlite3.connect(tmp_path / "registry.sqlite") as plain:
        row = plain.execute("SELECT folded, 'other', sequence, time, received_at, body FROM report").fetchone()
        columns = "folded, boot_id, sequence, time, received_at, body"
        plain.execute(f"INSERT INTO report ({columns}) VALUES (?, ?, ?, ?, ?, ?)", row)
    plain.close()
    for sequence in range(20, 40):
        await again.store_report("sw-1", report(sequence), NOW)
        assert 18 <= len(await again.reports("sw-1")) <= 20
    await again.remove("sw-1")
    await again.add("SW-1", None, NOW)
    for sequence in range(1, 21):
        await again.store_report("sw-1", report(sequence), NOW)
    assert [r.sequence for r in await again.reports("sw-1")] == list(range(1, 21))
    await again.close()


async def failing(*_: object) -> int:
    raise sqlite3.OperationalError("disk full")


async def test_a_report_of_a_removed_device_counts_for_nothing(registry: Registry) -> None:
    assert not await registry.store_report("sw-1", report(1), NOW)
    await registry.add("SW-1", None, NOW)
    assert await registry.store_report("sw-1", report(1), NOW)
    assert await registry.reports("sw-1") == [report(1)]


async def test_oldest_reports_are_deleted(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REPORTS_KEPT", 5)
    for serial in ("SW-1", "SW-2"):
        await registry.add(serial, None, NOW)
        for sequence in range(91, 101):
            await registry.store_report(serial.lower(), report(sequence), NOW)
    for folded in ("sw-1", "sw-2"):
        assert [r.sequence for r in await registry.reports(folded)] == [96, 97, 98, 99, 100]
