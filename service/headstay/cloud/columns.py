"""Column types of the registry's tables. Knows no table."""

from __future__ import annotations

import datetime

from sqlalchemy import DateTime, Dialect, TypeDecorator


class UtcDateTime(TypeDecorator[datetime.datetime]):
    """A time in UTC, also where the database forgets time zones as SQLite does."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:  # noqa: ARG002
        """Turn an aware time into UTC."""
        return None if value is None else value.astimezone(datetime.UTC)

    def process_result_value(self, value: datetime.datetime | None, dialect: Dialect) -> datetime.datetime | None:  # noqa: ARG002
        """Say that what was stored is UTC."""
        return value.replace(tzinfo=datetime.UTC) if value is not None and value.tzinfo is None else value
