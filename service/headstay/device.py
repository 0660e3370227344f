"""The daemon's composition root: makes the parts, joins them, runs them until it is told to stop.

Owns the order of start and stop. Decides nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import gc
import json
import logging
import resource
import signal
import uuid
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path

import asyncssh
from lxml import etree

from headstay import __version__, device_file, xml
from headstay.backend.dhcp import Dhcp
from headstay.backend.plan import Backend
from headstay.backend.report import commit_body, lease_tree, notification, report_body, state_tree
from headstay.backend.rpcs import ABANDONED, Rpcs
from headstay.datastore import access, boot, rotation
from headstay.datastore.access import Access, Requester
from headstay.datastore.computing import FEW
from headstay.datastore.disk import Disk
from headstay.datastore.edits import account
from headstay.datastore.events import ConfigChange, DatastoreEvent
from headstay.datastore.model import DATA, Model
from headstay.datastore.modules import device_modules
from headstay.datastore.name import Name
from headstay.datastore.parts import Parts
from headstay.datastore.secrets import Vault, protected
from headstay.datastore.stores import Datastores
from headstay.device_file import SOCKET_NAME, DeviceFile
from headstay.dhcp.wall_clock import read_boot_id
from headstay.engine.events import ConnectionStateChange, Event
from headstay.engine.log import log_event
from headstay.engine.netlink import LinkWatch
from headstay.engine.runner import Engine
from headstay.engine.settings import Identity, Settings
from headstay.engine.timerfd import ClockWatch
from headstay.errors import StartupError
from headstay.netconf import base_notifications, host_key
from headstay.netconf import server as netconf
from headstay.netconf.event_log import EventLog
from headstay.netconf.host_key import PublicKey
from headstay.netconf.limits import Limits
from headstay.netconf.memory import use_one_arena
from headstay.netconf.notifications import Notifications
from headstay.netconf.operations import Picture
from headstay.netconf.server import NetconfServer
from headstay.netconf.sessions import Service
from headstay.netconf.ssh import Address
from headstay.netconf.yang_library import library_tree
from headstay.report_store import ReportFile
from headstay.state_directory import DATASTORE, EVENTS, REPORTS, SECRETS_KEY, StateDirectory

_log = logging.getLogger("headstay.device")

_OTHER_DESCRIPTORS = 256
"""Files and sockets besides the managers' connections: datastores, logs, the link and its subconnections."""


