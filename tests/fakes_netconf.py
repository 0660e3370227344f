"""What the NETCONF tests share: datastores on a disk that is memory, a backend that agrees to everything, a client that
speaks raw NETCONF over any pair of streams.
"""

from __future__ import annotations

import asyncio
import datetime
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
from lxml import etree

from headstay import xml
from headstay.datastore.access import Access, Requester, Source
from headstay.datastore.edit import edited
from headstay.datastore.events import DatastoreEvent
from headstay.datastore.model import Model
from headstay.datastore.parts import Parts
from headstay.datastore.secrets import Vault
from headstay.datastore.stores import Datastores
from headstay.netconf.framing import Deframer, Framing, frame
from headstay.netconf.limits import Limits
from headstay.netconf.notifications import Notifications
from headstay.netconf.operations import Context, Picture, nothing_learned
from headstay.netconf.server import Address, NetconfServer, Settings
from headstay.netconf.sessions import Service
from headstay.netconf.streams import Subscription
from models import OpenTo, device_model

NC = f'xmlns="{xml.NETCONF}"'
MOMENT = datetime.datetime(2018, 1, 27, 14, 18, 40, tzinfo=datetime.UTC)

CLOUD = f"""
<cloud-management xmlns="{xml.HCM}">
  <server><domain>cloud.example</domain></server>
  <backup-server><domain>b1.example</domain><port>1001</port></backup-server>
  <backup-server><domain>b2.example</domain></backup-server>
  <keepalive-interval>60</keepalive-interval>
</cloud-management>
"""
USERS = f"""
<system xmlns="{xml.SYSTEM}"><authentication>
  <user><name>admin</name></user>
  <user><name>guest</name></user>
</authentication></system>
"""


def model() -> Model:
    return device_model()


class MemoryDisk:
    """Keeps what is saved; refuses once it is `full`."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes | None] = {}

    async def save(
        self,
        contents: Mapping[str, bytes | None],
        facts: Mapping[str, str | None] | None = None,
        *,
        in_force: bool = False,
    ) -> None:
        self.contents.update(contents)


class AgreeingBackend:
    """Agrees to everything and remembers what came into force."""

    def __init__(self) -> None:
        self.applied = 0

    def prepare(self, old: etree._Element, new: etree._Element, changes: Any) -> AgreeingBackend:
        return self

    def reinstate(self, new: etree._Element) -> AgreeingBackend:
        return self

    def apply(self) -> None:
        self.applied += 1


def tree_of(*documents: str) -> etree._Element:
    config = etree.Element(f"{{{xml.NETCONF}}}config")
    for document in documents:
        config.append(etree.fromstring(document.strip(), etree.XMLParser(remove_blank_text=True)))
    return edited(model().schema, model().empty(), config)


def make_parts(
    disk: Any = None, access: Access | None = None, observe: Callable[[DatastoreEvent], None] = lambda _: None
) -> Parts:
    disk = disk or MemoryDisk()
    return Parts(model(), disk, Vault(bytes(32)), access or OpenTo("admin"), AgreeingBackend(), observe)


def make_datastores(
    *documents: str,
    with_startup: bool = False,
    access: Access | None = None,
    observe: Callable[[DatastoreEvent], None] = lambda _: None,
) -> Datastores:
    parts = make_parts(access=access, observe=observe)
    return Datastores(parts, tree_of(*documents), None, with_startup=with_startup)


STATE = f"""
<cloud-management xmlns="{xml.HCM}"><connection><state>established</state></connection></cloud-management>
"""


def no_state(requester: Requester) -> Picture:
    return tuple


def some_state(requester: Requester) -> Picture:
    tree = model().empty()
    tree.append(etree.fromstring(STATE.strip()))
    return lambda: [tree]


class NoSessions:
    """Sessions of which there are none. It remembers who would have subscribed."""

    def __init__(self, notifications: Notifications | None = None) -> None:
        self.notifications = notifications or Notifications(clock=MOMENT.timestamp)
        self.subscribed: list[tuple[int, Subscription]] = []

    def subscribe(self, session_id: int, subscription: Subscription) -> None:
        self.subscribed.append((session_id, subscription))

    async def kill(self, session_id: int, by: int) -> bool:
        return False

    def netconf_state(self) -> Callable[[], etree._Element]:
        return model().empty


def make_context(datastores: Datastores | None = None, **changes: Any) -> Context:
    parts: dict[str, Any] = {
        "datastores": datastores or make_datastores(CLOUD),
        "requester": Requester("admin", 1, Source.DIRECT),
        "sessions": NoSessions(),
        "state": no_state,
    }
    return Context(**{**parts, **changes})


def operation(text: str) -> etree._Element:
    """An operation as it stands in an <rpc>, whose default namespace it inherits."""
    return etree.fromstring(f"<rpc {NC} message-id='1'>{text}</rpc>")[0]


def parsed(body: bytes) -> etree._Element:
    """The body of a reply, as children of one element."""
    return etree.fromstring(b"<rpc-reply %b>%b</rpc-reply>" % (NC.encode(), body))


class MemoryChannel:
    """A transport that keeps what is written and what it was told."""

    def __init__(self) -> None:
        self.written = b""
        self.told: list[str] = []

    def write(self, data: bytes) -> None:
        assert "close" not in self.told
        self.written += data

    def __getattr__(self, name: str) -> Any:
        assert name in ("close", "abort", "pause_reading", "resume_reading")
        return lambda: self.told.append(name)


# a server, and a client that speaks raw NETCONF ----------------------------------------------------------------------


class OnePassword:
    """Everybody's password is the same; `keys` holds public keys by user, `removed` who is a user no more."""

    def __init__(self) -> None:
        self.keys: dict[str, list[str]] = {}
        self.removed: set[str] = set()

    async def verify_password(self, user: str, password: str) -> bool:
        return password == "right"

    def authorized_keys(self, user: str) -> list[str]:
        return self.keys.get(user, [])

    def knows(self, user: str) -> bool:
        return user not in self.removed


