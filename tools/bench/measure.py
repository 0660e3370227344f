"""What is measured of one NETCONF server, by whatever it is reached: durations, rates, memory, growth with the data."""

from __future__ import annotations

import asyncio
import functools
import math
import re
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from client import Session, Target, options_for

GET_CONFIG = "<get-config><source><running/></source></get-config>"
EDIT_CONFIG = "<edit-config><target><candidate/></target><config>{}</config></edit-config>"
NACM = '<nacm xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-acm"><groups>{}</groups></nacm>'
GROUP = "<group{}><name>group-{}</name><user-name>user</user-name></group>"
DELETED = ' xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0" nc:operation="delete"'
LISTS = (625, 1250, 2500, 5000)
"""How many entries one edit creates."""


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured."""

    sessions: tuple[int, ...]
    setups: int
    gets: int
    commits: int
    idle: int
    warm_up: int
    limit: int
    """Seconds for all of it."""


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
    """What the server's processes take."""

    at_start_mb: float
    """Resident, of a server that has done nothing yet."""
    idle_sessions: int
    answering: int
    """Those of them that answered in the end."""
    per_session_kb: float
    """Growth by these sessions. What processes share counts once."""


@dataclass(frozen=True, slots=True)
class Growth:
    """One edit and its commit that create a number of list entries."""

    entries: int
    seconds: float


# timing -------------------------------------------------------------------------------------------

Task = Callable[[], Awaitable[object]]
"""What is measured; one for each session."""


async def timed(what: str, tasks: Sequence[Task], count: int, warm_up: int) -> Measurement:
    """Run `count` tasks, divided among the sessions, after a warm-up that does not count."""
    each = math.ceil(count / len(tasks))
    await asyncio.gather(*(repeat(task, math.ceil(warm_up / len(tasks))) for task in tasks))
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
    await session.rpc(EDIT_CONFIG.format(text))
    await session.rpc("<commit/>")


def alternating(first: int) -> Iterator[int]:
    """Yield two intervals in turn, other ones than another session's."""
    while True:
        yield 20 + 2 * first
        yield 21 + 2 * first


async def measure(target: Target, edit: str, effort: Effort, pids: Callable[[], list[int]] | None) -> dict[str, Any]:
    """Measure one server. `pids` tells its processes, where their memory can be read. Raises TimeoutError."""
    async with asyncio.timeout(effort.limit):
        return await _measure(target, edit, effort, pids)


async def _measure(target: Target, edit: str, effort: Effort, pids: Callable[[], list[int]] | None) -> dict[str, Any]:
    open_session = functools.partial(Session.open, target, options_for(target))
    memory = None if pids is None else await memory_of(pids, open_session, effort.idle)
    results = []
    for number in effort.sessions:
        sessions = [await open_session() for _ in range(number)]
        gets = [functools.partial(session.rpc, GET_CONFIG) for session in sessions]
        edits = [
            functools.partial(edit_and_commit, session, edit, alternating(place))
            for place, session in enumerate(sessions)
        ]
        # The first commit creates what the others change.
        await edits[0]()
        results += [
            await timed("session set-up", [open_session] * number, effort.setups, min(effort.warm_up, effort.setups)),
            await timed("get-config", gets, effort.gets, effort.warm_up),
            await timed("edit-config + commit", edits, effort.commits, effort.warm_up),
        ]
        reply_octets, cipher = len(await sessions[0].rpc(GET_CONFIG)), sessions[0].cipher
        for session in sessions:
            await session.end()
    return {
        "cipher": cipher,
        "get_config_octets": reply_octets,
        "results": [asdict(result) for result in results],
        "memory": None if memory is None else asdict(memory),
        "growth": [asdict(growth) for growth in await growth_of(open_session)],
    }


async def measure_requests(target: Target, effort: Effort) -> list[dict[str, Any]]:
    """Measure nothing but get-config. Raises TimeoutError."""
    results = []
    async with asyncio.timeout(effort.limit):
        for number in effort.sessions:
            sessions = [await Session.open(target, options_for(target)) for _ in range(number)]
            gets = [functools.partial(session.rpc, GET_CONFIG) for session in sessions]
            results.append(asdict(await timed("get-config", gets, effort.gets, effort.warm_up)))
            for session in sessions:
                await session.end()
    return results


async def growth_of(open_session: Callable[[], Awaitable[Session]]) -> list[Growth]:
    """Create groups of users, more each time; what one edit has created the next one deletes."""
    session = await open_session()
    found = []
    for entries in LISTS:
        groups, gone = ("".join(GROUP.format(mark, place) for place in range(entries)) for mark in ("", DELETED))
        start = time.perf_counter()
        await session.rpc(EDIT_CONFIG.format(NACM.format(groups)))
        await session.rpc("<commit/>")
        found.append(Growth(entries, round(time.perf_counter() - start, 4)))
        await session.rpc(EDIT_CONFIG.format(NACM.format(re.sub("<user-name>.*?</user-name>", "", gone))))
        await session.rpc("<commit/>")
    await session.end()
    return found


# memory -------------------------------------------------------------------------------------------


async def memory_of(pids: Callable[[], list[int]], open_session: Callable[[], Awaitable[Session]], idle: int) -> Memory:
    at_start = sum(memory_kb(pid, "Rss") for pid in pids())
    await (await open_session()).end()
    await asyncio.sleep(1)  # until the processes of that session have ended, where it had any
    before = sum(memory_kb(pid, "Pss") for pid in pids())
    # One after the other: netconfd forgets a session now and then when several come or go at once.
    sessions = [await open_session() for _ in range(idle)]
    after = sum(memory_kb(pid, "Pss") for pid in pids())
    answering = 0
    for session in sessions:
        answering += b"<data" in await session.rpc(GET_CONFIG)
    for session in sessions:
        await session.end()
    return Memory(
        at_start_mb=round(at_start / 1024, 1),
        idle_sessions=idle,
        answering=answering,
        per_session_kb=round((after - before) / idle, 1),
    )


def memory_kb(pid: int, kind: str) -> int:
    """Return what a process takes: `Rss`, or `Pss` with its share of what it shares with others."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):  # it has ended meanwhile
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")), 0)