async def run_device(file: Path) -> None:
    """Run the daemon until SIGTERM or SIGINT. Raises StartupError if it cannot start."""
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    configuration = device_file.load(file)
    logging.basicConfig(level=configuration.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    state_dir = configuration.state_dir
    with StateDirectory(state_dir):
        _warn_of_loss(state_dir)
        rotation.settle_at_start(state_dir / SECRETS_KEY, state_dir / DATASTORE)
        _allow_descriptors(configuration.netconf.limits)
        device = _Device(configuration)
        _spare_the_model()
        await device.run(stopped)


def _spare_the_model() -> None:
    """Let the collector pass over what there is now, above all the model, which stays as long as the process.

    A full collection holds up every thread, and goes through the model for a twentieth of a second each time.
    """
    gc.collect()
    gc.freeze()


def _warn_of_loss(state_dir: Path) -> None:
    """Say that the configuration is gone where a device has run before: whoever moved it away knows, nobody else."""
    if not (state_dir / DATASTORE).exists() and any((state_dir / name).exists() for name in (EVENTS, REPORTS)):
        _log.warning(
            "there is no %s, though this device has run before: it starts with the first user only; "
            "if nobody has moved the file away, stop the device and restore it from a backup",
            state_dir / DATASTORE,
        )


def _allow_descriptors(limits: Limits) -> None:
    """Let the process open as many files as it takes on connections, as far as the system allows it."""
    needed = limits.sessions + limits.unauthenticated + _OTHER_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        allowed = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < needed:
            _log.warning("the limits ask for %d open files, and the system allows %d", needed, allowed)


class _Device:
    """The parts of one daemon."""

    def __init__(self, configuration: DeviceFile) -> None:
        self._configuration = configuration
        self._state_dir = configuration.state_dir
        self._model = Model(device_modules(startup=configuration.startup))
        self._vault = Vault.at(self._state_dir / SECRETS_KEY)
        self._backend = Backend(self._model, self._vault)

    async def run(self, stopped: asyncio.Event) -> None:
        """Run until `stopped`. Raises StartupError."""
        use_one_arena()
        disk = Disk(self._state_dir / DATASTORE)
        limits = self._configuration.netconf.limits
        log = EventLog(
            self._state_dir / EVENTS, most_entries=limits.replay_notifications, most_octets=limits.replay_octets
        )
        self._told = _Told(Notifications(log))
        try:
            datastores = await self._load(disk)
            dhcp = Dhcp(self._model, self._vault, self._backend, disk, boot_id=read_boot_id())
            reports = ReportFile(self._state_dir / REPORTS)
            try:
                await self._serve(datastores, dhcp, reports, stopped)
            finally:
                await reports.close()
        finally:
            await self._told.close()
            disk.close()

    async def _load(self, disk: Disk) -> Datastores:
        configuration = self._configuration
        first = await self._first_configuration()
        loaded = await boot.load(self._model, disk, first, read_boot_id(), with_startup=configuration.startup)
        rules = Access(self._model)
        parts = Parts(self._model, disk, self._vault, rules, self._backend, self._told.of_datastores)
        for event in loaded.events:
            parts.observe(event)
        return Datastores(
            parts, loaded.running, loaded.startup, with_startup=configuration.startup, pending=loaded.pending
        )

    async def _first_configuration(self) -> etree._Element:
        user = self._configuration.first_user
        for number, line in enumerate(user.authorized_keys, 1):
            try:
                asyncssh.import_public_key(line)
            except asyncssh.KeyImportError as error:
                where = f"first-user.authorized-keys: line {number}"
                raise StartupError(f"{where} is not a public key without options: {error}") from None
        config = xml.element(DATA)
        config.append(access.first_user_config(user.name, user.password, user.authorized_keys))
        config.append(access.first_user_access(user.name))
        return await protected(self._vault, self._model.schema, config, self._model.empty())

    async def _serve(self, datastores: Datastores, dhcp: Dhcp, reports: ReportFile, stopped: asyncio.Event) -> None:
        engine = self._engine(self._backend.settings(datastores.read(Name.RUNNING)), reports)
        self._backend.performs_with(engine.apply)
        dhcp.tells(self._told.of_dhcp)
        public_key = host_key.made(self._state_dir / host_key.FILE_NAME)
        server = self._netconf(datastores, engine, dhcp)
        self._told.ends_sessions_with(server.end_sessions_of)
        await server.start()
        link = asyncio.create_task(engine.run(), name="engine")
        watches = LinkWatch(engine.link_changed), ClockWatch(engine.link_changed)
        waiting = asyncio.create_task(stopped.wait())
        # Only now: a hook that finds no socket has left its event in a file by then.
        leases = asyncio.create_task(dhcp.run(self._state_dir), name="dhcp")
        try:
            self._announce(server, public_key)
            await asyncio.wait((link, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            for watch in watches:
                watch.close()
            leases.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leases
            await server.stop()
            await datastores.stop()
            await self._told.settled()
            await engine.stop()
            await link

    def _engine(self, settings: Settings, reports: ReportFile) -> Engine:
        configuration = self._configuration
        identity = Identity(configuration.serial, configuration.model, f"headstay {__version__}", str(uuid.uuid4()))

        def observe(event: Event, time: float) -> None:
            self._told.of_engine(event, time)
            if isinstance(event, ConnectionStateChange):
                reports.connection_changed(event, time)

        engine = Engine(identity, settings, observe=observe, store=reports, interrupted=reports.interrupted())
        self._told.reports_with(engine.report)
        return engine

    def _netconf(self, datastores: Datastores, engine: Engine, dhcp: Dhcp) -> NetconfServer:
        library = library_tree(self._model.modules, datastores.names)

        def state(_: Requester) -> Picture:
            status, lease, use = engine.status(), dhcp.lease(), self._backend.dhcp_use
            streams = self._told.notifications.state_tree()
            return lambda: (state_tree(status), lease_tree(lease, use), library, streams)

        listen = self._configuration.netconf
        address = Address(listen.listen, listen.port, self._state_dir / host_key.FILE_NAME)
        settings = netconf.Settings(address, self._state_dir / SOCKET_NAME, listen.limits)
        rpcs = Rpcs(self._model, engine, dhcp).table()
        service = Service(
            datastores,
            state,
            _now,
            rpcs,
            abandoned=ABANDONED,
            learned=self._backend.learned,
            notifications=self._told.notifications,
        )
        return NetconfServer(settings, service, _Users(datastores))

    def _announce(self, server: NetconfServer, public_key: PublicKey) -> None:
        """Say where the device is to be reached, on the log and in `device.json`."""
        facts = {
            "netconf-port": server.port,
            "netconf-socket": str(self._state_dir / SOCKET_NAME),
            "host-key": f"{public_key.line} headstay",
        }
        aside = self._state_dir / ".device.json"
        try:
            aside.write_text(json.dumps(facts, indent=2) + "\n")
            aside.replace(self._state_dir / "device.json")
        except OSError as error:  # a convenience for scripts; the device works without it
            _log.error("device.json cannot be written: %s", error.strerror)
        _log.info("NETCONF on port %d, host key %s", server.port, public_key.fingerprint)


class _Users:
    """The users of the running configuration, as the NETCONF server asks for them."""

    def __init__(self, datastores: Datastores) -> None:
        self._datastores = datastores

    async def verify_password(self, user: str, password: str) -> bool:
        """Whether this is the user's password."""
        return await access.verify_password(self._datastores.read(Name.RUNNING), user, password)

    def authorized_keys(self, user: str) -> Sequence[str]:
        """The user's public keys, as OpenSSH lines."""
        return access.authorized_keys(self._datastores.read(Name.RUNNING), user)

    def knows(self, user: str) -> bool:
        """Whether there is such a user now."""
        return access.knows(self._datastores.read(Name.RUNNING), user)


class _Told:
    """Who is told what happens: the sessions that subscribed, those whose user is no more, and the cloud."""

    def __init__(self, notifications: Notifications) -> None:
        self.notifications = notifications
        self._untold: deque[DatastoreEvent] = deque()
        self._telling: asyncio.Task[None] | None = None
        self._early: list[tuple[dict[str, object], float]] = []
        self._end_sessions_of: Callable[[Collection[str], int | None], None] = lambda *_: None
        self._report: Callable[[dict[str, object], float], None] = lambda *report: self._early.append(report)

    def reports_with(self, report: Callable[[dict[str, object], float], None]) -> None:
        """Say who brings reports to the cloud. What the start itself has undone is brought now."""
        self._report = report
        for body, time in self._early:
            with _logged():
                report(body, time)
        self._early.clear()

    def ends_sessions_with(self, end_sessions_of: Callable[[Collection[str], int | None], None]) -> None:
        """Say what ends the sessions of users who are no more. While the device starts there are none."""
        self._end_sessions_of = end_sessions_of

    def of_engine(self, event: Event, time: float) -> None:
        """Tell of an event of the link, which has logged it."""
        with _logged():
            self.notifications.publish(notification(event))
            self._report(report_body(event), time)

    def of_dhcp(self, event: Event, time: float) -> None:
        """Tell of a change of what DHCP gives."""
        log_event(event)
        self.of_engine(event, time)

    def of_datastores(self, event: DatastoreEvent) -> None:
        """End the sessions of users who are no more. Tell of the event soon: no manager's answer waits for that."""
        with _logged():
            if isinstance(event, ConfigChange) and event.removed_users:
                by = None if event.requester is None else event.requester.session_id
                self._end_sessions_of(event.removed_users, by)
        self._untold.append(event)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_of_datastores(), name="telling")

    async def settled(self) -> None:
        """Wait until everybody has been told of all that has happened to the datastores."""
        if self._telling is not None:
            await self._telling

    async def close(self) -> None:
        """Tell what is to be told, and write down what is not on disk yet."""
        await self.settled()
        await self.notifications.close()

    async def _tell_of_datastores(self) -> None:
        """Tell of one event after the other, in their order."""
        while self._untold:
            with _logged():
                await self._tell_of_datastore(self._untold.popleft())

    async def _tell_of_datastore(self, event: DatastoreEvent) -> None:
        """Tell the sessions that subscribed, and of commits the cloud too."""
        if not isinstance(event, ConfigChange):
            self.notifications.publish(base_notifications.confirmed_commit(event))
            return
        few = len(event.changes) <= FEW
        edits = account(event.changes) if few else await asyncio.to_thread(account, event.changes)
        self.notifications.publish(base_notifications.config_change(event, edits))
        if event.datastore == "running":
            self._report(commit_body(event, edits), self.notifications.now())


@contextlib.contextmanager
def _logged() -> Iterator[None]:
    """The boundary to whoever is told: what goes wrong there is logged, and the device goes on."""
    try:
        yield
    except Exception:  # noqa: BLE001 - what happened has happened, told or not
        _log.exception("an event could not be told")


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)
