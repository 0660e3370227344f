"""Names are resolved, and all their addresses tried (RFC 8305), with real listeners on 127.0.0.1 and ::1."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from headstay.engine import dial, race
from headstay.engine.dial import resolve, target_of
from headstay.engine.failures import StepFailed
from headstay.engine.inputs import AddressInfo, Failure
from headstay.engine.reasons import FailureReason, State
from headstay.engine.settings import AddressFamily, Server
from headstay.engine.tls import TlsContexts


def address(host: str, port: int) -> AddressInfo:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port)


def has_ipv6() -> bool:
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET6) as probe:
        probe.bind(("::1", 0))
        return True
    return False


ipv6 = pytest.mark.skipif(not has_ipv6(), reason="there is no ::1 here")


@contextlib.contextmanager
def black_hole(host: str) -> Iterator[AddressInfo]:
    """An address that never answers: a listener whose queue is full drops what comes."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket(family))
        listener.bind((host, 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(3):
            caller = stack.enter_context(socket.socket(family))
            caller.setblocking(False)
            caller.connect_ex((host, port))
        yield address(host, port)


@contextlib.contextmanager
def closed_port(host: str) -> Iterator[AddressInfo]:
    """An address that refuses at once: the port is bound, and nobody listens."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as held:
        held.bind((host, 0))
        yield address(host, held.getsockname()[1])


async def reached(lab, cloud, *addresses: AddressInfo, **more: object) -> str:
    target = target_of(cloud.host, cloud.port)
    connection = await dial.dial(target, addresses, lab.settings(cloud, **more), TlsContexts())
    try:
        return connection.address
    finally:
        connection.abort()


async def test_a_first_address_that_is_dead_costs_a_moment_only(lab, monkeypatch) -> None:
    monkeypatch.setattr(race, "HAPPY_EYEBALLS_DELAY", 0.01)
    async with lab.cloud() as cloud:
        with black_hole("127.0.0.2") as dead:
            assert await reached(lab, cloud, dead, address("127.0.0.1", cloud.port)) == "127.0.0.1"


async def test_an_address_that_refuses_is_followed_by_the_next_at_once(lab, monkeypatch) -> None:
    monkeypatch.setattr(race, "HAPPY_EYEBALLS_DELAY", 60.0)
    async with lab.cloud() as cloud:
        with closed_port("127.0.0.2") as one, closed_port("127.0.0.3") as two:
            assert await reached(lab, cloud, one, two, address("127.0.0.1", cloud.port)) == "127.0.0.1"


async def test_when_every_address_fails_all_are_told(lab) -> None:
    told = pytest.raises(OSError, match=r"127\.0\.0\.2.*127\.0\.0\.3")
    async with lab.cloud() as cloud:
        with closed_port("127.0.0.2") as one, closed_port("127.0.0.3") as two, told:
            await reached(lab, cloud, one, two)


@ipv6
async def test_the_families_take_turns(lab, monkeypatch) -> None:
    """IPv6, IPv4, IPv6: the second turn is IPv4's, though the resolver put it last (RFC 8305 section 4)."""
    monkeypatch.setattr(race, "HAPPY_EYEBALLS_DELAY", 0.25)
    async with lab.cloud() as cloud:
        with black_hole("::1") as dead, black_hole("::1") as dead_too:
            assert await reached(lab, cloud, dead, dead_too, address("127.0.0.1", cloud.port)) == "127.0.0.1"


@ipv6
async def test_a_source_address_rules_the_other_family_out(lab) -> None:
    async with lab.cloud() as cloud:
        with closed_port("::1") as other:
            addresses = other, address("127.0.0.1", cloud.port)
            assert await reached(lab, cloud, *addresses, source_address="127.0.0.2") == "127.0.0.1"


@ipv6
@pytest.mark.parametrize(("family", "first"), [(AddressFamily.ANY, "::1"), (AddressFamily.IPV4, "127.0.0.1")])
async def test_a_name_with_both_families(lab, monkeypatch, family, first) -> None:
    """The whole engine: the name has ::1, where nobody listens, and 127.0.0.1, where the cloud is."""
    asked = []

    def both(host, port, wanted=0, *_, **__):
        found = [address("::1", port), address("127.0.0.1", port)]
        asked.append([entry for entry in found if wanted in (0, entry[0])])
        return asked[-1]

    async with lab.cloud(host="localhost") as cloud:
        with monkeypatch.context() as patch:
            patch.setattr(socket, "getaddrinfo", both)
            settings = lab.settings(cloud, servers=(Server("localhost", cloud.port),), address_family=family)
            device = lab.device(settings)
            status = await device.until(lambda status: status.state is State.ESTABLISHED)
            assert status.server_address == "127.0.0.1"
            assert asked[0][0][4][0] == first


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..example"])
async def test_what_cannot_be_a_name_is_a_failure_to_resolve(host: str) -> None:
    with pytest.raises(StepFailed) as failed:
        await resolve(target_of(host, 1), AddressFamily.ANY)
    assert failed.value.failure == Failure(FailureReason.DNS_FAILED, "not a domain name")


async def test_an_address_is_its_own() -> None:
    ((_, _, _, _, address),) = await resolve(target_of("127.0.0.1", 5), AddressFamily.ANY)
    assert address == ("127.0.0.1", 5)
