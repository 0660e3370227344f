"""Who asks, who may do what, and which users there are. Users and rules live in the running configuration (ietf-system,
ietf-netconf-acm).

Owns what becomes of the decisions of `nacm`: what is shown, which error a denial is and what it may tell, and the
counters of denials. Knows no transport.
"""

from __future__ import annotations

import asyncio
import enum
import functools
from dataclasses import dataclass
from typing import Final

from lxml import etree

from headstay import xml
from headstay.datastore import nacm, passwords, unseen
from headstay.datastore.computing import computed
from headstay.datastore.difference import difference
from headstay.datastore.model import Model
from headstay.datastore.nacm import Permissions, Right
from headstay.datastore.schema import SchemaNode, error_path
from headstay.datastore.values import node_path
from headstay.errors import AccessDenied, ErrorPath, ErrorType, NetconfError, OperationFailed, StartupError

NACM: Final = f"{{{xml.NACM}}}nacm"
FIRST_GROUP: Final = "admin"
"""The group of the first user; also the name of the rule-list that permits it everything."""
_COUNTER32 = 2**32
_EVENTS = "urn:ietf:params:xml:ns:netconf:notification:1.0"
_ENDS_OF_REPLAY = {
    f"{{urn:ietf:params:xml:ns:netmod:notification}}{name}" for name in ("replayComplete", "notificationComplete")
}
_USER = f"{{{xml.SYSTEM}}}user"
_USERS = f"{{{xml.SYSTEM}}}system/{{{xml.SYSTEM}}}authentication/{_USER}"
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
    groups: frozenset[str] = frozenset()
    """The groups that the transport reports (RFC 8341 section 3.4.4, step 4)."""

    @property
    def account(self) -> tuple[str, bool]:
        """Whose turn it is. A user of the same name who came over SSH takes nothing from a recovery session."""
        return self.user, self.recovery


@dataclass(slots=True)
class Denials:
    """How often something was denied since the daemon started."""

    operations: int = 0
    data_writes: int = 0
    notifications: int = 0


