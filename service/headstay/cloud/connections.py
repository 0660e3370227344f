"""SHELL: performs what `sessions` decides. Owns the links of all devices, the tickets, and one timer.

Knows no HTTP: `device_api` hands it links that have made their handshake. What concerns one device never waits for
another: links are written to through their outboxes, and the registry in tasks of its own.
"""

from __future__ import annotations

import asyncio
import datetime
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass

from aiohttp import WSCloseCode

from headstay.cloud.devices import Online
from headstay.cloud.grants import Grants
from headstay.cloud.limits import Failures, Limits
from headstay.cloud.links import Link
from headstay.cloud.registry import Registry, RegistryUnavailable
from headstay.cloud.sessions import (
    CLOSED_BY_SERVER,
    Arrived,
    Departed,
    Effect,
    End,
    EndSubconnection,
    Heard,
    Holder,
    Input,
    Judged,
    MarkOffline,
    MarkOnline,
    Offer,
    Removed,
    Send,
    Sessions,
    Stop,
    SubconnectionEnded,
    SubconnectionOpened,
    Superseded,
    Tick,
    Unbound,
)
from headstay.cloud.telemetry import ReportStream
from headstay.errors import WireError
from headstay.wire.messages import BUSY, TELEMETRY_TO_CLOUD, TO_CLOUD, UNBOUND, Bye, Open, Report, Unbind

log = logging.getLogger("headstay.cloud")

SUBCONNECTION_PATH = "/v1/subconnection"


@dataclass(frozen=True, slots=True)
class Sources:
    """What the cloud takes from its surroundings."""

    clock: Callable[[], float]
    """Monotonic time in seconds."""
    wall: Callable[[], datetime.datetime]
    """The time of day, UTC."""
    draw: Callable[[], str]
    """A fresh random secret of 256 bits that can stand in a URL."""


@dataclass(frozen=True, slots=True)
class MainTicket:
    """What a ticket for a main connection stands for."""

    holder: Holder
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SubconnectionTicket:
    """What a ticket for a subconnection stands for."""

    holder: Holder
    service: str
    instance: str


@dataclass(frozen=True, slots=True)
class Main:
    """One main connection that has made its handshake."""

    ticket: MainTicket
    link: Link
    address: str
    authority: str
    """`HOST:PORT` for the URLs of its subconnections."""


