"""Two namespaces joined by a cable: a DHCP server in one, a DHCP client in the other."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

import pytest

from peers.namespaces import Namespace, can_be_made, missing

CLIENT_INTERFACE = "vlan1"
"""The interface that counts by default."""
SERVER_ADDRESS = "192.0.2.1"


def skip_without(*programs: str) -> None:
    """Skip the test where one of these programs is missing, or what every cable needs."""
    absent = missing(*programs, "ip", "nsenter", "unshare")
    if absent:
        pytest.skip(f"these programs are missing: {', '.join(absent)}")
    if not can_be_made():
        pytest.skip("this machine lets nobody make namespaces")


@contextlib.contextmanager
def laid() -> Iterator[tuple[Namespace, Namespace]]:
    """Make the client's namespace and the server's, with the cable between them."""
    with contextlib.ExitStack() as stack:
        client, server = (stack.enter_context(Namespace()) for _ in range(2))
        join(client, server)
        yield client, server


def join(client: Namespace, server: Namespace) -> None:
    """Lay the cable: CLIENT_INTERFACE at one end, `srv0` with SERVER_ADDRESS at the other."""
    ends = ["name", CLIENT_INTERFACE, "netns", str(client.pid), "type", "veth"]
    peer = ["peer", "name", "srv0", "netns", str(server.pid)]
    subprocess.run(["ip", "link", "add", *ends, *peer], check=True)
    server.run("ip", "address", "add", f"{SERVER_ADDRESS}/24", "dev", "srv0")
    for namespace, interface in ((server, "srv0"), (client, CLIENT_INTERFACE)):
        namespace.run("ip", "link", "set", "lo", "up")
        namespace.run("ip", "link", "set", interface, "up")
