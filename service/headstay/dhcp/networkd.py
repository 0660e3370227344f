"""The lease files of systemd-networkd, decoded. It calls no hook: a lease is there while its file is. Pure.

The file (`/run/systemd/netif/leases/N`, N the interface's index) is systemd's own and not a documented interface; read
as systemd 252 writes it. How long the lease lasts is in it and does not count: a renewal that brings the same writes no
new file, so nothing here tells when that time began. systemd-networkd takes the file away when the lease has ended.
"""

from __future__ import annotations

import re

from headstay.dhcp.event import Client, Happening, LeaseEvent, is_interface


def decode(interface: str, text: str) -> LeaseEvent | None:
    """Return the lease that the file holds; None where it is no lease or the interface has no name to go by."""
    lines = (line.partition("=") for line in text.split("\n"))
    values = {name: value for name, equals, value in lines if equals}
    if "ADDRESS" not in values or not is_interface(interface):
        return None
    return LeaseEvent(
        interface,
        Client.SYSTEMD_NETWORKD.value,
        Happening.BOUND,
        _hex(values.get("OPTION_253")),
        _hex(values.get("OPTION_252")),
    )


def gone(interface: str) -> LeaseEvent:
    """Return the event for a lease whose file has gone."""
    return LeaseEvent(interface, Client.SYSTEMD_NETWORKD.value, Happening.EXPIRED)


def _hex(text: str | None) -> bytes | None:
    if text is None or re.fullmatch(r"([0-9A-Fa-f]{2})+", text) is None:
        return None
    return bytes.fromhex(text)
