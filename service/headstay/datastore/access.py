"""Who asks, who may do what, and which users there are. The users live in the running configuration (ietf-system).

Until access control proper (NACM) arrives, the first user and recovery sessions may do everything and every other user
may read, but not what is protected. Knows no transport.
"""

from __future__ import annotations

import copy
import enum
from dataclasses import dataclass

from lxml import etree

from headstay import xml
from headstay.datastore import passwords
from headstay.datastore.edit import prune
from headstay.datastore.schema import SchemaNode
from headstay.errors import AccessDenied, StartupError

READING = frozenset({"get", "get-config", "get-schema", "create-subscription", "close-session"})
"""The operations that every user may execute."""

_USERS = f"{{{xml.SYSTEM}}}system/{{{xml.SYSTEM}}}authentication/{{{xml.SYSTEM}}}user"
_NAME, _PASSWORD, _KEY, _ALGORITHM, _KEY_DATA = (
    f"{{{xml.SYSTEM}}}{name}" for name in ("name", "password", "authorized-key", "algorithm", "key-data")
)


class Source(enum.Enum):
    """How a request came in."""

    DIRECT = "direct"
    TUNNEL = "tunnel"
    LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks for an operation."""

    user: str
    session_id: int
    source: Source
    recovery: bool = False
    """Root or the daemon's own user on the local socket: never denied (RFC 8341 section 2.3)."""
    host: str | None = None
    """The client's address, where there is one."""


@dataclass(frozen=True, slots=True)
class Access:
    """The rules in force."""

    first_user: str

    def may_write(self, requester: Requester) -> bool:
        """Return whether this requester may do more than read."""
        return requester.recovery or requester.user == self.first_user

    def authorize(self, requester: Requester, operation: str) -> None:
        """Raise AccessDenied unless this requester may execute the operation."""
        if operation not in READING and not self.may_write(requester):
            raise AccessDenied(f"{requester.user} may read only; {operation} is denied")

    def visible(self, requester: Requester, schema: SchemaNode, tree: etree._Element) -> etree._Element:
        """Return the tree as this requester may read it: the tree itself, or a copy without what is protected."""
        if self.may_write(requester):
            return tree
        shown = copy.deepcopy(tree)
        for node in schema.walk():
            if node.protection is not None:
                for leaf in list(shown.iter(node.tag)):
                    parent = leaf.getparent()
                    if parent is not None:
                        parent.remove(leaf)
        prune(shown, schema)
        return shown

    def may_receive(self, requester: Requester, schema: SchemaNode, notification: etree._Element) -> bool:
        """Return whether this requester may be sent a notification, given by its content."""
        if self.may_write(requester):
            return True
        protected = {node.tag for node in schema.walk() if node.protection is not None}
        return not any(element.tag in protected for element in notification.iter())


async def verify_password(running: etree._Element, user: str, password: str) -> bool:
    """Return whether this is the user's password. Takes a tenth of a second."""
    element = _user(running, user)
    stored = element.findtext(_PASSWORD) if element is not None else None
    return await passwords.matches(stored or passwords.NOBODY, password) and stored is not None


def authorized_keys(running: etree._Element, user: str) -> tuple[str, ...]:
    """Return the user's public keys as OpenSSH lines."""
    element = _user(running, user)
    if element is None:
        return ()
    return tuple(f"{key.findtext(_ALGORITHM)} {key.findtext(_KEY_DATA)}" for key in element.iterfind(_KEY))


def first_user_config(name: str, password: str | None, keys: tuple[str, ...]) -> etree._Element:
    """Return the <system> element that makes the first user. Raises StartupError if a key line is not OpenSSH's."""
    system = xml.element(f"{{{xml.SYSTEM}}}system")
    user = etree.SubElement(etree.SubElement(system, f"{{{xml.SYSTEM}}}authentication"), f"{{{xml.SYSTEM}}}user")
    etree.SubElement(user, _NAME).text = name
    if password is not None:
        etree.SubElement(user, _PASSWORD).text = password
    names: set[str] = set()
    for number, line in enumerate(keys, 1):
        match line.split(maxsplit=2):
            case [algorithm, data, *comment]:
                key = etree.SubElement(user, _KEY)
                # Two keys may bear one comment; as names they must differ.
                label = comment[0] if comment and comment[0] not in names else f"key-{number}"
                names.add(label)
                etree.SubElement(key, _NAME).text = label
                etree.SubElement(key, _ALGORITHM).text = algorithm
                etree.SubElement(key, _KEY_DATA).text = data
            case _:
                raise StartupError(f"first-user.authorized-keys: line {number} is not an OpenSSH public key")
    return system


def _user(running: etree._Element, name: str) -> etree._Element | None:
    return next((user for user in running.iterfind(_USERS) if user.findtext(_NAME) == name), None)
