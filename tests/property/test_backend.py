"""The law of the backend: applying the plan of a difference equals a fresh start with the new configuration."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from headstay.backend.plan import plan_of
from headstay.backend.settings import settings_of
from headstay.datastore.difference import difference
from headstay.datastore.edit import edit
from headstay.datastore.schema import SchemaNode
from headstay.engine.actions import Action, SetIntervals, SetServers
from headstay.engine.settings import Settings
from models import config, device_model, made
from strategies import DOMAINS, configurations, edits

SCHEMA = device_model().schema


def fresh(tree: etree._Element) -> Settings:
    """Return the settings of a start with this configuration; a secret is as good in its stored form."""
    return settings_of(SCHEMA, tree, stored_form)


def stored_form(leaf: SchemaNode, element: etree._Element) -> str:
    return f"{leaf.path} {element.text}"


def plan(old: etree._Element, new: etree._Element) -> tuple[Action, ...]:
    return plan_of(fresh(new), difference(SCHEMA, old, new))


def applied(actions: tuple[Action, ...], before: Settings) -> Settings:
    for action in actions:
        before = action.applied_to(before)
    return before


@settings(deadline=None)
@given(configurations(), configurations())
def test_a_commit_equals_a_fresh_start_and_going_back_too(first: str, second: str) -> None:
    a, b = (made(device_model(), config(content)) for content in (first, second))
    there, back = plan(a, b), plan(b, a)
    assert applied(there, fresh(a)) == fresh(b)
    assert applied(back, applied(there, fresh(a))) == fresh(a)
    for actions in (there, back):
        assert len({type(action) for action in actions}) == len(actions)


@settings(deadline=None)
@given(configurations(), edits())
def test_after_any_edit(first: str, change: str) -> None:
    a = made(device_model(), config(first))
    b = edit(SCHEMA, a, config(change)).tree
    assert applied(plan(a, b), fresh(a)) == fresh(b)


@settings(deadline=None)
@given(configurations())
def test_no_change_no_action(content: str) -> None:
    tree = made(device_model(), config(content))
    assert plan(tree, tree) == ()


@settings(deadline=None)
@given(configurations(), st.sampled_from(["keepalive-interval", "ping-interval"]), st.integers(10, 600))
def test_an_interval_re_tunes_and_nothing_else(content: str, leaf: str, seconds: int) -> None:
    a = made(device_model(), config(content))
    b = edit(SCHEMA, a, config(f"<hcm:cloud-management><hcm:{leaf}>{seconds}</hcm:{leaf}></hcm:cloud-management>")).tree
    assert {type(action) for action in plan(a, b)} <= {SetIntervals}


@settings(deadline=None)
@given(
    configurations(), st.sampled_from(DOMAINS), st.sampled_from(["merge", "remove", "replace"]), st.integers(1, 65535)
)
def test_a_backup_sets_the_servers_and_nothing_else(content: str, domain: str, operation: str, port: int) -> None:
    a = made(device_model(), config(content))
    entry = f"<hcm:domain>{domain}</hcm:domain><hcm:port>{port}</hcm:port>"
    backup = f'<hcm:backup-server nc:operation="{operation}">{entry}</hcm:backup-server>'
    b = edit(SCHEMA, a, config(f"<hcm:cloud-management>{backup}</hcm:cloud-management>")).tree
    assert {type(action) for action in plan(a, b)} <= {SetServers}
