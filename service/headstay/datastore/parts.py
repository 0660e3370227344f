"""What the datastores of a device are made of. Owns nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headstay.datastore.access import Access
from headstay.datastore.commit import Backend
from headstay.datastore.confirming import boottime
from headstay.datastore.disk import Disk
from headstay.datastore.events import DatastoreEvent
from headstay.datastore.model import Model
from headstay.datastore.secrets import Vault


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