class Connections:
    """The connections of one cloud. Call stop() in the end.

    `revoke` is told the folded serial number of a device that was unbound: its tokens must be good no more.
    """

    def __init__(
        self,
        sessions: Sessions,
        registry: Registry,
        limits: Limits,
        sources: Sources,
        revoke: Callable[[str], None],
    ) -> None:
        self._revoke = revoke
        self._sessions = sessions
        self._registry = registry
        self._sources = sources
        self._mains: dict[Holder, Main] = {}
        self._subconnections: dict[Holder, dict[str, Link]] = {}
        self._main_tickets: Grants[MainTicket] = Grants(limits.ticket_life, limits.tickets_per_serial)
        self._subconnection_tickets: Grants[SubconnectionTicket] = Grants(limits.ticket_life, limits.tickets_per_serial)
        self._wrong_codes = Failures(limits.failures_of_code)
        self._probe_tickets: Grants[str] = Grants(limits.ticket_life, limits.tickets_per_serial)
        self._stopping = False
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    # tickets ------------------------------------------------------------------------------------------

    def issue_ticket(self, ticket: MainTicket) -> str:
        """Draw the secret that stands for `ticket`, once and for a short time."""
        secret = self._sources.draw()
        self._main_tickets.issue(secret, ticket.holder.folded, ticket, self._sources.clock())
        return secret

    def take_main_ticket(self, secret: str) -> MainTicket | None:
        """Spend a ticket for a main connection; None when it is bad, spent or expired."""
        return self._main_tickets.take(secret, self._sources.clock())

    def issue_probe_ticket(self, folded: str) -> str:
        """Draw the secret for a connection that only tests the way. It takes no other ticket's place."""
        secret = self._sources.draw()
        self._probe_tickets.issue(secret, folded, folded, self._sources.clock())
        return secret

    def take_probe_ticket(self, secret: str) -> str | None:
        """Spend a ticket of `issue_probe_ticket`, and return whose it was; None when it is bad, spent or expired."""
        return self._probe_tickets.take(secret, self._sources.clock())

    def take_subconnection_ticket(self, secret: str) -> SubconnectionTicket | None:
        """Spend a ticket for a subconnection; None also when its main connection is no longer the current one."""
        ticket = self._subconnection_tickets.take(secret, self._sources.clock())
        return ticket if ticket is not None and self._sessions.holds(ticket.holder) else None

    # connections --------------------------------------------------------------------------------------

    async def carry_main(self, main: Main) -> None:
        """Carry a main connection until it ends."""
        holder = main.ticket.holder
        self._mains[holder] = main
        main.link.start()
        self._handle(Arrived(holder, main.ticket.services))
        if self._stopping:  # it made its handshake while the others were told goodbye
            self._handle(Stop())
        try:
            async for message in main.link.messages(TO_CLOUD):
                self._handle(Heard(holder, message))
                if isinstance(message, Unbind) and self._sessions.holds(holder):
                    await self._judge(holder, message.code)  # nothing else is read meanwhile: one code at a time
                await main.link.flushed()
        finally:
            self._handle(Departed(holder))
            await main.link.ended()
            del self._mains[holder]

    async def carry_telemetry(self, ticket: SubconnectionTicket, link: Link) -> None:
        """Carry a telemetry subconnection until it ends: store each report, then acknowledge it."""
        holder = ticket.holder
        self._subconnections.setdefault(holder, {})[ticket.instance] = link
        link.start()
        self._handle(SubconnectionOpened(holder, ticket.instance))
        stream = ReportStream()
        try:
            async for message in link.messages(TELEMETRY_TO_CLOUD):
                if isinstance(message, Report):
                    await self._store(holder, stream, message, link)
                await link.flushed()
        finally:
            self._handle(SubconnectionEnded(holder, ticket.instance))
            await link.ended()
            links = self._subconnections[holder]
            del links[ticket.instance]
            if not links:
                del self._subconnections[holder]

    def remove(self, folded: str) -> None:
        """End what a serial has: it was removed from the registry."""
        self._main_tickets.revoke(folded)
        self._subconnection_tickets.revoke(folded)
        self._probe_tickets.revoke(folded)
        self._handle(Removed(folded))

    async def unbind(self, folded: str, code: str) -> str:
        """Unbind a serial, on its device's own request, if the code is right; that ends what it has.

        Returns the wire's result, BUSY after too many wrong codes in a row. Raises RegistryUnavailable; then nothing
        has changed.
        """
        result = await self._try(folded, code)
        if result == UNBOUND:
            self._handle(Unbound(folded))
        return result

    def forget_tickets(self, folded: str) -> None:
        """Make a serial authenticate anew before its next main connection: its password changed."""
        self._main_tickets.revoke(folded)

    async def stop(self) -> None:
        """Say goodbye to all, within the goodbye limit, and write the last marks into the registry."""
        self._stopping = True
        self._handle(Stop())
        links = [main.link for main in self._mains.values()]
        links += [link for those in self._subconnections.values() for link in those.values()]
        await asyncio.gather(*(link.ended() for link in links))
        await asyncio.gather(*self._tasks)

    # ---------------------------------------------------------------------------------------------------

    async def _judge(self, holder: Holder, code: str) -> None:
        try:
            result = await self._try(holder.folded, code)
        except RegistryUnavailable as error:
            log.error("%s: a verification code was not looked up: %s", holder.folded, error)  # noqa: TRY400 (as below)
            result = BUSY
        self._handle(Judged(holder, result))

    async def _try(self, folded: str, code: str) -> str:
        if self._wrong_codes.wait(folded, self._sources.clock()) > 0:
            return BUSY
        result = await self._registry.unbind(folded, code, self._sources.wall())
        if result == UNBOUND:
            log.info("%s: unbound by its verification code", folded)
            self._revoke(folded)
            self._main_tickets.revoke(folded)
            self._subconnection_tickets.revoke(folded)
        else:
            self._wrong_codes.count(folded, self._sources.clock())
            log.warning("%s: not unbound: %s", folded, result)
        return result

    async def _store(self, holder: Holder, stream: ReportStream, report: Report, link: Link) -> None:
        try:
            stream.check(report)
        except WireError as error:
            link.refuse(error)
            return
        try:
            added = await self._registry.store_report(holder.folded, report, self._sources.wall())
        except RegistryUnavailable as error:
            log.error("%s: a report was not stored: %s", holder.folded, error)  # noqa: TRY400 (the text says it all)
            link.end(WSCloseCode.TRY_AGAIN_LATER)
            return
        if added:
            link.post(stream.stored(report))
        else:  # removed meanwhile: its main connection is about to end too
            link.end(WSCloseCode.OK)

    def _handle(self, happened: Input) -> None:
        for effect in self._sessions.handle(happened, self._sources.clock()):
            self._perform(effect)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._sessions.deadline()
        if deadline is not None:
            delay = max(0.0, deadline - self._sources.clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self._handle, Tick())

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(holder, message):
                self._mains[holder].link.post(message)
            case Offer():
                self._offer(effect)
            case End(holder, reason):
                log.info("%s: generation %d ends: %s", holder.folded, holder.generation, reason)
                code = WSCloseCode.GOING_AWAY if reason == CLOSED_BY_SERVER else WSCloseCode.OK
                self._mains[holder].link.end(code, Bye(reason))
                self._end_subconnections(holder, None)
            case EndSubconnection(holder, instance):
                self._end_subconnections(holder, instance)
            case MarkOnline(holder):
                self._spawn(self._mark_online(self._mains[holder]))
            case MarkOffline(holder):
                self._spawn(self._mark_offline(holder))

    def _offer(self, offer: Offer) -> None:
        main = self._mains[offer.holder]
        secret = self._sources.draw()
        ticket = SubconnectionTicket(offer.holder, offer.service, offer.instance)
        self._subconnection_tickets.issue(secret, offer.holder.folded, ticket, self._sources.clock())
        url = f"wss://{main.authority}{SUBCONNECTION_PATH}?ticket={secret}"
        main.link.post(Open(offer.service, offer.instance, url))

    def _end_subconnections(self, holder: Holder, instance: str | None) -> None:
        for name, link in self._subconnections.get(holder, {}).items():
            if instance is None or name == instance:
                link.end(WSCloseCode.OK)

    async def _mark_online(self, main: Main) -> None:
        holder = main.ticket.holder
        log.info("%s: connected from %s, generation %d", holder.folded, main.address, holder.generation)
        online = Online(holder.generation, self._sources.wall(), main.address)
        if not await self._registry.mark_online(holder.folded, online):
            self._handle(Superseded(holder))

    async def _mark_offline(self, holder: Holder) -> None:
        log.info("%s: disconnected, generation %d", holder.folded, holder.generation)
        await self._registry.mark_offline(holder.folded, holder.generation, self._sources.wall())

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        async def supervised() -> None:
            try:
                await work
            except RegistryUnavailable as error:
                log.error("the registry could not note who is connected: %s", error)  # noqa: TRY400

        task = asyncio.create_task(supervised())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
