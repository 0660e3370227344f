"""<edit-config>'s test-option and error-option, as a client sees them (RFC 6241 sections 7.2, 8.5 and 8.6)."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from fakes_netconf import CLOUD, USERS, RawClient, is_ok, make_datastores, running_server, tag, unix_client
from headstay import xml

ERRORS = f"{{{xml.NETCONF}}}rpc-error"
GOOD = "<ping-interval>33</ping-interval>"
WRONG_VALUE = "<keepalive-interval>9</keepalive-interval>"
UNKNOWN = "<no-such-leaf/>"
BREAKS_A_CONSTRAINT = "<source-address>::</source-address><address-family>ipv4</address-family>"


def edit(target: str, content: str, options: str = "") -> str:
    config = f'<config><cloud-management xmlns="{xml.HCM}">{content}</cloud-management></config>'
    return f"<edit-config><target><{target}/></target>{options}{config}</edit-config>"


def error_option(value: str) -> str:
    return f"<error-option>{value}</error-option>"


def test_option(value: str) -> str:
    return f"<test-option>{value}</test-option>"


test_option.__test__ = False  # type: ignore[attr-defined]  # not a test, in spite of its name


async def leaf(client: RawClient, datastore: str, name: str = "ping-interval") -> str | None:
    reply = await client.rpc(f"<get-config><source><{datastore}/></source></get-config>")
    return reply.findtext(f".//{{{xml.HCM}}}{name}")


def tags(reply: etree._Element) -> list[str | None]:
    return [error.findtext(f"{{{xml.NETCONF}}}error-tag") for error in reply.iterfind(ERRORS)]


@pytest.mark.parametrize("target", ["running", "candidate"])
@pytest.mark.parametrize("options", ["", error_option("stop-on-error"), error_option("rollback-on-error")])
async def test_an_edit_with_an_error_changes_nothing(tmp_path: Path, target: str, options: str) -> None:
    """That is what rollback-on-error promises; stop-on-error, the default, leaves no half either."""
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        reply = await client.rpc(edit(target, GOOD + WRONG_VALUE + UNKNOWN, options))
        assert tags(reply) == ["invalid-value", "unknown-element"]  # all that is wrong is said
        assert await leaf(client, target) is None
        assert await leaf(client, target, "keepalive-interval") == "60"


@pytest.mark.parametrize("target", ["running", "candidate"])
async def test_continue_on_error_does_what_is_right(tmp_path: Path, target: str) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        reply = await client.rpc(edit(target, GOOD + WRONG_VALUE, error_option("continue-on-error")))
        assert tags(reply) == ["invalid-value"]
        assert await leaf(client, target) == "33"
        assert await leaf(client, target, "keepalive-interval") == "60"


async def test_rollback_on_error_holds_for_what_only_validation_finds(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        for value in ("rollback-on-error", "continue-on-error"):
            reply = await client.rpc(edit("running", GOOD + BREAKS_A_CONSTRAINT, error_option(value)))
            assert tags(reply) == ["operation-failed"]
            assert await leaf(client, "running") is None


@pytest.mark.parametrize("target", ["running", "candidate"])
async def test_test_only_tests_and_sets_nothing(tmp_path: Path, target: str) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(edit(target, GOOD, test_option("test-only"))))
        assert await leaf(client, target) is None
        for wrong in (BREAKS_A_CONSTRAINT, WRONG_VALUE):
            assert tag(await client.rpc(edit(target, wrong, test_option("test-only")))) is not None
        lock = "<lock><target><candidate/></target></lock>"
        assert is_ok(await client.rpc(lock))  # which a candidate with changes refuses


@pytest.mark.parametrize("target", ["running", "candidate"])
async def test_test_then_set_sets_only_what_is_valid(tmp_path: Path, target: str) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        option = test_option("test-then-set")
        assert tag(await client.rpc(edit(target, GOOD + BREAKS_A_CONSTRAINT, option))) == "operation-failed"
        assert await leaf(client, target) is None
        assert is_ok(await client.rpc(edit(target, GOOD, option)))
        assert await leaf(client, target) == "33"


async def test_set_leaves_the_candidates_constraints_to_the_commit(tmp_path: Path) -> None:
    async with running_server(tmp_path), unix_client(tmp_path) as client:
        await client.greet()
        assert is_ok(await client.rpc(edit("candidate", BREAKS_A_CONSTRAINT, test_option("set"))))
        assert tag(await client.rpc("<validate><source><candidate/></source></validate>")) == "operation-failed"
        assert tag(await client.rpc("<commit/>")) == "operation-failed"
        assert tag(await client.rpc(edit("running", BREAKS_A_CONSTRAINT, test_option("set")))) == "operation-failed"


async def test_options_that_do_not_exist(tmp_path: Path) -> None:
    async with running_server(tmp_path, datastores=make_datastores(CLOUD, USERS)), unix_client(tmp_path) as client:
        await client.greet()
        for options in (error_option("ignore-error"), test_option("test-then-forget")):
            assert tag(await client.rpc(edit("candidate", GOOD, options))) == "invalid-value"
        assert await leaf(client, "candidate") is None
