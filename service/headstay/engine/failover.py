"""Which server is next, and when. Pure policy: told what happened, it says when to go on, and where to.

The rules, in the order in which they bind:

1. A device that was replaced, unbound or removed waits the longest backoff, whatever its other servers may offer.
2. A server that said `retry-after` is left alone until then. The others are tried meanwhile. If it says so again before
   a connection to it has stood for a while, it is left alone for the backoff of that many times if this is longer: a
   server that asks for no wait must not be dialled in a circle either.
3. A connection that fell silent is tried once more at the same server; one successful registration ends that count.
4. After a failed attempt or a lost connection the next server in the list follows at once; after the last the first.
   The server that was lost comes last in that round, so a single server is dialled again at once, once.
5. When every server has failed the device backs off, then begins at the top of the list.

The device never turns back to an earlier server by itself, unless `switchback` is configured and tells it to. The
backoff is forgotten only after a connection has stood for a while: a server that accepts and drops at once must not be
dialled in a circle. When a link, an address or a route of the device changes, a long wait ends and the backoff goes on
with a few seconds; rules 1 and 2 bind all the same.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from headstay.engine import backoff
from headstay.engine.change import Place, place_of
from headstay.engine.instant import Instant
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import Server
from headstay.engine.status import ServerStatus

STABLE_AFTER = 60.0
"""Seconds for which a connection must have stood before its loss counts as the first trouble in a while."""


BETWEEN_HOPES = 5.0
"""Seconds from the begin of one attempt to another that a change of the device's network brings forward."""
BETWEEN_RESETS = 60.0
"""Seconds from one such change that resets the backoff to another. With every one, a link that flaps all the time would
make the device dial twice a second."""
ROUND_OF_HOPE = 3
"""The round, of up to 8 s, at which the backoff goes on at the latest after a change within that time."""


@dataclass(slots=True)
class _Record:
    """What is remembered of one server."""

    address: str | None = None
    last_attempt: float | None = None
    last_result: FailureReason | None = None
    established: bool = False
    not_before: float | None = None
    """Monotonic seconds until which the server wants to be left alone."""
    held: int = 0
    """How many times it wanted that since the backoff was last forgotten."""


