#!/usr/bin/env python3
"""Measures the link: how long it takes to connect, to notice that a cloud is gone, and to stand at the next one.

Run it as root with the checkout's own Python: `tools/venv test && sudo .venv/bin/python tools/bench/link.py`. It starts
three real clouds and three real devices in network namespaces of their own, joined by cables that delay packets or
swallow them (`tests/peers/link`), and takes everything away afterwards. It needs two minutes, most of them silence.

How to read the result:

- *connect* is from the begin of an attempt to `established`: name, TCP, TLS, SCRAM, registration, WebSocket. The round
  trips are the difference between the medians with delay and without, over the delay.
- *killed*: kill -9 of the cloud that the device is connected to. *frozen*: SIGSTOP, its connections stay open. *cut
  off*: the cable swallows every packet, so that not even a reset comes.
- *noticed* is from that moment to `connection/last-down-at`, *established* from that moment to the `connected-at` of
  the connection to the backup. After silence the device tries once more at the same server, for ten seconds at most.
- Silence is noticed three keepalive intervals (10 s here) after the last answer, which is up to one interval before the
  moment that counts here.
- The aim binds the worst of all tries. The exit status is 0 if every aim is met, else 1.

Times come from the device's own state, in milliseconds. The figures are of one machine at one time.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from surroundings import CHECKOUT, surroundings

sys.path.insert(0, str(CHECKOUT / "tests"))  # the tests have the programs and the networks
from end_to_end.processes import Device
from headstay.cli.operational import Leafs
from headstay.engine.keepalive import UNANSWERED_INTERVALS
from headstay.engine.stages import TIME_LIMIT, Stage
from peers.link.site import INTERVAL, PASSWORD, Site, configure, read, reconnect, site, why_not

FAR = 0.1
"""Seconds of one round trip on the long way."""
ROUND_TRIPS = 6
"""To connect."""
CONNECT_FAR = 0.75
"""Seconds to connect on the long way."""
FAILOVER = 0.3
"""Seconds besides the network's round trips from a server's end to the connection with the next."""
HALF_A_ROUND_TRIP = 0.5
"""It is what the news of a connection's end takes."""
SILENCE = UNANSWERED_INTERVALS * INTERVAL
CLOSING = 0.1
"""Seconds, besides some round trips, after which an old connection is surely closed."""
LOOK = 0.02
"""Seconds between two looks at the device. It stamps the times itself."""


class BenchError(Exception):
    """The measurement cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table. Times are seconds."""

    what: str
    round_trip: float
    count: int
    noticed: float | None
    """The median."""
    established: float
    """The median."""
    worst: float
    """Of `established`."""
    aim: float | None

    @property
    def met(self) -> bool:
        return self.aim is None or self.worst <= self.aim


@dataclass(frozen=True, slots=True)
class Failover:
    """What one end of a cloud cost, in seconds."""

    noticed: float
    established: float


# one device -------------------------------------------------------------------------------------------


def until_connected(device: Device, server: str, after: float, limit: float = 30.0) -> Leafs:
    """Wait for a connection to this server that came up after a moment; returns the connection's state."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        (connection,) = read(device, "connection")
        if connection.get("server-domain") == server and moment(connection, "connected-at") > after:
            return connection
        time.sleep(LOOK)
    raise BenchError(f"no connection to {server} within {limit:.0f} s: {connection}")


def moment(leafs: Leafs, name: str) -> float:
    """Return a leaf in seconds since the epoch; 0 if it is absent."""
    text = leafs.get(name)
    return 0.0 if text is None else datetime.fromisoformat(str(text)).timestamp()


def connect(place: Site, device: Device, round_trip: float) -> float:
    """Connect from nothing, without connection or token; returns the seconds from the begin of the attempt."""
    configure(device, "<enabled>false</enabled><server><password>$0$another one</password></server>")
    time.sleep(CLOSING + 4 * round_trip)
    at = time.time()
    configure(device, f"<enabled>true</enabled><server><password>$0${PASSWORD}</password></server>")
    server = place.clouds[0].host
    connection = until_connected(device, server, at)
    (entry,) = (entry for entry in read(device, "server-status") if entry["domain"] == server)
    return moment(connection, "connected-at") - moment(entry, "last-attempt")


def failover(device: Device, at: float, backup: str, limit: float = 30.0) -> Failover:
    """Wait for the backup's connection; returns what the end of the primary at that moment has cost."""
    connection = until_connected(device, backup, at, limit)
    return Failover(moment(connection, "last-down-at") - at, moment(connection, "connected-at") - at)


# what is measured -------------------------------------------------------------------------------------


def connections(place: Site, device: Device, round_trip: float, count: int) -> Measurement:
    set_delay(place, round_trip)
    took = [connect(place, device, round_trip) for _ in range(count)]
    aim = CONNECT_FAR if round_trip else None
    return Measurement("connect", round_trip, count, None, statistics.median(took), max(took), aim)


