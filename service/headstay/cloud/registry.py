"""The registry: which serial numbers were added, with which password verifier, and what is durable about them.

Owns the database: its version, every transaction, and the tables of devices; `codes` and `reports` own theirs and run
within its transactions. Knows no socket and no session. Written with SQLAlchemy's own constructs only, so that it suits
PostgreSQL too; what SQLite alone needs stands in `_prepare_sqlite`. Every time is UTC and an argument.
"""

from __future__ import annotations

import asyncio
import datetime
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import (
    URL,
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    LargeBinary,
    MetaData,
    Row,
    String,
    Table,
    delete,
    event,
    func,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from headstay.cloud.codes import Codes
from headstay.cloud.columns import UtcDateTime
from headstay.cloud.devices import Device, Online, fold
from headstay.cloud.reports import Reports
from headstay.errors import HeadstayError, StartupError
from headstay.wire.messages import UNBOUND, Report
from headstay.wire.scram import Verifier

SCHEMA_VERSION = 1

_metadata = MetaData()
_schema = Table("schema", _metadata, Column("version", Integer, primary_key=True))
_devices = Table(
    "device",
    _metadata,
    Column("folded", String(63), primary_key=True),
    Column("serial", String(63), nullable=False),
    Column("salt", LargeBinary),
    Column("iterations", Integer),
    Column("stored_key", LargeBinary),
    Column("server_key", LargeBinary),
    Column("added_at", UtcDateTime, nullable=False),
    Column("last_seen_at", UtcDateTime),
    Column("model", String(255)),
    Column("software", String(255)),
    Column("online_generation", BigInteger),
    Column("online_since", UtcDateTime),
    Column("online_address", String(64)),
)
# Apart from `device`: a serial that is removed and added again must never be given a generation twice.
_generations = Table(
    "generation",
    _metadata,
    Column("folded", String(63), primary_key=True),
    Column("last", BigInteger, nullable=False),
)
# Serial numbers that were unbound and not bound again. Apart from `device`, so that older registries open as they are.
_unbound = Table(
    "unbound",
    _metadata,
    Column("folded", String(63), ForeignKey("device.folded", ondelete="CASCADE"), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
)
_codes = Codes(_metadata)
_reports = Reports(_metadata)
_every_device = select(_devices, _unbound.c.at.label("unbound_at")).select_from(_devices.outerjoin(_unbound))


class RegistryUnavailable(HeadstayError):
    """The database cannot do what it was asked just now: a full disk, a lost server. Trying again may help."""


class Registry:
    """The open registry. One process at a time has it open: the holder of the state directory's lock."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        # SQLite lets one write at a time and makes the others fail or poll; waiting here is fair and in order.
        self._writing = asyncio.Lock()
        # folded -> how many reports there are, where that is known: nobody else writes them
        self._reports_of: dict[str, int] = {}

    @classmethod
    async def open(cls, path: Path) -> Registry:
        """Open the SQLite registry at `path`, made when it is missing; nobody is online in it yet.

        Raises StartupError when it is corrupt, unreadable or of a later version. Call close() in the end.
        """
        try:
            # Made here for its mode: it holds password verifiers, and SQLite gives its side files the same mode.
            path.touch(mode=0o600)  # noqa: ASYNC240 (once, before anything is served)
        except OSError as error:
            raise StartupError(f"{path}: the registry cannot be written: {error.strerror}") from None
        engine = create_async_engine(
            URL.create("sqlite+aiosqlite", database=str(path)), hide_parameters=True, connect_args={"timeout": 10}
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        registry = cls(engine)
        try:
            version = await registry._make_tables()
        except RegistryUnavailable as error:
            await engine.dispose()
            raise StartupError(
                f"{path}: the registry cannot be used ({error}); restore it from a backup or move it away"
            ) from None
        if version != SCHEMA_VERSION:
            await engine.dispose()
            raise StartupError(f"{path}: the registry has version {version}, this cloud knows {SCHEMA_VERSION} only")
        return registry

    async def close(self) -> None:
        """Close the database; what was written is durable already."""
        await self._engine.dispose()

    # devices ------------------------------------------------------------------------------------------

    async def device(self, folded: str) -> Device | None:
        """Return the device of a folded serial, or None if it was not added."""
        async with self._read() as connection:
            row = (await connection.execute(_every_device.where(_devices.c.folded == folded))).one_or_none()
        return None if row is None else _device(row)

    async def devices(self) -> list[Device]:
        """Return all devices, in the order of their folded serials."""
        async with self._read() as connection:
            rows = (await connection.execute(_every_device.order_by(_devices.c.folded))).all()
        return [_device(row) for row in rows]

    async def add(self, serial: str, verifier: Verifier | None, now: datetime.datetime) -> bool:
        """Add a serial; False if it was there already, and then nothing is changed. Raises WireError if malformed."""
        row = {"folded": fold(serial), "serial": serial, "added_at": now, **_columns(verifier)}
        try:
            async with self._write() as connection:
                await connection.execute(insert(_devices).values(row))
        except IntegrityError:
            return False
        return True

    async def set_verifier(self, folded: str, verifier: Verifier) -> bool:
        """Give a serial another password; False if it was not added."""
        async with self._write() as connection:
            statement = update(_devices).where(_devices.c.folded == folded).values(_columns(verifier))
            return (await connection.execute(statement)).rowcount > 0

    async def remove(self, folded: str) -> bool:
        """Remove a serial with its reports; False if it was not added."""
        async with self._write() as connection:
            self._reports_of.pop(folded, None)
            return (await connection.execute(delete(_devices).where(_devices.c.folded == folded))).rowcount > 0

    # binding ------------------------------------------------------------------------------------------

    async def set_code(self, folded: str, code: str, expires_at: datetime.datetime) -> bool:
        """Give a serial a verification code in place of the one it has; False if it was not added."""
        try:
            async with self._write() as connection:
                await _codes.replace(connection, folded, code, expires_at)
        except IntegrityError:
            return False
        return True

    async def unbind(self, folded: str, code: str, now: datetime.datetime) -> str:
        """Unbind a serial if the code is right. Returns the wire's result: UNBOUND, or why not."""
        async with self._write() as connection:
            result = await _codes.spend(connection, folded, code, now)
            if result == UNBOUND:
                await connection.execute(delete(_unbound).where(_unbound.c.folded == folded))
                await connection.execute(insert(_unbound).values(folded=folded, at=now))
            return result

    async def bind(self, folded: str) -> bool:
        """Bind a serial that was unbound; False if it was not."""
        async with self._write() as connection:
            return (await connection.execute(delete(_unbound).where(_unbound.c.folded == folded))).rowcount > 0

    # connections --------------------------------------------------------------------------------------

    async def register(self, folded: str, model: str, software: str) -> int | None:
        """Note what a device says of itself and return its next generation; None if it was not added."""
        async with self._write() as connection:
            noted = await connection.execute(
                update(_devices).where(_devices.c.folded == folded).values(model=model, software=software)
            )
            if noted.rowcount == 0:
                return None
            mine = _generations.c.folded == folded
            counted = await connection.execute(
                update(_generations).where(mine).values(last=_generations.c.last + 1).returning(_generations.c.last)
            )
            generation = counted.scalar_one_or_none()
            if generation is None:
                await connection.execute(insert(_generations).values(folded=folded, last=1))
            return 1 if generation is None else int(generation)

    async def mark_online(self, folded: str, online: Online) -> bool:
        """Note that a device is connected; False if it was removed or a newer generation is connected."""
        current = or_(_devices.c.online_generation.is_(None), _devices.c.online_generation <= online.generation)
        statement = (
            update(_devices)
            .where(_devices.c.folded == folded, current)
            .values(
                online_generation=online.generation,
                online_since=online.since,
                online_address=online.address,
                last_seen_at=online.since,
            )
        )
        async with self._write() as connection:
            return (await connection.execute(statement)).rowcount > 0

    async def mark_offline(self, folded: str, generation: int, now: datetime.datetime) -> bool:
        """Note that a connection ended; False, and nothing changes, unless `generation` is the one that is online."""
        statement = (
            update(_devices)
            .where(_devices.c.folded == folded, _devices.c.online_generation == generation)
            .values(online_generation=None, online_since=None, online_address=None, last_seen_at=now)
        )
        async with self._write() as connection:
            return (await connection.execute(statement)).rowcount > 0

    # reports ------------------------------------------------------------------------------------------

    async def store_report(self, folded: str, report: Report, now: datetime.datetime) -> bool:
        """Store a report, durably when this returns, unless it was stored before; then nothing changes.

        Returns False if the serial was removed. Whatever its boot-id, `reports` keeps a bounded number of the serial's.
        Of each boot, what comes after a higher number counts as stored: a device sends in order, and goes back only to
        repeat.
        """
        try:
            async with self._write() as connection:
                # In one transaction with the report: a cloud that dies in between remembers both or neither.
                if not await _reports.advance(connection, folded, report):
                    return True
                before = self._reports_of.pop(folded, None)  # if the transaction fails, nobody knows
                count = await _reports.add(connection, folded, report, now, before)
        except IntegrityError:  # the foreign key: no such device
            return False
        # Nothing is awaited since the end of the transaction, so no write came between.
        self._reports_of[folded] = count
        return True

    async def reports(self, folded: str) -> list[Report]:
        """Return the reports of a device in the order in which they were stored."""
        async with self._read() as connection:
            return await _reports.of(connection, folded)

    # ---------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _write(self) -> AsyncIterator[AsyncConnection]:
        async with self._writing:
            try:
                async with self._engine.begin() as connection:
                    yield connection
            except IntegrityError:
                raise
            except (SQLAlchemyError, sqlite3.Error) as error:
                raise _unavailable(error) from None

    @asynccontextmanager
    async def _read(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with self._engine.connect() as connection:
                yield connection
        except (SQLAlchemyError, sqlite3.Error) as error:
            raise _unavailable(error) from None

    async def _make_tables(self) -> int:
        async with self._write() as connection:
            await connection.run_sync(_metadata.create_all)
            version = (await connection.execute(select(func.max(_schema.c.version)))).scalar_one()
            if version is None:
                await connection.execute(insert(_schema).values(version=SCHEMA_VERSION))
                return SCHEMA_VERSION
            if version == SCHEMA_VERSION:
                # Whoever was online was so in a process that is gone: this one holds the lock.
                await connection.execute(
                    update(_devices).values(online_generation=None, online_since=None, online_address=None)
                )
            return int(version)


def _unavailable(error: Exception) -> RegistryUnavailable:
    # Only what the database itself says: SQLAlchemy's own text adds the statement.
    return RegistryUnavailable(str(getattr(error, "orig", None) or error))


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    """Make SQLite durable and strict: it does none of this unless told so on each connection."""
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _columns(verifier: Verifier | None) -> dict[str, Any]:
    if verifier is None:
        return {}
    return {
        "salt": verifier.salt,
        "iterations": verifier.iterations,
        "stored_key": verifier.stored_key,
        "server_key": verifier.server_key,
    }


def _device(row: Row[Any]) -> Device:
    verifier = None
    if row.salt is not None:
        verifier = Verifier(row.salt, row.iterations, row.stored_key, row.server_key)
    online = None
    if row.online_generation is not None:
        online = Online(row.online_generation, row.online_since, row.online_address)
    seen_at, unbound_at = row.last_seen_at, row.unbound_at
    return Device(row.serial, verifier, row.added_at, seen_at, row.model, row.software, online, unbound_at)
