"""Why SQLite refuses a file: its causes told apart, since what to do next differs.

Knows no file's content. SQLite's own words do not do: on a full disk it may speak of an I/O error.
"""

from __future__ import annotations

import enum
import errno
import os
import sqlite3
from pathlib import Path

_LEAST_FREE = 65536
"""Octets. With less than that SQLite cannot make its side files, and calls it an I/O error."""

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
"""The last is what SQLite says where a table is not there or is another."""


class Cause(enum.Enum):
    """Why a file is refused."""

    NO_SPACE = "no space"
    READ_ONLY = "read-only"
    IN_USE = "in use"
    DAMAGED = "damaged"
    OTHER = "other"


class NotOursError(sqlite3.DatabaseError):
    """SQLite can read the file, but its content is not what we write."""


def cause_of(error: sqlite3.Error | OSError, file: Path) -> Cause:
    """Return why this file is refused."""
    if isinstance(error, OSError):
        return _of_system(error)
    code: int = getattr(error, "sqlite_errorcode", None) or 0
    match code & 0xFF:
        case sqlite3.SQLITE_FULL:
            return Cause.NO_SPACE
        case sqlite3.SQLITE_IOERR | sqlite3.SQLITE_CANTOPEN if not _has_space(file.parent):
            return Cause.NO_SPACE
        case sqlite3.SQLITE_READONLY:
            return Cause.READ_ONLY
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Cause.IN_USE
        case primary if primary in _DAMAGE or isinstance(error, NotOursError):
            return Cause.DAMAGED
    return Cause.OTHER


def _of_system(error: OSError) -> Cause:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return Cause.NO_SPACE
    return Cause.READ_ONLY if error.errno == errno.EROFS else Cause.OTHER


def _has_space(directory: Path) -> bool:
    try:
        found = os.statvfs(directory)
    except OSError:
        return True
    free = found.f_bfree if os.geteuid() == 0 else found.f_bavail
    # Some file systems do not count their inodes.
    return free * found.f_frsize >= _LEAST_FREE and (found.f_files == 0 or found.f_ffree > 0)
