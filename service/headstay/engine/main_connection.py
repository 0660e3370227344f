"""The main connection at work: what is read from it, what waits to be written to it, and how its end is told.

Shell. Reading and writing are a task each. What the cloud says becomes an input and is handled before more is read; a
cloud that reads nothing, says what is no message, or leaves, has lost the connection. Knows no message's meaning, and
neither makes nor closes the WebSocket: that is for the steps of the attempt, and for the runner.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from headstay.engine.inputs import ConnectionLost, MessageReceived, OfAttempt
from headstay.engine.log import log
from headstay.engine.websocket import why_closed
from headstay.errors import WireError
from headstay.wire import messages

MOST_UNSENT = 64
"""Messages that wait to be written; a cloud that reads none of them has left."""


class MainConnection:
    """The main connection of one attempt. `read` and `write` are its tasks; `tell` takes what comes of it."""

    def __init__(self, attempt: int, connection: ClientConnection, tell: Callable[[OfAttempt], None]) -> None:
        self._attempt = attempt
        self._connection = connection
        self._tell = tell
        self._outbox: asyncio.Queue[messages.ToCloud | None] = asyncio.Queue(MOST_UNSENT)  # None: a ping

    def send(self, message: messages.ToCloud) -> None:
        """Have a message written. Never waits."""
        self._queue(message)

    def ping(self) -> None:
        """Have a ping written. Never waits, and nobody waits for the pong."""
        self._queue(None)

    async def write(self) -> None:
        """Write what is to be sent, one after another, until cancelled."""
        while True:
            message = await self._outbox.get()
            with contextlib.suppress(ConnectionClosed):  # the reader tells, and waits for nothing that is left here
                if message is None:
                    await self._connection.ping()
                else:
                    await self._connection.send(messages.encode(message).decode())
            self._outbox.task_done()

    async def read(self) -> None:
        """Tell each message that comes, and in the end why no more will come."""
        try:
            while True:
                data = await self._connection.recv()
                self._tell(MessageReceived(self._attempt, _decoded(data)))
                # A flood waits for its own answers to be written, and after each message others have their turn.
                await self._outbox.join()
                await asyncio.sleep(0)
        except WireError as error:
            log.warning("protocol-error on the main connection: %s", error)
            self._tell(ConnectionLost(self._attempt, "protocol-error"))
        except ConnectionClosed as error:
            reason, details = why_closed(error)
            self._tell(ConnectionLost(self._attempt, details, reason))

    def _queue(self, message: messages.ToCloud | None) -> None:
        try:
            self._outbox.put_nowait(message)
        except asyncio.QueueFull:
            # The machine is in the middle of an input, for which this is an effect: the runner lets it wait.
            self._tell(ConnectionLost(self._attempt, "the server reads nothing"))


def _decoded(data: str | bytes) -> messages.Message | messages.Unknown:
    if isinstance(data, bytes):
        raise WireError("a binary message")
    return messages.TO_DEVICE.decode(data)