class Access:
    """Access control under the running configuration, which is handed in each time. For the loop's thread."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._modules = {module.namespace: module.name for module in model.modules}
        self.denials = Denials()
        self._running: etree._Element | None = None
        self._content: bytes | None = None
        self._nacm = nacm.Nacm()
        self._permissions: dict[tuple[str, frozenset[str], bool], Permissions] = {}

    def permissions(self, requester: Requester, running: etree._Element) -> Permissions:
        """Return what this requester may do. The rules are read once for each configuration of them."""
        if running is not self._running:
            self._take(running)
        who = requester.user, requester.groups, requester.recovery
        found = self._permissions.get(who)
        if found is None:  # there are no more than users who have logged in
            found = self._permissions[who] = Permissions(
                self._model.schema, self._nacm, requester.user, requester.groups, recovery=requester.recovery
            )
        return found

    def _take(self, running: etree._Element) -> None:
        container = running.find(NACM)
        content = None if container is None else xml.serialise(container)
        if content != self._content or self._running is None:
            self._nacm = nacm.read_nacm(container)
            self._permissions.clear()
        self._running, self._content = running, content

    # operations and notifications

    def authorize(self, requester: Requester, running: etree._Element, operation: str) -> None:
        """Raise AccessDenied unless this requester may execute the operation with this tag (RFC 8341 section 3.4.4)."""
        permissions = self.permissions(requester, running)
        if permissions.unlimited:
            return
        name, denied_by_default = etree.QName(operation).localname, operation in self._model.denied_by_default
        if not permissions.may_execute(self._module(operation), name, denied_by_default=denied_by_default):
            self.denials.operations += 1
            path = self._operation_path(operation)
            raise AccessDenied(f"{requester.user} may not execute {name}", path=path)

    def may_receive(self, requester: Requester, running: etree._Element, notification: etree._Element) -> bool:
        """Return whether this requester may receive a notification (RFC 8341 section 3.4.6).

        `notification` is the event's own element, or RFC 5277's <notification> around it.
        """
        if notification.tag == f"{{{_EVENTS}}}notification":
            notification = next(child for child in notification if child.tag != f"{{{_EVENTS}}}eventTime")
        tag = str(notification.tag)
        received = tag in _ENDS_OF_REPLAY or self.permissions(requester, running).may_receive(
            self._module(tag), xml.local_name(notification), denied_by_default=tag in self._model.denied_by_default
        )
        self.denials.notifications += not received
        return received

    # reading

    def visible(self, requester: Requester, running: etree._Element, tree: etree._Element) -> etree._Element:
        """Return the tree as this requester may read it: the tree itself, or a copy without what is denied."""
        return self.permissions(requester, running).visible(tree)

    def state(self) -> etree._Element:
        """Return a tree that holds the counters of denials."""
        tree = self._model.empty()
        container = etree.SubElement(tree, NACM, nsmap={"nacm": xml.NACM})
        for name, count in (
            ("denied-operations", self.denials.operations),
            ("denied-data-writes", self.denials.data_writes),
            ("denied-notifications", self.denials.notifications),
        ):
            etree.SubElement(container, f"{{{xml.NACM}}}{name}").text = str(count % _COUNTER32)
        return tree

    # writing

    async def authorize_edit(
        self, requester: Requester, running: etree._Element, config: etree._Element, default_operation: str
    ) -> None:
        """Raise AccessDenied if an edit touches what this requester neither sees nor may write, whatever is there.

        Call it before the edit is compared with anything; `authorize_changes` judges what comes of it.
        """
        permissions = self.permissions(requester, running)
        work = functools.partial(unseen.refused, permissions, self._model.schema, config, default_operation)
        found = await computed(work, config)
        if found is not None:
            raise self._denied(requester, error_path(*found))

    async def authorize_changes(
        self, requester: Requester, running: etree._Element, old: etree._Element, new: etree._Element
    ) -> None:
        """Raise AccessDenied unless this requester may make each change that leads from `old` to `new`."""
        permissions = self.permissions(requester, running)
        if permissions.unlimited:
            return
        schema = self._model.schema
        denied = await asyncio.to_thread(lambda: permissions.first_denied(difference(schema, old, new)))
        if denied is not None:
            node, element = permissions.named_openly(denied.node, denied.element)
            raise self._denied(requester, error_path(node, element) if node.parent is not None else None)

    def authorize_persistence(self, requester: Requester, running: etree._Element) -> None:
        """Raise AccessDenied unless this requester may begin a confirmed commit that outlives its session.

        Until it ends nobody else may lock or change running, and nobody else knows its persist id. A commit of nothing
        needs no right to data (RFC 8341 section 3.2.7), so that somebody who may change nothing could have begun one.
        """
        if not self.permissions(requester, running).writes:
            raise self._denied(requester, None)

    def _denied(self, requester: Requester, path: ErrorPath | None) -> AccessDenied:
        self.denials.data_writes += 1
        return AccessDenied(f"{requester.user} may not make this change", path=path, type=ErrorType.APPLICATION)

    def concealed(self, requester: Requester, running: etree._Element, error: NetconfError) -> NetconfError:
        """Return an error as it may be told to this requester: not about what is neither its to see nor to write."""
        permissions = self.permissions(requester, running)
        if permissions.unlimited or error.path is None or isinstance(error, AccessDenied):
            return error
        if error.path.exact:
            found = self._instance(error.path)
            if found is None or permissions.reads(*found):
                return error
            if any(permissions.may(right, *found) for right in (Right.CREATE, Right.UPDATE)):
                return error
        return OperationFailed("the configuration is wrong in a place that this user may not read")

    def _instance(self, path: ErrorPath) -> tuple[SchemaNode, etree._Element] | None:
        """Return an instance with the keys that a path names; None if the path is not one of data."""
        node, element = self._model.schema, self._model.empty()
        for step in node_path(path.text):
            child = next((c for c in node.children.values() if (c.prefix, c.name) == (step.prefix, step.name)), None)
            if child is None:
                return None
            node, element = child, etree.SubElement(element, child.tag)
            for key, value in step.predicates:
                if key == ".":
                    element.text = value
                else:
                    etree.SubElement(element, f"{{{node.namespace}}}{key}").text = value
        return node, element

    # names

    def _module(self, tag: str) -> str:
        """Return the name of the module that defines a tag; empty if there is none."""
        return self._modules.get(etree.QName(tag).namespace or "", "")

    def _operation_path(self, operation: str) -> ErrorPath:
        """Name an operation as RFC 8341 section 3.4.4 asks for."""
        name = etree.QName(operation)
        namespace = name.namespace or ""
        prefix = next((module.prefix for module in self._model.modules if module.namespace == namespace), "op")
        prefixes = {"nc": xml.NETCONF, prefix: namespace}
        return ErrorPath(f"/nc:rpc/{prefix}:{name.localname}", tuple(prefixes.items()))


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


def knows(running: etree._Element, user: str) -> bool:
    """Return whether there is a user of this name."""
    return _user(running, user) is not None


def removed_users(old: etree._Element, new: etree._Element) -> frozenset[str]:
    """Return the names of the users of one configuration whom the next does not have."""
    return _names(old) - _names(new)


def _names(running: etree._Element) -> frozenset[str]:
    return frozenset(user.findtext(_NAME) or "" for user in running.iterfind(_USERS))


def first_user_access(name: str) -> etree._Element:
    """Return the <nacm> element that permits the first user everything, as rules that can be seen and edited."""
    content = etree.Element(NACM, nsmap={None: xml.NACM})  # type: ignore[dict-item]  # lxml-stubs: the default namespace

    def below(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
        child = etree.SubElement(parent, f"{{{xml.NACM}}}{name}")
        child.text = text
        return child

    group = below(below(content, "groups"), "group")
    below(group, "name", FIRST_GROUP)
    below(group, "user-name", name)
    rules = below(content, "rule-list")
    below(rules, "name", FIRST_GROUP)
    below(rules, "group", FIRST_GROUP)
    rule = below(rules, "rule")
    for leaf, value in (("name", "permit-all"), ("module-name", "*"), ("access-operations", "*"), ("action", "permit")):
        below(rule, leaf, value)
    return content


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
