"""The transaction that brings a new running configuration into force: compare, validate, prepare, save, swap, apply.

Everything that may refuse does so before anything has changed. The way back, which nothing may refuse, stands here too.
Knows the backend only as the protocols below.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from lxml import etree

from headstay.datastore.computing import computed, is_small
from headstay.datastore.difference import Change, difference
from headstay.datastore.model import Model
from headstay.errors import NetconfError

_log = logging.getLogger(__name__)


class Prepared(Protocol):
    """A change that the backend has agreed to."""

    def apply(self) -> None:
        """Bring it into force. Cannot fail and never waits."""


class Backend(Protocol):
    """What turns a new configuration into actions."""

    def prepare(self, old: etree._Element, new: etree._Element, changes: Sequence[Change]) -> Prepared:
        """Agree to a change, or raise a NetconfError; nothing has happened then. Pure: it runs in a thread, unless all
        that changed are leafs that no constraint of the model looks at; those take no time to prepare for.
        """

    def reinstate(self, new: etree._Element) -> Prepared:
        """Agree to a configuration that was in force before. Cannot refuse. Pure: it runs in a thread."""


async def bring_into_force(
    model: Model,
    backend: Backend,
    old: etree._Element,
    new: etree._Element,
    install: Callable[[], Awaitable[None]],
) -> Sequence[Change]:
    """Run the transaction. Returns what changed; nothing has been installed if that is empty.

    `install` saves the new tree durably and makes it running; if it raises, nothing has changed. The caller holds the
    commit turn. Raises a NetconfError, or RpcErrors, when the model, the backend or the disk refuses.
    """
    changes = await computed(functools.partial(difference, model.schema, old, new), old, new)
    agree = functools.partial(_agree, model, backend, old, new, changes)
    # Most commits give new values to a few leafs; then there is nothing that is worth a thread.
    at_once = model.concerns_no_constraint(changes) and is_small(new)
    prepared = agree() if at_once else await asyncio.to_thread(agree)
    if prepared is not None:
        await install()
        prepared.apply()
    return changes


async def bring_back(
    model: Model,
    backend: Backend,
    present: etree._Element,
    earlier: etree._Element,
    install: Callable[[], Awaitable[None]],
) -> Sequence[Change]:
    """Run the transaction back to a configuration that was in force before. Returns what changed, as above.

    Only `install` may refuse. The caller holds the commit turn.
    """
    changes, prepared = await asyncio.to_thread(_consent, model, backend, present, earlier)
    if prepared is not None:
        await install()
        prepared.apply()
    return changes


def _agree(
    model: Model, backend: Backend, old: etree._Element, new: etree._Element, changes: Sequence[Change]
) -> Prepared | None:
    model.validate_changes(new, changes)
    return backend.prepare(old, new, changes) if changes else None


def _consent(
    model: Model, backend: Backend, present: etree._Element, earlier: etree._Element
) -> tuple[Sequence[Change], Prepared | None]:
    changes = difference(model.schema, present, earlier)
    if not changes:
        return changes, None
    try:
        return changes, backend.prepare(present, earlier, changes)
    except NetconfError as error:
        _log.error("the configuration from before a confirmed commit comes back although: %s", error.message)
        return changes, backend.reinstate(earlier)
