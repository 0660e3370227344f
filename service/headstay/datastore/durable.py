"""Running and startup: the configurations that outlive the daemon (RFC 6241 sections 5.1 and 8.7).

Owns their trees, and how one is replaced: saved first, then in force, then told of. Stores with running what is pending
of a confirmed commit, in the same transaction. Knows no candidate, no lock and no right: whoever replaces something
here holds the turn, and has asked whether the requester may.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Literal

from lxml import etree

from headstay import xml
from headstay.datastore import confirmed
from headstay.datastore.access import Requester, removed_users
from headstay.datastore.commit import bring_back, bring_into_force
from headstay.datastore.computing import computed
from headstay.datastore.confirmed import Pending, Procedure, RollBack
from headstay.datastore.difference import Change, difference
from headstay.datastore.events import ConfigChange
from headstay.datastore.name import Name
from headstay.datastore.parts import Parts
from headstay.errors import NetconfError

_log = logging.getLogger(__name__)


class Durable:
    """The two configurations of one device."""

    def __init__(
        self, parts: Parts, procedure: Procedure, running: etree._Element, startup: etree._Element | None
    ) -> None:
        """Take over what is on disk. The procedure is asked what is pending now."""
        self.running = running
        """The published tree."""
        self._parts = parts
        self._model = parts.model
        self._procedure = procedure
        self._startup = startup
        self._read_as: tuple[etree._Element, bytes] | None = None

    @property
    def startup(self) -> etree._Element:
        """The published tree; an empty one if there is none."""
        return self._startup if self._startup is not None else self._model.empty()

    async def is_running(self, tree: etree._Element) -> bool:
        """Return whether a canonical tree means the same as running."""
        # They do exactly when they read the same.
        return tree is self.running or await _serialised(tree) == await self._octets()

    async def _octets(self) -> bytes:
        """Return what running reads as."""
        if self._read_as is None or self._read_as[0] is not self.running:
            self._read_as = self.running, await _serialised(self.running)
        return self._read_as[1]

    # What follows changes what is stored. If it raises a NetconfError or RpcErrors, nothing has changed.

    async def replace_startup(self, requester: Requester, tree: etree._Element | None) -> None:
        """Make a tree startup; None: delete startup."""
        old = self.startup
        await self._parts.disk.save({Name.STARTUP.value: None if tree is None else await _serialised(tree)})
        self._startup = tree
        changes = await asyncio.to_thread(difference, self._model.schema, old, self.startup)
        self._tell_of(requester, "startup", changes)

    async def replace_running(self, requester: Requester, tree: etree._Element, pending: Pending | None) -> None:
        """Bring a tree into force, and store with it what is pending then."""
        removed = await _removed_users(self.running, tree)

        async def install() -> None:
            octets = await _serialised(tree)
            contents, facts = await self._recorded(pending)
            await self._parts.disk.save({Name.RUNNING.value: octets, **contents}, facts)
            self.running = tree
            self._read_as = tree, octets

        done = await bring_into_force(self._model, self._parts.backend, self.running, tree, install)
        if not done:
            await self.note(pending)
        self._tell_of(requester, "running", done, removed)

    async def note(self, pending: Pending | None) -> None:
        """Store what is pending, if it is something else than before."""
        contents, facts = await self._recorded(pending)
        if contents or facts:
            await self._parts.disk.save(contents, facts)

    async def _recorded(self, pending: Pending | None) -> confirmed.Record:
        """Return what is stored of a confirmed commit that is pending; nothing if that is stored already."""
        if pending is self._procedure.pending:
            return {}, {}
        return await computed(lambda: confirmed.record(pending), *(() if pending is None else (pending.before,)))

    async def roll_back(self, effect: RollBack) -> None:
        """Bring the tree from before a confirmed commit into force, and store that nothing is pending.

        One that nobody has asked for cannot be refused, not even by the disk.
        """
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

        removed = await _removed_users(self.running, effect.tree)

        async def install() -> None:
            await save({Name.RUNNING.value: await _serialised(effect.tree)})
            self.running = effect.tree

        done = await bring_back(self._model, self._parts.backend, self.running, effect.tree, install)
        if not done:
            await save({})
        self._tell_of(effect.requester, "running", done, removed)

    def _tell_of(
        self,
        requester: Requester | None,
        datastore: Literal["running", "startup"],
        changes: Sequence[Change],
        removed_users: frozenset[str] = frozenset(),
    ) -> None:
        if changes:
            self._parts.observe(ConfigChange(requester, datastore, tuple(changes), removed_users))


async def _removed_users(old: etree._Element, new: etree._Element) -> frozenset[str]:
    # Before anything is in force: the moment it is, nobody who is no more shall begin with something.
    return await computed(lambda: removed_users(old, new), old, new)


async def _serialised(tree: etree._Element) -> bytes:
    return await computed(lambda: xml.serialise(tree), tree)
