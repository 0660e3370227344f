#!/usr/bin/env python3
"""Measures a NETCONF server over SSH: session set-up, get-config, edit-config + commit, memory, growth with the data.

Run it with the checkout's own Python: `tools/venv && .venv/bin/python tools/bench/netconf.py`. Without `--host` it
starts a `headstay device` of its own on a free port of 127.0.0.1, with a new state directory, and ends it afterwards;
with `--host` it measures a server that runs already. With `--peer`, as root, it also measures Debian's `netconfd` (apt:
netconfd, openssh-server) behind an sshd, both its own, and holds one against the other. For the record:

    sudo .venv/bin/python tools/bench/netconf.py --peer --rounds 5 --record

That measures the servers in turns, five times, and takes the median of each figure: where the kernel puts the processes
of a round makes a difference of a third. It writes the result, with every round, to tools/bench/results/ and, as a
table, to the README. The client is asyncssh and `client.py`, in a process of its own; both ends share the machine, so
on few cores the rates with 8 sessions are those of client and server together.

How to read the result:

- *session set-up* starts before TCP's connect and ends when the server's <hello> is there: key exchange, public key
  authentication, channel, subsystem. Its rate also contains the ending of each session.
- *get-config* is the whole of running, from <rpc> out to <rpc-reply> in.
- *edit-config + commit* is one edit of the candidate and its commit, two exchanges. Each edit gives a leaf another
  value, so that each commit has something to validate, to apply and, in headstay, to write durably; netconfd keeps
  running in memory only. Sessions do not lock: with 8 sessions one commit may carry what another session has edited,
  and the other's then has nothing to do.
- p50 and p95 are of what one session waits; the rate is of all sessions together.
- Memory at start is the resident set of a server that has done nothing yet. A session's share is the growth by idle
  sessions, those that have said hello and are silent, over their number; each of them is then asked for running. With
  netconfd sshd's processes count too, and each page that processes share counts once.
- *entries* are the seconds that one edit and its commit take which create so many entries of a list, on both servers
  the groups of ietf-netconf-acm.

With `--peer` one more server is measured: headstay's SSH alone, which answers each request with octets that it has in
store. What headstay takes more than that is NETCONF.

The figures are of one machine at one time: compare only what was measured side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncssh

from aims import aims
from bare import running_bare
from client import BenchError, Target
from device import DISK, DeviceFailed, User, running_device
from measure import Effort, measure, measure_requests
from netconfd import EDIT as PEERS_EDIT
from netconfd import PeerFailed, running_netconfd
from rounds import median_of
from surroundings import CHECKOUT, machine_and_commit, surroundings

USER = "bench"
EDIT = (
    '<cloud-management xmlns="urn:headstay:yang:cloud-management"><ping-interval>{value}</ping-interval>'
    "</cloud-management>"
)
RESULTS = CHECKOUT / "tools" / "bench" / "results"
README = CHECKOUT / "README.md"
BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
LIMITS = """
[netconf.limits]
unauthenticated-of-address = 64
sessions = 2000
sessions-of-user = 2000
"""
"""For the device that is measured: so many idle sessions of one user are not what the defaults allow."""


# what is measured ---------------------------------------------------------------------------------


def effort(arguments: argparse.Namespace, *, peer: bool = False) -> Effort:
    """Return how much is measured; of a peer, whose sessions take long and are processes, fewer of them."""
    setups, idle = arguments.setups, arguments.idle
    return Effort(
        tuple(arguments.sessions),
        min(setups, arguments.peer_setups) if peer else setups,
        arguments.gets,
        arguments.commits,
        min(idle, arguments.peer_idle) if peer else idle,
        arguments.warm_up,
        arguments.limit,
    )


def device(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a device that is started for it."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    user = User(USER, key.export_public_key().decode().strip())
    with running_device(user, arguments.directory, LIMITS) as device:
        host_key = asyncssh.import_public_key(device.host_key)
        target = Target("127.0.0.1", device.netconf_port, USER, key, host_key)
        found = asyncio.run(measure(target, EDIT, effort(arguments), lambda: [device.pid]))
    return {"server": "headstay device", **found}


def netconfd(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a netconfd that is started for it."""
    with running_netconfd() as peer:
        target = Target("127.0.0.1", peer.port, "root", peer.key, peer.host_key)
        found = asyncio.run(measure(target, PEERS_EDIT, effort(arguments, peer=True), peer.pids))
    return {"server": peer.version, **found}


def bare(arguments: argparse.Namespace, octets: int) -> dict[str, Any]:
    """Measure the SSH library without a NETCONF server behind it."""
    with running_bare(octets) as target:
        return {"octets": octets, "results": asyncio.run(measure_requests(target, effort(arguments)))}


