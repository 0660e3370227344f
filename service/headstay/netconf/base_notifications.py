"""The notifications of ietf-netconf-notifications (RFC 6470): what happened to sessions and datastores, as elements.

Owns their XML. Knows no stream and no subscription. Capabilities never change while the device runs, so there is no
netconf-capability-change.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore.access import Requester, Source
from headstay.datastore.edits import Edited
from headstay.datastore.events import ConfigChange, ConfirmedCommit, ConfirmEvent
from headstay.datastore.values import NotAValue, ip_address
from headstay.netconf import messages
from headstay.netconf.session_words import Termination

_NAMESPACE: Final = "urn:ietf:params:xml:ns:yang:ietf-netconf-notifications"
_DEVICE: Final = Requester("headstay", 0, Source.LOCAL)
"""The device itself; 0 is the id of what is no NETCONF session."""


def config_change(event: ConfigChange, edits: Iterable[Edited]) -> etree._Element:
    """Return netconf-config-change; `edits` is the account of the event's changes."""
    paths = [(edited, edited.path) for edited in edits]
    # The prefixes of all targets stand at the top once, so that each target's resolve wherever it is read.
    declared = {prefix: namespace for _, path in paths for prefix, namespace in path.prefixes}
    root = xml.element(_tag("netconf-config-change"), prefixes=declared)
    changed_by = etree.SubElement(root, _tag("changed-by"))
    if event.requester is None:
        etree.SubElement(changed_by, _tag("server"))
    else:
        _add_session(changed_by, event.requester)
    _leaf(root, "datastore", event.datastore)
    for edited, path in paths:
        edit = etree.SubElement(root, _tag("edit"))
        _leaf(edit, "target", path.text)
        _leaf(edit, "operation", edited.operation)
    return root


def confirmed_commit(event: ConfirmedCommit) -> etree._Element:
    """Return netconf-confirmed-commit."""
    root = xml.element(_tag("netconf-confirmed-commit"))
    # The module has the session in every case but this one, so the device stands for itself where nobody asked.
    if event.confirm_event is not ConfirmEvent.TIMEOUT:
        _add_session(root, event.requester or _DEVICE)
    _leaf(root, "confirm-event", event.confirm_event.value)
    if event.timeout is not None:
        _leaf(root, "timeout", str(event.timeout))
    return root


def session_start(requester: Requester) -> etree._Element:
    """Return netconf-session-start."""
    root = xml.element(_tag("netconf-session-start"))
    _add_session(root, requester)
    return root


def session_end(requester: Requester, termination: Termination, killed_by: int | None) -> etree._Element:
    """Return netconf-session-end; `killed_by` is the session that asked for it by <kill-session>."""
    root = xml.element(_tag("netconf-session-end"))
    _add_session(root, requester)
    if killed_by is not None and termination is Termination.KILLED:
        _leaf(root, "killed-by", str(killed_by))
    _leaf(root, "termination-reason", termination.value)
    return root


def _add_session(parent: etree._Element, requester: Requester) -> None:
    _leaf(parent, "username", requester.user)
    _leaf(parent, "session-id", str(requester.session_id))
    if (host := _address(requester.host)) is not None:
        _leaf(parent, "source-host", host)


def _address(host: str | None) -> str | None:
    """Return the host if it is what the leaf takes: an address."""
    try:
        return None if host is None else ip_address(host)
    except NotAValue:
        return None


def _leaf(parent: etree._Element, name: str, text: str) -> None:
    etree.SubElement(parent, _tag(name)).text = messages.legal(text)


def _tag(name: str) -> str:
    return f"{{{_NAMESPACE}}}{name}"
