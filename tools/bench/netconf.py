#!/usr/bin/env python3
"""Measures a NETCONF server over SSH: session set-up, get-config, edit-config + commit, and memory per idle session.

Run it with the checkout's own Python: `tools/venv && .venv/bin/python tools/bench/netconf.py`. Without `--host` it
starts a `headstay device` of its own on a free port of 127.0.0.1, with a new state directory, and ends it afterwards;
with `--host` it measures a server that runs already. The client is asyncssh and this file, in a process of its own;
both ends share the machine, so on few cores the rates with 8 sessions are those of client and server together.

How to read the result:

- *session set-up* starts before TCP's connect and ends when the server's <hello> is there: key exchange, public key
  authentication, channel, subsystem. Its rate also contains the ending of each session.
- *get-config* is the whole of running, from <rpc> out to <rpc-reply> in.
- *edit-config + commit* is one edit of the candidate and its commit, two exchanges. Each edit gives another
  ping-interval, so that each commit has something to validate, to write durably and to apply. Sessions do not lock:
  with 8 sessions one commit may carry what another session has edited, and the other's then has nothing to do.
- p50 and p95 are of what one session waits; the rate is of all sessions together.
- Memory is the server's resident set. A session's share is the growth by `--idle` sessions that have said hello and are
  silent, over their number; a `headstay device` lets one user have 64. It is measured first, on a server that has done
  nothing else but one session.

The figures are of one machine at one time: compare only what was measured side by side.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import json
import math
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import asyncssh

from device import DISK, DeviceFailed, User, running_device
from headstay.netconf.framing import Deframer, Framing, frame
from surroundings import surroundings

USER = "bench"
BASE = "urn:ietf:params:xml:ns:netconf:base:1.0"
BASE_1_1 = "urn:ietf:params:netconf:base:1.1"
HELLO = (
    f'<hello xmlns="{BASE}"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>'
    f"<capability>{BASE_1_1}</capability></capabilities></hello>"
).encode()
GET_CONFIG = "<get-config><source><running/></source></get-config>"
EDIT = (
    '<cloud-management xmlns="urn:headstay:yang:cloud-management"><ping-interval>{value}</ping-interval>'
    "</cloud-management>"
)
ENCRYPTION = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes256-ctr")
"""What the client offers, best first, so that every server is measured with the same."""


class BenchError(Exception):
    """The measurement cannot be made; the message says why."""


@dataclass(frozen=True, slots=True)
class Target:
    """The server that is measured."""

    host: str
    port: int
    user: str
    key: asyncssh.SSHKey
    host_key: asyncssh.SSHKey | None = None
    """None where it is not known; then it is not verified."""
    pid: int | None = None
    """The server's process, where its memory can be read."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One line of the table."""

    what: str
    sessions: int
    count: int
    p50_ms: float
    p95_ms: float
    rate_per_s: float


@dataclass(frozen=True, slots=True)
class Memory:
    """The server's resident set."""

    at_start_mb: float
    idle_sessions: int
    with_idle_sessions_mb: float
    per_session_kb: float


# one session --------------------------------------------------------------------------------------


