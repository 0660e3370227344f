"""A device tests the way to the cloud beside its connection, and the cloud takes no notice of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from cloud_device import Answer, Cloud, Device, cloud_in, device_of, receive, send
from headstay.cloud.limits import Limits


@pytest.fixture
async def cloud(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with cloud_in(tmp_path / "state", Limits(tickets_per_serial=1)) as running:
        await running.add("SW-1")
        yield running


@pytest.fixture
async def device(cloud: Cloud) -> AsyncIterator[Device]:
    async with device_of(cloud, "SW-1") as one:
        yield one


async def token_of(device: Device) -> str:
    token: str = (await device.authenticate()).body["token"]
    return token


async def probed(device: Device, token: str, **fields: object) -> Answer:
    body = {"serial": device.serial, "probe": True, **fields}
    return await device.post("/v1/register", body, headers={"Authorization": f"Bearer {token}"})


async def closed_with(device: Device, url: str) -> int:
    """Open what a probe named; return the code with which the cloud closes it."""
    connection = await device.open(url)
    with pytest.raises(ConnectionClosed) as ended:
        async with asyncio.timeout(10):
            await connection.recv()
    assert ended.value.rcvd is not None
    return ended.value.rcvd.code


async def refused(device: Device, url: str) -> int:
    with pytest.raises(InvalidStatus) as caught:
        await device.open(url)
    return caught.value.response.status_code


async def test_the_way_is_tested_and_the_connection_that_stands_stays(cloud: Cloud, device: Device) -> None:
    main = await device.connect()
    assert (await receive(main))["type"] == "open"
    await cloud.when("SW-1", connected=True)
    before = await cloud.entry("SW-1")
    for _ in range(3):
        answer = await probed(device, await token_of(device))
        assert (answer.status, sorted(answer.body)) == (200, ["expires-in", "url"])
        assert await closed_with(device, answer.body["url"]) == 1000
    await send(main, {"type": "keepalive", "id": 1})
    assert (await receive(main))["type"] == "keepalive-ack"
    assert await cloud.entry("SW-1") == before
    assert (await device.register(await token_of(device))).body["generation"] == 2


async def test_the_url_is_the_one_that_a_registration_names(cloud: Cloud, device: Device) -> None:
    token = await token_of(device)
    urls = [(await probed(device, token)).body["url"], (await device.register(token)).body["url"]]
    assert len({url.partition("?")[0] for url in urls}) == 1


async def test_a_ticket_of_a_test_takes_no_other_tickets_place(cloud: Cloud, device: Device) -> None:
    token = await token_of(device)
    main = (await device.register(token)).body["url"]
    await probed(device, token)
    await device.open(main)


async def test_a_ticket_of_a_test_is_good_once_and_for_a_short_time(cloud: Cloud, device: Device) -> None:
    token = await token_of(device)
    url = (await probed(device, token)).body["url"]
    await closed_with(device, url)
    assert await refused(device, url) == 403
    late = (await probed(device, token)).body["url"]
    cloud.time.now += 30.0
    assert await refused(device, late) == 403


async def test_a_ticket_of_a_test_dies_with_its_serial(cloud: Cloud, device: Device) -> None:
    url = (await probed(device, await token_of(device))).body["url"]
    await cloud.server.administration.remove("SW-1")
    assert await refused(device, url) == 403


async def test_only_who_may_register_may_test(cloud: Cloud, device: Device) -> None:
    await cloud.add("SW-2")
    token = await token_of(device)
    assert (await probed(device, "bad")).status == 401
    answer = await probed(device, token, serial="SW-2")
    assert (answer.status, answer.body) == (403, {"reason": "not-allowed"})
    for malformed in ({"probe": False}, {"probe": 1}, {"serial": "-"}):
        assert (await probed(device, token, **malformed)).status == 400


async def test_a_request_that_lacks_everything_shows_that_a_cloud_answers(cloud: Cloud, device: Device) -> None:
    answer = await device.post("/v1/authenticate", {})
    assert (answer.status, answer.body["reason"]) == (400, "malformed")
    assert (await device.authenticate()).status == 200
