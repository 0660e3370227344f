"""What a long or a broken way to the cloud does to the connection: real programs, real TCP, cables that can be cut.

`tools/bench/link.py` measures the same and prints how long everything takes.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator

import pytest

from end_to_end.processes import PATIENCE, Cloud, Device
from headstay.engine.keepalive import UNANSWERED_INTERVALS
from peers.link.site import INTERVAL, Site, site, why_not

pytestmark = pytest.mark.skipif(why_not() is not None, reason=why_not() or "")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("site"), clouds=3) as place:
        yield place


def until_established(device: Device, cloud: Cloud, patience: float = PATIENCE) -> None:
    device.program.until_line(f"new-state=established server-domain={cloud.host} ", patience)


def time(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text)


def test_connecting_takes_six_round_trips(place: Site) -> None:
    """One for TCP, one for TLS 1.3, two for SCRAM, one to register, one for the handshake.

    The way is so long that what the two programs compute is small beside one round trip.
    """
    round_trip = 0.6
    place.cables[2].delay(round_trip / 2)
    device = place.device("HS-FAR", 2)
    until_established(device, place.clouds[2])
    place.cables[2].delay(0.0)
    (server,) = device.entries("servers")
    took = time(device.state()["connected-at"]) - time(server["last-attempt"])
    assert 6 * round_trip <= took.total_seconds() < 7 * round_trip


def test_a_cloud_that_falls_silent_is_left_after_three_intervals(place: Site) -> None:
    """One stands still, its connections open; the way to another swallows every packet. Both devices find out."""
    frozen, cut_off = place.device("HS-FROZEN", 0, 2), place.device("HS-CUT-OFF", 1, 2)
    until_established(frozen, place.clouds[0])
    until_established(cut_off, place.clouds[1])
    place.clouds[0].program.freeze()
    place.cables[1].cut()
    for device in (frozen, cut_off):
        # After the silence the device tries once more at the same server.
        until_established(device, place.clouds[2], patience=UNANSWERED_INTERVALS * INTERVAL + PATIENCE)
        state = device.state()
        assert (state["server-role"], state["last-down-reason"]) == ("backup", "keepalive-timeout")
        first, second = device.entries("servers")
        assert (first["last-result"], second["last-result"]) == ("timeout-connecting", "established")
