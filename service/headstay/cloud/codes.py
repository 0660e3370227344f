"""Verification codes: what they look like, how they are stored, and whether one is right (design section 1.10).

Whoever may have a device unbound is given a code; the device's administrator types it there. So a code is short and has
no letters that are taken for one another, yet it has 80 bits, and the database keeps its SHA-256 only. A serial number
has one code at a time; a new one takes the place of the old. A code is good once, until it expires, or until so many
wrong ones were tried that it is void. Only a device that has authenticated can try, so nobody else can make it void.

Owns the table of codes and its statements, each within a transaction of the registry. Knows no device and no session;
time and randomness are arguments.
"""

from __future__ import annotations

import datetime
import hashlib
import hmac

from sqlalchemy import Column, ForeignKey, Integer, LargeBinary, MetaData, String, Table, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from headstay.cloud.columns import UtcDateTime
from headstay.wire.messages import EXPIRED_CODE, TOO_MANY_ATTEMPTS, UNBOUND, WRONG_CODE

CODE_OCTETS = 10
"""Of randomness in a code."""
USUAL_LIFE = datetime.timedelta(hours=24)
SHORTEST_LIFE = datetime.timedelta(minutes=1)
LONGEST_LIFE = datetime.timedelta(days=7)
MOST_WRONG = 5
"""With the last of so many wrong codes the right one is void."""

# Without I, L and O, which are taken for digits, and without U, so that chance spells nothing.
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TAKEN_FOR = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None})
_LENGTH = CODE_OCTETS * 8 // 5
_GROUP = 4


def code_of(octets: bytes) -> str:
    """Return the code that CODE_OCTETS random octets stand for, in groups: `7K3M-9QXA-2BWD-HT5F`."""
    number = int.from_bytes(octets)
    letters = "".join(_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH)))
    return "-".join(letters[start : start + _GROUP] for start in range(0, _LENGTH, _GROUP))


def digest(folded: str, code: str) -> bytes:
    """Return what is stored of a serial number's code. Case, dashes and look-alike letters make no difference."""
    return hashlib.sha256(f"{folded}\0{code.upper().translate(_TAKEN_FOR)}".encode()).digest()


class Codes:
    """The codes of one registry. `metadata` has the table `device`, with which a code goes."""

    def __init__(self, metadata: MetaData) -> None:
        self._table = Table(
            "verification_code",
            metadata,
            Column("folded", String(63), ForeignKey("device.folded", ondelete="CASCADE"), primary_key=True),
            Column("digest", LargeBinary, nullable=False),
            Column("expires_at", UtcDateTime, nullable=False),
            Column("wrong", Integer, nullable=False),
        )

    async def replace(self, connection: AsyncConnection, folded: str, code: str, expires_at: datetime.datetime) -> None:
        """Give a serial number a code in place of the one it has. Raises IntegrityError if it was not added."""
        row = {"folded": folded, "digest": digest(folded, code), "expires_at": expires_at, "wrong": 0}
        await connection.execute(delete(self._table).where(self._table.c.folded == folded))
        await connection.execute(insert(self._table).values(row))

    async def spend(self, connection: AsyncConnection, folded: str, code: str, now: datetime.datetime) -> str:
        """Try a code; the right one is spent by this. Returns UNBOUND for it, else what to tell the device.

        A wrong code is counted. There is nothing to count where there is no code: then every one is wrong.
        """
        mine = self._table.c.folded == folded
        row = (await connection.execute(select(self._table).where(mine))).one_or_none()
        if row is None:
            return WRONG_CODE
        if row.wrong >= MOST_WRONG:
            return TOO_MANY_ATTEMPTS
        if not hmac.compare_digest(row.digest, digest(folded, code)):
            await connection.execute(update(self._table).where(mine).values(wrong=row.wrong + 1))
            return TOO_MANY_ATTEMPTS if row.wrong + 1 >= MOST_WRONG else WRONG_CODE
        if row.expires_at <= now:
            return EXPIRED_CODE
        await connection.execute(delete(self._table).where(mine))
        return UNBOUND
