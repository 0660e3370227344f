from __future__ import annotations

import datetime
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headstay.cloud.codes import CODE_OCTETS, MOST_WRONG, code_of, digest
from headstay.cloud.registry import Registry

NOW = datetime.datetime(2026, 1, 27, 14, 18, 40, tzinfo=datetime.UTC)
END = NOW + datetime.timedelta(hours=1)
MOMENT = datetime.timedelta(microseconds=1)
CODE, OTHER = code_of(b"0123456789"), code_of(b"9876543210")


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    opened = await Registry.open(tmp_path / "registry.sqlite")
    await opened.add("SW-1", None, NOW)
    await opened.add("SW-2", None, NOW)
    yield opened
    await opened.close()


async def bound(registry: Registry, folded: str = "sw-1") -> bool:
    device = await registry.device(folded)
    assert device is not None
    return device.unbound_at is None


octets = st.binary(min_size=CODE_OCTETS, max_size=CODE_OCTETS)


@given(octets, octets)
def test_each_code_has_its_own_octets(one: bytes, other: bytes) -> None:
    assert (code_of(one) == code_of(other)) == (one == other)
    assert (digest("sw-1", code_of(one)) == digest("sw-1", code_of(other))) == (one == other)


@given(octets)
def test_a_code_has_four_groups_without_letters_that_look_like_others(one: bytes) -> None:
    groups = code_of(one).split("-")
    assert [len(group) for group in groups] == [4, 4, 4, 4]
    assert not set("".join(groups)) & set("ILOU")
    assert "".join(groups).isalnum()
    assert "".join(groups).upper() == "".join(groups)


@given(octets, st.data())
def test_how_it_is_typed_makes_no_difference(one: bytes, data: st.DataObject) -> None:
    code = code_of(one)
    alike = {"0": "0Oo", "1": "1IiLl", "-": ["-", "", "--"]}
    typed = "".join(data.draw(st.sampled_from(alike.get(c, c + c.lower()))) for c in code)
    assert digest("sw-1", typed) == digest("sw-1", code)
    assert digest("sw-2", typed) != digest("sw-1", code)


async def test_right_code_unbinds_once(registry: Registry) -> None:
    await registry.set_code("sw-1", CODE, END)
    assert await registry.unbind("sw-1", CODE, END - MOMENT) == "unbound"
    assert not await bound(registry)
    assert await bound(registry, "sw-2")
    assert await registry.unbind("sw-1", CODE, END - MOMENT) == "wrong-code"
    assert await registry.bind("sw-1")
    assert not await registry.bind("sw-1")
    assert await bound(registry)


async def test_expired_code(registry: Registry) -> None:
    await registry.set_code("sw-1", CODE, END)
    assert await registry.unbind("sw-1", CODE, END) == "expired-code"
    assert await registry.unbind("sw-1", OTHER, END) == "wrong-code"
    assert await bound(registry)


async def test_newer_code_takes_the_place_of_the_older(registry: Registry) -> None:
    await registry.set_code("sw-1", OTHER, END)
    await registry.set_code("sw-1", CODE, END)
    assert await registry.unbind("sw-1", OTHER, NOW) == "wrong-code"
    assert await registry.unbind("sw-1", CODE, NOW) == "unbound"


async def test_wrong_codes_are_counted_for_each_serial(registry: Registry) -> None:
    await registry.set_code("sw-1", CODE, END)
    await registry.set_code("sw-2", CODE, END)
    results = [await registry.unbind("sw-1", OTHER, NOW) for _ in range(MOST_WRONG)]
    assert results == ["wrong-code"] * (MOST_WRONG - 1) + ["too-many-attempts"]
    assert await registry.unbind("sw-1", CODE, NOW) == "too-many-attempts"
    assert await bound(registry)
    assert await registry.unbind("sw-2", CODE, NOW) == "unbound"
    await registry.set_code("sw-1", CODE, END)
    assert await registry.unbind("sw-1", CODE, NOW) == "unbound"


async def test_without_a_code_every_one_is_wrong(registry: Registry) -> None:
    for _ in range(MOST_WRONG + 1):
        assert await registry.unbind("sw-1", CODE, NOW) == "wrong-code"
    assert await registry.unbind("sw-9", CODE, NOW) == "wrong-code"
    assert not await registry.set_code("sw-9", CODE, END)


async def test_code_and_binding_go_with_the_serial(registry: Registry) -> None:
    await registry.set_code("sw-1", CODE, END)
    assert await registry.unbind("sw-1", CODE, NOW) == "unbound"
    await registry.set_code("sw-1", CODE, END)
    await registry.remove("sw-1")
    await registry.add("SW-1", None, NOW)
    assert await bound(registry)
    assert await registry.unbind("sw-1", CODE, NOW) == "wrong-code"


async def test_both_outlive_a_restart(registry: Registry, tmp_path: Path) -> None:
    await registry.set_code("sw-1", CODE, END)
    await registry.set_code("sw-2", OTHER, END)
    assert await registry.unbind("sw-1", CODE, NOW) == "unbound"
    again = await Registry.open(tmp_path / "registry.sqlite")
    assert not await bound(again)
    assert [device.unbound_at for device in await again.devices()] == [NOW, None]
    assert await again.unbind("sw-2", OTHER, NOW) == "unbound"
    await again.close()
