"""Status and events in the model's words: operational state as a tree, events as telemetry reports.

The engine's dataclasses bear the names of the model's leafs, so this is a change of form only. Pure, and never fails:
one odd value must not take the whole state away from whoever asks for it. A text loses what XML and a terminal cannot
take; an address or a time that is none is left out.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from lxml import etree

from headstay import xml
from headstay.backend.precedence import DhcpUse
from headstay.datastore.edits import Edited
from headstay.datastore.events import ConfigChange
from headstay.datastore.model import DATA
from headstay.datastore.values import NotAValue, ip_address
from headstay.dhcp.lease import Lease
from headstay.engine.events import Event
from headstay.engine.settings import Settings, Source
from headstay.engine.status import ServerStatus, Status
from headstay.engine.verdicts import Verdict

_TIMES = ("-at", "-attempt")
"""How the names of leafs end that hold a time."""
_ADDRESSES = {"server-address", "address"}
"""Leafs of type ip-address-no-zone."""
_STATE_LEAFS_ELSEWHERE = {"established"}
"""Fields that another field's leaf shows."""


def state_tree(status: Status) -> etree._Element:
    """Return the operational state of the cloud connection as a tree. Takes time linear in the configured services."""
    data = xml.element(DATA)
    top = xml.element(_tag("cloud-management"))
    data.append(top)
    connection = etree.SubElement(top, _tag("connection"))
    _add_leafs(connection, status.connection)
    mode = xml.element(_tag("mode"), "https")
    connection.insert(next((i for i, leaf in enumerate(connection) if leaf.tag == _tag("server-domain")), 0), mode)
    for server in status.servers:
        entry = etree.SubElement(top, _tag("server-status"))
        _add_leafs(entry, server)
        if server.established:
            etree.SubElement(entry, _tag("last-result")).text = "established"
    for subconnection in (*status.subconnections, *status.unoffered()):
        _add_leafs(etree.SubElement(top, _tag("subconnection")), subconnection)
    return data


def lease_tree(lease: Lease | None, use: DhcpUse) -> etree._Element:
    """Return the operational state of what DHCP gives as a tree, without the password."""
    data = xml.element(DATA)
    if lease is None:
        return data
    top = xml.element(_tag("cloud-management"))
    data.append(top)
    shown = etree.SubElement(top, _tag("dhcp-lease"))
    leafs = {
        "interface": lease.interface,
        "client": lease.client,
        "domain": lease.domain,
        "password-present": "false" if lease.password is None else "true",
        "ignored": lease.ignored if use.enabled else "everything: dhcp/enabled is false",
        "received-at": date_and_time(lease.received_at),
        "expires-at": None if lease.expires_at is None else date_and_time(lease.expires_at),
    }
    for name, value in leafs.items():
        if value is not None:
            etree.SubElement(shown, _tag(name)).text = value
    return data


def learned_tree(settings: Settings, seal: Callable[[str], str]) -> etree._Element:
    """Return the configuration in force that DHCP gave, as a tree; `seal` gives the password its stored form."""
    data = xml.element(DATA)
    leafs: dict[str, str] = {}
    if settings.servers and settings.servers[0].source is Source.DHCP:
        leafs["domain"] = settings.servers[0].domain
    if settings.password is not None and settings.password_source is Source.DHCP:
        leafs["password"] = seal(settings.password)
    if leafs:
        top = xml.element(_tag("cloud-management"))
        data.append(top)
        server = etree.SubElement(top, _tag("server"))
        for name, value in leafs.items():
            etree.SubElement(server, _tag(name)).text = value
    return data


def stage_element(verdict: Verdict) -> etree._Element:
    """Return what a test says of one stage, as an entry of the output of test-connection."""
    entry = xml.element(_tag("stage"))
    _add_leafs(entry, verdict)
    return entry


def report_body(event: Event) -> dict[str, object]:
    """Return the body of the telemetry report for an event: RFC 7951 JSON."""
    body: dict[str, object] = {"event": event.name}
    for field in fields(event):
        leaf, value = _leaf_name(field.name), getattr(event, field.name)
        # The only numbers in events are counter64, which RFC 7951 section 6.1 writes as strings.
        said = value if isinstance(value, bool) else _text(leaf, value)
        if said is not None:
            body[leaf] = said
    return body


def notification(event: Event) -> etree._Element:
    """Return an event as the notification of the model that it is."""
    root = xml.element(_tag(event.name))
    _add_leafs(root, event)
    return root


def commit_body(event: ConfigChange, edits: Iterable[Edited]) -> dict[str, object]:
    """Return the body of the telemetry report for a commit: who, and the paths of what changed, but no value.

    `edits` is the account of the event's changes.
    """
    body: dict[str, object] = {"event": "commit"}
    if event.requester is not None:
        body |= {
            "user": _text("user", event.requester.user),
            "session": event.requester.session_id,
            "source": event.requester.source.value,
        }
    return {**body, "changed": [edited.json_path for edited in edits]}


def date_and_time(seconds: float) -> str:
    """Return a time as yang:date-and-time, UTC, to the millisecond.

    Raises ValueError, OverflowError or OSError if no calendar has it.
    """
    at = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _add_leafs(parent: etree._Element, values: Any) -> None:
    for field in fields(values):
        if isinstance(values, ServerStatus) and field.name in _STATE_LEAFS_ELSEWHERE:
            continue
        leaf = _leaf_name(field.name)
        text = _text(leaf, getattr(values, field.name))
        if text is not None:
            etree.SubElement(parent, _tag(leaf)).text = text


def _leaf_name(field: str) -> str:
    return field.replace("_", "-")


def _text(leaf: str, value: object) -> str | None:
    """Return the text of a leaf; None leaves it out."""
    match value:
        case None:
            return None
        case bool():
            return str(value).lower()
        case enum.Enum():
            return str(value.value)
        case float() if leaf.endswith(_TIMES):
            return _time(value)
        case str() if leaf in _ADDRESSES:
            return _address(value)
        case str():
            return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in value)
    return str(value)


def _time(seconds: float) -> str | None:
    try:
        return date_and_time(seconds)
    except (ValueError, OverflowError, OSError):
        return None


def _address(text: str) -> str | None:
    try:
        return ip_address(text.partition("%")[0])
    except NotAValue:
        return None


def _tag(name: str) -> str:
    return f"{{{xml.HCM}}}{name}"
