"""Whatever sessions, time, restarts and failures do: running is what RFC 6241 section 8.4 says, and on disk.

The real datastores on a real disk file run beside a model of a few lines. While the disk is owed something, it may be
behind what is in force; a start must make the same of it all the same.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from device_datastores import FIRST, Device, session
from headstay.datastore.name import Name
from headstay.errors import InvalidValue, NetconfError

INTERVALS = st.integers(10, 14)
SESSIONS = st.sampled_from([0, 1])
TOKENS = st.sampled_from([None, None, "p", "q"])
TIMEOUTS = st.sampled_from([5, 20])
FAILURES = st.sampled_from([None, None, None, "disk", "backend"])


@dataclass(frozen=True)
class Tried:
    """What the model knows of a pending confirmed commit."""

    before: int
    due: float
    persist: str | None
    owner: int | None


class ConfirmedCommits(RuleBasedStateMachine):
    """Two sessions on one device."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._directory = tempfile.TemporaryDirectory()
        self.device = Device(Path(self._directory.name))
        self._runner.run(self.device.start())
        self.sessions = [1, 2]
        self.last_session = 2
        self.running = FIRST
        self.candidate: int | None = None
        self.pending: Tried | None = None
        self.told: list[str] = []

    def teardown(self) -> None:
        self._runner.run(self.device.kill())
        self._runner.close()
        self._directory.cleanup()

    def done(self, operation: Coroutine[object, object, None]) -> bool:
        """Run an operation; whether it was accepted."""
        try:
            self._runner.run(operation)
        except NetconfError:
            return False
        return True

    def roll_back(self, event: str) -> None:
        assert self.pending is not None
        self.running, self.pending = self.pending.before, None
        if self.candidate == self.running:
            self.candidate = None
        self.told.append(event)

    def owns(self, number: int) -> bool:
        return self.pending is not None and self.pending.owner == self.sessions[number]

    @rule(number=SESSIONS, value=INTERVALS)
    def edit(self, number: int, value: int) -> None:
        assert self.done(self.device.edit(value, session(self.sessions[number])))
        self.candidate = None if value == self.running else value

    @rule(number=SESSIONS, value=INTERVALS)
    def edit_running(self, number: int, value: int) -> None:
        accepted = self.done(self.device.edit(value, session(self.sessions[number]), Name.RUNNING))
        assert accepted is (self.pending is None or self.owns(number))
        if accepted:
            self.running = value

    @rule(
        number=SESSIONS, confirmed=st.booleans(), timeout=TIMEOUTS, persist=TOKENS, persist_id=TOKENS, failure=FAILURES
    )
    def commit(
        self,
        number: int,
        confirmed: bool,
        timeout: int,
        persist: str | None,
        persist_id: str | None,
        failure: str | None,
    ) -> None:
        who = session(self.sessions[number])
        request = {"confirmed": confirmed, "timeout": timeout, "persist_id": persist_id}
        if confirmed:
            request["persist"] = persist
        self.device.disk.full = failure == "disk"
        self.device.engine.refusal = InvalidValue("no") if failure == "backend" else None
        accepted = self.done(self.device.commit(None, who, **request))
        self.device.disk.full, self.device.engine.refusal = False, None
        assert accepted is (self.may_follow(number, persist_id) and not self.fails(confirmed, failure))
        if accepted:
            self.follow(who.session_id, timeout if confirmed else None, persist)

    def may_follow(self, number: int, persist_id: str | None) -> bool:
        if persist_id is not None:
            return self.pending is not None and self.pending.persist == persist_id
        return self.pending is None or (self.pending.persist is None and self.owns(number))

    def fails(self, confirmed: bool, failure: str | None) -> bool:
        changes = self.candidate is not None and self.candidate != self.running
        notes = confirmed or self.pending is not None
        return (failure == "backend" and changes) or (failure == "disk" and (changes or notes))

    def follow(self, who: int, timeout: int | None, persist: str | None) -> None:
        before = self.pending
        if timeout is None:
            self.told += ["complete"] if before else []
            self.pending = None
        else:
            self.told.append("extend" if before else "start")
            kept = before or Tried(self.running, 0, None, None)
            self.pending = replace(kept, due=self.device.now + timeout, persist=persist or kept.persist, owner=who)
        self.running = self.running if self.candidate is None else self.candidate
        self.candidate = None

    @rule(number=SESSIONS, persist_id=TOKENS, full=st.booleans())
    def cancel(self, number: int, persist_id: str | None, full: bool) -> None:
        self.device.disk.full = full
        accepted = self.done(self.device.stores.cancel_commit(session(self.sessions[number]), persist_id))
        self.device.disk.full = False
        assert accepted is (self.pending is not None and self.may_follow(number, persist_id) and not full)
        if accepted:
            self.roll_back("cancel")

    @rule(number=SESSIONS, full=st.booleans())
    def end_session(self, number: int, full: bool) -> None:
        ended = self.sessions[number]
        self.last_session += 1
        self.sessions[number] = self.last_session
        self.device.disk.full = full
        self._runner.run(self.device.end_session(session(ended)))
        self.device.disk.full = False
        if self.pending is not None and self.pending.owner == ended:
            if self.pending.persist is None:
                self.roll_back("cancel")
            else:
                self.pending = replace(self.pending, owner=None)

    @rule(seconds=st.integers(1, 10), full=st.booleans())
    def advance(self, seconds: int, full: bool) -> None:
        self.device.disk.full = full
        self._runner.run(self.device.advance(seconds))
        self.device.disk.full = False
        if self.pending is not None and self.device.now >= self.pending.due:
            self.roll_back("timeout")

    @rule(reboot=st.booleans(), seconds=st.integers(0, 10), full=st.booleans())
    def start_again(self, reboot: bool, seconds: int, full: bool) -> None:
        undone_in_memory_only = self.pending is None and self.device.stored_roll_back is not None
        self.device.now += seconds
        self._runner.run(self.device.reboot(full=full) if reboot else self.device.restart(full=full))
        self.device.disk.full = False
        self.sessions, self.last_session, self.candidate = [1, 2], 2, None
        if undone_in_memory_only:  # it is undone again, and told of again
            self.told.append(self.device.confirm_events[-1])
        if self.pending is None:
            return
        if reboot or self.pending.persist is None:
            self.roll_back("cancel")
        elif self.device.now >= self.pending.due:
            self.roll_back("timeout")
        else:
            self.pending = replace(self.pending, owner=None)

    @invariant()
    def everything_agrees(self) -> None:
        assert {self.device.running, self.device.engine.interval} == {str(self.running)}
        if not any(self.device.disk._owed):
            assert self.device.in_force(self.running)
            assert self.device.stored_roll_back == (str(self.pending.before) if self.pending else None)
        assert self.device.confirm_events == self.told


ConfirmedCommits.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestConfirmedCommits = ConfirmedCommits.TestCase
