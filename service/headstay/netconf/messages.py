"""What stands in a message: hello, rpc, rpc-reply and rpc-error, as octets (RFC 6241 sections 4 and 8.1).

Owns their XML. Knows no framing, no session and no operation. Replies are put together from octets: the data in them is
serialised once, straight from the published tree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final, cast
from xml.sax.saxutils import quoteattr

from lxml import etree

from headstay import xml
from headstay.errors import (
    ErrorInfo,
    ErrorType,
    HeadstayError,
    MissingAttribute,
    MissingElement,
    NetconfError,
    RpcErrors,
    UnknownElement,
    UnknownNamespace,
)

BASE_1_0: Final = "urn:ietf:params:netconf:base:1.0"
BASE_1_1: Final = "urn:ietf:params:netconf:base:1.1"

_XML_NAMESPACE = "http://www.w3.org/XML/1998/namespace"
_OPENING: Final = f'<rpc-reply xmlns="{xml.NETCONF}"'
_HARMLESS = re.compile(r"[\w.:/+-]*", re.ASCII).fullmatch
"""Matches a value that nothing needs to be escaped in."""
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


class BadHello(HeadstayError):
    """What the client sent in the place of its <hello> is none. The session is dropped without a word."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A positive reply."""

    body: bytes
    """What stands in <rpc-reply>: <ok/>, or the output."""
    ends_session: bool = False
    """Close the session once this reply is sent."""
    then: Callable[[], None] | None = None
    """What to do once this reply is sent, before anything else the client asks for; nothing if it cannot be sent."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A message in which there is no rpc that could be executed."""

    opening: bytes
    """The start tag of the reply."""
    error: NetconfError | xml.XmlError


OK: Final = Reply(b"<ok/>")


@dataclass(frozen=True, slots=True)
class Rpc:
    """One well-formed <rpc>."""

    operation: etree._Element
    """The one element in it."""
    opening: bytes
    """The start tag of the reply, with every attribute of the <rpc>."""


def data(pieces: Iterable[bytes]) -> Reply:
    """Return a reply of <get> or <get-config> from serialised top-level elements."""
    return Reply(b"<data>" + b"".join(pieces) + b"</data>")


def output(elements: Sequence[etree._Element]) -> Reply:
    """Return a reply with an operation's output parameters; <ok/> if there are none (RFC 7950 section 7.14.4)."""
    return Reply(b"".join(map(xml.serialise, elements))) if elements else OK


# hello ---------------------------------------------------------------------------------------------------------------


def hello(session_id: int, capabilities: Iterable[str]) -> bytes:
    """Return the server's <hello> (RFC 6241 section 8.1)."""
    root = _netconf_element("hello")
    listed = etree.SubElement(root, _tag("capabilities"))
    for capability in capabilities:
        etree.SubElement(listed, _tag("capability")).text = capability
    etree.SubElement(root, _tag("session-id")).text = str(session_id)
    return xml.serialise(root)


def read_hello(octets: bytes) -> frozenset[str]:
    """Return the capabilities of a client's <hello>. Raises BadHello."""
    try:
        root = xml.parse_leaving_nothing(octets.strip())
    except xml.XmlError as error:
        raise BadHello(str(error)) from None
    if root.tag != _tag("hello"):
        raise BadHello("the first message is not a <hello> in the NETCONF namespace")
    if root.find(_tag("session-id")) is not None:
        raise BadHello("a client's <hello> must not have a session-id")
    found = root.iterfind(f"{_tag('capabilities')}/{_tag('capability')}")
    capabilities = frozenset((capability.text or "").strip() for capability in found)
    if capabilities.isdisjoint((BASE_1_0, BASE_1_1)):
        raise BadHello("the client has neither base:1.0 nor base:1.1")
    return capabilities


# rpc -----------------------------------------------------------------------------------------------------------------


def read_message(octets: bytes, most_elements: int, *, apart: bool = False) -> Rpc | Unreadable:
    """Return what stands in a message. Takes time that grows with it; may be done in any thread: `apart`, if it ends
    with this.
    """
    try:
        # White space around a message is no part of it, but an XML declaration after it would be an error.
        root = xml.parse(octets.strip(), most_elements, apart=apart)
    except xml.XmlError as error:
        return Unreadable(reply_opening(None), error)
    try:
        return read_rpc(root)
    except NetconfError as error:
        return Unreadable(reply_opening(root), error)


