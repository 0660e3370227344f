from __future__ import annotations

import asyncio
import datetime
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from headstay.cloud.devices import Online
from headstay.cloud.registry import Registry, RegistryUnavailable
from headstay.errors import StartupError, WireError
from headstay.wire.scram import verifier_of

NOW = datetime.datetime(2026, 1, 27, 14, 18, 40, tzinfo=datetime.UTC)
LATER = NOW + datetime.timedelta(minutes=1)


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    opened = await Registry.open(tmp_path / "registry.sqlite")
    yield opened
    await opened.close()


async def test_device_keeps_its_spelling_and_is_found_by_any(registry: Registry) -> None:
    verifier = verifier_of("secret")
    assert await registry.add("SW-1", verifier, NOW)
    assert not await registry.add("sw-1", None, LATER)
    device = await registry.device("sw-1")
    assert device is not None
    assert (device.serial, device.verifier, device.added_at, device.online) == ("SW-1", verifier, NOW, None)
    assert [d.serial for d in await registry.devices()] == ["SW-1"]
    assert await registry.device("sw-2") is None


async def test_times_are_utc_whatever_they_were(registry: Registry) -> None:
    await registry.add("SW-1", None, NOW.astimezone(datetime.timezone(datetime.timedelta(hours=9))))
    device = await registry.device("sw-1")
    assert device is not None
    assert (device.added_at, device.added_at.utcoffset()) == (NOW, datetime.timedelta(0))


async def test_password_is_changed_and_device_removed(registry: Registry) -> None:
    await registry.add("SW-1", None, NOW)
    verifier = verifier_of("secret")
    assert await registry.set_verifier("sw-1", verifier)
    device = await registry.device("sw-1")
    assert device is not None
    assert device.verifier == verifier
    assert await registry.remove("sw-1")
    assert not await registry.remove("sw-1")
    assert not await registry.set_verifier("sw-1", verifier)


@pytest.mark.parametrize("serial", ["", "-a", "a b", "a" * 64, "ä", "a\n"])
async def test_malformed_serial_is_refused(registry: Registry, serial: str) -> None:
    with pytest.raises(WireError):
        await registry.add(serial, None, NOW)
    assert await registry.devices() == []


async def test_generations_grow_through_removal_and_restart(registry: Registry, tmp_path: Path) -> None:
    await registry.add("SW-1", None, NOW)
    assert [await registry.register("sw-1", "M", "1") for _ in range(2)] == [1, 2]
    assert await registry.register("sw-2", "M", "1") is None
    await registry.remove("sw-1")
    await registry.add("SW-1", None, NOW)
    again = await Registry.open(tmp_path / "registry.sqlite")
    assert await again.register("sw-1", "M", "2") == 3
    device = await again.device("sw-1")
    assert device is not None
    assert (device.model, device.software) == ("M", "2")
    await again.close()


async def test_generations_are_unique_under_contention(registry: Registry) -> None:
    await registry.add("SW-1", None, NOW)
    given = await asyncio.gather(*(registry.register("sw-1", "M", "1") for _ in range(20)))
    assert sorted(g for g in given if g is not None) == list(range(1, 21))


async def test_only_the_current_generation_marks_offline(registry: Registry) -> None:
    await registry.add("SW-1", None, NOW)
    assert await registry.mark_online("sw-1", Online(1, NOW, "192.0.2.1"))
    assert await registry.mark_online("sw-1", Online(2, NOW, "192.0.2.2"))
    assert not await registry.mark_online("sw-1", Online(1, NOW, "192.0.2.1"))
    assert not await registry.mark_offline("sw-1", 1, LATER)
    device = await registry.device("sw-1")
    assert device is not None
    assert (device.online, device.last_seen_at) == (Online(2, NOW, "192.0.2.2"), NOW)
    assert await registry.mark_offline("sw-1", 2, LATER)
    device = await registry.device("sw-1")
    assert device is not None
    assert (device.online, device.last_seen_at) == (None, LATER)
    assert not await registry.mark_online("sw-2", Online(1, NOW, ""))


async def test_nobody_is_online_after_a_restart(registry: Registry, tmp_path: Path) -> None:
    await registry.add("SW-1", None, NOW)
    await registry.mark_online("sw-1", Online(1, NOW, "192.0.2.1"))
    again = await Registry.open(tmp_path / "registry.sqlite")
    device = await again.device("sw-1")
    assert device is not None
    assert device.online is None
    await again.close()


async def test_database_is_durable_and_for_its_owner(registry: Registry, tmp_path: Path) -> None:
    await registry.add("SW-1", None, NOW)
    for path in tmp_path.iterdir():  # noqa: ASYNC240 (a small directory)
        assert path.stat().st_mode & 0o777 == 0o600
    with sqlite3.connect(tmp_path / "registry.sqlite") as plain:
        assert plain.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    plain.close()


async def test_what_the_database_refuses_is_one_error(registry: Registry, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "registry.sqlite") as plain:
        plain.execute("DROP TABLE device")
    plain.close()
    for broken in (registry.devices(), registry.remove("sw-1")):
        with pytest.raises(RegistryUnavailable, match="no such table"):
            await broken


@pytest.mark.parametrize("octets", [b"junk" * 1_000, b"SQLite format 3\x00" + b"\xff" * 4_000])
async def test_corrupt_database_is_named_and_kept(tmp_path: Path, octets: bytes) -> None:
    path = tmp_path / "registry.sqlite"
    path.write_bytes(octets)
    with pytest.raises(StartupError) as caught:
        await Registry.open(path)
    assert str(caught.value).startswith(f"{path}: the registry cannot be used (")
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == octets


async def test_later_version_is_refused(registry: Registry, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "registry.sqlite") as plain:
        plain.execute("UPDATE schema SET version = 2")
    plain.close()
    with pytest.raises(StartupError, match="has version 2"):
        await Registry.open(tmp_path / "registry.sqlite")


async def test_directory_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(StartupError, match="cannot be written"):
        await Registry.open(tmp_path / "missing" / "registry.sqlite")
