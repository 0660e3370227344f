"""From the changes of a commit to actions on the engine: the backend of the datastores' transaction.

Refuses what the engine could not take over, before anything has changed. What DHCP gives is counted in here: a commit
while a lease is held keeps the lease's values, and a lease that changes comes the same way. Knows no session and no
disk.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce

from lxml import etree

from headstay.backend.precedence import DhcpUse, in_force
from headstay.backend.report import learned_tree
from headstay.backend.rules import RULES, Rule, uncovered
from headstay.backend.settings import dhcp_use_of, settings_of
from headstay.datastore.difference import Change
from headstay.datastore.model import Model
from headstay.datastore.schema import SchemaNode, error_path
from headstay.datastore.secrets import SecretUnreadableError, Vault
from headstay.dhcp.lease import Lease
from headstay.engine.actions import Action, SetTls, actions_between
from headstay.engine.settings import Settings, Tls
from headstay.engine.tls import TlsSettingsError, check_client_certificate, tls_context
from headstay.errors import InvalidValue, StartupError

_log = logging.getLogger("headstay.backend")

Apply = Callable[[Iterable[Action]], None]
LeaseOf = Callable[[str], Lease | None]

_PRIVATE_KEY = "/hcm:cloud-management/tls/private-key"


@dataclass(frozen=True, slots=True)
class Plan:
    """The actions of one commit, in the order of the rules' table, none twice."""

    actions: tuple[Action, ...]
    perform: Apply

    def apply(self) -> None:
        """Hand the actions over."""
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
        self._lease_of: LeaseOf = _no_lease
        self._configured = self._in_force = Settings()
        self._use = DhcpUse()

    def performs_with(self, apply: Apply) -> None:
        """Say who performs the actions of later commits."""
        self._perform = apply

    def learns_from(self, lease_of: LeaseOf) -> None:
        """Say who knows the lease of an interface; before this there is none."""
        self._lease_of = lease_of

    @property
    def dhcp_use(self) -> DhcpUse:
        """Which lease counts."""
        return self._use

    def learned(self) -> etree._Element:
        """Return the configuration in force that DHCP gave, as a tree, its secret sealed."""
        leaf = self._model.schema.find("/hcm:cloud-management/server/password")
        return learned_tree(self._in_force, lambda clear: self._vault.seal(clear, leaf))

    def follow_lease(self) -> None:
        """Bring into force what the lease gives now, after it has changed. Cannot fail and never waits."""
        self._bring(self._configured, self._use, ())

    def settings(self, running: etree._Element) -> Settings:
        """Return the settings to start with, what DHCP gives counted in.

        A secret that does not open is named in them, and the link stays down until it is set again: without it, the
        device might be let in as somebody who has none. The daemon serves NETCONF meanwhile.
        """
        self._configured = self._settings_of(running)
        self._use = dhcp_use_of(self._model.schema, running)
        self._in_force = self._with_lease(self._configured, self._use)
        _tell_unreadable({}, _unreadable(self._configured, self._in_force))
        return self._in_force

    def _settings_of(self, tree: etree._Element, changed: Container[str] = ()) -> Settings:
        """Return the settings of a configuration, with the names of the secrets that do not open.

        Raises InvalidValue if one of those is among the paths that have `changed`.
        """
        unreadable: list[str] = []

        def open_or_note(leaf: SchemaNode, element: etree._Element) -> str | None:
            try:
                return self._vault.open(element.text or "", leaf)
            except SecretUnreadableError:
                if leaf.path in changed:
                    raise InvalidValue(
                        f"{leaf.name}: this was not encrypted by this device for this leaf; give it in clear ($0$…)",
                        path=error_path(leaf, element),
                    ) from None
                unreadable.append(leaf.path)
                return None

        settings = settings_of(self._model.schema, tree, open_or_note)
        return replace(settings, unreadable=tuple(unreadable))

    def prepare(self, old: etree._Element, new: etree._Element, changes: Sequence[Change]) -> Plan:
        """Return the plan for a commit, or raise InvalidValue if the engine could not take over the new settings.

        A secret that does not open, and did not before, keeps nobody from changing something else.
        """
        del old  # the engine knows what it has; the plan says what it shall have
        configured = self._settings_of(new, {change.node.path for change in changes})
        use = dhcp_use_of(self._model.schema, new)
        settings = self._with_lease(configured, use)
        actions = plan_of(settings, changes)
        # What a lease adds to it, or takes; and that no secret is missing any more, if one was.
        actions += actions_between(_applied(actions, self._in_force), settings)
        plan = Plan(actions, partial(self._take_over, configured, use))
        if any(isinstance(action, SetTls) for action in plan.actions):
            self._check_tls(settings, new)
        return plan

    def reinstate(self, new: etree._Element) -> Plan:
        """Return the plan for a configuration that was in force before. Refuses nothing: a secret that does not open
        leaves the link down, as at start.
        """
        configured = self._settings_of(new)
        use = dhcp_use_of(self._model.schema, new)
        settings = self._with_lease(configured, use)
        actions = _actions(settings, set(RULES.values()))
        return Plan(actions, partial(self._take_over, configured, use))

    def _take_over(self, configured: Settings, use: DhcpUse, actions: Iterable[Action]) -> None:
        self._bring(configured, use, tuple(actions))

    def _bring(self, configured: Settings, use: DhcpUse, actions: tuple[Action, ...]) -> None:
        """Bring settings into force, in one batch: `actions`, and what the lease makes of it by now."""
        settings = self._with_lease(configured, use)
        actions += actions_between(_applied(actions, self._in_force), settings)
        _tell_unreadable(_unreadable(self._configured, self._in_force), _unreadable(configured, settings))
        self._configured, self._use, self._in_force = configured, use, settings
        if actions:
            self._perform(actions)

    def _with_lease(self, configured: Settings, use: DhcpUse) -> Settings:
        return in_force(configured, use, self._lease_of(use.interface))

    def _check_tls(self, settings: Settings, new: etree._Element) -> None:
        tls = settings.tls
        try:
            if _PRIVATE_KEY in settings.unreadable and tls.client_certificate is not None:
                check_client_certificate(tls.client_certificate)
                tls = replace(tls, client_certificate=None)  # whether it fits is found out once the key is set again
            tls_context(tls)
        except TlsSettingsError as error:
            node = self._model.schema.find(f"/hcm:cloud-management/tls/{error.leaf}")
            element = next((leaf for leaf in new.iter(node.tag) if not _is_fine(leaf, error.leaf)), None)
            raise InvalidValue(f"{error.leaf}: {error}", path=error_path(node, element)) from None


def _unreadable(configured: Settings, settings: Settings) -> dict[str, str]:
    """Return the secrets of a configuration that do not open, and what comes of each: `settings` are those in force."""
    down, made_up = (
        "the cloud connection stays down until it is set again",
        "what DHCP gives makes up for it; set it again",
    )
    return {path: down if path in settings.unreadable else made_up for path in configured.unreadable}


def _tell_unreadable(old: Mapping[str, str], new: Mapping[str, str]) -> None:
    """Log what is not as it was: no renewal of a lease repeats it."""
    for path, consequence in new.items():
        if old.get(path) != consequence:
            _log.error("the secret %s cannot be decrypted; %s", path, consequence)


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


def _applied(actions: Iterable[Action], settings: Settings) -> Settings:
    return reduce(lambda done, action: action.applied_to(done), actions, settings)


def _no_lease(interface: str) -> None:
    """Know of no lease."""
    del interface


def _nothing(actions: Iterable[Action]) -> None:
    """Perform nothing: before the engine runs there is no commit."""
    del actions