def read_rpc(message: etree._Element) -> Rpc:
    """Return the operation in a message. Raises the NetconfError that RFC 6241 asks for where it is not an <rpc>."""
    if message.tag != _tag("rpc"):
        raise _not_an_rpc(message)
    if message.get("message-id") is None:
        info = [ErrorInfo("bad-attribute", "message-id"), ErrorInfo("bad-element", "rpc")]
        raise MissingAttribute("an <rpc> needs the attribute message-id", info=info, type=ErrorType.RPC)
    if len(message) == 0:
        # RFC 6241 appendix B names what has to stand there rpcOperation.
        info = [ErrorInfo("bad-element", "rpcOperation")]
        raise MissingElement("an <rpc> needs an operation", info=info, type=ErrorType.RPC)
    if len(message) > 1:
        second = xml.local_name(message[1])
        info = [ErrorInfo("bad-element", second)]
        raise UnknownElement("an <rpc> has one operation only", info=info, type=ErrorType.RPC)
    return Rpc(message[0], reply_opening(message))


def _not_an_rpc(message: etree._Element) -> NetconfError:
    name, namespace = xml.local_name(message), xml.namespace(message)
    info = [ErrorInfo("bad-element", name)]
    if namespace == xml.NETCONF:
        return UnknownElement(f"expected <rpc>, not <{name}>", info=info, type=ErrorType.RPC)
    info.append(ErrorInfo("bad-namespace", namespace))
    return UnknownNamespace("a message must be an <rpc> in the NETCONF namespace", info=info, type=ErrorType.RPC)


# rpc-reply -----------------------------------------------------------------------------------------------------------


def reply_opening(message: etree._Element | None) -> bytes:
    """Return the start tag of the reply to a message, with all its attributes (RFC 6241 section 4.2).

    None stands for a message that could not be parsed.
    """
    opening = _OPENING
    # One walk: lxml looks for an attribute from the first one on, each time it is asked for one.
    given = [] if message is None else cast("list[tuple[str, str]]", message.items())
    for name, value in given:
        if message is not None and name.startswith("{"):
            opening = " ".join([_OPENING, *_prefixed(message, given)])
            break
        opening += f' {name}="{value}"' if _HARMLESS(value) else f" {name}={quoteattr(value)}"  # most message-ids are
    return f"{opening}>".encode()


def _prefixed(message: etree._Element, given: Iterable[tuple[str, str]]) -> list[str]:
    prefixes = {uri: prefix for prefix, uri in message.nsmap.items() if prefix is not None}
    prefixes[_XML_NAMESPACE] = "xml"
    values = [(etree.QName(name), value) for name, value in given]
    used = dict.fromkeys(name.namespace for name, _ in values if name.namespace not in (None, _XML_NAMESPACE))
    attributes = [f"xmlns:{prefixes[uri]}={quoteattr(uri)}" for uri in used if uri is not None]
    for name, value in values:
        prefix = f"{prefixes[name.namespace]}:" if name.namespace else ""
        attributes.append(f"{prefix}{name.localname}={quoteattr(value)}")
    return attributes


def rpc_reply(opening: bytes, body: bytes) -> bytes:
    """Return the whole message."""
    return opening + body + b"</rpc-reply>"


# rpc-error -----------------------------------------------------------------------------------------------------------


def error_body(error: NetconfError | RpcErrors) -> bytes:
    """Return one <rpc-error> for each error (RFC 6241 section 4.3)."""
    errors = error.errors if isinstance(error, RpcErrors) else (error,)
    return b"".join(map(_rpc_error, errors))


def _rpc_error(error: NetconfError) -> bytes:
    root = _netconf_element("rpc-error")
    _leaf(root, "error-type", error.type.value)
    _leaf(root, "error-tag", error.tag)
    _leaf(root, "error-severity", "error")
    if error.app_tag is not None:
        _leaf(root, "error-app-tag", error.app_tag)
    if error.path is not None:
        path = etree.SubElement(root, _tag("error-path"), nsmap=dict(error.path.prefixes))
        path.text = legal(error.path.text)
    _leaf(root, "error-message", error.message).set(f"{{{_XML_NAMESPACE}}}lang", "en")
    if error.info:
        info = etree.SubElement(root, _tag("error-info"))
        for item in error.info:
            leaf = etree.SubElement(info, f"{{{item.namespace}}}{item.name}", nsmap=_as_default(item.namespace))
            leaf.text = legal(item.value)
    # The reply around it declares the namespace already.
    return xml.serialise(root).replace(f' xmlns="{xml.NETCONF}"'.encode(), b"", 1)


def legal(text: str) -> str:
    """Return the text with what XML 1.0 cannot carry (section 2.2) replaced."""
    return _ILLEGAL.sub("\ufffd", text)


def _netconf_element(name: str) -> etree._Element:
    return xml.element(_tag(name))


def _as_default(namespace: str) -> dict[str, str]:
    """Declare a namespace without a prefix."""
    declared: dict[str | None, str] = {None: namespace}
    return cast("dict[str, str]", declared)  # lxml-stubs forgets the default namespace


def _leaf(parent: etree._Element, name: str, text: str) -> etree._Element:
    leaf = etree.SubElement(parent, _tag(name))
    leaf.text = legal(text)
    return leaf


def _tag(name: str) -> str:
    return f"{{{xml.NETCONF}}}{name}"
