"""What the hooks of DHCP clients are handed, decoded: arguments and environment in, a LeaseEvent out.

Each client has its own words for what happened and its own way to write octets (see the table of decoders). Pure, and
total: no arguments and no environment raise anything. What is not written in the client's form counts as absent, as no
client writes it. Values are judged elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from headstay.dhcp.event import Client, Happening, LeaseEvent, is_interface, lease_time

Environment = Mapping[str, str]
Decoder = Callable[[Sequence[str], Environment], LeaseEvent | None]
"""Arguments and environment of the hook; None where nothing happened to a lease."""

_UDHCPC = {
    "bound": Happening.BOUND,
    "renew": Happening.RENEWED,
    "deconfig": Happening.EXPIRED,  # also at the client's start, and after a release: it does not say which
    "nak": Happening.REFUSED,
}
_DHCLIENT = {
    "BOUND": Happening.BOUND,
    "REBOOT": Happening.BOUND,
    "TIMEOUT": Happening.BOUND,  # no server answers, but an old lease still holds; FAIL follows if it does not
    "RENEW": Happening.RENEWED,
    "REBIND": Happening.RENEWED,
    "EXPIRE": Happening.EXPIRED,
    "FAIL": Happening.EXPIRED,
    "RELEASE": Happening.RELEASED,
    "STOP": Happening.RELEASED,
}
_DHCPCD = {
    **_DHCLIENT,
    "INFORM": Happening.BOUND,
    "NAK": Happening.REFUSED,
    "STOPPED": Happening.RELEASED,
    "DEPARTED": Happening.RELEASED,
}
_NETWORK_MANAGER = {
    "up": Happening.BOUND,
    "dhcp4-change": Happening.RENEWED,
    "down": Happening.RELEASED,
}


def decode(client: Client, arguments: Sequence[str], environment: Environment) -> LeaseEvent | None:
    """Return what this client's hook was called for; None where nothing happened to a lease that anyone can know."""
    decoder = DECODERS.get(client)
    return None if decoder is None else decoder(arguments, environment)


def client_of(arguments: Sequence[str], environment: Environment) -> Client | None:
    """Tell by what a hook was handed which client called it."""
    if "NM_DISPATCHER_ACTION" in environment:
        return Client.NETWORK_MANAGER
    if "reason" in environment:
        # Both set `reason`; only dhcpcd says in which order it prefers its interfaces.
        return Client.DHCPCD if "interface_order" in environment else Client.DHCLIENT
    if arguments and arguments[0] in (*_UDHCPC, "leasefail") and "interface" in environment:
        return Client.UDHCPC
    return None


def udhcpc(arguments: Sequence[str], environment: Environment) -> LeaseEvent | None:
    """Decode a call of udhcpc's script (`-s`). It knows option 252 as a string, `wpad`, cut at the first NUL."""
    happening = _UDHCPC.get(arguments[0]) if arguments else None
    wpad = environment.get("wpad")
    password = _octets(wpad) if wpad is not None else _hex(environment.get("opt252"))
    return _event(
        Client.UDHCPC,
        environment.get("interface"),
        happening,
        _hex(environment.get("opt253")),
        password,
        environment.get("lease"),
    )


def dhclient(_: Sequence[str], environment: Environment) -> LeaseEvent | None:
    """Decode a call of dhclient-script's hooks. Its octets are decimal; RELEASE shows stale values, in `old_`."""
    return _event(
        Client.DHCLIENT,
        environment.get("interface"),
        _DHCLIENT.get(environment.get("reason", "")),
        _decimal(environment.get("new_cloud_domain")),
        _decimal(environment.get("new_cloud_password")),
        environment.get("new_dhcp_lease_time"),
    )


def dhcpcd(_: Sequence[str], environment: Environment) -> LeaseEvent | None:
    """Decode a call of dhcpcd-run-hooks."""
    return _event(
        Client.DHCPCD,
        environment.get("interface"),
        _DHCPCD.get(environment.get("reason", "")),
        _hex(environment.get("new_cloud_domain")),
        _hex(environment.get("new_cloud_password")),
        environment.get("new_dhcp_lease_time"),
    )


def network_manager(arguments: Sequence[str], environment: Environment) -> LeaseEvent | None:
    """Decode a call of a dispatcher script. One that comes up without a lease has none, also none from before a reboot.

    How long the lease lasts is told and does not count: version 1.42 calls nothing when it has renewed. It takes the
    connection down when the lease has ended and no other could be had.
    """
    action = arguments[1] if len(arguments) > 1 else environment.get("NM_DISPATCHER_ACTION", "")
    happening = _NETWORK_MANAGER.get(action)
    if happening is not None and happening.holds and not any(name.startswith("DHCP4_") for name in environment):
        # It also tells of a change to nothing, before it comes up with the lease.
        happening = Happening.RELEASED if happening is Happening.BOUND else None
    wpad = environment.get("DHCP4_WPAD")
    return _event(
        Client.NETWORK_MANAGER,
        # The interface that has the addresses, which for a modem is not the device's.
        environment.get("DEVICE_IP_IFACE") or (arguments[0] if arguments else None),
        happening,
        _hex(environment.get("DHCP4_PRIVATE_253")),
        None if wpad is None else _octets(wpad),
        None,
    )


DECODERS: Mapping[Client, Decoder] = {
    Client.UDHCPC: udhcpc,
    Client.DHCLIENT: dhclient,
    Client.DHCPCD: dhcpcd,
    Client.NETWORK_MANAGER: network_manager,
}
"""The clients that have a hook. systemd-networkd has none: its lease files are watched."""


def _event(
    client: Client,
    interface: str | None,
    happening: Happening | None,
    domain: bytes | None,
    password: bytes | None,
    time: str | None,
) -> LeaseEvent | None:
    if interface is None or not is_interface(interface) or happening is None:
        return None
    if not happening.holds:
        return LeaseEvent(interface, client.value, happening)
    return LeaseEvent(interface, client.value, happening, domain, password, lease_time(time))


def _octets(text: str) -> bytes:
    """The octets of a string of the environment, in which Python hides what is not UTF-8."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _hex(text: str | None) -> bytes | None:
    """`636c` and `63:6c` alike."""
    if text is None or re.fullmatch(r"[0-9A-Fa-f]{2}(:?[0-9A-Fa-f]{2})*", text) is None:
        return None
    return bytes.fromhex(text.replace(":", ""))


def _decimal(text: str | None) -> bytes | None:
    """`99 108` and `99,108` alike; numbers over 255 are no octets."""
    if text is None or re.fullmatch(r"[0-9]{1,3}([ ,]+[0-9]{1,3})*", text) is None:
        return None
    numbers = [int(number) for number in re.split(r"[ ,]+", text)]
    return bytes(numbers) if max(numbers) <= 255 else None
