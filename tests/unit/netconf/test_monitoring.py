"""ietf-netconf-monitoring: get-schema and netconf-state; and the capabilities that it shares with <hello>."""

from __future__ import annotations

import datetime

import pytest
from lxml import etree

from fakes_netconf import BOTH, CLOUD, MOMENT, make_context, make_datastores, model, operation, parsed
from headstay import errors, xml
from headstay.datastore.access import Requester, Source
from headstay.datastore.modules import Module, device_modules, find_modules, module_directories
from headstay.datastore.name import Name
from headstay.datastore.schema import SchemaNode
from headstay.netconf.capabilities import capabilities, module_capability
from headstay.netconf.operations import execute
from headstay.netconf.operations.monitoring import LOCAL, SSH, ServerState, SessionState, date_and_time, netconf_state
from headstay.netconf.statistics import Counters, Statistics

NCM = f"{{{xml.MONITORING}}}"


def get_schema(parameters: str) -> str:
    return f'<get-schema xmlns="{xml.MONITORING}">{parameters}</get-schema>'


# get-schema


@pytest.mark.parametrize(
    "parameters",
    [
        "<identifier>headstay-cloud-management</identifier>",
        "<identifier>headstay-cloud-management</identifier><format>yang</format>",
        f'<identifier>headstay-cloud-management</identifier><format xmlns:m="{xml.MONITORING}">m:yang</format>',
        '<identifier xmlns="">headstay-cloud-management</identifier>',
    ],
)
async def test_get_schema_returns_the_text(parameters: str) -> None:
    reply = await execute(make_context(), operation(get_schema(parameters)))
    [found] = parsed(reply.body)
    assert found.tag == f"{NCM}data"
    assert (found.text or "").startswith("module headstay-cloud-management {")


async def test_every_module_that_is_listed_can_be_had() -> None:
    for module in model().modules:
        parameters = f"<identifier>{module.name}</identifier><version>{module.revision}</version>"
        reply = await execute(make_context(), operation(get_schema(parameters)))
        assert parsed(reply.body)[0].text == module.source()


@pytest.mark.parametrize(
    ("parameters", "tag"),
    [
        ("", "missing-element"),
        ("<identifier>nothing</identifier>", "invalid-value"),
        ("<identifier>ietf-netconf</identifier><version>1999-01-01</version>", "invalid-value"),
        ("<identifier>ietf-netconf</identifier><version/>", "invalid-value"),
        ("<identifier>ietf-netconf</identifier><format>yin</format>", "invalid-value"),
        ("<identifier>ietf-netconf</identifier><format>x:yang</format>", "invalid-value"),
        ("<name>ietf-netconf</name>", "unknown-element"),
    ],
)
async def test_a_schema_that_there_is_not(parameters: str, tag: str) -> None:
    with pytest.raises(errors.NetconfError) as caught:
        await execute(make_context(), operation(get_schema(parameters)))
    assert caught.value.tag == tag
    # RFC 6241 appendix A: none for invalid-value.
    assert [item.name for item in caught.value.info] == ([] if tag == "invalid-value" else ["bad-element"])


# netconf-state


async def state(**changes: object) -> etree._Element:
    datastores = make_datastores(CLOUD)
    await datastores.lock(Requester("admin", 7, Source.DIRECT), Name.CANDIDATE)
    sessions = [
        SessionState(7, SSH, "admin", "192.0.2.1", MOMENT, Counters(1, 2, 3, 4)),
        SessionState(8, LOCAL, "root", None, MOMENT, Counters()),
    ]
    statistics, counters = Statistics(1, 2**32 + 2, 3), Counters(5, 6, 7, 8)
    server = ServerState(BOTH, sessions, MOMENT, statistics, counters, datastores.locks())
    return netconf_state(datastores.names, datastores.model, server)


def texts(parent: etree._Element | None) -> dict[str, str | None]:
    assert parent is not None
    return {xml.local_name(child): child.text for child in parent}


