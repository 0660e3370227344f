from __future__ import annotations

from lxml import etree

from headstay.backend.settings import settings_of
from headstay.datastore.schema import SchemaNode
from headstay.engine.settings import AddressFamily, Role, Server, Service, Settings, Source, Tls
from models import device_model, hcm, made

PEM = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"


def settings(content: str) -> Settings:
    return settings_of(device_model().schema, made(device_model(), hcm(content)), opened)


def opened(leaf: SchemaNode, element: etree._Element) -> str:
    return f"{leaf.name} {element.text}"


def test_nothing_configured_gives_the_engines_defaults() -> None:
    assert settings("") == Settings()
    assert settings_of(device_model().schema, device_model().empty(), opened) == Settings()


def test_everything_configured() -> None:
    found = settings(
        "<enabled>false</enabled><server><domain>Cloud.Example</domain><port>1</port>"
        "<password>$aes-256-gcm$AAAA</password></server>"
        "<backup-server><domain>B</domain></backup-server><backup-server><domain>a</domain><port>2</port></backup-server>"
        "<keepalive-interval>10</keepalive-interval><ping-interval>600</ping-interval>"
        "<source-address>192.0.2.1</source-address><address-family>ipv4</address-family>"
        "<switchback><mode>hold-down</mode><hold-down>300</hold-down></switchback>"
        f"<tls><trust-anchor>{PEM}</trust-anchor><client-certificate>{PEM}</client-certificate>"
        "<private-key>$aes-256-gcm$BBBB</private-key></tls>"
        "<service><name>telemetry</name><enabled>false</enabled></service><service><name>x</name><queue-limit>5</queue-limit><rate-limit>7</rate-limit></service>"
    )
    assert found == Settings(
        enabled=False,
        servers=(
            Server("cloud.example", 1, Role.PRIMARY),
            Server("b", 1, Role.BACKUP),
            Server("a", 2, Role.BACKUP),
        ),
        password="password $aes-256-gcm$AAAA",
        password_source=Source.CONFIGURED,
        keepalive_interval=10,
        ping_interval=600,
        source_address="192.0.2.1",
        address_family=AddressFamily.IPV4,
        hold_down=300,
        tls=Tls((PEM,), PEM, "private-key $aes-256-gcm$BBBB"),
        services=(Service("telemetry", enabled=False), Service("x", queue_limit=5, rate_limit=7)),
    )


def test_the_default_mode_never_switches_back() -> None:
    assert settings("<switchback><mode>never</mode></switchback>").hold_down is None


def test_backups_without_a_primary() -> None:
    found = settings("<server><port>7</port></server><backup-server><domain>b</domain></backup-server>")
    assert found.servers == (Server("b", 7, Role.BACKUP),)


def test_an_order_that_means_nothing_makes_no_difference() -> None:
    anchors = [f"<trust-anchor>{PEM}</trust-anchor>", f"<trust-anchor>{PEM.replace('AAAA', 'BBBB')}</trust-anchor>"]
    services = ["<service><name>a</name></service>", "<service><name>b</name></service>"]
    there = settings(f"<tls>{''.join(anchors)}</tls>{''.join(services)}")
    assert there == settings(f"<tls>{''.join(reversed(anchors))}</tls>{''.join(reversed(services))}")


def test_a_backup_without_a_port_has_the_default_of_the_primarys() -> None:
    assert settings("<backup-server><domain>b</domain></backup-server>").servers == (Server("b", 19443, Role.BACKUP),)