class Failover:
    """The order of servers and the memory of what came of each. `jitter` is seeded by the shell."""

    def __init__(self, servers: Sequence[Server], jitter: random.Random) -> None:
        self._servers = tuple(servers)
        self._jitter = jitter
        self._records: dict[Place, _Record] = {place_of(server): _Record() for server in servers}
        self._rounds = 0
        self._failed: set[Place] = set()  # in this round
        self._dropped: set[Place] = set()  # lost since a connection was stable: the next loss counts as a failure
        self._next: Place | None = None  # None: the first of the list that may be dialled
        self._banished = False  # whether the device was sent away, and has not dialled since
        self._chosen_at = float("-inf")  # when the last attempt began, in monotonic seconds
        self._reset_at = float("-inf")  # when a change of the device's network last reset the backoff

    # what the machine asks ------------------------------------------------------------------------

    def choose(self, now: Instant) -> Server:
        """Return the server to dial now and note the attempt. There must be one in the list."""
        chosen = self._planned() or self._first_open(now.monotonic) or self._servers[0]
        record = self._records[place_of(chosen)]
        record.last_attempt = now.wall
        self._next = None
        self._banished = False
        self._chosen_at = now.monotonic
        return chosen

    def may_be_dialled(self, server: Server, at: float) -> bool:
        """Return whether a server does not want to be left alone at that moment."""
        not_before = self._records[place_of(server)].not_before
        return not_before is None or not_before <= at

    def statuses(
        self, now: Instant, resume_at: float | None, upcoming: tuple[Server, float] | None = None
    ) -> tuple[ServerStatus, ...]:
        """Return the servers as they are.

        `resume_at` is when the next attempt begins, where one is waited for; `upcoming` is the server that will be
        asked beside the connection, and when.
        """
        planned = None if resume_at is None or not self._servers else self._planned() or self._first_open(resume_at)
        if upcoming is not None:
            planned, resume_at = upcoming
        statuses = []
        for order, server in enumerate(self._servers, start=1):
            record = self._records[place_of(server)]
            held = record.not_before if record.not_before is not None and record.not_before > now.monotonic else None
            next_attempt = resume_at if server is planned else held
            statuses.append(
                ServerStatus(
                    order=order,
                    role=server.role,
                    domain=server.domain,
                    port=server.port,
                    address=record.address,
                    last_attempt=record.last_attempt,
                    last_result=record.last_result,
                    established=record.established,
                    next_attempt=None if next_attempt is None else now.wall_at(next_attempt),
                )
            )
        return tuple(statuses)

    # what the machine tells -----------------------------------------------------------------------

    def configure(self, servers: Sequence[Server]) -> None:
        """Take over a new list; what is known of servers that stay is kept."""
        self._servers = tuple(servers)
        self._records = {place_of(s): self._records.get(place_of(s), _Record()) for s in servers}

    def restart(self) -> None:
        """Forget every reason to wait: the next attempt is at the top of the list."""
        self.forget_backoff()
        self._failed.clear()
        self._dropped.clear()
        self._next = None
        self._banished = False
        for record in self._records.values():
            record.not_before = None

    def forget_backoff(self) -> None:
        """Begin again with the shortest delay."""
        self._rounds = 0
        for record in self._records.values():
            record.held = 0

    def hope(self, resume_at: float | None, now: Instant) -> float | None:
        """The device's network has changed. Returns when the wait until `resume_at`, if there is one, ends now."""
        if now.monotonic >= self._reset_at + BETWEEN_RESETS:
            self._rounds, self._reset_at = 0, now.monotonic
        self._rounds = min(self._rounds, ROUND_OF_HOPE)
        if resume_at is None or self._banished:
            return resume_at
        sooner = max(now.monotonic, self._chosen_at + BETWEEN_HOPES)
        if sooner >= resume_at or self._first_open(sooner) is None:
            return resume_at
        self._next = None
        return sooner

    def dialled(self, server: Server, address: str) -> None:
        """Note the address that answered."""
        self._records[place_of(server)].address = address

    def established(self, server: Server) -> None:
        """The connection stands."""
        record = self._records[place_of(server)]
        record.last_result, record.established = None, True

    def failed(self, server: Server, reason: FailureReason, retry_after: float | None, now: Instant) -> float:
        """An attempt failed. Returns when the next begins, in monotonic seconds."""
        record = self._records[place_of(server)]
        record.last_result, record.established = reason, False
        self._hold(record, retry_after, now)
        self._failed.add(place_of(server))
        return self._plan(server, now)

    def lost(self, server: Server, stood_for: float, retry_after: float | None, now: Instant) -> float:
        """The connection broke, or the server ended it. Returns when the next attempt begins."""
        place = place_of(server)
        self._weigh(stood_for)
        self._hold(self._records[place], retry_after, now)
        if place in self._dropped:
            self._failed.add(place)
        self._dropped.add(place)
        return self._plan(server, now)

    def fell_silent(self, server: Server, stood_for: float, now: Instant) -> float:
        """No keepalive was answered: once more at the same server. Returns when."""
        self._weigh(stood_for)
        self._next = place_of(server)
        return now.monotonic

    def asked(self, server: Server, now: Instant) -> None:
        """A server is asked beside the connection whether it would take the device."""
        self._records[place_of(server)].last_attempt = now.wall

    def answered_no(self, server: Server, reason: FailureReason, retry_after: float | None, now: Instant) -> None:
        """The server that was asked would not, or was not reached."""
        record = self._records.get(place_of(server))
        if record is not None:
            record.last_result, record.established = reason, False
            self._hold(record, retry_after, now)

    def turned_back(self, server: Server, stood_for: float, now: Instant) -> float:
        """The device has left its connection for an earlier server. Returns when it dials there."""
        self._weigh(stood_for)
        self._failed.clear()
        self._next = place_of(server)
        return now.monotonic

    def sent_away(self, retry_after: float | None, now: Instant) -> float:
        """The device was replaced, unbound or removed. Returns when it may dial again."""
        self._failed.clear()
        self._next = None
        self._banished = True
        return now.monotonic + backoff.banishment(retry_after, self._jitter.random())

    # the policy -----------------------------------------------------------------------------------

    def _plan(self, last: Server, now: Instant) -> float:
        for server in self._after(last):
            if place_of(server) not in self._failed and self.may_be_dialled(server, now.monotonic):
                self._next = place_of(server)
                return now.monotonic
        self._failed.clear()
        self._next = None
        slots = [
            (record.not_before, place)
            for place, record in self._records.items()
            if record.not_before is not None and record.not_before > now.monotonic
        ]
        if len(slots) < len(self._records):
            resume_at = now.monotonic + backoff.delay(self._rounds, self._jitter.random())
            self._rounds += 1
            if not slots or min(slots)[0] > resume_at:
                return resume_at
        # A slot that the cloud handed out is its own backoff: it is used when it comes.
        resume_at, self._next = min(slots)
        return resume_at

    def _after(self, last: Server) -> tuple[Server, ...]:
        places = [place_of(server) for server in self._servers]
        start = places.index(place_of(last)) + 1 if place_of(last) in places else 0
        return self._servers[start:] + self._servers[:start]

    def _planned(self) -> Server | None:
        return next((server for server in self._servers if place_of(server) == self._next), None)

    def _first_open(self, at: float) -> Server | None:
        return next((server for server in self._servers if self.may_be_dialled(server, at)), None)

    def _hold(self, record: _Record, retry_after: float | None, now: Instant) -> None:
        if retry_after is None:
            return
        wait = backoff.slot(retry_after, self._jitter.random())
        if record.held:
            wait = max(wait, backoff.delay(record.held - 1, self._jitter.random()))
        record.held += 1
        record.not_before = now.monotonic + wait

    def _weigh(self, stood_for: float) -> None:
        if stood_for >= STABLE_AFTER:
            self.forget_backoff()
            self._failed.clear()
            self._dropped.clear()