class Inbox(asyncssh.SSHClientSession[bytes]):
    """What the server has sent."""

    def __init__(self) -> None:
        self.deframer = Deframer()
        self._messages: asyncio.Queue[bytes | None] = asyncio.Queue()

    def data_received(self, data: bytes, datatype: int | None) -> None:
        """Take in octets."""
        for message in self.deframer.receive(data):
            self._messages.put_nowait(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake up whoever waits for a message."""
        self._messages.put_nowait(None)

    async def message(self) -> bytes:
        """Return the next message. Raises BenchError if there will be none."""
        message = await self._messages.get()
        if message is None:
            raise BenchError("the server has closed a session")
        return message


class Session:
    """A NETCONF session, as bare as a client can be."""

    def __init__(
        self, connection: asyncssh.SSHClientConnection, channel: asyncssh.SSHClientChannel[bytes], inbox: Inbox
    ) -> None:
        self._connection = connection
        self._channel = channel
        self._inbox = inbox
        self._last_id = 0

    @classmethod
    async def open(cls, target: Target, options: asyncssh.SSHClientConnectionOptions) -> Session:
        """Connect, authenticate, exchange hello."""
        connection = await asyncssh.connect(target.host, target.port, options=options)
        inbox = Inbox()
        channel, _ = await connection.create_session(lambda: inbox, subsystem="netconf", encoding=None)
        channel.write(frame(HELLO, Framing.END_OF_MESSAGE))
        if BASE_1_1.encode() in await inbox.message():
            inbox.deframer.framing = Framing.CHUNKED
        return cls(connection, channel, inbox)

    async def rpc(self, operation: str) -> bytes:
        """Send one operation and return the reply. Raises BenchError if it is an error."""
        self._last_id += 1
        text = f'<rpc message-id="{self._last_id}" xmlns="{BASE}">{operation}</rpc>'
        self._channel.write(frame(text.encode(), self._inbox.deframer.framing))
        reply = await self._inbox.message()
        if b"rpc-error" in reply:
            raise BenchError(f"{operation} was refused: {reply.decode(errors='replace')}")
        return reply

    async def end(self) -> None:
        """Close the session as RFC 6241 section 7.8 wants it, and the connection under it."""
        await self.rpc("<close-session/>")
        self._connection.close()
        await self._connection.wait_closed()

    @property
    def cipher(self) -> str:
        """The cipher in use."""
        return str(self._connection.get_extra_info("send_cipher"))


def options_for(target: Target) -> asyncssh.SSHClientConnectionOptions:
    none: list[asyncssh.SSHKey] = []
    return asyncssh.SSHClientConnectionOptions(
        username=target.user,
        client_keys=[target.key],
        known_hosts=None if target.host_key is None else ([target.host_key], none, none),
        encryption_algs=ENCRYPTION,
        preferred_auth="publickey",
        agent_path=None,
        config=None,
    )


# timing -------------------------------------------------------------------------------------------

Task = Callable[[], Awaitable[object]]
"""What is measured; one for each session."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    count: int
    warm_up: int


async def timed(what: str, tasks: Sequence[Task], effort: Effort) -> Measurement:
    """Run `effort.count` tasks, divided among the sessions, after a warm-up that does not count."""
    each = math.ceil(effort.count / len(tasks))
    await asyncio.gather(*(repeat(task, math.ceil(effort.warm_up / len(tasks))) for task in tasks))
    start = time.perf_counter()
    durations = sorted(chain.from_iterable(await asyncio.gather(*(repeat(task, each) for task in tasks))))
    elapsed = time.perf_counter() - start
    return Measurement(
        what,
        sessions=len(tasks),
        count=len(durations),
        p50_ms=round(percentile(durations, 50) * 1000, 3),
        p95_ms=round(percentile(durations, 95) * 1000, 3),
        rate_per_s=round(len(durations) / elapsed, 1),
    )


async def repeat(task: Task, count: int) -> list[float]:
    durations = []
    for _ in range(count):
        start = time.perf_counter()
        after = await task()
        durations.append(time.perf_counter() - start)
        if isinstance(after, Session):
            await after.end()
    return durations


def percentile(ordered: Sequence[float], percent: int) -> float:
    """Return the smallest value that at least `percent` of the values do not exceed."""
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


async def edit_and_commit(session: Session, config: str, values: Iterator[int]) -> None:
    text = config.replace("{value}", str(next(values)))
    await session.rpc(f"<edit-config><target><candidate/></target><config>{text}</config></edit-config>")
    await session.rpc("<commit/>")


def alternating(first: int) -> Iterator[int]:
    """Yield two intervals in turn, other ones than another session's."""
    while True:
        yield 20 + 2 * first
        yield 21 + 2 * first


async def measure(target: Target, arguments: argparse.Namespace) -> dict[str, Any]:
    options = options_for(target)
    open_session = functools.partial(Session.open, target, options)
    memory = None if target.pid is None else await memory_of(target.pid, open_session, arguments.idle)
    results = []
    for number in arguments.sessions:
        sessions = await asyncio.gather(*(open_session() for _ in range(number)))
        gets = [functools.partial(session.rpc, GET_CONFIG) for session in sessions]
        edits = [
            functools.partial(edit_and_commit, session, arguments.edit, alternating(place))
            for place, session in enumerate(sessions)
        ]
        results += [
            await timed("session set-up", [open_session] * number, Effort(arguments.setups, arguments.warm_up)),
            await timed("get-config", gets, Effort(arguments.gets, arguments.warm_up)),
            await timed("edit-config + commit", edits, Effort(arguments.commits, arguments.warm_up)),
        ]
        reply_octets, cipher = len(await sessions[0].rpc(GET_CONFIG)), sessions[0].cipher
        await asyncio.gather(*(session.end() for session in sessions))
    return {
        "cipher": cipher,
        "get_config_octets": reply_octets,
        "results": [asdict(result) for result in results],
        "memory": None if memory is None else asdict(memory),
    }


# memory -------------------------------------------------------------------------------------------


async def memory_of(pid: int, open_session: Callable[[], Awaitable[Session]], idle: int) -> Memory:
    at_start = resident_kb(pid)
    await (await open_session()).end()
    before = resident_kb(pid)
    sessions = [await open_session() for _ in range(idle)]
    after = resident_kb(pid)
    await asyncio.gather(*(session.end() for session in sessions))
    return Memory(
        at_start_mb=round(at_start / 1024, 1),
        idle_sessions=idle,
        with_idle_sessions_mb=round(after / 1024, 1),
        per_session_kb=round((after - before) / idle, 1),
    )


def resident_kb(pid: int) -> int:
    (line,) = (line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1])


