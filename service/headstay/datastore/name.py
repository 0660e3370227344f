"""The names of the configuration datastores (RFC 8342 section 5.1)."""

from __future__ import annotations

import enum


class Name(enum.Enum):
    """A configuration datastore."""

    RUNNING = "running"
    CANDIDATE = "candidate"
    STARTUP = "startup"
