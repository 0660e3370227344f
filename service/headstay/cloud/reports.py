"""The reports that devices sent: which are stored, which were stored before, and which go to make room.

Owns the tables of reports and their statements, each within a transaction of the registry. What was stored once is not
stored again, however long ago it was deleted: of each boot the highest number is remembered apart from its reports.
Both are bounded, whatever boot-ids a device invents. Knows no connection to a device, and not in which order reports
may come (`telemetry` does); the time is an argument.
"""

from __future__ import annotations

import datetime

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from headstay.cloud.columns import UtcDateTime
from headstay.cloud.telemetry import MOST_BOOTS
from headstay.wire.messages import Report

REPORTS_KEPT = 10_000
"""At most so many reports of one device are kept, so that none fills the disk. When there is one more, the oldest go:
it and another tenth, so that the work is done once for many reports.
"""


class Reports:
    """The reports of one registry. `metadata` has the table `device`, with which a device's reports go."""

    def __init__(self, metadata: MetaData) -> None:
        self._reports = Table(
            "report",
            metadata,
            Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
            Column("folded", String(63), ForeignKey("device.folded", ondelete="CASCADE"), nullable=False),
            Column("boot_id", String(64), nullable=False),
            Column("sequence", BigInteger, nullable=False),
            Column("time", String(64), nullable=False),
            Column("received_at", UtcDateTime, nullable=False),
            Column("body", JSON, nullable=False),
            UniqueConstraint("folded", "boot_id", "sequence"),
        )
        # Apart from `report`: what was stored once is not stored again, however long ago it was deleted to make room.
        self._boots = Table(
            "report_boot",
            metadata,
            Column("folded", String(63), ForeignKey("device.folded", ondelete="CASCADE"), primary_key=True),
            Column("boot_id", String(64), primary_key=True),
            Column("last", BigInteger, nullable=False),  # the highest sequence number that was stored
            Column("used", BigInteger, nullable=False),  # of one device's boots, that with the highest sent last
            Index("report_boot_used", "folded", "used"),
        )

    async def advance(self, connection: AsyncConnection, folded: str, report: Report) -> bool:
        """Move a boot's highest number on to this report; return whether the report is new, and to be added.

        Raises IntegrityError if the serial was not added.
        """
        boots, stored = self._boots.c, self._reports.c
        mine, this = boots.folded == folded, boots.boot_id == report.boot_id
        remembered = select(boots.boot_id, boots.last, boots.used).where(mine)
        newest = (await connection.execute(remembered.order_by(boots.used.desc()).limit(1))).one_or_none()
        boot = newest
        if newest is not None and newest.boot_id != report.boot_id:
            boot = (await connection.execute(remembered.where(this))).one_or_none()
        used = 1 if newest is None else newest.used if boot is newest else newest.used + 1
        if boot is not None:
            moved = {"last": max(boot.last, report.sequence), "used": used}
            if moved != {"last": boot.last, "used": boot.used}:
                await connection.execute(update(self._boots).where(mine, this).values(moved))
            return report.sequence > int(boot.last)
        # Perhaps it was forgotten, but some of its reports are still here.
        highest = select(func.max(stored.sequence))
        highest = highest.where(stored.folded == folded, stored.boot_id == report.boot_id)
        last = int((await connection.execute(highest)).scalar_one() or 0)
        added = {"folded": folded, "boot_id": report.boot_id, "last": max(last, report.sequence), "used": used}
        await connection.execute(insert(self._boots).values(added))
        await self._forget_boots(connection, folded)
        return report.sequence > last

    async def add(
        self, connection: AsyncConnection, folded: str, report: Report, now: datetime.datetime, before: int | None
    ) -> int:
        """Store a report that is new, and make room if there are too many of the device; return how many there are.

        `before` is how many there were without it, if that is known.
        """
        row = {
            "folded": folded,
            "boot_id": report.boot_id,
            "sequence": report.sequence,
            "time": report.time,
            "received_at": now,
            "body": report.body,
        }
        await connection.execute(insert(self._reports).values(row))
        return await self._make_room(connection, folded, before)

    async def of(self, connection: AsyncConnection, folded: str) -> list[Report]:
        """Return the reports of a device in the order in which they were stored."""
        statement = select(self._reports).where(self._reports.c.folded == folded).order_by(self._reports.c.id)
        rows = (await connection.execute(statement)).all()
        return [Report(row.boot_id, row.sequence, row.time, row.body) for row in rows]

    async def _forget_boots(self, connection: AsyncConnection, folded: str) -> None:
        """Forget the boots of a device that sent longest ago if there are too many."""
        boots = self._boots.c
        mine = boots.folded == folded
        kept = select(boots.used).where(mine).order_by(boots.used.desc()).offset(MOST_BOOTS - 1).limit(1)
        oldest_kept = (await connection.execute(kept)).scalar_one_or_none()
        if oldest_kept is not None:
            await connection.execute(delete(self._boots).where(mine, boots.used < oldest_kept))

    async def _make_room(self, connection: AsyncConnection, folded: str, before: int | None) -> int:
        """Delete the oldest reports of a device if there are too many with the one just stored; return how many stay.

        `before` is how many there were without it, if that is known.
        """
        reports = self._reports
        mine = reports.c.folded == folded
        if before is None:
            count = int((await connection.execute(select(func.count()).select_from(reports).where(mine))).scalar_one())
        else:
            count = before + 1
        if count <= REPORTS_KEPT:
            return count
        kept = REPORTS_KEPT - REPORTS_KEPT // 10
        newest = select(reports.c.id).where(mine).order_by(reports.c.id.desc())
        oldest_kept = (await connection.execute(newest.offset(kept - 1).limit(1))).scalar_one()
        await connection.execute(delete(reports).where(mine, reports.c.id < oldest_kept))
        return kept
