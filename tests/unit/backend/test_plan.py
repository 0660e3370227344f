"""What a commit makes the engine do, and what the engine could not take over."""

from __future__ import annotations

import logging
from collections.abc import Iterable

import pytest
from lxml import etree

from certificates import certificate_and_key
from headstay import xml
from headstay.backend.plan import Backend, Plan, plan_of
from headstay.datastore.difference import difference
from headstay.datastore.secrets import Vault
from headstay.engine.actions import (
    Action,
    SetEnabled,
    SetIntervals,
    SetPassword,
    SetServers,
    SetServices,
    SetSource,
    SetTls,
    SetUnreadable,
)
from headstay.engine.change import wants_connection
from headstay.engine.settings import Server, Settings, Source
from headstay.errors import InvalidValue
from models import config, device_model, hcm, made

VAULT = Vault(bytes(32))
SCHEMA = device_model().schema


def sealed(clear: str, path: str = "/hcm:cloud-management/server/password") -> str:
    return VAULT.seal(clear, SCHEMA.find(path))


def tree(content: str) -> etree._Element:
    return made(device_model(), hcm(content))


def planned(old: str, new: str, backend: Backend | None = None) -> Plan:
    before, after = tree(old), tree(new)
    if backend is None:
        backend = Backend(device_model(), VAULT)
        backend.settings(before)
    return backend.prepare(before, after, difference(SCHEMA, before, after))


@pytest.mark.parametrize(
    ("old", "new", "actions"),
    [
        ("", "<keepalive-interval>10</keepalive-interval>", [SetIntervals]),
        ("", "<keepalive-interval>10</keepalive-interval><ping-interval>10</ping-interval>", [SetIntervals]),
        ("", "<enabled>false</enabled>", [SetEnabled]),
        ("", "<server><domain>a</domain><port>1</port></server>", [SetServers]),
        ("", "<backup-server><domain>a</domain></backup-server>", [SetServers]),
        (
            "<backup-server><domain>a</domain></backup-server><backup-server><domain>b</domain></backup-server>",
            "<backup-server><domain>b</domain></backup-server><backup-server><domain>a</domain></backup-server>",
            [SetServers],
        ),
        ("<server><domain>a</domain></server>", "", [SetServers]),
        ("", f"<server><password>{sealed('x')}</password></server>", [SetPassword]),
        ("", "<source-address>192.0.2.1</source-address>", [SetSource]),
        ("", "<address-family>ipv6</address-family>", [SetSource]),
        ("", "<service><name>telemetry</name><enabled>false</enabled></service>", [SetServices]),
        (
            "",
            "<ping-interval>10</ping-interval><server><domain>a</domain></server><enabled>true</enabled>",
            [SetEnabled, SetServers, SetIntervals],
        ),
    ],
)
def test_actions(old: str, new: str, actions: list[type[Action]]) -> None:
    assert [type(action) for action in planned(old, new).actions] == actions


def test_users_concern_the_engine_not_at_all() -> None:
    users = "<authentication><user><name>a</name></user></authentication>"
    user = f'<system xmlns="{xml.SYSTEM}">{users}</system>'
    new = made(device_model(), config(user))
    plan = Backend(device_model(), VAULT).prepare(tree(""), new, difference(SCHEMA, tree(""), new))
    assert plan.actions == ()


def test_actions_hold_the_new_settings() -> None:
    plan = planned("", f"<server><domain>a</domain><password>{sealed('hunter2')}</password></server>")
    assert plan.actions == (SetServers((Server("a"),)), SetPassword("hunter2", Source.CONFIGURED))
    assert "hunter2" not in repr(plan)


def test_nothing_happens_before_apply_and_once_after() -> None:
    performed: list[Action] = []
    backend = Backend(device_model(), VAULT)
    backend.performs_with(lambda actions: performed.extend(actions))
    plan = planned("", "<ping-interval>10</ping-interval>", backend)
    assert performed == []
    plan.apply()
    assert performed == [SetIntervals(180, 10)]


