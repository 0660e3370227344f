"""The daemon's composition root: makes the parts, joins them, runs them until it is told to stop.

Owns the order of start and stop. Decides nothing itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import logging
import os
import signal
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import asyncssh
from lxml import etree

from headstay import __version__, device_file, xml
from headstay.backend.dhcp import Dhcp
from headstay.backend.plan import Backend
from headstay.backend.report import lease_tree, report_body, state_tree
from headstay.backend.rpcs import Rpcs
from headstay.datastore import access, boot, rotation
from headstay.datastore.access import Access, Requester
from headstay.datastore.disk import Disk
from headstay.datastore.model import DATA, Model
from headstay.datastore.modules import device_modules
from headstay.datastore.overlay import overlaid
from headstay.datastore.secrets import Vault, protected
from headstay.datastore.stores import Datastores, Name, Parts
from headstay.device_file import SOCKET_NAME, DeviceFile
from headstay.engine.events import DhcpChange, Event
from headstay.engine.log import log_event
from headstay.engine.netlink import LinkWatch
from headstay.engine.runner import Engine
from headstay.engine.settings import Identity, Settings
from headstay.errors import StartupError
from headstay.netconf import server as netconf
from headstay.netconf.server import NetconfServer
from headstay.netconf.sessions import Service
from headstay.netconf.ssh import Address
from headstay.netconf.yang_library import library_tree
from headstay.state_directory import DATASTORE, SECRETS_KEY, StateDirectory

_log = logging.getLogger("headstay.device")

_KERNEL_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


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
        rotation.settle_at_start(state_dir / SECRETS_KEY, state_dir / DATASTORE)
        await _Device(configuration).run(stopped)


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
        disk = Disk(self._state_dir / DATASTORE)
        try:
            datastores = await self._load(disk)
            dhcp = Dhcp(self._model, self._vault, self._backend, disk)
            await self._serve(datastores, dhcp, stopped)
        finally:
            disk.close()

    async def _load(self, disk: Disk) -> Datastores:
        configuration = self._configuration
        first = await self._first_configuration()
        loaded = await boot.load(self._model, disk, first, _boot_id(), with_startup=configuration.startup)
        parts = Parts(self._model, disk, self._vault, Access(configuration.first_user.name), self._backend)
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
        return await protected(self._vault, self._model.schema, config, self._model.empty())

    async def _serve(self, datastores: Datastores, dhcp: Dhcp, stopped: asyncio.Event) -> None:
        engine = self._engine(self._backend.settings(datastores.read(Name.RUNNING)))
        self._backend.performs_with(engine.apply)
        dhcp.tells(_told_by(engine))
        host_key = _host_key(self._state_dir / "ssh_host_ed25519_key")
        server = self._netconf(datastores, engine, dhcp, host_key)
        await server.start()
        link = asyncio.create_task(engine.run(), name="engine")
        watch = LinkWatch(engine.link_changed)
        waiting = asyncio.create_task(stopped.wait())
        # Only now: a hook that finds no socket has left its event in a file by then.
        leases = asyncio.create_task(dhcp.run(self._state_dir), name="dhcp")
        try:
            self._announce(server, host_key)
            await asyncio.wait((link, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            watch.close()
            leases.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await leases
            await server.stop()
            await datastores.stop()
            await engine.stop()
            await link

    def _engine(self, settings: Settings) -> Engine:
        configuration = self._configuration
        identity = Identity(configuration.serial, configuration.model, f"headstay {__version__}", str(uuid.uuid4()))

        def observe(event: Event, time: float) -> None:
            engine.report(report_body(event), time)

        engine = Engine(identity, settings, observe=observe)
        return engine

    def _netconf(self, datastores: Datastores, engine: Engine, dhcp: Dhcp, host_key: Path) -> NetconfServer:
        library = library_tree(self._model.modules, datastores.names)

        def state(_: Requester) -> etree._Element:
            learned = lease_tree(dhcp.lease(), self._backend.dhcp_use)
            return overlaid(self._model.schema, state_tree(engine.status()), learned, library)

        listen = self._configuration.netconf
        settings = netconf.Settings(Address(listen.listen, listen.port, host_key), self._state_dir / SOCKET_NAME)
        rpcs = Rpcs(self._model, engine, dhcp).table()
        service = Service(datastores, state, lambda: datetime.datetime.now(datetime.UTC), rpcs)
        return NetconfServer(settings, service, _Users(datastores))

    def _announce(self, server: NetconfServer, host_key: Path) -> None:
        """Say where the device is to be reached, on the log and in `device.json`."""
        key = asyncssh.read_private_key(host_key)
        facts = {
            "netconf-port": server.port,
            "netconf-socket": str(self._state_dir / SOCKET_NAME),
            "host-key": key.export_public_key().decode().strip(),
        }
        aside = self._state_dir / ".device.json"
        try:
            aside.write_text(json.dumps(facts, indent=2) + "\n")
            aside.replace(self._state_dir / "device.json")
        except OSError as error:  # a convenience for scripts; the device works without it
            _log.error("device.json cannot be written: %s", error.strerror)
        _log.info("NETCONF on port %d, host key %s", server.port, key.get_fingerprint())


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


def _told_by(engine: Engine) -> Callable[[DhcpChange, float], None]:
    """Return what a change of DHCP's values is told to: the log and the cloud, like the engine's own events."""

    def told(event: DhcpChange, time: float) -> None:
        log_event(event)
        engine.report(report_body(event), time)

    return told


def _boot_id() -> str:
    """Return what tells one boot of the kernel from another."""
    return _KERNEL_BOOT_ID.read_text().strip()


def _host_key(file: Path) -> Path:
    """Make the SSH host key (ed25519, mode 0600) if there is none. Returns the file."""
    try:
        if not file.exists():
            key = asyncssh.generate_private_key("ssh-ed25519", comment="headstay")
            aside = file.with_name(f".{file.name}")
            with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as stream:
                stream.write(key.export_private_key())
            aside.replace(file)
    except OSError as error:
        raise StartupError(f"the SSH host key {file} cannot be made: {error.strerror}") from None
    return file
