"""The model's own RPCs: each checks its input against the model, asks the engine, and answers in the model's words.

To add one, write its method, named like the RPC, and enter it in `table`. Knows no session; who may execute an RPC has
been decided before it is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from lxml import etree

from headstay import xml
from headstay.datastore.access import Requester
from headstay.datastore.model import Model
from headstay.engine.runner import Engine

Rpc = Callable[[Requester, etree._Element], Awaitable[Sequence[etree._Element]]]
"""The requester and the RPC's element in, the output parameters out."""


class Rpcs:
    """The RPCs of one device."""

    def __init__(self, model: Model, engine: Engine) -> None:
        self._model = model
        self._engine = engine

    def table(self) -> Mapping[tuple[str, str], Rpc]:
        """Return the RPCs by namespace and name."""
        return {
            (xml.HCM, "reconnect"): self.reconnect,
            (xml.HCM, "clear-counters"): self.clear_counters,
        }

    async def reconnect(self, _requester: Requester, operation: etree._Element) -> Sequence[etree._Element]:
        """Connect anew, now. What becomes of it stands in the state."""
        self._model.rpc_input(operation)
        self._engine.reconnect()
        return ()

    async def clear_counters(self, _requester: Requester, operation: etree._Element) -> Sequence[etree._Element]:
        """Set the counters of `connection` and of each `subconnection` to zero. Times and reasons stay."""
        self._model.rpc_input(operation)
        self._engine.clear_counters()
        return ()