def test_a_plan_without_actions_bothers_nobody() -> None:
    called: list[Iterable[Action]] = []
    backend = Backend(device_model(), VAULT)
    backend.performs_with(called.append)
    planned("", "<enabled>true</enabled>", backend).apply()
    planned("", "<dhcp><interface>eth0</interface></dhcp>", backend).apply()
    assert [list(actions) for actions in called] == [[SetEnabled(True)]]
    assert backend.dhcp_use.interface == "eth0"


def test_before_the_engine_runs_a_plan_does_nothing() -> None:
    planned("", "<enabled>false</enabled>").apply()


def test_plan_of_ignores_how_many_nodes_changed() -> None:
    old, new = tree(""), tree("<ping-interval>10</ping-interval><keepalive-interval>10</keepalive-interval>")
    assert plan_of(Settings(), difference(SCHEMA, old, new)) == (SetIntervals(180, 60),)


# what the engine could not take over ------------------------------------------------------------------


def test_a_secret_of_another_device_is_refused() -> None:
    foreign = Vault(b"\1" * 32).seal("hunter2", SCHEMA.find("/hcm:cloud-management/server/password"))
    with pytest.raises(InvalidValue, match="not encrypted by this device") as caught:
        planned("", f"<server><password>{foreign}</password></server>")
    assert caught.value.path is not None
    assert caught.value.path.text == "/hcm:cloud-management/hcm:server/hcm:password"
    assert foreign not in caught.value.message


def pair(name: str, key_of: str | None = None) -> str:
    certificate, _ = certificate_and_key(name)
    _, key = certificate_and_key(key_of or name)
    private = sealed(key, "/hcm:cloud-management/tls/private-key")
    return f"<tls><client-certificate>{certificate}</client-certificate><private-key>{private}</private-key></tls>"


def test_a_certificate_and_its_key() -> None:
    (action,) = planned("", pair("one")).actions
    assert isinstance(action, SetTls)
    assert action.tls.private_key == certificate_and_key("one")[1]
    assert "PRIVATE" not in repr(action)


def test_a_key_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidValue, match="matching pair") as caught:
        planned("", pair("one", "two"))
    assert caught.value.path is not None
    assert caught.value.path.text == "/hcm:cloud-management/hcm:tls/hcm:client-certificate"
    assert "BEGIN" not in caught.value.message


def test_a_trust_anchor_that_is_no_certificate_is_refused() -> None:
    anchor = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"
    with pytest.raises(InvalidValue, match="trust-anchor"):
        planned("", f"<tls><trust-anchor>{anchor}</trust-anchor></tls>")
    # Only what changes is looked at: an old mistake keeps nobody from changing something else.
    broken = f"<tls><trust-anchor>{anchor}</trust-anchor></tls>"
    assert [type(action) for action in planned(broken, f"<enabled>true</enabled>{broken}").actions] == [SetEnabled]


def test_the_path_names_the_bad_trust_anchor_among_good_ones() -> None:
    good = certificate_and_key("one")[0]
    bad = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"
    anchors = f"<trust-anchor>{good}</trust-anchor><trust-anchor>{bad}</trust-anchor>"
    with pytest.raises(InvalidValue) as caught:
        planned("", f"<tls>{anchors}</tls>")
    assert caught.value.path is not None
    assert "AAAA" in caught.value.path.text


# the start --------------------------------------------------------------------------------------------


def test_settings_at_start() -> None:
    running = tree(f"<server><domain>a</domain><password>{sealed('x')}</password></server>")
    settings = Backend(device_model(), VAULT).settings(running)
    assert (settings.enabled, settings.password, settings.password_source) == (True, "x", Source.CONFIGURED)


def test_a_secret_that_does_not_open_keeps_the_link_down(caplog: pytest.LogCaptureFixture) -> None:
    running = tree("<server><domain>a</domain><password>$aes-256-gcm$AAAA</password></server>")
    with caplog.at_level(logging.ERROR):
        settings = Backend(device_model(), VAULT).settings(running)
    assert (settings.enabled, settings.password) == (True, None)
    assert settings.unreadable == ("/hcm:cloud-management/server/password",)
    assert not wants_connection(settings)
    assert "/hcm:cloud-management/server/password cannot be decrypted" in caplog.text
    assert "AAAA" not in caplog.text


