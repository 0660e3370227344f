"""From the changes of a commit to actions on the engine: the backend of the datastores' transaction.

Refuses what the engine could not take over, before anything has changed. Knows no session and no disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, replace

from lxml import etree

from headstay.backend.rules import RULES, Rule, uncovered
from headstay.backend.settings import settings_of
from headstay.datastore.difference import Change
from headstay.datastore.model import Model
from headstay.datastore.schema import SchemaNode, error_path
from headstay.datastore.secrets import SecretUnreadableError, Vault
from headstay.engine.actions import Action, SetTls
from headstay.engine.settings import Settings, Tls
from headstay.engine.tls import TlsSettingsError, tls_context
from headstay.errors import InvalidValue, StartupError

_log = logging.getLogger("headstay.backend")

Apply = Callable[[Iterable[Action]], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions of one commit, in the order of the rules' table, none twice."""

    actions: tuple[Action, ...]
    perform: Apply

    def apply(self) -> None:
        """Hand the actions to the engine."""
        if self.actions:
            self.perform(self.actions)


class Backend:
    """Turns configuration into settings at start and into actions at each commit."""

    def __init__(self, model: Model, vault: Vault) -> None:
        """Raises StartupError if a configuration node has no rule: its changes would silently do nothing."""
        missing = uncovered(model.schema)
        if missing:
            raise StartupError(f"no rule says what a change of {', '.join(missing)} does")
        self._model = model
        self._vault = vault
        self._perform: Apply = _nothing
        self._incomplete = False  # the engine runs without a secret that did not open

    def performs_with(self, apply: Apply) -> None:
        """Say who performs the actions of later commits."""
        self._perform = apply

    def settings(self, running: etree._Element) -> Settings:
        """Return the settings to start with.

        A secret that does not open must not be left out, which might connect the device without its password: the link
        stays down instead, and the daemon still serves NETCONF so that the secret can be set again.
        """
        unreadable: list[str] = []

        def open_or_note(leaf: SchemaNode, element: etree._Element) -> str:
            try:
                return self._vault.open(element.text or "", leaf)
            except SecretUnreadableError:
                unreadable.append(leaf.path)
                return ""

        settings = settings_of(self._model.schema, running, open_or_note)
        for path in unreadable:
            _log.error("the secret %s cannot be decrypted; the cloud connection stays down until it is set again", path)
        self._incomplete = bool(unreadable)
        return replace(settings, enabled=False) if unreadable else settings

    def prepare(self, old: etree._Element, new: etree._Element, changes: Sequence[Change]) -> Plan:
        """Return the plan for a commit, or raise InvalidValue if the engine could not take over the new settings."""
        del old  # the engine knows what it has; the plan says what it shall have
        settings = settings_of(self._model.schema, new, self._open)
        # After a start without a secret, the engine lacks more than this commit changes.
        actions = _actions(settings, set(RULES.values())) if self._incomplete else plan_of(settings, changes)
        plan = Plan(actions, self._take_over)
        if any(isinstance(action, SetTls) for action in plan.actions):
            self._check_tls(settings, new)
        return plan

    def _take_over(self, actions: Iterable[Action]) -> None:
        self._incomplete = False
        self._perform(actions)

    def _open(self, leaf: SchemaNode, element: etree._Element) -> str:
        try:
            return self._vault.open(element.text or "", leaf)
        except SecretUnreadableError:
            raise InvalidValue(
                f"{leaf.name}: this was not encrypted by this device for this leaf; give it in clear ($0$…)",
                path=error_path(leaf, element),
            ) from None

    def _check_tls(self, settings: Settings, new: etree._Element) -> None:
        try:
            tls_context(settings.tls)
        except TlsSettingsError as error:
            node = self._model.schema.find(f"/hcm:cloud-management/tls/{error.leaf}")
            element = next((leaf for leaf in new.iter(node.tag) if not _is_fine(leaf, error.leaf)), None)
            raise InvalidValue(f"{error.leaf}: {error}", path=error_path(node, element)) from None


def _is_fine(leaf: etree._Element, name: str) -> bool:
    """Return whether this is not the leaf that an error about leafs of its name is about."""
    if name != "trust-anchor":
        return False
    try:
        tls_context(Tls((leaf.text or "",)))
    except TlsSettingsError:
        return False
    return True


def plan_of(settings: Settings, changes: Iterable[Change]) -> tuple[Action, ...]:
    """Return the actions that follow from the changes to these new settings, each once, in the table's order."""
    return _actions(settings, {RULES[change.node.path] for change in changes})


def _actions(settings: Settings, touched: Container[Rule | None]) -> tuple[Action, ...]:
    rules = {rule: None for rule in RULES.values() if rule is not None and rule in touched}
    return tuple(rule(settings) for rule in rules)


def _nothing(actions: Iterable[Action]) -> None:
    """Perform nothing: before the engine runs there is no commit."""
    del actions
