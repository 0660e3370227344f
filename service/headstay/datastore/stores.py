"""The datastores: running, candidate and startup, and the one turn in which they change.

Readers get published trees at any time; writers take turns, which are fair among users. Owns what an operation must
pass before it changes anything, and the life of the candidate (RFC 6241 sections 7 and 8.3). `durable` keeps running
and startup, `locks` knows who holds which lock, `confirmed` decides what becomes of a confirmed commit. Knows no
session but its id and no message.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import AsyncIterator, Collection, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext

from lxml import etree

from headstay.datastore.access import Requester
from headstay.datastore.computing import AT_ONCE, computed, is_small
from headstay.datastore.confirmed import CancelCommit, Commit, CommitRequest, Install, Pending, Procedure, RollBack
from headstay.datastore.confirming import Confirming
from headstay.datastore.defaults import BASIC_MODE, DefaultsMode, with_defaults
from headstay.datastore.durable import Durable
from headstay.datastore.edit import EditOptions, edit, edited
from headstay.datastore.locks import Lock, Locks
from headstay.datastore.name import Name
from headstay.datastore.parts import Parts
from headstay.datastore.secrets import protected, without_clear_secrets
from headstay.datastore.turns import Turns
from headstay.datastore.view import View
from headstay.errors import AccessDenied, ErrorInfo, InvalidValue, LockDenied, NetconfError, RpcErrors


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
        procedure = Procedure(pending)
        self._durable = Durable(parts, procedure, running, startup)
        self._candidate: etree._Element | None = None  # None: unmodified, it follows running
        self.names = tuple(Name) if with_startup else (Name.RUNNING, Name.CANDIDATE)
        """The datastores that exist."""
        self._locks = Locks()
        self._following_up = False  # whether a commit that goes before all others waits, or is carried out
        self._revoked: set[int] = set()  # sessions whose users are no more, until their last operations have ended
        self._turn = Turns(1)
        self.computing = Turns(AT_ONCE)
        """For whatever is computed for users in threads outside the turn in which datastores change."""
        self._confirming = Confirming(procedure, self._turn, self._perform, parts.observe, parts.clock)

    async def stop(self) -> None:
        """Finish what ended sessions have left to undo. Call it when all sessions have ended."""
        await self._confirming.stop()

    # reading

    def read(self, name: Name) -> etree._Element:
        """Return the published tree. Raises InvalidValue if there is no such datastore."""
        self._known(name)
        if name is Name.STARTUP:
            return self._durable.startup
        if name is Name.CANDIDATE and self._candidate is not None:
            return self._candidate
        return self._durable.running

    def view(self, requester: Requester) -> View:
        """Return what this requester may read now; what is done with it may be done in a thread."""
        permissions = self.access.permissions(requester, self._durable.running)
        return View(self.model.schema, self._durable.running, permissions)

    def state(self) -> etree._Element:
        """Return a tree of the datastores' own state."""
        return self.access.state()

    def may_receive(self, requester: Requester, notification: etree._Element) -> bool:
        """Return whether this requester may receive a notification, and count it if not (RFC 8341 section 3.4.6)."""
        return self.access.may_receive(requester, self._durable.running, notification)

    def concealed(self, requester: Requester, error: NetconfError) -> NetconfError:
        """Return an error as it may be told to this requester."""
        return self.access.concealed(requester, self._durable.running, error)

    # writing

    def authorize(self, requester: Requester, operation: str) -> None:
        """Raise AccessDenied unless this requester may execute the operation with this tag."""
        self.access.authorize(requester, self._durable.running, operation)

    async def edit(self, requester: Requester, target: Name, config: etree._Element, options: EditOptions) -> None:
        """Apply an <edit-config> (RFC 6241 section 7.2). Raises NetconfError or RpcErrors; then nothing changed,
        except that with continue-on-error everything that was right took effect.
        """
        async with self._computing_of(requester, config):
            await self.access.authorize_edit(requester, self._durable.running, config, options.default_operation)
        # Before the turn: hashing passwords takes its time, and nobody shall wait for it.
        computing = self._computing_of(requester, config)
        config = await protected(self._parts.vault, self.model.schema, config, self.read(target), computing)
        async with self._turn_of(requester):
            self._free_for(requester, target)
            old = self.read(target)
            reads = self.access.permissions(requester, self._durable.running).reads
            to_the_end = options.error_option == "continue-on-error"
            work = functools.partial(
                edit, self.model.schema, old, config, options.default_operation, reads, to_the_end=to_the_end
            )
            outcome = await computed(work, old, config)
            if outcome.errors and not to_the_end:
                raise RpcErrors(outcome.errors)
            await self.access.authorize_changes(requester, self._durable.running, old, outcome.tree)
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
                await self.access.authorize_edit(requester, self._durable.running, source, "merge")
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
                    tree = self.access.visible(requester, self._durable.running, tree)
                await self.access.authorize_changes(requester, self._durable.running, self.read(target), tree)
            if target is not Name.CANDIDATE:
                await asyncio.to_thread(self.model.validate, tree)
            await self._install(requester, target, tree)

    async def delete(self, requester: Requester, target: Name) -> None:
        """Delete the startup configuration (RFC 6241 section 7.4)."""
        async with self._turn_of(requester):
            self._free_for(requester, target)
            if target is not Name.STARTUP:
                raise InvalidValue(f"the {target.value} configuration cannot be deleted")
            await self._durable.replace_startup(requester, None)

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
            running = self._durable.running
            if self._candidate is not None:
                await self.access.authorize_changes(requester, running, running, self._candidate)
            if request.confirmed and request.persist is not None:
                self.access.authorize_persistence(requester, running)
            await self._confirming.take(Commit(requester, request, running))

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

    async def _install(self, requester: Requester, target: Name, tree: etree._Element) -> None:
        match target:
            case Name.CANDIDATE:
                self._candidate = None if await self._durable.is_running(tree) else tree
            case Name.STARTUP:
                await self._durable.replace_startup(requester, tree)
            case Name.RUNNING:
                await self._durable.replace_running(requester, tree, self._confirming.procedure.pending)

    # what a confirmed commit asks for, within the turn

    async def _perform(self, effect: Install | RollBack) -> None:
        match effect:
            case Install(requester, pending):
                if self._candidate is not None:
                    await self._durable.replace_running(requester, self._candidate, pending)
                    self._candidate = None
                else:
                    await self._durable.note(pending)
            case RollBack():
                await self._durable.roll_back(effect)
                if self._candidate is not None and await self._durable.is_running(self._candidate):
                    self._candidate = None
