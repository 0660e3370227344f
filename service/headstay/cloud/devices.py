"""A device as the cloud knows it: its serial number, and the record of it.

Owns the form of a serial number and how two are compared: folded (`fold`), and shown as it was first spelled. Pure:
knows no database, so that the cores which are handed a record know none either.
"""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from headstay.errors import WireError
from headstay.wire import SERIAL_PATTERN
from headstay.wire.scram import Verifier

_SERIAL = re.compile(SERIAL_PATTERN)


@dataclass(frozen=True, slots=True)
class Online:
    """The main connection that a device holds now."""

    generation: int
    since: datetime.datetime
    address: str


@dataclass(frozen=True, slots=True)
class Device:
    """A serial number that was added."""

    serial: str
    """As it was spelled when it was added."""
    verifier: Verifier | None
    """None when the cloud holds no password for it."""
    added_at: datetime.datetime
    last_seen_at: datetime.datetime | None
    model: str | None
    software: str | None
    online: Online | None
    unbound_at: datetime.datetime | None = None
    """When it was unbound from whoever had registered it; None while it is bound."""


def is_serial(text: str) -> bool:
    """Return whether `text` has the form of a serial number (design section 2)."""
    return _SERIAL.fullmatch(text) is not None


def fold(serial: str) -> str:
    """Return the form in which serial numbers are compared. Raises WireError if it is none."""
    if not is_serial(serial):
        raise WireError("the serial number is malformed")
    return serial.lower()
