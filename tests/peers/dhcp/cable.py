"""Two namespaces joined by a cable: a DHCP server in one, a DHCP client in the other."""

from __future__ import annotations

import subprocess

from peers.namespaces import Namespace

CLIENT_INTERFACE = "vlan1"
"""The interface that counts by default."""
SERVER_ADDRESS = "192.0.2.1"


def join(client: Namespace, server: Namespace) -> None:
    """Lay the cable: CLIENT_INTERFACE at one end, `srv0` with SERVER_ADDRESS at the other."""
    ends = ["name", CLIENT_INTERFACE, "netns", str(client.pid), "type", "veth"]
    peer = ["peer", "name", "srv0", "netns", str(server.pid)]
    subprocess.run(["ip", "link", "add", *ends, *peer], check=True)
    server.run("ip", "address", "add", f"{SERVER_ADDRESS}/24", "dev", "srv0")
    for namespace, interface in ((server, "srv0"), (client, CLIENT_INTERFACE)):
        namespace.run("ip", "link", "set", "lo", "up")
        namespace.run("ip", "link", "set", interface, "up")
