"""The daemon may open as many files as its limits ask for, as far as the system allows it."""

from __future__ import annotations

import logging
import resource

import pytest

from headstay import device
from headstay.netconf.limits import Limits


@pytest.fixture
def system(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[int, int]]:
    state = {"limits": (1024, 4096)}
    monkeypatch.setattr(resource, "getrlimit", lambda _: state["limits"])
    monkeypatch.setattr(resource, "setrlimit", lambda _, limits: state.update(limits=limits))
    return state


@pytest.mark.parametrize(
    ("sessions", "soft"), [(256, 1024), (2000, 2000 + 64 + 256), (5000, 4096)], ids=["enough", "more", "all there are"]
)
def test_the_soft_limit_rises_up_to_the_hard_one(
    system: dict[str, tuple[int, int]], caplog: pytest.LogCaptureFixture, sessions: int, soft: int
) -> None:
    with caplog.at_level(logging.WARNING):
        device._allow_descriptors(Limits(sessions=sessions))
    assert system["limits"] == (soft, 4096)
    assert bool(caplog.records) is (sessions == 5000)


def test_without_a_hard_limit(system: dict[str, tuple[int, int]]) -> None:
    system["limits"] = (1024, resource.RLIM_INFINITY)
    device._allow_descriptors(Limits(sessions=9000))
    assert system["limits"] == (9000 + 64 + 256, resource.RLIM_INFINITY)
