"""SHELL: the NETCONF server: sessions on an SSH port and on a Unix socket, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from headstay.netconf.limits import Limits
from headstay.netconf.local import LocalListener
from headstay.netconf.sessions import Service, Sessions
from headstay.netconf.ssh import Address, Authenticator, SshListener

STOPPING: Final = 5.0
"""Seconds that `stop` takes at most."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Where the server listens, and how much it takes on."""

    ssh: Address
    socket: Path
    """The Unix socket."""
    limits: Limits = field(default_factory=Limits)


class NetconfServer:
    """Call `start`, and `stop` when it is over; a server is started once."""

    def __init__(self, settings: Settings, service: Service, authenticator: Authenticator) -> None:
        self._settings = settings
        self._sessions = Sessions(service, settings.limits)
        self._ssh = SshListener(self._sessions, authenticator, settings.limits)
        self._local = LocalListener(self._sessions)

    @property
    def port(self) -> int:
        """The SSH port that the server really listens on."""
        return self._ssh.port

    def end_sessions_of(self, users: Collection[str], by: int | None) -> None:
        """End the sessions of users who are no more. Those on the local socket are of the system's users, and stay.

        `by` is the session that has seen to that, if one has: its reply is sent first.
        """
        self._sessions.revoke(users)
        self._ssh.end_sessions_of(users, by)

    async def start(self) -> None:
        """Listen on both. Raises StartupError; then it listens on neither."""
        try:
            await self._local.start(self._settings.socket)
            await self._ssh.start(self._settings.ssh)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Take no further connections and end all sessions; operations that run get a few seconds to end."""
        self._local.stop_accepting()
        self._ssh.stop_accepting()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOPPING):
                await self._sessions.end_all()
                await self._ssh.stop()
                await self._local.stop()
