"""A device as the cloud's tests need it: real TLS, aiohttp for the requests, websockets for the connections."""

from __future__ import annotations

import asyncio
import datetime
import json
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from headstay.cloud.configuration import Configuration, Listen
from headstay.cloud.connections import Sources
from headstay.cloud.limits import Limits
from headstay.cloud.server import CloudServer, running
from headstay.wire.scram import ClientProof, verifier_of

START = datetime.datetime(2026, 1, 27, 14, 18, 40, tzinfo=datetime.UTC)


@dataclass
class TestTime:
    """The cloud's surroundings, in the test's hand. Time stands still unless a test moves `now`."""

    __test__ = False

    now: float = 1_000.0
    drawn: list[str] = field(default_factory=list)

    def draw(self) -> str:
        self.drawn.append(secrets.token_urlsafe(32))
        return self.drawn[-1]

    @property
    def sources(self) -> Sources:
        return Sources(
            clock=lambda: self.now,
            wall=lambda: START + datetime.timedelta(seconds=self.now - 1_000.0),
            draw=self.draw,
        )


@dataclass
class Cloud:
    """A cloud that runs in the test's own process."""

    server: CloudServer
    time: TestTime

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server.port}"

    @property
    def trust(self) -> ssl.SSLContext:
        assert self.server.ca_file is not None
        return ssl.create_default_context(cafile=str(self.server.ca_file))

    async def add(self, serial: str, password: str | None = None) -> None:
        verifier = None if password is None else await asyncio.to_thread(verifier_of, password)
        await self.server.administration.add(serial, verifier)

    async def entry(self, serial: str) -> Any:
        return next(e for e in await self.server.administration.devices() if e.serial == serial)

    async def when(self, serial: str, *, connected: bool) -> None:
        """Wait until the registry says so; the marks are written in tasks of their own."""
        async with asyncio.timeout(10):
            while (await self.entry(serial)).connected is not connected:  # noqa: ASYNC110 (the database tells nobody)
                await asyncio.sleep(0)


@asynccontextmanager
async def cloud_in(
    state_dir: Path, limits: Limits | None = None, time: TestTime | None = None, **configuration: Any
) -> AsyncIterator[Cloud]:
    time = time or TestTime()
    settings = Configuration(state_dir=state_dir, listen=Listen(port=0), **configuration)
    async with running(settings, limits, time.sources) as server:
        yield Cloud(server, time)


@dataclass
class Answer:
    status: int
    body: Any
    headers: Any


class Device:
    """One device. Everything it opens is closed when its context ends."""

    def __init__(self, cloud: Cloud, serial: str, stack: AsyncExitStack, session: aiohttp.ClientSession) -> None:
        self.cloud = cloud
        self.serial = serial
        self.session = session
        self._stack = stack

    async def post(self, path: str, body: Any, **more: Any) -> Answer:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(self.cloud.url + path, data=data, allow_redirects=False, **more) as response:
            return Answer(response.status, await response.json(), response.headers)

    async def authenticate(self, **fields: Any) -> Answer:
        return await self.post("/v1/authenticate", {"serial": self.serial, "mechanism": "none", **fields})

    async def challenge(self, proof: ClientProof) -> Answer:
        return await self.authenticate(mechanism="SCRAM-SHA-256", message=proof.client_first())

    async def prove(self, password: str) -> Answer:
        """Make the whole SCRAM exchange; the server's signature is checked."""
        proof = ClientProof(self.serial, password)
        first = await self.challenge(proof)
        if first.status != 200:
            return first
        message = await asyncio.to_thread(proof.client_final, first.body["message"])
        final = await self.post("/v1/authenticate", {"exchange": first.body["exchange"], "message": message})
        if final.status == 200:
            proof.verify(final.body["message"])
        return final

    async def register(self, token: str, **fields: Any) -> Answer:
        body = {
            "serial": self.serial,
            "model": "M",
            "software": "1.0",
            "boot-id": "b1",
            "services": ["telemetry"],
            **fields,
        }
        return await self.post("/v1/register", body, headers={"Authorization": f"Bearer {token}"})

    async def url(self, password: str | None = None, **fields: Any) -> str:
        granted = await (self.authenticate() if password is None else self.prove(password))
        assert granted.status == 200, granted
        registered = await self.register(granted.body["token"], **fields)
        assert registered.status == 200, registered
        url: str = registered.body["url"]
        return url

    async def open(self, url: str, subprotocol: str = "headstay.v1", **more: Any) -> ClientConnection:
        return await self._stack.enter_async_context(
            connect(
                url,
                ssl=self.cloud.trust,
                subprotocols=[Subprotocol(subprotocol)],
                compression=None,
                proxy=None,
                ping_interval=None,
                **more,
            )
        )

    async def connect(self, password: str | None = None, **fields: Any) -> ClientConnection:
        return await self.open(await self.url(password, **fields))

    async def telemetry(self, main: ClientConnection) -> ClientConnection:
        offer = await receive(main)
        assert offer["type"] == "open"
        assert offer["service"] == "telemetry"
        return await self.open(offer["url"], "headstay.telemetry.v1")


@asynccontextmanager
async def device_of(cloud: Cloud, serial: str) -> AsyncIterator[Device]:
    async with AsyncExitStack() as stack:
        connector = aiohttp.TCPConnector(ssl=cloud.trust)
        session = await stack.enter_async_context(aiohttp.ClientSession(connector=connector))
        yield Device(cloud, serial, stack, session)


async def receive(connection: ClientConnection) -> Any:
    async with asyncio.timeout(10):
        return json.loads(await connection.recv())


async def send(connection: ClientConnection, message: Any) -> None:
    await connection.send(json.dumps(message))


def ticket_of(url: str) -> str:
    return urlsplit(url).query.partition("=")[2]


def report(sequence: int, boot_id: str = "b1") -> dict[str, Any]:
    return {
        "type": "report",
        "boot-id": boot_id,
        "sequence": sequence,
        "time": "2026-01-27T14:18:40Z",
        "body": {"event": "connection-state-change", "number": sequence},
    }


class DeviceAuthority:
    """A CA that certifies devices; its certificate stands in `path`."""

    def __init__(self, path: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "devices")])
        ca = x509.BasicConstraints(ca=True, path_length=0)
        path.write_bytes(self._sign(self._name, self._key.public_key(), ca))

    def certify(self, serial: str, path: Path) -> Path:
        """Write a private key and a certificate for `serial` into `path`."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, serial)])
        octets = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        end = x509.BasicConstraints(ca=False, path_length=None)
        path.write_bytes(octets + self._sign(name, key.public_key(), end))
        return path

    def _sign(self, name: x509.Name, key: ec.EllipticCurvePublicKey, constraints: x509.BasicConstraints) -> bytes:
        now = datetime.datetime.now(datetime.UTC)
        builder = x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=name,
            public_key=key,
            serial_number=x509.random_serial_number(),
            not_valid_before=now - datetime.timedelta(days=1),
            not_valid_after=now + datetime.timedelta(days=1),
        )
        signed = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM)