# the result ---------------------------------------------------------------------------------------


def table(report: dict[str, Any]) -> str:
    here = report["machine"]
    head = f"""\
{here["processor"]}, {here["cores"]} cores, {here["kernel"]}, {here["python"]}
{", ".join(f"{name} {version}" for name, version in report["versions"].items())}
commit {report["commit"]}, {report["when"]}
server {report["server"]}; cipher {report["cipher"]}; get-config of {report["get_config_octets"]} octets

{"":22}{"sessions":>9}{"count":>8}{"p50":>12}{"p95":>12}{"rate":>12}
"""
    body = "".join(
        f"{line['what']:22}{line['sessions']:>9}{line['count']:>8}{line['p50_ms']:>9.2f} ms{line['p95_ms']:>9.2f} ms"
        f"{line['rate_per_s']:>10.0f}/s\n"
        for line in report["results"]
    )
    memory = report["memory"]
    if memory is None:
        return head + body
    return f"""{head}{body}
memory: {memory["at_start_mb"]} MB at start, {memory["with_idle_sessions_mb"]} MB with \
{memory["idle_sessions"]} idle sessions, {memory["per_session_kb"]} KB for each
"""


# the command --------------------------------------------------------------------------------------


def positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def parse(words: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    effort = parser.add_argument_group("how much is measured")
    effort.add_argument("--sessions", type=positive, nargs="+", default=[1, 8], metavar="N", help="default: 1 8")
    for name, count in (("setups", 200), ("gets", 2000), ("commits", 400), ("idle", 50), ("warm-up", 20)):
        effort.add_argument(f"--{name}", type=positive, default=count, metavar="N", help=f"default: {count}")
    effort.add_argument("--limit", type=positive, default=300, metavar="SECONDS", help="for everything; default: 300")
    server = parser.add_argument_group("another server")
    server.add_argument("--host", help="measure the server that runs there")
    server.add_argument("--port", type=positive, default=830, help="default: 830")
    server.add_argument("--user", default=USER, help=f"default: {USER}")
    server.add_argument("--key", type=Path, metavar="FILE", help="the user's private key")
    server.add_argument("--pid", type=positive, help="the server's process, if its memory shall be measured")
    server.add_argument(
        "--edit", type=Path, metavar="FILE", help="XML to edit, with {value} where a number from 20 to 35 goes"
    )
    parser.add_argument("--directory", type=Path, default=DISK, help="for the device's state; default: %(default)s")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the result there")
    arguments = parser.parse_args(words)
    if arguments.host is not None and arguments.key is None:
        parser.error("--host needs --key")
    arguments.edit = EDIT if arguments.edit is None else arguments.edit.read_text()
    return arguments


@contextlib.contextmanager
def target_of(arguments: argparse.Namespace) -> Iterator[Target]:
    if arguments.host is None:
        key = asyncssh.generate_private_key("ssh-ed25519")
        with running_device(User(USER, key.export_public_key().decode().strip()), arguments.directory) as device:
            host_key = asyncssh.import_public_key(device.host_key)
            yield Target("127.0.0.1", device.netconf_port, USER, key, host_key, device.pid)
    else:
        key = asyncssh.read_private_key(arguments.key)
        yield Target(arguments.host, arguments.port, arguments.user, key, pid=arguments.pid)


async def bounded(target: Target, arguments: argparse.Namespace) -> dict[str, Any]:
    async with asyncio.timeout(arguments.limit):
        return await measure(target, arguments)


def main() -> int:
    arguments = parse()
    try:
        with target_of(arguments) as target:
            found = asyncio.run(bounded(target, arguments))
    except TimeoutError:
        print(f"not done after {arguments.limit} s; give less to do, or a higher --limit", file=sys.stderr)
        return 1
    except (BenchError, DeviceFailed, OSError, asyncssh.Error) as error:
        print(error, file=sys.stderr)
        return 1
    report = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        **surroundings("headstay", "asyncssh", "cryptography", "lxml", "yangson"),
        "server": "headstay device, started for this" if arguments.host is None else f"{target.host}:{target.port}",
        **found,
    }
    print(table(report), end="")
    if arguments.json is not None:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
