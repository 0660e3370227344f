"""SHELL: what the device learns from DHCP. Takes events, keeps the leases on disk, and has the backend follow them.

Owns the order of events (one at a time), the stored form of the leases and the report of a change. Knows the disk only
as a protocol, and no session.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from headstay import xml
from headstay.backend.plan import Backend
from headstay.datastore.model import Model
from headstay.datastore.schema import SchemaNode
from headstay.datastore.secrets import SecretUnreadableError, Vault
from headstay.dhcp import pending
from headstay.dhcp.event import Client, LeaseEvent
from headstay.dhcp.lease import Lease, Leases
from headstay.dhcp.wall_clock import WallClock
from headstay.dhcp.watch import NetworkdWatch
from headstay.engine.events import DhcpChange
from headstay.engine.instant import Instant, read_clock
from headstay.errors import NetconfError

_log = logging.getLogger("headstay.dhcp")

LOOK_EVERY = 5.0
"""Seconds between looks at the files that events come in by."""
_FACT = "dhcp-leases"
_UPDATE = f"{{{xml.HCM}}}dhcp-update"
"""The RPC to whose leaf `password` a stored password is bound: it opens nowhere else."""


def resealed(model: Model, facts: Mapping[str, str], old: Vault, new: Vault) -> dict[str, str]:
    """Return the stored leases with their passwords under a new key; nothing if they cannot be read."""
    leaf = _leaf(model)
    try:
        entries = json.loads(facts[_FACT])
        for entry in entries:
            if entry["password"] is not None:
                entry["password"] = new.seal(old.open(entry["password"], leaf), leaf)
    except (ValueError, KeyError, TypeError, SecretUnreadableError):
        return {}  # a lease comes again by itself
    return {_FACT: json.dumps(entries)}


def _leaf(model: Model) -> SchemaNode:
    return model.rpc(_UPDATE).children[f"{{{xml.HCM}}}password"]


class Store(Protocol):
    """The small facts on disk."""

    def facts(self) -> dict[str, str]:
        """Return them. Raises StartupError."""

    async def save(self, contents: Mapping[str, bytes | None], facts: Mapping[str, str] | None = None) -> None:
        """Save them durably. Raises OperationFailed."""


class Dhcp:
    """The leases of one device. Make it before the engine; `run()` it as a task beside the engine."""

    def __init__(
        self,
        model: Model,
        vault: Vault,
        backend: Backend,
        store: Store,
        *,
        boot_id: str,
        clock: Callable[[], Instant] = read_clock,
    ) -> None:
        """Take over what was held when the daemon last ran; from here on the backend counts it in.

        `boot_id` tells one boot of the kernel from another.
        """
        self._vault = vault
        self._backend = backend
        self._store = store
        self._clock = clock
        self._boot_id = boot_id
        self._leases = Leases()
        self._turn = asyncio.Lock()
        self._observe: Callable[[DhcpChange, float], None] = _nobody
        self._leaf = _leaf(model)
        now = clock()
        self._leases.restore(self._stored(), now.wall, now.monotonic)
        self._watch = NetworkdWatch(
            known=[lease.interface for lease in self._leases.all() if lease.client == Client.SYSTEMD_NETWORKD.value]
        )
        backend.learns_from(self._leases.of)

    def tells(self, observe: Callable[[DhcpChange, float], None]) -> None:
        """Say who is told of changes, each with when it happened. It must not wait."""
        self._observe = observe

    def watches(self, watch: NetworkdWatch) -> None:
        """Replace the watch over systemd-networkd's leases."""
        self._watch = watch

    def lease(self) -> Lease | None:
        """Return the lease of the configured interface."""
        return self._leases.of(self._backend.dhcp_use.interface)

    async def take(self, event: LeaseEvent, happened_at: float | None = None) -> None:
        """Take one event; what it gives or takes is in force, and on disk, when this returns.

        `happened_at` is by the wall clock, now if not given. A disk that refuses costs the memory of a restart only.
        """
        async with self._turn:
            await self._take(event, happened_at)

    async def run(self, state_dir: Path) -> None:
        """Look at the files that events come in by, and for leases that have ended, until cancelled."""
        while True:
            try:
                await self.look(state_dir)
            except Exception:  # noqa: BLE001 -- the supervisor: a look that fails must not end those that follow
                _log.exception("the files that DHCP clients leave could not be looked at")
            await asyncio.sleep(LOOK_EVERY)

    async def look(self, state_dir: Path) -> None:
        """Take over what waits in files, and drop leases that have ended."""
        async with self._turn:
            clock = self._wall_clock()
            for file, found in await asyncio.to_thread(pending.waiting, state_dir, clock):
                if found is None:
                    _log.warning("%s is no event of a DHCP client; it is removed", file)
                else:
                    await self._take(*found)
                await asyncio.to_thread(_remove, file)
            for event, happened_at in await asyncio.to_thread(self._watch.look):
                # The files go with each boot: one that is older was written before the clock was set.
                await self._take(event, max(happened_at, self._wall_clock().booted_at))
            before = self.lease()
            ended = self._leases.expire(self._clock().monotonic)
            for lease in ended:
                _log.warning("the DHCP lease of %s ended and its client, %s, is silent", lease.interface, lease.client)
            if ended:
                await self._follow(before)

    # within the turn

    async def _take(self, event: LeaseEvent, happened_at: float | None) -> None:
        if self._leases.is_overtaken(event):
            _log.info(
                "%s on %s has told later news already; what came in now is ignored", event.client, event.interface
            )
            return
        now, before = self._clock(), self.lease()
        at = now.wall if happened_at is None else happened_at
        if not self._leases.take(event, at, now.wall, now.monotonic):
            return
        self._leases.expire(now.monotonic)  # an event from a file may be about a lease that has long ended
        interface = self._backend.dhcp_use.interface
        if event.interface != interface:
            _log.info("DHCP on %s does not count; only that on %s does", event.interface, interface)
        await self._follow(before)

    async def _follow(self, before: Lease | None) -> None:
        after = self.lease()
        if self._backend.dhcp_use.enabled and _gives(before) != _gives(after):
            self._tell(after)
        self._backend.follow_lease()
        try:
            await self._store.save({}, {_FACT: json.dumps([self._written(lease) for lease in self._leases.all()])})
        except NetconfError as error:
            _log.error("the DHCP leases could not be stored and will not outlive the daemon: %s", error.message)

    def _tell(self, lease: Lease | None) -> None:
        domain, password, ignored = _gives(lease)
        change = DhcpChange(
            interface=self._backend.dhcp_use.interface,
            domain=domain,
            password_present=password is not None,
            ignored=ignored,
        )
        self._observe(change, self._clock().wall)

    def _wall_clock(self) -> WallClock:
        now = self._clock()
        return WallClock(self._boot_id, now.wall - now.monotonic)

    # the stored form

    def _written(self, lease: Lease) -> dict[str, object]:
        clock = self._wall_clock()
        return {
            "interface": lease.interface,
            "client": lease.client,
            "received-at": lease.received_at,
            "expires-at": lease.expires_at,
            "domain": lease.domain,
            "password": None if lease.password is None else self._vault.seal(lease.password, self._leaf),
            "ignored": lease.ignored,
            "boot-id": clock.boot_id,
            "booted-at": clock.booted_at,
        }

    def _stored(self) -> list[Lease]:
        try:
            return [self._read(entry) for entry in json.loads(self._store.facts().get(_FACT, "[]"))]
        except (ValueError, KeyError, TypeError, SecretUnreadableError):
            # A lease comes again by itself; a daemon that does not start does not.
            _log.error("the stored DHCP leases cannot be read; what DHCP gives counts from the next lease on")
            return []

    def _read(self, entry: dict[str, object]) -> Lease:
        sealed, expires_at = entry["password"], entry["expires-at"]
        then = WallClock(str(entry["boot-id"]), float(str(entry["booted-at"])))
        since = self._wall_clock().set_since(then)
        return Lease(
            interface=str(entry["interface"]),
            client=str(entry["client"]),
            received_at=float(str(entry["received-at"])) + since,
            domain=_text(entry["domain"]),
            password=None if sealed is None else self._vault.open(str(sealed), self._leaf),
            ignored=_text(entry["ignored"]),
            expires_at=None if expires_at is None else float(str(expires_at)) + since,
        )


def _gives(lease: Lease | None) -> tuple[str | None, str | None, str | None]:
    return (None, None, None) if lease is None else (lease.domain, lease.password, lease.ignored)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _remove(file: Path) -> None:
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("%s cannot be removed: %s", file, error.strerror)


def _nobody(change: DhcpChange, time: float) -> None:
    """Tell nobody: before the engine runs there is nobody to tell."""
    del change, time
