"""The device's operational state for the local commands: one request on the local socket, entries by the model's names.

Owns which leafs are numbers. Knows neither how they look on a terminal nor what a command does with them.
"""

from __future__ import annotations

from pathlib import Path

from lxml import etree

from headstay import xml
from headstay.cli.local_session import LocalSession

Leafs = dict[str, str | int]
"""The leafs of one container or list entry, by name."""

NUMBERS = frozenset(
    {
        *("server-port", "duration", "attempts", "established-count", "unknown-messages"),
        *("dropped-after-buffer-limit", "dropped-total", "buffer-full-count"),
        *("order", "port", "time-taken"),
        *("in-messages", "out-messages", "in-octets", "out-octets", "queued", "dropped"),
    }
)
"""The leafs whose type is a whole number. The text of any other may look like one: an instance, a domain, a detail."""


def read(socket: Path, *names: str) -> dict[str, list[Leafs]]:
    """Return the entries of these containers and lists below `cloud-management`, as they are at one moment.

    A container that is there has one entry. Raises CommandError.
    """
    with LocalSession(socket) as session:
        reply = session.rpc(_get(names))
    return entries(reply.find(f".//{{{xml.HCM}}}cloud-management"), names)


def entries(top: etree._Element | None, names: tuple[str, ...]) -> dict[str, list[Leafs]]:
    """Return what stands in <cloud-management>, by the names asked for."""
    import xmltodict

    found: dict[str, list[dict[str, str | None]]] = {}
    if top is not None:
        document = xmltodict.parse(
            xml.serialise(top), process_namespaces=True, namespaces={xml.HCM: None}, force_list=names
        )
        found = document["cloud-management"] or {}
    return {name: [_leafs(entry) for entry in found.get(name, ())] for name in names}


def _leafs(entry: dict[str, str | None] | None) -> Leafs:
    texts = {name: text or "" for name, text in (entry or {}).items() if not name.startswith("@")}
    return {name: int(text) if name in NUMBERS else text for name, text in texts.items()}


def _get(names: tuple[str, ...]) -> etree._Element:
    wanted = "".join(f"<{name}/>" for name in names)
    return xml.parse(
        f'<get xmlns="{xml.NETCONF}"><filter type="subtree">'
        f'<cloud-management xmlns="{xml.HCM}">{wanted}</cloud-management></filter></get>'.encode()
    )
