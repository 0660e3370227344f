"""What the composition root does itself: how many files may be open, and that what happens is told in its order."""

from __future__ import annotations

import gc
import logging
import resource
import threading
from typing import Any

import pytest

from fakes_netconf import CLOUD, USERS, tree_of
from headstay import device
from headstay.datastore.access import Requester, Source
from headstay.datastore.computing import FEW
from headstay.datastore.difference import difference
from headstay.datastore.events import ConfigChange
from headstay.netconf.limits import Limits
from headstay.netconf.notifications import Notifications
from models import device_model


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


def test_a_full_collection_passes_over_the_model() -> None:
    kept = device_model()  # as the daemon's, made before
    try:
        device._spare_the_model()
        assert gc.get_freeze_count() > 0
        assert not any(found is kept for found in gc.get_objects())  # which lists all that a collection goes through
    finally:
        gc.unfreeze()


# what happens to the datastores


def change(user: str, number: int) -> ConfigChange:
    """A commit of so many changes."""
    changes = difference(device_model().schema, tree_of(CLOUD), tree_of(CLOUD, USERS))
    return ConfigChange(Requester(user, 1, Source.DIRECT), "running", (tuple(changes) * number)[:number])


async def test_a_large_change_is_summed_up_in_a_thread_and_told_before_the_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []
    account: Any = device.account

    def watched(of: Any) -> Any:
        threads.append(threading.get_ident())
        return account(of)

    monkeypatch.setattr(device, "account", watched)
    told = device._Told(Notifications())
    reports: list[str] = []
    told.reports_with(lambda body, _: reports.append(str(body["user"])))
    for user, number in (("first", FEW + 1), ("second", 1), ("third", FEW + 1)):
        told.of_datastores(change(user, number))
    await told.close()
    assert reports == ["first", "second", "third"]
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [False, True, False]