def other(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure a server that runs already."""
    target = Target(arguments.host, arguments.port, arguments.user, asyncssh.read_private_key(arguments.key))
    edit = EDIT if arguments.edit is None else arguments.edit.read_text()
    pids = None if arguments.pid is None else lambda: [arguments.pid]
    found = asyncio.run(measure(target, edit, effort(arguments), pids))
    return {"server": f"{arguments.host}:{arguments.port}", **found}


def one_round(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure each server once, one after the other."""
    servers = [device(arguments) if arguments.host is None else other(arguments)]
    if arguments.peer:
        servers.append(netconfd(arguments))
    return {"servers": servers, "bare": bare(arguments, servers[0]["get_config_octets"]) if arguments.peer else None}


# the result ---------------------------------------------------------------------------------------


def table(report: dict[str, Any]) -> str:
    """Return the result as it stands in the README."""
    parts = [machine_and_commit(report)]
    if len(report["rounds"]) > 1:
        parts.append(f"each figure is the median of {len(report['rounds'])} rounds\n")
    parts += map(of_server, report["servers"])
    if report["bare"] is not None:
        parts.append(of_bare(report["bare"]))
    if report["aims"]:
        parts.append(
            f"{'headstay against netconfd':39}{'headstay':>13}{'netconfd':>13}{'ratio':>8}{'aim':>9}\n"
            + "".join(of_aim(aim) for aim in report["aims"])
        )
    return "\n".join(parts)


def of_server(found: dict[str, Any]) -> str:
    entries = (f"{growth['entries']:>6}: {growth['seconds']:.2f} s" for growth in found["growth"])
    lines = [
        f"{found['server']}; {found['cipher']}; get-config of {found['get_config_octets']} octets\n",
        *of_results(found["results"]),
        "entries in one edit   " + "".join(entries),
    ]
    if (memory := found["memory"]) is not None:
        lines.append(
            f"memory: {memory['at_start_mb']} MB at start; {memory['per_session_kb']} KB for each of "
            f"{memory['idle_sessions']} idle sessions, of which {memory['answering']} answer"
        )
    return "\n".join(lines) + "\n"


def of_results(results: list[dict[str, Any]]) -> list[str]:
    return [
        f"{'':22}{'sessions':>9}{'count':>8}{'p50':>12}{'p95':>12}{'rate':>12}",
        *(
            f"{line['what']:22}{line['sessions']:>9}{line['count']:>8}"
            f"{line['p50_ms']:>9.2f} ms{line['p95_ms']:>9.2f} ms{line['rate_per_s']:>10.0f}/s"
            for line in results
        ),
    ]


def of_bare(found: dict[str, Any]) -> str:
    heading = f"headstay's SSH alone, with nothing behind it; replies of {found['octets']} octets\n"
    return "\n".join([heading, *of_results(found["results"])]) + "\n"


def of_aim(aim: dict[str, Any]) -> str:
    peer = "-" if aim["peer"] is None else f"{aim['peer']:.2f}"
    ratio = "-" if aim["ratio"] is None else f"{aim['ratio']:.2f}"
    verdict = "met" if aim["met"] else "missed"
    return f"{aim['what']:39}{aim['value']:>13.2f}{peer:>13}{ratio:>8}{aim['aim']:>9}  {verdict}\n"


def record(report: dict[str, Any], text: str) -> None:
    """Write the result where the record is kept, and into the README."""
    RESULTS.mkdir(exist_ok=True)
    commit = report["commit"][:12].replace(" ", "-")
    write(RESULTS / f"{report['when'][:10]}-{commit}.json", report)
    before, rest = README.read_text().split(BEGIN)
    README.write_text(f"{before}{BEGIN}\n```\n{text}```\n{END}{rest.partition(END)[2]}")


def write(file: Path, report: dict[str, Any]) -> None:
    file.write_text(json.dumps(report, indent=2) + "\n")


# the command --------------------------------------------------------------------------------------


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    amount = parser.add_argument_group("how much is measured")
    amount.add_argument("--sessions", type=positive, nargs="+", default=[1, 8], metavar="N", help="default: 1 8")
    for name, count in (
        ("setups", 200),
        ("gets", 2000),
        ("commits", 400),
        ("idle", 1000),
        ("warm-up", 20),
        ("peer-setups", 40),
        ("peer-idle", 50),
        ("rounds", 1),
    ):
        amount.add_argument(f"--{name}", type=positive, default=count, metavar="N", help=f"default: {count}")
    amount.add_argument("--limit", type=positive, default=300, metavar="SECONDS", help="for a server; default: 300")
    server = parser.add_argument_group("other servers")
    server.add_argument("--peer", action="store_true", help="measure Debian's netconfd too; needs root")
    server.add_argument("--host", help="measure the server that runs there instead of a device")
    server.add_argument("--port", type=positive, default=830, help="default: 830")
    server.add_argument("--user", default=USER, help=f"default: {USER}")
    server.add_argument("--key", type=Path, metavar="FILE", help="the user's private key")
    server.add_argument("--pid", type=positive, help="the server's process, if its memory shall be measured")
    server.add_argument(
        "--edit", type=Path, metavar="FILE", help="XML to edit, with {value} where a number from 20 to 35 goes"
    )
    parser.add_argument("--directory", type=Path, default=DISK, help="for the device's state; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result there")
    parser.add_argument("--record", action="store_true", help="write the result to tools/bench/results and the README")
    arguments = parser.parse_args(words)
    if arguments.host is not None and arguments.key is None:
        parser.error("--host needs --key")
    return arguments


def main() -> int:
    arguments = parse()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # each session is a socket of this process
    try:
        rounds = [one_round(arguments) for _ in range(arguments.rounds)]
    except TimeoutError:
        print(f"a server is not done after {arguments.limit} s; give less to do, or a higher --limit", file=sys.stderr)
        return 1
    except (BenchError, DeviceFailed, PeerFailed, OSError, asyncssh.Error) as error:
        print(error, file=sys.stderr)
        return 1
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **surroundings("headstay", "asyncssh", "cryptography", "lxml", "yangson"),
        **median_of(rounds),
        "rounds": rounds,
    }
    report["aims"] = aims(*report["servers"]) if arguments.peer else []
    text = table(report)
    print(text, end="")
    if arguments.json is not None:
        write(arguments.json, report)
    if arguments.record:
        record(report, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
