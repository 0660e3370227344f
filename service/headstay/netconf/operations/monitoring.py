"""The :ietf-netconf-monitoring module (RFC 6022): <get-schema> and the netconf-state tree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore.locks import Lock
from headstay.datastore.model import Model
from headstay.datastore.modules import Module
from headstay.datastore.name import Name
from headstay.errors import InvalidValue, OperationFailed
from headstay.netconf import messages
from headstay.netconf.messages import Reply
from headstay.netconf.operations.context import Context
from headstay.netconf.operations.parameters import Parameters, leaf_text
from headstay.netconf.statistics import Counters, Statistics

_COUNTER32 = 2**32


@dataclass(frozen=True, slots=True)
class Transport:
    """How a session reaches the server: an identity derived from ietf-netconf-monitoring's `transport`."""

    namespace: str
    prefix: str
    name: str


SSH: Final = Transport(xml.MONITORING, "ncm", "netconf-ssh")
LOCAL: Final = Transport(xml.HCM, "hcm", "local")
"""The Unix socket; the standard has no identity for it."""


@dataclass(frozen=True, slots=True)
class SessionState:
    """What netconf-state shows of one session."""

    session_id: int
    transport: Transport
    user: str
    source_host: str | None
    """The client's address; None where the transport has none."""
    login_time: datetime
    counters: Counters


@dataclass(frozen=True, slots=True)
class ServerState:
    """What netconf-state shows besides the model, at one moment: nothing in it changes any more."""

    capabilities: Sequence[str]
    sessions: Sequence[SessionState]
    started: datetime
    statistics: Statistics
    counters: Counters = field(default_factory=Counters)
    """Those of all sessions, past ones included."""
    locks: Mapping[Name, Lock] = field(default_factory=dict)


# get-schema ----------------------------------------------------------------------------------------------------------


async def get_schema(context: Context, operation: etree._Element) -> Reply:
    """Return the text of a module (section 3.1)."""
    parameters = Parameters(operation, ("identifier", "version", "format"), namespace=xml.MONITORING)
    identifier = leaf_text(parameters.required("identifier"))
    wanted = parameters.optional("format")
    if wanted is not None and not _is_yang(wanted):
        raise InvalidValue("the only format of a schema here is yang")
    module = _module(context.datastores.model, identifier, parameters.text("version"))
    # The text is read from a file, which must not hold up the other sessions.
    text = await context.computed(module.source)
    return messages.output([xml.element(_tag("data"), messages.legal(text))])


def _is_yang(leaf: etree._Element) -> bool:
    prefix, colon, name = leaf_text(leaf).rpartition(":")
    # Without a prefix the default namespace counts (RFC 7950 section 9.10.3); whatever clients make of that one,
    # there is no other identity of this name.
    return name == "yang" and (not colon or leaf.nsmap.get(prefix) == xml.MONITORING)


def _module(model: Model, identifier: str, version: str | None) -> Module:
    named = [module for module in model.modules if module.name == identifier]
    if not named:
        raise InvalidValue(f"there is no schema {identifier}")
    found = [module for module in named if version in (None, module.revision)]
    if not found:
        raise InvalidValue(f"there is no revision {version} of {identifier}")
    if len(found) > 1:
        message = f"there are several revisions of {identifier}; name one by <version>"
        raise OperationFailed(message, app_tag="data-not-unique")
    return found[0]


# netconf-state -------------------------------------------------------------------------------------------------------


def netconf_state(names: Iterable[Name], model: Model, server: ServerState) -> etree._Element:
    """Return a tree that holds netconf-state (section 2.1). It may be made in any thread."""
    tree = model.empty()
    # The prefix is declared at the top and every element bears it, so that values may use it wherever they are copied.
    state = etree.SubElement(tree, _tag("netconf-state"), nsmap={"ncm": xml.MONITORING})
    listed = _container(state, "capabilities")
    for capability in server.capabilities:
        _leaf(listed, "capability", capability)
    _add_datastores(_container(state, "datastores"), names, server.locks)
    _add_schemas(_container(state, "schemas"), model.modules)
    sessions = _container(state, "sessions")
    for session in server.sessions:
        _add_session(sessions, session)
    _add_statistics(_container(state, "statistics"), server)
    return tree


def _add_datastores(parent: etree._Element, names: Iterable[Name], locks: Mapping[Name, Lock]) -> None:
    for name in names:
        datastore = _container(parent, "datastore")
        _leaf(datastore, "name", name.value)
        if (lock := locks.get(name)) is not None:
            held = _container(_container(datastore, "locks"), "global-lock")
            _leaf(held, "locked-by-session", lock.session_id)
            _leaf(held, "locked-time", date_and_time(lock.since))


def _add_schemas(parent: etree._Element, modules: Iterable[Module]) -> None:
    for module in modules:
        schema = _container(parent, "schema")
        _leaf(schema, "identifier", module.name)
        _leaf(schema, "version", module.revision)
        _leaf(schema, "format", "ncm:yang")
        _leaf(schema, "namespace", module.namespace)
        _leaf(schema, "location", "NETCONF")


def _add_session(parent: etree._Element, session: SessionState) -> None:
    entry = _container(parent, "session")
    _leaf(entry, "session-id", session.session_id)
    transport = session.transport
    declared = {transport.prefix: transport.namespace}
    _leaf(entry, "transport", f"{transport.prefix}:{transport.name}", declared)
    _leaf(entry, "username", session.user)
    if session.source_host:
        _leaf(entry, "source-host", session.source_host)
    _leaf(entry, "login-time", date_and_time(session.login_time))
    _add_counters(entry, session.counters)


def _add_statistics(parent: etree._Element, server: ServerState) -> None:
    statistics = server.statistics
    _leaf(parent, "netconf-start-time", date_and_time(server.started))
    _leaf(parent, "in-bad-hellos", statistics.in_bad_hellos % _COUNTER32)
    _leaf(parent, "in-sessions", statistics.in_sessions % _COUNTER32)
    _leaf(parent, "dropped-sessions", statistics.dropped_sessions % _COUNTER32)
    _add_counters(parent, server.counters)


def _add_counters(parent: etree._Element, counters: Counters) -> None:
    _leaf(parent, "in-rpcs", counters.in_rpcs % _COUNTER32)
    _leaf(parent, "in-bad-rpcs", counters.in_bad_rpcs % _COUNTER32)
    _leaf(parent, "out-rpc-errors", counters.out_rpc_errors % _COUNTER32)
    _leaf(parent, "out-notifications", counters.out_notifications % _COUNTER32)


def date_and_time(moment: datetime) -> str:
    """Return ietf-yang-types' date-and-time, in UTC and whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _container(parent: etree._Element, name: str) -> etree._Element:
    return etree.SubElement(parent, _tag(name))


def _leaf(parent: etree._Element, name: str, value: str | int, prefixes: dict[str, str] | None = None) -> None:
    etree.SubElement(parent, _tag(name), nsmap=prefixes or {}).text = messages.legal(str(value))


def _tag(name: str) -> str:
    return f"{{{xml.MONITORING}}}{name}"
