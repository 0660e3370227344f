"""A fake cloud with real sockets, for the engine's shell: TLS on 127.0.0.1, the wire's words, certificates of its own.

It behaves as a small cloud does; what a test wants otherwise stands in `FakeCloud.answers`. Every connection that it
accepts is counted.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from headstay.wire import AUTHENTICATE_PATH, REGISTER_PATH, messages
from headstay.wire.scram import ServerProof, Verifier, WrongProof, verifier_of

Answer = tuple[int, dict[str, str], bytes]
"""Status, fields, body."""


# certificates ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pem:
    """A certificate and its key, as PEM texts."""

    certificate: str
    key: str


class Authority:
    """A small certificate authority."""

    def __init__(self, name: str = "test authority", start: timedelta = timedelta(days=-1)) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        builder = _builder(self._name, self._name, self._key, start, timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        certificate = builder.sign(self._key, hashes.SHA256())
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()

    def issue(
        self,
        *names: str,
        start: timedelta = timedelta(days=-1),
        end: timedelta = timedelta(days=1),
        common_name: str = "server",
    ) -> Pem:
        """Issue a certificate for DNS names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        builder = _builder(subject, self._name, key, start, end)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), False)
        certificate = builder.sign(self._key, hashes.SHA256())
        return Pem(
            certificate.public_bytes(serialization.Encoding.PEM).decode(),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ).decode(),
        )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: timedelta, end: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def server_context(pem: Pem, client_authority: str | None = None) -> ssl.SSLContext:
    """Return a server's TLS context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chain.pem"
        file.write_text(pem.certificate + pem.key)
        context.load_cert_chain(file)
    if client_authority is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=client_authority)
    return context


# the cloud ------------------------------------------------------------------------------------------


PATIENCE = 10.0
"""Seconds after which something that a test waits for has failed to come."""

T = TypeVar("T")


class Arrivals(asyncio.Queue[T]):
    """A queue at which nobody waits without end."""

    async def get(self) -> T:
        async with asyncio.timeout(PATIENCE):
            return await super().get()


@dataclass
class Peer:
    """A WebSocket as the cloud sees it."""

    path: str
    ticket: str
    protocol: ServerProtocol
    writer: asyncio.StreamWriter
    received: Arrivals[str | bytes | None] = field(default_factory=Arrivals)
    """Messages; None is the end."""
    close_code: int | None = None

    async def send(self, message: messages.Message | str | bytes) -> None:
        """Send a message to the device."""
        if isinstance(message, bytes):
            self.protocol.send_binary(message)
        else:
            text = message if isinstance(message, str) else messages.encode(message).decode()
            self.protocol.send_text(text.encode())
        await self.flush()

    async def close(self, code: int = 1000) -> None:
        """Begin the closing handshake."""
        self.protocol.send_close(code)
        await self.flush()

    async def flood(self, octets: bytes) -> None:
        """Send frames, as many as the connection takes, without end."""
        while True:
            self.writer.write(octets)
            await self.writer.drain()
            await asyncio.sleep(0)

    def drop(self) -> None:
        """Cut the connection."""
        self.writer.transport.abort()

    async def hear(self) -> dict[str, object]:
        """Return the next message from the device."""
        data = await self.received.get()
        assert isinstance(data, str), data
        decoded: dict[str, object] = json.loads(data)
        return decoded

    async def flush(self) -> None:
        """Write what the protocol has to say, and wait while the device does not read."""
        self.write()
        with contextlib.suppress(ConnectionError):
            await self.writer.drain()

    def write(self) -> None:
        """Write what the protocol has to say."""
        for data in self.protocol.data_to_send():
            if data:
                self.writer.write(data)
            else:
                self.writer.close()


class FakeCloud:
    """One server. `async with FakeCloud(...)` listens on a free port of 127.0.0.1."""

    def __init__(self, context: ssl.SSLContext | None, *, password: str | None = None, host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = 0
        self.accepted = 0
        self.requests: list[tuple[str, str, bytes]] = []
        """Method, path and body of each."""
        self.answers: dict[str, Callable[[bytes], Answer]] = {}
        """Path -> what is answered instead."""
        self.main_host: str | None = None
        """`host:port` of the main connection's URL, where it is not this server."""
        self.mains: Arrivals[Peer] = Arrivals()
        self.subconnections: Arrivals[Peer] = Arrivals()
        self.acknowledges_keepalives = True
        self.subprotocol: str | None = None
        """What is agreed to instead of what the device asks for."""
        self.verifier: Verifier | None = None if password is None else verifier_of(password)
        self.beside: FakeCloud | None = None
        self.others_open_at_accept: list[int] = []
        """How many connections `beside` held whenever this cloud accepted one."""
        self.resumed: list[bool] = []
        """Of each connection, whether it resumed a TLS session."""
        self.open = 0
        """Connections that are open now."""
        self._context = context
        self._exchanges: dict[str, ServerProof] = {}
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = asyncio.Event()

    async def __aenter__(self) -> FakeCloud:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def authority(self) -> str:
        return f"{self.host}:{self.port}"

    async def all_closed(self) -> None:
        """Wait until every connection has ended."""
        async with asyncio.timeout(PATIENCE):
            while self.open:
                self._closed.clear()
                await self._closed.wait()

    def url(self, path: str) -> str:
        return f"wss://{self.authority}{path}?ticket=secret-ticket"

    # a connection ---------------------------------------------------------------------------------

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        self.open += 1
        tls = writer.get_extra_info("ssl_object")
        if tls is not None:
            self.resumed.append(tls.session_reused)
        if self.beside is not None:
            self.others_open_at_accept.append(self.beside.open)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while await self._serve(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)
            self.open -= 1
            self._closed.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Serve one request; returns whether another may follow."""
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        fields = {
            name.strip().lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head.decode().split("\r\n")[1:] if line)
        }
        body = await reader.readexactly(int(fields.get("content-length", "0")))
        path = urlsplit(target).path
        self.requests.append((method, path, body))
        if path in self.answers:
            answer = self.answers[path](body)
        elif method == "GET":
            await self._upgrade(head, target, reader, writer)
            return False
        else:
            answer = self._answer(path, body, fields)
        status, more, content = answer
        more = {"Content-Type": "application/json", "Content-Length": str(len(content)), **more}
        lines = [f"HTTP/1.1 {status} x", *(f"{name}: {value}" for name, value in more.items()), "", ""]
        writer.write("\r\n".join(lines).encode() + content)
        await writer.drain()
        return more.get("Connection") != "close"

    def _answer(self, path: str, body: bytes, fields: dict[str, str]) -> Answer:
        if path == AUTHENTICATE_PATH:
            return self._authenticate(json.loads(body))
        if path == REGISTER_PATH:
            if fields.get("authorization") != "Bearer secret-token":
                return 401, {}, b"{}"
            if json.loads(body).get("probe"):
                return ok(messages.Probed(f"wss://{self.main_host or self.authority}/probe?ticket=secret-ticket", 30.0))
            url = f"wss://{self.main_host or self.authority}/main?ticket=secret-ticket"
            return ok(messages.Registered(url, 1, 30.0))
        return 404, {}, b"{}"

    def _authenticate(self, body: dict[str, str]) -> Answer:
        if not body:
            return 400, {}, b'{"reason": "malformed"}'
        granted = messages.Granted("secret-token", 3600.0)
        if "exchange" in body:
            try:
                final = self._exchanges.pop(body["exchange"]).server_final(body["message"])
            except WrongProof:
                return refused("bad-proof")
            return ok(messages.Granted("secret-token", 3600.0, final))
        if body["mechanism"] != messages.SCRAM_SHA_256:
            return ok(granted) if self.verifier is None else refused("password-required")
        if self.verifier is None:
            return refused("not-allowed")
        verifier = self.verifier
        proof = ServerProof(lambda _: verifier)
        first = proof.server_first(body["message"])
        self._exchanges["x1"] = proof
        return ok(messages.Challenge("x1", first))

    async def _upgrade(
        self, head: bytes, target: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        protocol = ServerProtocol(select_subprotocol=lambda _, offered: self._select(offered), max_size=None)
        protocol.receive_data(head)
        (request,) = protocol.events_received()
        assert isinstance(request, Request)
        protocol.send_response(protocol.accept(request))
        parts = urlsplit(target)
        ticket = parse_qs(parts.query).get("ticket", [""])[0]
        peer = Peer(parts.path, ticket, protocol, writer)
        await peer.flush()
        if parts.path == "/probe":
            await peer.close()
        (self.mains if parts.path == "/main" else self.subconnections).put_nowait(peer)
        try:
            while data := await reader.read(65536):
                protocol.receive_data(data)
                for frame in protocol.events_received():
                    assert isinstance(frame, Frame)
                    await self._take(peer, frame)
                peer.write()  # it reads on, whether the device does or not
        finally:
            peer.close_code = None if protocol.close_rcvd is None else protocol.close_rcvd.code
            peer.received.put_nowait(None)

    def _select(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        return Subprotocol(self.subprotocol) if self.subprotocol is not None else offered[0]

    async def _take(self, peer: Peer, frame: Frame) -> None:
        if frame.opcode is Opcode.BINARY:
            peer.received.put_nowait(bytes(frame.data))
        if frame.opcode is not Opcode.TEXT:
            return
        text = bytes(frame.data).decode()
        message = json.loads(text)
        if message["type"] == "keepalive" and self.acknowledges_keepalives:
            await peer.send(messages.KeepaliveAck(message["id"]))
        peer.received.put_nowait(text)


def ok(body: messages.Body) -> Answer:
    """Return success with a body of the wire."""
    return 200, {}, messages.encode(body)


def refused(reason: str) -> Answer:
    """Return the explicit failure answer."""
    return 403, {}, messages.encode(messages.Refused(reason))