def kills(place: Site, device: Device, round_trip: float, count: int) -> Measurement:
    set_delay(place, round_trip)
    found = [kill(place, device) for _ in range(count)]
    aim = FAILOVER + (ROUND_TRIPS + HALF_A_ROUND_TRIP) * round_trip
    return summed_up("killed", round_trip, found, aim)


def kill(place: Site, device: Device) -> Failover:
    primary, _, backup = place.clouds
    at = time.time()
    reconnect(device)
    until_connected(device, primary.host, at)
    at = time.time()
    primary.program.kill()
    found = failover(device, at, backup.host)
    primary.start()
    return found


def silences(place: Site) -> Iterator[Measurement]:
    """One cloud is frozen and another cut off at the same time, each with a device of its own."""
    set_delay(place, 0.0)
    backup = place.clouds[2].host
    devices = place.device("BENCH-FROZEN", 0, 2), place.device("BENCH-CUT-OFF", 1, 2)
    for number, device in enumerate(devices):
        until_connected(device, place.clouds[number].host, 0.0)
    at = time.time()
    place.clouds[0].program.freeze()
    place.cables[1].cut()
    limit = SILENCE + TIME_LIMIT[Stage.CONNECTING] + FAILOVER
    for what, device in zip(("frozen", "cut off"), devices, strict=True):
        yield summed_up(what, 0.0, [failover(device, at, backup, 2 * limit)], limit)


def summed_up(what: str, round_trip: float, found: Sequence[Failover], aim: float) -> Measurement:
    noticed = statistics.median(failover.noticed for failover in found)
    established = [failover.established for failover in found]
    return Measurement(what, round_trip, len(found), noticed, statistics.median(established), max(established), aim)


def set_delay(place: Site, round_trip: float) -> None:
    for cable in place.cables:
        cable.delay(round_trip / 2)


def measure(directory: Path, arguments: argparse.Namespace) -> list[Measurement]:
    progress("starting three clouds and a device")
    with site(directory, clouds=3) as place:
        device = place.device("BENCH-1", 0, 2)
        until_connected(device, place.clouds[0].host, 0.0)
        results = []
        for round_trip in (0.0, FAR):
            progress(f"connecting, {milliseconds(round_trip)}")
            results.append(connections(place, device, round_trip, arguments.setups))
            progress(f"killing, {milliseconds(round_trip)}")
            results.append(kills(place, device, round_trip, arguments.kills))
        progress(f"silence, which takes about {SILENCE + TIME_LIMIT[Stage.CONNECTING]:.0f} s")
        return [*results, *silences(place)]


# the result -------------------------------------------------------------------------------------------


def round_trips(results: Sequence[Measurement]) -> float:
    """Return how many round trips connecting takes."""
    near, far = (line.established for line in results if line.what == "connect")
    return round((far - near) / FAR, 1)


def table(report: dict[str, Any], results: Sequence[Measurement]) -> str:
    here = report["machine"]
    head = f"""\
{here["processor"]}, {here["cores"]} cores, {here["kernel"]}, {here["python"]}
{", ".join(f"{name} {version}" for name, version in report["versions"].items())}
commit {report["commit"]}, {report["when"]}

{"":9}{"round trip":>11}{"count":>7}{"noticed":>11}{"established":>13}{"worst":>10}{"aim":>10}
"""
    lines = (
        f"{line.what:9}{milliseconds(line.round_trip):>11}{line.count:>7}{seconds(line.noticed):>11}"
        f"{seconds(line.established):>13}{seconds(line.worst):>10}{seconds(line.aim):>10}{verdict(line)}\n"
        for line in results
    )
    found = report["round_trips"]
    return f"{head}{''.join(lines)}\nround trips to connect: {found}, aim {ROUND_TRIPS}\n"


def milliseconds(time: float) -> str:
    return f"{time * 1000:.0f} ms"


def seconds(time: float | None) -> str:
    return "-" if time is None else f"{time:.3f} s"


def verdict(line: Measurement) -> str:
    if line.aim is None:
        return ""
    return "  met" if line.met else "  MISSED"


def progress(what: str) -> None:
    print(f"link: {what}", file=sys.stderr, flush=True)


# the command ------------------------------------------------------------------------------------------


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("setups", 20), ("kills", 5)):
        parser.add_argument(f"--{name}", type=positive, default=count, metavar="N", help=f"default: {count}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result there")
    return parser.parse_args(words)


def main() -> int:
    arguments = parse()
    reason = why_not()
    if reason is not None:
        print(reason, file=sys.stderr)
        return 1
    try:
        with tempfile.TemporaryDirectory(prefix="headstay-bench-") as directory:
            results = measure(Path(directory), arguments)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **surroundings("headstay", "h11", "websockets", "aiohttp"),
        "results": [asdict(line) for line in results],
        "round_trips": round_trips(results),
    }
    print(table(report, results), end="")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if all(line.met for line in results) and report["round_trips"] <= ROUND_TRIPS else 1


if __name__ == "__main__":
    sys.exit(main())
