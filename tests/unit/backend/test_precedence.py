"""Which values are in force: the configuration's or DHCP's."""

from __future__ import annotations

import dataclasses

import pytest

from headstay.backend.precedence import PASSWORD, DhcpUse, in_force
from headstay.dhcp.lease import Lease
from headstay.engine.settings import Role, Server, Settings, Source

USE = DhcpUse(interface="eth0", port=7443)
CONFIGURED = Settings(
    servers=(
        Server("primary", 7443, Role.PRIMARY),
        Server("second", 7443, Role.BACKUP),
        Server("third", 1, Role.BACKUP),
    ),
    password="configured",
    password_source=Source.CONFIGURED,
)


def lease(domain: str | None = None, password: str | None = None) -> Lease:
    return Lease("eth0", "dhclient", 0.0, domain, password)


def learned(domain: str, port: int = 7443) -> Server:
    return Server(domain, port, Role.PRIMARY, Source.DHCP)


def test_without_a_lease_the_configuration_counts() -> None:
    assert in_force(CONFIGURED, USE, None) == CONFIGURED
    assert in_force(CONFIGURED, USE, lease()) == CONFIGURED


def test_nobody_misses_a_password_that_a_learned_one_outranks() -> None:
    key = "/hcm:cloud-management/tls/private-key"
    broken = dataclasses.replace(CONFIGURED, password=None, unreadable=(PASSWORD, key))
    assert in_force(broken, USE, lease("cloud.example")).unreadable == (PASSWORD, key)
    assert in_force(broken, USE, lease(password="learned")).unreadable == (key,)


def test_a_learned_domain_takes_the_primarys_place_with_the_configured_port() -> None:
    found = in_force(CONFIGURED, USE, lease("cloud.example"))
    assert found.servers == (learned("cloud.example"), *CONFIGURED.servers[1:])
    assert dataclasses.replace(found, servers=CONFIGURED.servers) == CONFIGURED


@pytest.mark.parametrize("name", ["second", "SECOND"])
def test_a_backup_of_the_same_name_is_skipped(name: str) -> None:
    servers = in_force(CONFIGURED, USE, lease(name)).servers
    assert servers == (learned("second"), CONFIGURED.servers[2])


def test_the_same_name_as_the_primarys_comes_from_dhcp_all_the_same() -> None:
    assert in_force(CONFIGURED, USE, lease("primary")).servers == (learned("primary"), *CONFIGURED.servers[1:])


def test_without_any_configured_server_the_learned_one_is_all() -> None:
    assert in_force(Settings(), DhcpUse(), lease("cloud.example")).servers == (learned("cloud.example", 19443),)


def test_a_learned_password_outranks_the_configured_one() -> None:
    found = in_force(CONFIGURED, USE, lease(password="learned"))
    assert (found.password, found.password_source) == ("learned", Source.DHCP)
    assert found.servers == CONFIGURED.servers


def test_dhcp_that_is_not_enabled_gives_nothing() -> None:
    use = dataclasses.replace(USE, enabled=False)
    assert in_force(CONFIGURED, use, lease("cloud.example", "learned")) == CONFIGURED


def test_dhcp_touches_nothing_else() -> None:
    found = in_force(CONFIGURED, USE, lease("cloud.example", "learned"))
    changed = {
        field.name
        for field in dataclasses.fields(Settings)
        if getattr(found, field.name) != getattr(CONFIGURED, field.name)
    }
    assert changed == {"servers", "password", "password_source"}
