"""What the device comes up with: the last commit, the startup configuration after a new boot, or the first user.

Owns the choice (running is non-volatile; startup counts only where it is enabled; a confirmed commit that has not been
confirmed is undone unless it may outlive the daemon) and the checks of what was stored.

A disk that takes nothing, because it is full for instance, does not keep a device down that has run before. All that a
start decides follows from what is stored and from the boot: what it could not write it decides again at the next start,
in the same boot or another one, and undoes again what has to be undone. Once the disk takes something, it takes that
with it (see `disk`), so that no later commit stands beside the boot-id or the confirmed commit of an earlier boot.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lxml import etree

from headstay import xml
from headstay.datastore import confirmed
from headstay.datastore.access import NACM
from headstay.datastore.confirmed import Pending
from headstay.datastore.confirming import boottime
from headstay.datastore.difference import difference
from headstay.datastore.disk import RESTORE, Disk
from headstay.datastore.edit import edited
from headstay.datastore.events import ConfigChange, ConfirmedCommit, ConfirmEvent, DatastoreEvent
from headstay.datastore.model import DATA, Model
from headstay.errors import NetconfError, RpcErrors, StartupError

_log = logging.getLogger(__name__)

BOOT_ID = "boot-id"


class _Unusable(StartupError):
    """What is stored is of no use. The message says why, and not where nor what to do."""


@dataclass(frozen=True, slots=True)
class Boot:
    """What there is at start."""

    running: etree._Element
    startup: etree._Element | None
    pending: Pending | None = None
    """The confirmed commit that still waits to be confirmed."""
    events: tuple[DatastoreEvent, ...] = field(default=())
    """What the start itself has done to the datastores."""


async def load(
    model: Model,
    disk: Disk,
    initial: etree._Element,
    boot_id: str,
    *,
    with_startup: bool,
    clock: Callable[[], float] = boottime,
) -> Boot:
    """Return the trees to start with; running is on disk when this returns, or owed to a disk that takes nothing.

    `initial` is an edit that makes a first configuration; `boot_id` tells one boot of the kernel from another, and
    `clock` counts from it. A configuration without any access control gets that of `initial`: nobody but root could
    change it otherwise. Raises StartupError if what is stored does not obey the model, or the disk refuses the first
    configuration.
    """
    try:
        return await _load(model, disk, initial, boot_id, with_startup=with_startup, clock=clock)
    except _Unusable as error:
        raise StartupError(f"the datastore {disk.file} cannot be used: {error}; {RESTORE}") from None


async def _load(
    model: Model,
    disk: Disk,
    initial: etree._Element,
    boot_id: str,
    *,
    with_startup: bool,
    clock: Callable[[], float],
) -> Boot:
    stored, facts = disk.load(), disk.facts()
    new_boot = facts.get(BOOT_ID) != boot_id
    startup = _tree(model, stored["startup"], "startup") if with_startup and "startup" in stored else None
    pending = _pending(model, stored, facts)
    end = None if pending is None else confirmed.end_at_start(pending, clock(), new_boot=new_boot)
    if new_boot and startup is not None:
        running = startup
    elif pending is not None and end is not None:
        running = pending.before
    elif "running" in stored:
        running = _tree(model, stored["running"], "running")
    else:
        running = _first(model, initial)
    running = _with_access_control(model, running, initial)
    content = xml.serialise(running)
    still_pending = pending if end is None else None
    if new_boot or end is not None or stored.get("running") != content:
        contents, noted = confirmed.record(still_pending)
        record = {"running": content, **contents}, {BOOT_ID: boot_id, **noted}
        await _save(disk, record, is_first="running" not in stored)
    events = () if end is None else _undone(model, stored, running, end)
    return Boot(running, startup, still_pending, events)


async def _save(disk: Disk, record: confirmed.Record, *, is_first: bool) -> None:
    try:
        await disk.save(*record, in_force=True)
    except NetconfError as error:
        if is_first:  # nobody relies on this device yet, and whoever installs it is there to see
            raise StartupError(error.message) from None
        _log.error("the device comes up and can store nothing, no commit either: %s", error.message)


def _pending(model: Model, stored: Mapping[str, bytes], facts: Mapping[str, str]) -> Pending | None:
    fact = confirmed.stored(facts)
    if fact is None or confirmed.BEFORE not in stored:
        return None
    before = _tree(model, stored[confirmed.BEFORE], "earlier")
    try:
        return confirmed.restored(before, fact)
    except ValueError:
        raise _Unusable("what is stored of a confirmed commit is damaged") from None


def _undone(
    model: Model, stored: Mapping[str, bytes], running: etree._Element, end: ConfirmEvent
) -> tuple[DatastoreEvent, ...]:
    """Return what to tell of a confirmed commit that the start has undone."""
    _log.warning("a commit was never confirmed; the configuration from before it is in force again")
    told = ConfirmedCommit(None, end)
    try:
        changes = difference(model.schema, _tree(model, stored["running"], "running"), running)
    except _Unusable:  # what was undone does not matter any more
        return (told,)
    return (ConfigChange(None, "running", tuple(changes)), told) if changes else (told,)


def _with_access_control(model: Model, running: etree._Element, initial: etree._Element) -> etree._Element:
    rules = initial.find(NACM)
    if rules is None or running.find(NACM) is not None:
        return running
    config = model.empty()
    config.append(copy.deepcopy(rules))
    return edited(model.schema, running, config)


def _first(model: Model, initial: etree._Element) -> etree._Element:
    try:
        return _checked(model, initial)
    except (NetconfError, RpcErrors) as error:
        raise StartupError(f"device.toml does not obey the model: {error}; correct it and start again") from None


def _tree(model: Model, content: bytes, name: str) -> etree._Element:
    try:
        root = xml.parse(content)
    except xml.XmlError as error:
        raise _Unusable(f"the stored {name} configuration is damaged: {error}") from None
    if root.tag != DATA:
        raise _Unusable(f"the stored {name} configuration is damaged: it is no <data>")
    try:
        return _checked(model, root)
    except (NetconfError, RpcErrors) as error:
        raise _Unusable(f"the stored {name} configuration does not obey the model: {error}") from None


def _checked(model: Model, config: etree._Element) -> etree._Element:
    tree = edited(model.schema, model.empty(), config)
    model.validate(tree)
    return tree
