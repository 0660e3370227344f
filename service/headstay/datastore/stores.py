"""The datastores: running, candidate and startup, and the one turn in which they change.

Readers get published trees at any time; writers take turns, which are fair among users. Running is non-volatile: what a
commit has installed is on disk. Owns the life of the candidate (RFC 6241 sections 8.3 and 8.7); `locks` knows who holds
which lock, `confirmed` decides what becomes of a confirmed commit, and both are carried out here. Knows no session but
its id and no message.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
import logging
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Literal

from lxml import etree

from headstay import xml
from headstay.datastore import confirmed
from headstay.datastore.access import Access, Requester
from headstay.datastore.commit import Backend, bring_back, bring_into_force
from headstay.datastore.computing import AT_ONCE, computed, is_small
from headstay.datastore.confirmed import CancelCommit, Commit, CommitRequest, Install, Pending, Procedure, RollBack
from headstay.datastore.confirming import Confirming, boottime
from headstay.datastore.defaults import BASIC_MODE, DefaultsMode, with_defaults
from headstay.datastore.difference import Change, difference
from headstay.datastore.disk import Disk
from headstay.datastore.edit import EditOptions, edit, edited
from headstay.datastore.events import ConfigChange, DatastoreEvent
from headstay.datastore.locks import Lock, Locks
from headstay.datastore.model import Model
from headstay.datastore.name import Name
from headstay.datastore.secrets import Vault, protected, without_clear_secrets
from headstay.datastore.turns import Turns
from headstay.datastore.view import View
from headstay.errors import AccessDenied, ErrorInfo, InvalidValue, LockDenied, NetconfError, RpcErrors

__all__ = ["Datastores", "Lock", "Name", "Parts"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Parts:
    """What the datastores are made of."""

    model: Model
    disk: Disk
    vault: Vault
    access: Access
    backend: Backend
    observe: Callable[[DatastoreEvent], None] = lambda _: None
    """Called in the loop's thread after what it tells of is in force and durable; never waits, never raises."""
    clock: Callable[[], float] = boottime
    """Seconds; a clock that never jumps and that runs while the device is suspended."""