@functools.cache
def host_key() -> asyncssh.SSHKey:
    return asyncssh.generate_private_key("ssh-ed25519")


@asynccontextmanager
async def running_server(directory: Path, **changes: Any) -> AsyncIterator[NetconfServer]:
    """A server on a free port and on `directory`/netconf.sock."""
    (directory / "host_key").write_bytes(host_key().export_private_key())
    parts: dict[str, Any] = {
        "datastores": changes.pop("datastores", None) or make_datastores(CLOUD, USERS),
        "state": some_state,
        "clock": lambda: MOMENT,
        "rpcs": changes.pop("rpcs", {}),
        "learned": changes.pop("learned", nothing_learned),
        "abandoned": changes.pop("abandoned", ()),
        "notifications": changes.pop("notifications", None) or Notifications(),
    }
    address = Address(["127.0.0.1"], 0, directory / "host_key")
    settings = Settings(
        changes.pop("address", address),
        directory / "netconf.sock",
        Limits(**{"failed_login_delay": 0, **changes.pop("limits", {})}),
    )
    authenticator = changes.pop("authenticator", None) or OnePassword()
    assert not changes
    server = NetconfServer(settings, Service(**parts), authenticator)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


HELLO = f"<hello {NC}><capabilities>%s</capabilities></hello>"
BOTH = ("urn:ietf:params:netconf:base:1.0", "urn:ietf:params:netconf:base:1.1")


def hello(*capabilities: str) -> bytes:
    return (HELLO % "".join(f"<capability>{c}</capability>" for c in capabilities)).encode()


class RawClient:
    """A client on a pair of streams that sends exactly what it is told to."""

    def __init__(self, reader: Any, writer: Any) -> None:
        self.reader, self.writer = reader, writer
        self.framing = Framing.END_OF_MESSAGE
        self.server_hello = etree.Element("none")
        self._deframer = Deframer()
        self._number = 0

    async def greet(self, *capabilities: str) -> RawClient:
        self.server_hello = await self.message()
        self.send_raw(frame(hello(*(capabilities or BOTH)), Framing.END_OF_MESSAGE))
        if not capabilities or BOTH[1] in capabilities:
            self.framing = self._deframer.framing = Framing.CHUNKED
        return self

    @property
    def session_id(self) -> int:
        return int(self.server_hello.findtext(f"{{{xml.NETCONF}}}session-id", ""))

    def send_raw(self, octets: bytes) -> None:
        self.writer.write(octets)

    def send(self, message: str) -> None:
        self.send_raw(frame(message.encode(), self.framing))

    async def message(self) -> etree._Element:
        """The next message; raises EOFError when the server has closed."""
        waiting = self._deframer.messages()
        while True:
            for message in waiting:
                return etree.fromstring(message)
            octets = await asyncio.wait_for(self.reader.read(65536), 10)
            if not octets:
                raise EOFError
            waiting = self._deframer.receive(octets)

    async def rpc(self, text: str) -> etree._Element:
        """Send an operation and return the reply."""
        self._number += 1
        self.send(f'<rpc {NC} message-id="{self._number}">{text}</rpc>')
        return await self.message()

    async def closed(self) -> bool:
        """Whether the server closes without a further message."""
        try:
            await self.message()
        except EOFError:
            return True
        return False


@asynccontextmanager
async def unix_client(directory: Path) -> AsyncIterator[RawClient]:
    reader, writer = await asyncio.open_unix_connection(directory / "netconf.sock")
    try:
        yield RawClient(reader, writer)
    finally:
        writer.close()
        await writer.wait_closed()


@asynccontextmanager
async def ssh_connection(server: NetconfServer, **options: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
    settings = {"username": "admin", "password": "right", "known_hosts": None, "client_keys": None, **options}
    async with asyncssh.connect("127.0.0.1", server.port, config=None, agent_path=None, **settings) as connection:
        yield connection


async def ssh_client(connection: asyncssh.SSHClientConnection) -> RawClient:
    writer, reader, _ = await connection.open_session(subsystem="netconf", encoding=None)
    return RawClient(reader, writer)


def tag(element: etree._Element) -> str | None:
    """The error-tag of a reply's first error."""
    return element.findtext(f"{{{xml.NETCONF}}}rpc-error/{{{xml.NETCONF}}}error-tag")


def is_ok(element: etree._Element) -> bool:
    return [child.tag for child in element] == [f"{{{xml.NETCONF}}}ok"]