def test_setting_the_secret_again_brings_everything_into_force() -> None:
    content = "<server><domain>a</domain><password>{}</password></server>"
    backend, performed = Backend(device_model(), VAULT), list[Action]()
    backend.performs_with(performed.extend)
    broken = content.format("$aes-256-gcm$AAAA")
    started = backend.settings(tree(broken))
    plan = planned(broken, content.format(sealed("x")), backend)
    assert plan.actions == (SetPassword("x", Source.CONFIGURED), SetUnreadable(()))
    plan.apply()
    settings = started
    for action in performed:
        settings = action.applied_to(settings)
    assert settings == Backend(device_model(), VAULT).settings(tree(content.format(sealed("x"))))
    after = planned(content.format(sealed("x")), content.format(sealed("y")), backend)
    assert [type(action) for action in after.actions] == [SetPassword]


BROKEN = "<server><domain>a</domain><password>$aes-256-gcm$AAAA</password></server>"


def test_a_secret_that_does_not_open_keeps_nobody_from_changing_something_else() -> None:
    backend, performed = Backend(device_model(), VAULT), list[Action]()
    backend.performs_with(performed.extend)
    settings = backend.settings(tree(BROKEN))
    planned(BROKEN, f"{BROKEN}<ping-interval>10</ping-interval>", backend).apply()
    assert [type(action) for action in performed] == [SetIntervals]
    assert not wants_connection(performed[0].applied_to(settings))
    plan = planned(BROKEN, "<server><domain>a</domain></server>", backend)
    assert SetPassword(None, Source.NONE) in plan.actions


def test_a_secret_that_does_not_open_cannot_be_written() -> None:
    for before in ("", BROKEN, BROKEN.replace("AAAA", "BBBB")):
        after = BROKEN.replace("AAAA", "CCCC")
        with pytest.raises(InvalidValue, match="give it in clear") as caught:
            planned(before, after)
        assert "CCCC" not in caught.value.message


def test_what_a_lost_private_key_belongs_to_is_checked_as_far_as_it_can_be() -> None:
    certificate, _ = certificate_and_key("one")
    lost = f"<client-certificate>{certificate}</client-certificate><private-key>$aes-256-gcm$AAAA</private-key>"
    plan = planned(f"<tls>{lost}</tls>", f"<tls><trust-anchor>{certificate}</trust-anchor>{lost}</tls>")
    assert [type(action) for action in plan.actions] == [SetTls]
    bad = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"
    with pytest.raises(InvalidValue, match="trust-anchor"):
        planned(f"<tls>{lost}</tls>", f"<tls><trust-anchor>{bad}</trust-anchor>{lost}</tls>")
    another, _ = certificate_and_key("two")
    for chain in (another, f"{another}\n{certificate}"):
        assert planned(f"<tls>{lost}</tls>", f"<tls>{lost.replace(certificate, chain)}</tls>").actions
    for no_certificate in (bad, f"{another}\n{bad}"):
        with pytest.raises(InvalidValue, match="client-certificate") as caught:
            planned(f"<tls>{lost}</tls>", f"<tls>{lost.replace(certificate, no_certificate)}</tls>")
        assert caught.value.path is not None
        assert caught.value.path.text == "/hcm:cloud-management/hcm:tls/hcm:client-certificate"


# the way back -----------------------------------------------------------------------------------------


def test_what_was_in_force_before_is_not_refused(caplog: pytest.LogCaptureFixture) -> None:
    """As after a start with it: a secret that does not open keeps the link down, everything else is as configured."""
    content = "<server><domain>a</domain><password>{}</password></server>"
    broken, mended = tree(content.format("$aes-256-gcm$AAAA")), tree(content.format(sealed("x")))
    backend, performed = Backend(device_model(), VAULT), list[Action]()
    backend.performs_with(performed.extend)
    started = backend.settings(mended)
    plan = backend.reinstate(broken)
    assert performed == []
    plan.apply()
    settings = started
    for action in performed:
        settings = action.applied_to(settings)
    assert settings == Backend(device_model(), VAULT).settings(broken)
    assert not wants_connection(settings)
    performed.clear()
    planned(content.format("$aes-256-gcm$AAAA"), content.format(sealed("x")), backend).apply()
    for action in performed:
        settings = action.applied_to(settings)
    assert settings == started
