"""The engine's settings, read out of a configuration tree with the model's defaults. Pure; knows no change."""

from __future__ import annotations

from collections.abc import Callable

from lxml import etree

from headstay import xml
from headstay.backend.precedence import DhcpUse
from headstay.datastore.schema import SchemaNode
from headstay.engine.settings import AddressFamily, Role, Server, Service, Settings, Source, Tls

OpenSecret = Callable[[SchemaNode, etree._Element], str | None]
"""Takes a secret leaf and returns its clear text; None if it does without."""

_TOP = f"{{{xml.HCM}}}cloud-management"


class _Node:
    """A container or list entry, or its absence, read by leaf name."""

    def __init__(self, schema: SchemaNode, element: etree._Element | None, open_secret: OpenSecret) -> None:
        self._schema = schema
        self._element = element
        # Found in one walk; of the entries of a list each is asked for by `entries`.
        self._children = {} if element is None else {str(child.tag): child for child in element}
        self._open_secret = open_secret

    def text(self, name: str) -> str | None:
        """The leaf's value, configured or default; None without either."""
        leaf = self._leaf(name)
        if leaf is not None:
            return leaf.text or ""
        defaults = self._schema.children[_tag(name)].defaults
        return defaults[0] if defaults else None

    def required(self, name: str) -> str:
        """The value of a key, or of a leaf with a default."""
        text = self.text(name)
        if text is None:
            raise KeyError(name)
        return text

    def texts(self, name: str) -> tuple[str, ...]:
        """The values of a leaf-list."""
        entries = self._element.iterfind(_tag(name)) if self._element is not None else ()
        return tuple(entry.text or "" for entry in entries)

    def secret(self, name: str) -> str | None:
        """The clear text of a secret; None also if it is configured, but `open_secret` does without."""
        leaf = self._leaf(name)
        return self._open_secret(self._schema.children[_tag(name)], leaf) if leaf is not None else None

    def has(self, name: str) -> bool:
        """Whether the leaf is configured."""
        return self._leaf(name) is not None

    def node(self, name: str) -> _Node:
        """A container."""
        return _Node(self._schema.children[_tag(name)], self._leaf(name), self._open_secret)

    def entries(self, name: str) -> list[_Node]:
        """The entries of a list, in order."""
        entries = self._element.iterfind(_tag(name)) if self._element is not None else ()
        return [_Node(self._schema.children[_tag(name)], entry, self._open_secret) for entry in entries]

    def _leaf(self, name: str) -> etree._Element | None:
        return self._children.get(_tag(name))


def settings_of(schema: SchemaNode, tree: etree._Element, open_secret: OpenSecret) -> Settings:
    """Return what the link shall be. Raises whatever `open_secret` raises.

    Where the model leaves the order to the system, it means nothing: sorted here, it cannot tell two settings apart.
    """
    top = _Node(schema.children[_TOP], tree.find(_TOP), open_secret)
    server = top.node("server")
    tls = top.node("tls")
    switchback = top.node("switchback")
    return Settings(
        enabled=top.text("enabled") == "true",
        servers=_servers(server, top.entries("backup-server")),
        password=server.secret("password"),
        password_source=Source.CONFIGURED if server.has("password") else Source.NONE,
        keepalive_interval=int(top.required("keepalive-interval")),
        ping_interval=int(top.required("ping-interval")),
        source_address=top.text("source-address"),
        address_family=AddressFamily(top.required("address-family")),
        hold_down=int(switchback.required("hold-down")) if switchback.text("mode") == "hold-down" else None,
        tls=Tls(
            trust_anchors=tuple(sorted(tls.texts("trust-anchor"))),
            client_certificate=tls.text("client-certificate"),
            private_key=tls.secret("private-key"),
        ),
        services=tuple(
            _service(entry) for entry in sorted(top.entries("service"), key=lambda entry: entry.required("name"))
        ),
    )


def dhcp_use_of(schema: SchemaNode, tree: etree._Element) -> DhcpUse:
    """Return which lease counts."""
    top = _Node(schema.children[_TOP], tree.find(_TOP), _no_secret)
    dhcp = top.node("dhcp")
    return DhcpUse(
        enabled=dhcp.text("enabled") == "true",
        interface=dhcp.required("interface"),
        port=int(top.node("server").required("port")),
    )


def _servers(primary: _Node, backups: list[_Node]) -> tuple[Server, ...]:
    """The primary, where it has a domain, and the backups in their order; one without a port has the primary's."""
    port = int(primary.required("port"))
    domain = primary.text("domain")
    servers = [] if domain is None else [Server(domain.lower(), port, Role.PRIMARY)]
    for backup in backups:
        own = backup.text("port")
        servers.append(Server(backup.required("domain").lower(), int(own) if own else port, Role.BACKUP))
    return tuple(servers)


def _service(entry: _Node) -> Service:
    rate_limit = entry.text("rate-limit")
    return Service(
        name=entry.required("name"),
        enabled=entry.text("enabled") == "true",
        queue_limit=int(entry.required("queue-limit")),
        rate_limit=None if rate_limit is None else int(rate_limit),
    )


def _no_secret(leaf: SchemaNode, _: etree._Element) -> str:
    raise KeyError(leaf.path)


def _tag(name: str) -> str:
    return f"{{{xml.HCM}}}{name}"
