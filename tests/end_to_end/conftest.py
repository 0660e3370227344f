"""A cloud for a whole module and a device for each test. The module's SERIAL, and PASSWORD, are in the cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from end_to_end.processes import Cloud, Device


@pytest.fixture(scope="module")
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path_factory.mktemp("cloud") / "c")
    cloud.add(request.module.SERIAL, request.module.PASSWORD)
    yield cloud
    cloud.stop()


@pytest.fixture
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "d", request.module.SERIAL)
    yield device
    device.stop()
