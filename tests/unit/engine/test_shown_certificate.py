"""What is told of a certificate that was refused, by a server with real TLS."""

from __future__ import annotations

import socket

from cryptography.hazmat.primitives import serialization

from fake_cloud import Authority, FakeCloud, Pem, server_context
from headstay.engine.inputs import AddressInfo
from headstay.engine.shown_certificate import Shown, look


def at(port: int) -> AddressInfo:
    return socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", ("127.0.0.1", port)


async def seen(pem: Pem) -> Shown:
    async with FakeCloud(server_context(pem)) as cloud:
        shown = await look("127.0.0.1", at(cloud.port), None)
        await cloud.all_closed()
        assert cloud.requests == []
    assert shown is not None
    return shown


async def test_an_issuer_that_was_not_sent() -> None:
    shown = await seen(Authority("an issuer").issue("a.example", "192.0.2.1"))
    assert (shown.names, shown.issuer) == ("a.example, 192.0.2.1", "“an issuer”")
    assert shown.chain == "the certificate of its issuer “an issuer” is missing"


async def test_a_whole_chain_to_a_root_of_somebody_else() -> None:
    authority = Authority("their root")
    pem = authority.issue("a.example")
    whole = Pem(pem.certificate + authority.pem, pem.key)
    assert (await seen(whole)).chain == "its chain ends at “their root”, which is not trusted"


async def test_a_certificate_that_is_its_own_issuer() -> None:
    authority = Authority("myself")
    key = authority._key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    shown = await seen(Pem(authority.pem, key))
    assert (shown.names, shown.chain) == ("no name", "it is self-signed")


async def test_names_from_elsewhere_are_bounded_and_one_line() -> None:
    shown = await seen(Authority("\x1b[31m\nred" + "x" * 40).issue(*(f"{n}.example" for n in range(90))))
    assert shown.names == "0.example, 1.example, 2.example, 3.example and 86 more"
    assert (shown.issuer + shown.chain).isprintable()


async def test_nothing_is_seen_where_nobody_listens_or_nobody_speaks_tls() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        assert await look("127.0.0.1", at(held.getsockname()[1]), None) is None
    async with FakeCloud(None) as cloud:

        async def plain(reader, writer) -> bool:
            writer.write(b"220 smtp.example ESMTP\r\n")
            return bool(await reader.read(65536))

        cloud._serve = plain
        assert await look("127.0.0.1", at(cloud.port), None) is None
        await cloud.all_closed()
