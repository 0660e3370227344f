"""Every configuration node has a rule, and every rule has a node."""

from __future__ import annotations

import pytest

from headstay.backend.plan import Backend
from headstay.backend.rules import RULES, uncovered
from headstay.datastore.difference import Change, Edit
from headstay.datastore.model import Model
from headstay.datastore.modules import MODULES, ModuleUse, module_directories
from headstay.datastore.secrets import Vault
from headstay.engine.actions import Action, SetPassword, SetServers, SetTls
from headstay.engine.settings import Settings
from headstay.errors import StartupError
from models import TEST_YANG, device_model


def test_the_devices_model_is_covered() -> None:
    assert uncovered(device_model().schema) == []


def test_every_rule_is_for_a_node_that_there_is() -> None:
    paths = {node.path for node in device_model().schema.walk() if node.config}
    assert RULES.keys() <= paths


@pytest.mark.parametrize("path", sorted(RULES))
def test_a_missing_rule_is_found(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not monkeypatch.delitem: undoing that puts the path at the end, and the table's order is the order of the actions.
    monkeypatch.setattr("headstay.backend.rules.RULES", {other: rule for other, rule in RULES.items() if other != path})
    assert uncovered(device_model().schema) == [path]
    with pytest.raises(StartupError, match=f"no rule says what a change of {path} does"):
        Backend(device_model(), Vault(bytes(32)))


def test_a_node_that_nobody_has_thought_of_stops_the_start() -> None:
    model = Model([*MODULES, ModuleUse("test-extra")], [TEST_YANG, *module_directories()])
    assert uncovered(model.schema) == [
        "/hcm:cloud-management/server/tex:weight",
        "/tex:extra/switch",
        "/tex:extra/item",
        "/tex:extra/item/name",
        "/tex:extra/word",
        "/tex:extra/there",
        "/tex:extra/any",
    ]  # containers without presence and state are not among them
    with pytest.raises(StartupError):
        Backend(model, Vault(bytes(32)))


def test_what_takes_long_to_prepare_concerns_a_constraint() -> None:
    """A commit whose changes concern none is prepared in the loop's thread, and a TLS context takes long to make."""
    schema = device_model().schema
    slow = [path for path, rule in RULES.items() if rule is not None and isinstance(rule(Settings()), SetTls)]
    changes = [Change(Edit.MODIFIED, node, node.instance("a"), node.instance("b")) for node in map(schema.find, slow)]
    assert len(changes) == 3
    assert not any(device_model().concerns_no_constraint([change]) for change in changes)


def test_a_rule_makes_its_action_from_the_new_settings() -> None:
    def action(path: str, settings: Settings) -> Action | None:
        rule = RULES[path]
        return rule(settings) if rule is not None else None

    settings = Settings(password="x")
    assert action("/hcm:cloud-management/server/domain", settings) == SetServers(())
    assert action("/hcm:cloud-management/server/password", settings) == SetPassword("x", settings.password_source)
    assert action("/sys:system/authentication/user/password", settings) is None
