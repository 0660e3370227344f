"""Devices and their clouds: a network for the devices and one for each cloud, with a cable to each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from end_to_end.processes import Cloud, Device
from headstay import xml
from headstay.cli import operational
from headstay.cli.local_session import LocalSession
from headstay.cli.operational import Leafs
from headstay.device_file import SOCKET_NAME
from peers.link.cable import TUN, Cable
from peers.namespaces import Namespace, can_be_made, missing

PASSWORD = "known to every cloud"
INTERVAL = 10
"""Seconds between keepalives, and between pings: the shortest there is."""


class Site:
    """Made by `site`. The clouds and the cables to them stand in the same order."""

    def __init__(self, directory: Path, count: int, stack: contextlib.ExitStack) -> None:
        self._directory = directory
        self._stack = stack
        self._home = stack.enter_context(Namespace())
        self.cables: list[Cable] = []
        self.clouds: list[Cloud] = []
        for number in range(count):
            away = stack.enter_context(Namespace())
            cable = stack.enter_context(Cable(number, self._home, away))
            cloud = Cloud(directory / f"cloud-{number}", cable.far, away.network)
            stack.callback(_kill, cloud)
            self.cables.append(cable)
            self.clouds.append(cloud)

    def device(self, serial: str, *order: int) -> Device:
        """Start a device that these clouds know, and configure them as its primary and backups."""
        clouds = [self.clouds[number] for number in order]
        for cloud in clouds:
            cloud.add(serial, PASSWORD)
        device = Device(self._directory / serial, serial, within=self._home.network)
        self._stack.callback(device.stop)
        primary, *backups = (f"<domain>{cloud.host}</domain><port>{cloud.port}</port>" for cloud in clouds)
        others = (f"<backup-server>{backup}</backup-server>" for backup in backups)
        anchors = (f"<trust-anchor>{cloud.trust_anchor}</trust-anchor>" for cloud in clouds)
        configure(
            device,
            f"<server>{primary}<password>$0${PASSWORD}</password></server>{''.join(others)}"
            f"<keepalive-interval>{INTERVAL}</keepalive-interval><ping-interval>{INTERVAL}</ping-interval>"
            f"<tls>{''.join(anchors)}</tls>",
        )
        return device


@contextlib.contextmanager
def site(directory: Path, clouds: int) -> Iterator[Site]:
    """Build a site with this many clouds, and take it away."""
    with contextlib.ExitStack() as stack:
        yield Site(directory, clouds, stack)


def why_not() -> str | None:
    """Return why this machine cannot build a site; None if it can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    absent = missing("ip", "nsenter", "unshare")
    if absent:
        return f"these programs are missing: {', '.join(absent)}"
    if not TUN.exists():
        return f"there is no {TUN}"
    return None if can_be_made() else "this machine lets nobody make namespaces"


def configure(device: Device, content: str) -> None:
    """Edit the running configuration."""
    edit = f"<config><cloud-management xmlns='{xml.HCM}'>{content}</cloud-management></config>"
    _ask(device, f"<edit-config xmlns='{xml.NETCONF}'><target><running/></target>{edit}</edit-config>")


def reconnect(device: Device) -> None:
    """Have the device connect anew, with authentication."""
    _ask(device, f"<reconnect xmlns='{xml.HCM}'/>")


def read(device: Device, name: str) -> Sequence[Leafs]:
    """Return a container or list of the operational state, without the cost of a process."""
    return operational.read(device.state_dir / SOCKET_NAME, name)[name]


def _ask(device: Device, operation: str) -> None:
    with LocalSession(device.state_dir / SOCKET_NAME) as session:
        session.rpc(xml.parse(operation.encode()))


def _kill(cloud: Cloud) -> None:
    cloud.program.kill()
