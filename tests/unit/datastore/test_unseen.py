from __future__ import annotations

import pytest

from headstay.datastore.nacm import Nacm, Permissions
from headstay.datastore.schema import error_path
from headstay.datastore.unseen import refused
from models import config, device_model, hcm
from nacm_rules import deny, permissions, permit, rules

SCHEMA = device_model().schema
BACKUPS = "/hcm:cloud-management/hcm:backup-server"
TLS = "/hcm:cloud-management/hcm:tls"
SECRET = "<server><password>$0$x</password></server>"
BACKUP = "<backup-server{}><domain>b.example</domain>{}</backup-server>"
SCHEMA_PATH = "/hcm:cloud-management/hcm:server/hcm:password"


def where(user: Permissions, content: str, default_operation: str = "merge") -> str | None:
    found = refused(user, SCHEMA, hcm(content), default_operation)
    return None if found is None else error_path(*found).text


def test_a_secret_needs_a_right_whatever_is_there() -> None:
    for operation in ("merge", "replace", "create", "delete", "remove"):
        written = SECRET.replace("<password>", f'<password nc:operation="{operation}">')
        assert where(permissions(rules()), written) == SCHEMA_PATH
    assert where(permissions(rules()), SECRET, "none") == SCHEMA_PATH
    assert where(permissions(rules(permit("/", "update"))), SECRET) is None
    assert where(permissions(rules(permit("/", "create delete"))), SECRET) == SCHEMA_PATH


def test_a_secret_that_is_shown_needs_it_too() -> None:
    """Its stored form is shown, which does not say what it is."""
    assert where(permissions(rules(permit("/", "read"))), SECRET) == SCHEMA_PATH


def test_what_is_shown_is_left_to_the_comparison() -> None:
    assert where(permissions(rules()), "<enabled>true</enabled>" + BACKUP.format("", "<port>1</port>")) is None


@pytest.mark.parametrize(
    ("operation", "right"),
    [("create", "create"), ("delete", "delete"), ("remove", "delete"), ("merge", "create"), ("replace", "create")],
)
def test_a_hidden_entry_needs_the_right_to_its_operation(operation: str, right: str) -> None:
    written = BACKUP.format(f' nc:operation="{operation}"', "")
    hidden = deny(BACKUPS, "read")
    named = f"{BACKUPS}[hcm:domain='b.example']"
    assert where(permissions(rules(hidden)), written) == named
    assert where(permissions(rules(hidden, permit(named, right))), written) is None
    assert where(permissions(rules(hidden, permit(f"{BACKUPS}[hcm:domain='c.example']"))), written) == named


def test_a_hidden_entry_is_the_way_to_what_may_be_written() -> None:
    written = BACKUP.format("", "<port>1</port>")
    hidden = deny(BACKUPS, "read")
    assert where(permissions(rules(hidden, permit(f"{BACKUPS}/hcm:port"))), written) is None
    assert where(permissions(rules(hidden, permit(f"{BACKUPS}/hcm:port"))), written, "none") is None
    assert where(permissions(rules(hidden)), written) == f"{BACKUPS}[hcm:domain='b.example']/hcm:port"


def test_what_is_below_something_hidden_is_hidden() -> None:
    user = permissions(rules(permit(f"{TLS}/hcm:trust-anchor", "read"), deny(TLS)))
    assert where(user, "<tls><trust-anchor>x</trust-anchor></tls>") is None  # not a value: for `edit` to refuse
    anchor = "-----BEGIN CERTIFICATE-----AAAA-----END CERTIFICATE-----"
    assert where(user, f"<tls><trust-anchor>{anchor}</trust-anchor></tls>") == f"{TLS}/hcm:trust-anchor[.='{anchor}']"


def test_a_hidden_container() -> None:
    user = permissions(rules(deny(TLS)))
    assert where(user, "<tls/>") is None
    assert where(user, "<tls/>", "none") is None
    assert where(user, '<tls nc:operation="replace"/>') == TLS
    assert where(user, '<tls nc:operation="remove"/>') == TLS


def test_a_hidden_leaf_that_is_marked_as_its_default_needs_the_right_to_delete_it() -> None:
    """The mark takes away what is there, and does nothing where nothing is: the answer must not tell which."""
    hidden, path = deny("/hcm:cloud-management/hcm:ping-interval", "read"), "/hcm:cloud-management/hcm:ping-interval"
    written = '<ping-interval xmlns:wd="urn:ietf:params:xml:ns:netconf:default:1.0" wd:default="{}">60</ping-interval>'
    for mark in ("true", "1"):
        assert where(permissions(rules(hidden, permit(path, "create update"))), written.format(mark)) == path
        assert where(permissions(rules(hidden, permit(path, "delete"))), written.format(mark)) is None
    assert where(permissions(rules(hidden, permit(path, "update"))), written.format("false")) is None


def test_what_edit_refuses_anyway_is_left_to_it() -> None:
    user = permissions(rules(deny("/")))
    assert refused(user, SCHEMA, config('<nonsense xmlns="urn:x"/>'), "merge") is None
    assert where(user, "<backup-server><port>1</port></backup-server>") is None
    assert where(user, "<connection/>") is None


def test_who_may_do_everything() -> None:
    assert where(Permissions(SCHEMA, Nacm(), "root", recovery=True), SECRET) is None