async def test_all_that_netconf_state_shows() -> None:
    tree = await state()
    assert [e.text for e in tree.iter(f"{NCM}capability")] == list(BOTH)
    running, candidate = tree.iter(f"{NCM}datastore")
    assert [child.text for child in running] == ["running"]  # without a lock there is no container for it
    assert texts(candidate.find(f"{NCM}locks/{NCM}global-lock"))["locked-by-session"] == "7"
    first, second = tree.iter(f"{NCM}session")
    assert texts(first) == {
        "session-id": "7",
        "transport": "ncm:netconf-ssh",
        "username": "admin",
        "source-host": "192.0.2.1",
        "login-time": "2018-01-27T14:18:40Z",
        "in-rpcs": "1",
        "in-bad-rpcs": "2",
        "out-rpc-errors": "3",
        "out-notifications": "4",
    }
    assert "source-host" not in texts(second)
    assert texts(tree.find(f"*/{NCM}statistics")) == {
        "netconf-start-time": "2018-01-27T14:18:40Z",
        "in-bad-hellos": "1",
        "in-sessions": "2",  # a counter32 starts again
        "dropped-sessions": "3",
        "in-rpcs": "5",
        "in-bad-rpcs": "6",
        "out-rpc-errors": "7",
        "out-notifications": "8",
    }
    schemas = [texts(schema) for schema in tree.iter(f"{NCM}schema")]
    assert {"identifier": "ietf-inet-types", "format": "ncm:yang", "location": "NETCONF"}.items() <= schemas[-2].items()
    assert len(schemas) == len(model().modules)


async def test_every_node_of_netconf_state_is_in_the_model_and_every_value_is_of_its_type() -> None:
    def check(node: SchemaNode, element: etree._Element) -> None:
        for child in element:
            schema = node.child(str(child.tag))
            assert schema is not None, child.tag
            if schema.terminal and child.text != "hcm:local":
                schema.canonical(child.text or "", child.nsmap)
            check(schema, child)

    check(model().schema, await state())


async def test_the_prefixes_of_values_survive_the_overlay() -> None:
    tree = make_datastores(CLOUD).view(Requester("admin", 1, Source.DIRECT)).with_state(await state())
    for leaf in (*tree.iter(f"{NCM}format"), *tree.iter(f"{NCM}transport")):
        prefix = (leaf.text or "").partition(":")[0]
        assert leaf.nsmap[prefix] in (xml.MONITORING, xml.HCM)


def test_times_are_in_utc() -> None:
    moment = datetime.datetime(2018, 1, 27, 1, 0, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert date_and_time(moment) == "2018-01-26T23:00:00Z"


# capabilities


def test_only_what_is_true_is_announced() -> None:
    names = (Name.RUNNING, Name.CANDIDATE)
    announced = [uri for uri in capabilities(model().modules, names) if ":capability:" in uri]
    assert [uri.rpartition("capability:")[2].partition("?")[0] for uri in announced] == [
        "writable-running:1.0",
        "candidate:1.0",
        "confirmed-commit:1.0",
        "confirmed-commit:1.1",
        "rollback-on-error:1.0",
        "validate:1.0",
        "validate:1.1",
        "xpath:1.0",
        "with-defaults:1.0",
        "with-operational-defaults:1.0",
        "notification:1.0",
        "interleave:1.0",
        "yang-library:1.1",
    ]
    assert not any("startup" in uri for uri in capabilities(model().modules, names))


def test_startup_is_announced_where_there_is_one() -> None:
    modules = find_modules(device_modules(startup=True), module_directories())
    with_startup = capabilities(modules, tuple(Name))
    assert sum("startup" in uri for uri in with_startup) == 2


def test_the_capability_of_a_module() -> None:
    [system] = [m for m in model().modules if m.name == "ietf-system"]
    uri = module_capability(system)
    assert uri.startswith(f"{xml.SYSTEM}?module=ietf-system&revision={system.revision}&features=authentication,")
    assert uri.endswith("&deviations=headstay-deviations")


def test_hello_names_the_implemented_modules_of_yang_1_only() -> None:
    listed = capabilities(model().modules, ())
    assert any("module=ietf-netconf-monitoring&" in uri for uri in listed)
    assert not any("ietf-inet-types" in uri for uri in listed), "import only"
    assert not any("headstay-cloud-management" in uri for uri in listed), "YANG 1.1: found through yang-library"


def test_features_stand_in_the_capability_of_their_module() -> None:
    netconf: Module = next(module for module in model().modules if module.name == "ietf-netconf")
    assert "features=writable-running,candidate," in module_capability(netconf)
