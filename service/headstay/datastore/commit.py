"""The transaction that brings a new running configuration into force: validate, compare, prepare, save, swap, apply.

Everything that may refuse does so before anything has changed. Knows the backend only as the protocols below.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from lxml import etree

from headstay.datastore.difference import Change, difference
from headstay.datastore.model import Model


class Prepared(Protocol):
    """A change that the backend has agreed to."""

    def apply(self) -> None:
        """Bring it into force. Cannot fail and never waits."""


class Backend(Protocol):
    """What turns a new configuration into actions."""

    def prepare(self, old: etree._Element, new: etree._Element, changes: Sequence[Change]) -> Prepared:
        """Agree to a change, or raise a NetconfError; nothing has happened then. Pure: it runs in a thread."""


async def bring_into_force(
    model: Model,
    backend: Backend,
    old: etree._Element,
    new: etree._Element,
    install: Callable[[], Awaitable[None]],
) -> Sequence[Change]:
    """Run the transaction. Returns what changed; nothing has been installed if that is empty.

    `install` saves the new tree durably and makes it running; if it raises, nothing has changed. The caller holds the
    commit turn. Raises a NetconfError when the model, the backend or the disk refuses.
    """
    changes, prepared = await asyncio.to_thread(_agree, model, backend, old, new)
    if prepared is not None:
        await install()
        prepared.apply()
    return changes


def _agree(
    model: Model, backend: Backend, old: etree._Element, new: etree._Element
) -> tuple[Sequence[Change], Prepared | None]:
    model.validate(new)
    changes = difference(model.schema, old, new)
    return changes, backend.prepare(old, new, changes) if changes else None