class Datastores:
    """The datastores of one device.

    A write that has begun goes on to its end: callers await it and never cancel it, and call `session_ended` only once
    the session's last operation has ended.
    """

    def __init__(
        self,
        parts: Parts,
        running: etree._Element,
        startup: etree._Element | None,
        *,
        with_startup: bool,
        pending: Pending | None = None,
    ) -> None:
        """Take over trees that `boot.load` has read and checked, and the confirmed commit that it has found."""
        self.model = parts.model
        self.access = parts.access
        self._parts = parts
        self._running = running
        self._candidate: etree._Element | None = None  # None: unmodified, it follows running
        self._startup = startup
        self.names = tuple(Name) if with_startup else (Name.RUNNING, Name.CANDIDATE)
        """The datastores that exist."""
        self._locks = Locks()
        self._following_up = False  # whether a commit that goes before all others waits, or is carried out
        self._revoked: set[int] = set()  # sessions whose users are no more, until their last operations have ended
        self._turn = Turns(1)
        self.computing = Turns(AT_ONCE)
        """For whatever is computed for users in threads outside the turn in which datastores change."""
        self._confirming = Confirming(Procedure(pending), self._turn, self._perform, parts.observe, parts.clock)

    async def stop(self) -> None:
        """Finish what ended sessions have left to undo. Call it when all sessions have ended."""
        await self._confirming.stop()

    # reading

    def read(self, name: Name) -> etree._Element:
        """Return the published tree. Raises InvalidValue if there is no such datastore."""
        self._known(name)
        match name:
            case Name.CANDIDATE if self._candidate is not None:
                return self._candidate
            case Name.STARTUP:
                return self._startup if self._startup is not None else self.model.empty()
        return self._running

    def view(self, requester: Requester) -> View:
        """Return what this requester may read now; what is done with it may be done in a thread."""
        permissions = self.access.permissions(requester, self._running)
        return View(self.model.schema, self._running, permissions)

    def state(self) -> etree._Element:
        """Return a tree of the datastores' own state."""
        return self.access.state()

    def may_receive(self, requester: Requester, notification: etree._Element) -> bool:
        """Return whether this requester may receive a notification, and count it if not (RFC 8341 section 3.4.6)."""
        return self.access.may_receive(requester, self._running, notification)

    def concealed(self, requester: Requester, error: NetconfError) -> NetconfError:
        """Return an error as it may be told to this requester."""
        return self.access.concealed(requester, self._running, error)

    # writing

    def authorize(self, requester: Requester, operation: str) -> None:
        """Raise AccessDenied unless this requester may execute the operation with this tag."""
        self.access.authorize(requester, self._running, operation)

    async def edit(self, requester: Requester, target: Name, config: etree._Element, options: EditOptions) -> None:
        """Apply an <edit-config> (RFC 6241 section 7.2). Raises NetconfError or RpcErrors; then nothing changed,
        except that with continue-on-error everything that was right took effect.
        """
        async with self._computing_of(requester, config):
            await self.access.authorize_edit(requester, self._running, config, options.default_operation)
        # Before the turn: hashing passwords takes its time, and nobody shall wait for it.
        computing = self._computing_of(requester, config)
        config = await protected(self._parts.vault, self.model.schema, config, self.read(target), computing)
        async with self._turn_of(requester):
            self._free_for(requester, target)
            old = self.read(target)
            reads = self.access.permissions(requester, self._running).reads
            to_the_end = options.error_option == "continue-on-error"
            work = functools.partial(
                edit, self.model.schema, old, config, options.default_operation, reads, to_the_end=to_the_end
            )
            outcome = await computed(work, old, config)
            if outcome.errors and not to_the_end:
                raise RpcErrors(outcome.errors)
            await self.access.authorize_changes(requester, self._running, old, outcome.tree)
            try:
                await self._carry_out(requester, target, outcome.tree, options)
            except (NetconfError, RpcErrors) as error:
                found = error.errors if isinstance(error, RpcErrors) else (error,)
                raise RpcErrors((*outcome.errors, *found)) if outcome.errors else error from None
            if outcome.errors:
                raise RpcErrors(outcome.errors)

    async def copy(
        self, requester: Requester, source: Name | etree._Element, target: Name, mode: DefaultsMode = BASIC_MODE
    ) -> None:
        """Replace a datastore with another one, or with a given configuration (RFC 6241 section 7.3).

        `mode` says what becomes of default values on the way (RFC 6243 section 4.5.3). A default that is marked as one
        is as if nobody had set it, so `report-all-tagged` copies what `explicit` does.
        """
        if source is target:
            raise InvalidValue(f"the source and the target of a copy are both {target.value}")
        if not isinstance(source, Name):
            async with self._computing_of(requester, source):
                await self.access.authorize_edit(requester, self._running, source, "merge")
            computing = self._computing_of(requester, source)
            source = await protected(self._parts.vault, self.model.schema, source, self.read(target), computing)
        async with self._turn_of(requester):
            self._free_for(requester, target)
            tree = await self._source(source)
            if mode is not DefaultsMode.REPORT_ALL_TAGGED:
                tree = await asyncio.to_thread(with_defaults, self.model.schema, tree, mode)
            # RFC 8341 section 3.2.6: saving running needs no right to what is in it.
            if (source, target) != (Name.RUNNING, Name.STARTUP):
                if isinstance(source, Name):
                    tree = self.access.visible(requester, self._running, tree)
                await self.access.authorize_changes(requester, self._running, self.read(target), tree)
            if target is not Name.CANDIDATE:
                await asyncio.to_thread(self.model.validate, tree)
            await self._install(requester, target, tree)

    async def delete(self, requester: Requester, target: Name) -> None:
        """Delete the startup configuration (RFC 6241 section 7.4)."""
        async with self._turn_of(requester):
            self._free_for(requester, target)
            if target is not Name.STARTUP:
                raise InvalidValue(f"the {target.value} configuration cannot be deleted")
            old = self.read(target)
            await self._parts.disk.save({Name.STARTUP.value: None})
            self._startup = None
            changes = await asyncio.to_thread(difference, self.model.schema, old, self.model.empty())
            self._tell_of(requester, "startup", changes)

    async def validate(self, requester: Requester, source: Name | etree._Element) -> None:
        """Check a datastore or a given configuration (RFC 6241 section 8.6.4.1)."""
        if not isinstance(source, Name):
            empty = self.model.empty()
            async with self._computing_of(requester, source):
                source = await without_clear_secrets(self._parts.vault, self.model.schema, source, empty)
        async with self._turn.of(requester.account):
            tree = await self._source(source)
            await asyncio.to_thread(self.model.validate, tree)

    async def commit(self, requester: Requester, request: CommitRequest = CommitRequest()) -> None:  # noqa: B008 - frozen
        """Make the candidate the running configuration, for good or until it is undone (RFC 6241 sections 8.3.4.1 and
        8.4). Durable when this returns.

        Raises NetconfError or RpcErrors; then nothing changed, and what was pending still is.
        """
        with self._precedence(requester, request) as first:
            await self._commit(requester, request, first=first)

    async def _commit(self, requester: Requester, request: CommitRequest, *, first: bool) -> None:
        async with self._turn_of(requester, first=first):
            self._unlocked_for(requester, Name.RUNNING)
            self._unlocked_for(requester, Name.CANDIDATE)
            if self._candidate is not None:
                await self.access.authorize_changes(requester, self._running, self._running, self._candidate)
            if request.confirmed and request.persist is not None:
                self.access.authorize_persistence(requester, self._running)
            await self._confirming.take(Commit(requester, request, self._running))

    async def cancel_commit(self, requester: Requester, persist_id: str | None = None) -> None:
        """Undo the confirmed commit that is pending (RFC 6241 section 8.4.4.1). Raises NetconfError; it stays then."""
        async with self._turn_of(requester):
            self._unlocked_for(requester, Name.RUNNING)
            await self._confirming.take(CancelCommit(requester, persist_id))

    async def check_time(self) -> None:
        """Undo a confirmed commit whose time is over. Its own timer does this too."""
        await self._confirming.check_time()

    async def discard(self, requester: Requester) -> None:
        """Make the candidate follow running again (RFC 6241 section 8.3.4.2)."""
        async with self._turn_of(requester):
            self._free_for(requester, Name.CANDIDATE)
            self._candidate = None

    # locks

    def locks(self) -> Mapping[Name, Lock]:
        """Return the locks that are held."""
        return self._locks.held

    async def lock(self, requester: Requester, name: Name) -> None:
        """Lock a datastore (RFC 6241 section 7.5). Raises LockDenied.

        Takes its turn like a write: a write that is under way must not change what has just been locked.
        """
        async with self._turn_of(requester):
            self._known(name)
            self._locks.lockable(name)
            if name is Name.CANDIDATE and self._candidate is not None:
                raise LockDenied(
                    "the candidate has changes that are neither committed nor discarded; discard-changes drops them",
                    info=[ErrorInfo("session-id", "0")],
                )
            if name is Name.RUNNING:
                self._confirming.procedure.lockable_by(requester)
            self._locks.lock(requester.session_id, name, datetime.datetime.now(datetime.UTC))

    async def unlock(self, requester: Requester, name: Name) -> None:
        """Unlock a datastore; the candidate's changes are discarded (RFC 6241 sections 7.6 and 8.3.5.2)."""
        async with self._turn_of(requester):
            self._known(name)
            self._locks.unlock(requester.session_id, name)
            self._after_unlocking([name])

    def session_revoked(self, session_id: int) -> None:
        """Do nothing more for a session, whose user is no more; also not what already waits for its turn."""
        self._revoked.add(session_id)

    def session_ended(self, session_id: int) -> None:
        """Release what a session held, and begin to undo what does not outlive it; `settled` waits for that."""
        self._after_unlocking(self._locks.session_ended(session_id))
        self._revoked.discard(session_id)
        self._confirming.session_ended(session_id)

    async def settled(self) -> None:
        """Wait until nothing is left to undo for sessions that have ended."""
        await self._confirming.settled()

    def _after_unlocking(self, names: Collection[Name]) -> None:
        if Name.CANDIDATE in names:
            self._candidate = None

    def _computing_of(self, requester: Requester, config: etree._Element) -> AbstractAsyncContextManager[None]:
        return nullcontext() if is_small(config) else self.computing.of(requester.account)

    @contextmanager
    def _precedence(self, requester: Requester, request: CommitRequest) -> Iterator[bool]:
        """Say whether a commit goes before all others who wait.

        What confirms in time goes with the device's own roll-back, or it would be overtaken by that. One at a time:
        sessions that go on confirming must not keep everybody else waiting.
        """
        first = not self._following_up and self._confirming.procedure.followed_by(requester, request)
        self._following_up |= first
        try:
            yield first
        finally:
            self._following_up &= not first

    # within the turn

    @asynccontextmanager
    async def _turn_of(self, requester: Requester, *, first: bool = False) -> AsyncIterator[None]:
        """Hold the turn for a requester, before all others who wait if it goes first."""
        async with self._turn.of(None if first else requester.account):
            # NACM would let it pass: groups keep the names of users who are no more.
            if requester.session_id in self._revoked:
                raise AccessDenied(f"the user {requester.user} is no more")
            yield

    def _known(self, name: Name) -> None:
        if name not in self.names:
            raise InvalidValue(f"this device has no {name.value} datastore")

    def _free_for(self, requester: Requester, name: Name) -> None:
        self._unlocked_for(requester, name)
        if name is Name.RUNNING:
            self._confirming.procedure.free_for(requester)

    def _unlocked_for(self, requester: Requester, name: Name) -> None:
        self._known(name)
        self._locks.free_for(requester.session_id, name)

    async def _carry_out(self, requester: Requester, target: Name, tree: etree._Element, options: EditOptions) -> None:
        # Running is validated by its transaction; a candidate's constraints wait for the commit unless a test was asked
        # for (RFC 7950 section 8.3.3).
        if options.test_option in ("test-then-set", "test-only") or target is Name.STARTUP:
            await asyncio.to_thread(self.model.validate, tree)
        if options.test_option != "test-only":
            await self._install(requester, target, tree)

    async def _source(self, source: Name | etree._Element) -> etree._Element:
        """Return the tree of a datastore, or the canonical form of a configuration that has no clear secrets."""
        if isinstance(source, Name):
            return self.read(source)
        return await asyncio.to_thread(edited, self.model.schema, self.model.empty(), source)

    async def _is_running(self, tree: etree._Element) -> bool:
        # Canonical trees mean the same exactly when they read the same.
        running = self._running
        return await computed(lambda: xml.serialise(tree) == xml.serialise(running), tree, running)

    async def _install(self, requester: Requester, target: Name, tree: etree._Element) -> None:
        match target:
            case Name.CANDIDATE:
                same = tree is self._running or await self._is_running(tree)
                self._candidate = None if same else tree
            case Name.STARTUP:
                old = self.read(target)
                await self._parts.disk.save({Name.STARTUP.value: await _serialised(tree)})
                self._startup = tree
                changes = await asyncio.to_thread(difference, self.model.schema, old, tree)
                self._tell_of(requester, "startup", changes)
            case Name.RUNNING:
                await self._replace_running(requester, tree, self._confirming.procedure.pending)

    async def _replace_running(self, requester: Requester, tree: etree._Element, pending: Pending | None) -> None:
        """Bring a tree into force, and store with it what is pending then."""

        async def install() -> None:
            contents, facts = await _recorded(pending)
            await self._parts.disk.save({Name.RUNNING.value: await _serialised(tree), **contents}, facts)
            self._running = tree

        done = await bring_into_force(self.model, self._parts.backend, self._running, tree, install)
        if not done:
            await self._note(pending)
        self._tell_of(requester, "running", done)

    async def _note(self, pending: Pending | None) -> None:
        """Store what is pending, if it is something else than before."""
        if pending is not self._confirming.procedure.pending:
            await self._parts.disk.save(*await _recorded(pending))

    def _tell_of(
        self, requester: Requester | None, datastore: Literal["running", "startup"], changes: Sequence[Change]
    ) -> None:
        if changes:
            self._parts.observe(ConfigChange(requester, datastore, tuple(changes)))

    # what a confirmed commit asks for, within the turn

    async def _perform(self, effect: Install | RollBack) -> None:
        match effect:
            case Install(requester, pending):
                if self._candidate is not None:
                    await self._replace_running(requester, self._candidate, pending)
                    self._candidate = None
                else:
                    await self._note(pending)
            case RollBack():
                await self._roll_back(effect)

    async def _roll_back(self, effect: RollBack) -> None:
        contents, facts = confirmed.record(None)

        async def save(running: Mapping[str, bytes]) -> None:
            has_to_be = effect.requester is None
            try:
                await self._parts.disk.save({**running, **contents}, facts, in_force=has_to_be)
            except NetconfError as error:
                if not has_to_be:
                    raise
                # What is stored undoes itself at the next start, so the way back is safe without the disk.
                _log.error("a confirmed commit is undone, but not on disk: %s", error.message)

        async def install() -> None:
            await save({Name.RUNNING.value: await _serialised(effect.tree)})
            self._running = effect.tree

        done = await bring_back(self.model, self._parts.backend, self._running, effect.tree, install)
        if not done:
            await save({})
        if self._candidate is not None and await self._is_running(self._candidate):
            self._candidate = None
        self._tell_of(effect.requester, "running", done)


async def _serialised(tree: etree._Element) -> bytes:
    return await computed(lambda: xml.serialise(tree), tree)


async def _recorded(pending: Pending | None) -> confirmed.Record:
    """Return what is stored of a confirmed commit that is pending."""
    return await computed(lambda: confirmed.record(pending), *(() if pending is None else (pending.before,)))
