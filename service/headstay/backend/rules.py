"""Which configuration node concerns which action: one table from schema path to rule.

A rule makes its action from the whole of the new settings, so it does not matter which of its nodes changed, nor how
many. Searching for a path finds all that follows from it. A configuration node without a rule stops the daemon at
start (`uncovered`).
"""

from __future__ import annotations

from collections.abc import Callable

from headstay.datastore.schema import Kind, SchemaNode
from headstay.engine.actions import (
    Action,
    SetEnabled,
    SetIntervals,
    SetPassword,
    SetServers,
    SetServices,
    SetSource,
    SetSwitchback,
    SetTls,
)
from headstay.engine.settings import Settings

Rule = Callable[[Settings], Action]


def _enabled(new: Settings) -> Action:
    return SetEnabled(new.enabled)


def _servers(new: Settings) -> Action:
    return SetServers(new.servers)


def _password(new: Settings) -> Action:
    return SetPassword(new.password, new.password_source)


def _intervals(new: Settings) -> Action:
    return SetIntervals(new.keepalive_interval, new.ping_interval)


def _source(new: Settings) -> Action:
    return SetSource(new.source_address, new.address_family)


def _switchback(new: Settings) -> Action:
    return SetSwitchback(new.hold_down)


def _tls(new: Settings) -> Action:
    return SetTls(new.tls)


def _services(new: Settings) -> Action:
    return SetServices(new.services)


READ_LIVE = None
"""The rule of a node that nothing keeps a copy of: whoever needs it reads the running configuration."""
WITH_LEASE = None
"""The rule of a node that says which lease counts: `plan` works out, with that lease, what follows."""

RULES: dict[str, Rule | None] = {
    "/hcm:cloud-management/enabled": _enabled,
    "/hcm:cloud-management/server/domain": _servers,
    "/hcm:cloud-management/server/port": _servers,
    "/hcm:cloud-management/server/password": _password,
    "/hcm:cloud-management/backup-server": _servers,
    "/hcm:cloud-management/backup-server/domain": _servers,
    "/hcm:cloud-management/backup-server/port": _servers,
    "/hcm:cloud-management/keepalive-interval": _intervals,
    "/hcm:cloud-management/ping-interval": _intervals,
    "/hcm:cloud-management/source-address": _source,
    "/hcm:cloud-management/address-family": _source,
    "/hcm:cloud-management/switchback/mode": _switchback,
    "/hcm:cloud-management/switchback/hold-down": _switchback,
    "/hcm:cloud-management/tls/trust-anchor": _tls,
    "/hcm:cloud-management/tls/client-certificate": _tls,
    "/hcm:cloud-management/tls/private-key": _tls,
    "/hcm:cloud-management/dhcp/enabled": WITH_LEASE,
    "/hcm:cloud-management/dhcp/interface": WITH_LEASE,
    "/hcm:cloud-management/service": _services,
    "/hcm:cloud-management/service/name": _services,
    "/hcm:cloud-management/service/enabled": _services,
    "/hcm:cloud-management/service/queue-limit": _services,
    "/hcm:cloud-management/service/rate-limit": _services,
    "/sys:system/authentication/user": READ_LIVE,
    "/sys:system/authentication/user/name": READ_LIVE,
    "/sys:system/authentication/user/password": READ_LIVE,
    "/sys:system/authentication/user/authorized-key": READ_LIVE,
    "/sys:system/authentication/user/authorized-key/name": READ_LIVE,
    "/sys:system/authentication/user/authorized-key/algorithm": READ_LIVE,
    "/sys:system/authentication/user/authorized-key/key-data": READ_LIVE,
    "/nacm:nacm/enable-nacm": READ_LIVE,
    "/nacm:nacm/read-default": READ_LIVE,
    "/nacm:nacm/write-default": READ_LIVE,
    "/nacm:nacm/exec-default": READ_LIVE,
    "/nacm:nacm/enable-external-groups": READ_LIVE,
    "/nacm:nacm/groups/group": READ_LIVE,
    "/nacm:nacm/groups/group/name": READ_LIVE,
    "/nacm:nacm/groups/group/user-name": READ_LIVE,
    "/nacm:nacm/rule-list": READ_LIVE,
    "/nacm:nacm/rule-list/name": READ_LIVE,
    "/nacm:nacm/rule-list/group": READ_LIVE,
    "/nacm:nacm/rule-list/rule": READ_LIVE,
    "/nacm:nacm/rule-list/rule/name": READ_LIVE,
    "/nacm:nacm/rule-list/rule/module-name": READ_LIVE,
    "/nacm:nacm/rule-list/rule/rpc-name": READ_LIVE,
    "/nacm:nacm/rule-list/rule/notification-name": READ_LIVE,
    "/nacm:nacm/rule-list/rule/path": READ_LIVE,
    "/nacm:nacm/rule-list/rule/access-operations": READ_LIVE,
    "/nacm:nacm/rule-list/rule/action": READ_LIVE,
    "/nacm:nacm/rule-list/rule/comment": READ_LIVE,
}


def uncovered(schema: SchemaNode) -> list[str]:
    """Return the paths of configuration nodes that can change but have no rule."""
    return [
        node.path
        for node in schema.walk()
        if node.config and (node.kind is not Kind.CONTAINER or node.presence) and node.path not in RULES
    ]
