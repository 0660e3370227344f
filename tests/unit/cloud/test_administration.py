from __future__ import annotations

import datetime
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cloud_device import Cloud, cloud_in
from headstay.cloud.administration import Administration, Outcome, SocketAdministration
from headstay.cloud.codes import USUAL_LIFE
from headstay.errors import CommandError, WireError
from headstay.wire.scram import verifier_of


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud_in(tmp_path) as running:
        yield running


@pytest.fixture(params=["local", "socket"])
def administration(request: pytest.FixtureRequest, cloud: Cloud, tmp_path: Path) -> Administration:
    return cloud.server.administration if request.param == "local" else SocketAdministration(tmp_path / "admin.sock")


async def test_both_ways_do_the_same(administration: Administration) -> None:
    verifier = verifier_of("secret")
    assert await administration.add("SW-1", None) is Outcome.ADDED
    assert await administration.add("sw-1", None) is Outcome.EXISTS
    assert [(d.serial, d.password) for d in await administration.devices()] == [("SW-1", False)]
    assert await administration.add("sw-1", verifier) is Outcome.UPDATED
    assert [(d.serial, d.password) for d in await administration.devices()] == [("SW-1", True)]
    assert await administration.remove("sw-1") is Outcome.REMOVED
    assert await administration.remove("sw-1") is Outcome.UNKNOWN
    assert await administration.add("SW-2", verifier) is Outcome.ADDED


async def test_codes_both_ways(administration: Administration, cloud: Cloud) -> None:
    assert (await administration.make_code("SW-1", USUAL_LIFE)).outcome is Outcome.UNKNOWN
    await administration.add("SW-1", None)
    first, second = [await administration.make_code("sw-1", USUAL_LIFE) for _ in range(2)]
    assert (first.outcome, second.outcome) == (Outcome.MADE, Outcome.MADE)
    assert second.expires_at == "2026-01-28T14:18:40Z"
    assert second.code not in repr(second)
    now = cloud.time.sources.wall()
    assert await cloud.server.registry.unbind("sw-1", first.code, now) == "wrong-code"
    assert await cloud.server.registry.unbind("sw-1", second.code, now) == "unbound"
    assert [d.bound for d in await administration.devices()] == [False]
    assert (await administration.make_code("SW-1", USUAL_LIFE)).outcome is Outcome.UNBOUND
    assert await administration.add("SW-1", None) is Outcome.BOUND
    assert await administration.add("SW-1", None) is Outcome.EXISTS
    assert [d.bound for d in await administration.devices()] == [True]


@pytest.mark.parametrize("seconds", [0.0, 59.0, 7 * 86_400 + 1.0])
async def test_life_of_a_code_has_bounds(administration: Administration, seconds: float) -> None:
    await administration.add("SW-1", None)
    with pytest.raises((WireError, CommandError)):
        await administration.make_code("SW-1", datetime.timedelta(seconds=seconds))


async def test_binding_with_another_password_changes_that_too(administration: Administration, cloud: Cloud) -> None:
    await administration.add("SW-1", None)
    code = (await administration.make_code("SW-1", USUAL_LIFE)).code
    await cloud.server.registry.unbind("sw-1", code, cloud.time.sources.wall())
    assert await administration.add("SW-1", verifier_of("secret")) is Outcome.BOUND
    assert [(d.bound, d.password) for d in await administration.devices()] == [(True, True)]


async def test_verifier_survives_the_socket(cloud: Cloud, tmp_path: Path) -> None:
    verifier = verifier_of("secret")
    await SocketAdministration(tmp_path / "admin.sock").add("SW-1", verifier)
    device = await cloud.server.registry.device("sw-1")
    assert device is not None
    assert device.verifier == verifier


async def test_malformed_requests_are_refused(cloud: Cloud, tmp_path: Path) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "admin.sock"))) as session:
        async with session.put("http://cloud/devices/SW-1", data=b"{") as response:
            assert response.status == 400
        async with session.put("http://cloud/devices/_", data=b"{}") as response:
            assert response.status == 400
    with pytest.raises(CommandError, match="the cloud answered 400: the serial number is malformed"):
        await SocketAdministration(tmp_path / "admin.sock").remove("_")


async def test_cloud_that_does_not_answer(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="the cloud does not answer"):
        await SocketAdministration(tmp_path / "none.sock").devices()


async def test_entry_has_every_key(cloud: Cloud, tmp_path: Path) -> None:
    await cloud.add("SW-1")
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(tmp_path / "admin.sock"))) as session,
        session.get("http://cloud/devices") as response,
    ):
        assert json.loads(await response.read()) == [
            {
                "serial": "SW-1",
                "password": False,
                "bound": True,
                "connected": False,
                "since": None,
                "address": None,
                "model": None,
                "software": None,
                "added-at": "2026-01-27T14:18:40Z",
            }
        ]
