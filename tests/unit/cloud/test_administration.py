from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from cloud_device import Cloud, cloud_in
from headstay.cloud.administration import Administration, Outcome, SocketAdministration
from headstay.errors import CommandError
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
                "connected": False,
                "since": None,
                "address": None,
                "model": None,
                "software": None,
                "added-at": "2026-01-27T14:18:40Z",
            }
        ]
