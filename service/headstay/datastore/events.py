"""What happened to the datastores, for whoever wants to hear of it: one class for each kind (RFC 6470).

Owns the words only. Knows no notification's XML, no stream and no session but by its requester.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Literal

from headstay.datastore.access import Requester
from headstay.datastore.difference import Change


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """A configuration that outlives the session has changed (RFC 6470, netconf-config-change)."""

    requester: Requester | None
    """Who changed it; None: the device itself, as when a confirmed commit runs out."""
    datastore: Literal["running", "startup"]
    changes: tuple[Change, ...]
    """What changed, node by node; never empty."""
    removed_users: frozenset[str] = frozenset()
    """The users who are no more; none with startup, and none while the device starts."""


class ConfirmEvent(enum.Enum):
    """What became of a confirmed commit, in the words of RFC 6470."""

    START = "start"
    CANCEL = "cancel"
    TIMEOUT = "timeout"
    EXTEND = "extend"
    COMPLETE = "complete"


@dataclass(frozen=True, slots=True)
class ConfirmedCommit:
    """A confirmed commit began, was extended, or ended one way or another (RFC 6470, netconf-confirmed-commit)."""

    requester: Requester | None
    """Who did it; None where nobody asked for it: it ran out, or the device undid it at start."""
    confirm_event: ConfirmEvent
    timeout: int | None = None
    """Seconds until it is undone; with START and EXTEND only."""


DatastoreEvent = ConfigChange | ConfirmedCommit
