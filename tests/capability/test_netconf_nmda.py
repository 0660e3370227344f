"""The datastores of RFC 8342 through RFC 8526: what is in use, where it comes from, and what may be written."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lxml import etree

from fakes_netconf import CLOUD, RawClient, is_ok, make_datastores, model, running_server, tag, unix_client
from headstay import xml

NMDA = "urn:ietf:params:xml:ns:yang:ietf-netconf-nmda"
ORIGIN = "{urn:ietf:params:xml:ns:yang:ietf-origin}origin"
DECLARED = (
    f'xmlns="{NMDA}" xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores" '
    'xmlns:or="urn:ietf:params:xml:ns:yang:ietf-origin" '
    f'xmlns:hcm="{xml.HCM}" xmlns:d="urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults"'
)


def learned() -> etree._Element:
    tree = model().empty()
    top = etree.SubElement(tree, f"{{{xml.HCM}}}cloud-management")
    server = etree.SubElement(top, f"{{{xml.HCM}}}server")
    etree.SubElement(server, f"{{{xml.HCM}}}domain").text = "learned.example"
    return tree


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[RawClient]:
    datastores = make_datastores(CLOUD, with_startup=True)
    async with running_server(tmp_path, datastores=datastores, learned=learned), unix_client(tmp_path) as made:
        yield await made.greet()


def get_data(datastore: str, rest: str = "") -> str:
    return f"<get-data {DECLARED}><datastore>ds:{datastore}</datastore>{rest}</get-data>"


def leaf(reply: etree._Element, path: str) -> str | None:
    return reply.findtext(".//{*}cloud-management/" + "/".join(f"{{*}}{step}" for step in path.split("/")))


def leafs(reply: etree._Element) -> set[str]:
    return {xml.local_name(element) for element in reply.iter(f"{{{xml.HCM}}}*") if not len(element)}


@pytest.mark.parametrize("datastore", ["running", "candidate", "intended"])
async def test_conventional_datastores_hold_what_was_set(client: RawClient, datastore: str) -> None:
    reply = await client.rpc(get_data(datastore))
    assert reply[0].tag == f"{{{NMDA}}}data"
    assert leaf(reply, "server/domain") == "cloud.example"
    assert leaf(reply, "ping-interval") is None
    assert leaf(reply, "connection/state") is None


async def test_startup_is_a_datastore_of_its_own(client: RawClient) -> None:
    assert leafs(await client.rpc(get_data("startup"))) == set()


async def test_operational_holds_what_is_in_use_and_the_state(client: RawClient) -> None:
    reply = await client.rpc(get_data("operational"))
    assert leaf(reply, "server/domain") == "learned.example"
    assert leaf(reply, "server/port") == "19443"
    assert leaf(reply, "ping-interval") == "60"
    assert leaf(reply, "connection/state") == "established"
    assert not [element for element in reply.iter() if ORIGIN in element.attrib]
    assert leaf(await client.rpc(get_data("running")), "server/domain") == "cloud.example"


async def test_origins(client: RawClient) -> None:
    reply = await client.rpc(get_data("operational", "<with-origin/>"))

    def origin(path: str) -> str | None:
        element = reply.find(".//{*}cloud-management/" + "/".join(f"{{*}}{step}" for step in path.split("/")))
        assert element is not None
        # The prefix in the value is one that is declared there.
        value = element.get(ORIGIN)
        if value is not None:
            assert element.nsmap[value.partition(":")[0]] == "urn:ietf:params:xml:ns:yang:ietf-origin"
        return value

    [top] = reply.iter(f"{{{xml.HCM}}}cloud-management")
    assert top.get(ORIGIN) == "or:intended"
    assert origin("server/domain") == "or:learned"
    assert origin("ping-interval") == "or:default"
    assert origin("keepalive-interval") is None  # inherited: intended
    assert origin("connection") is None  # state has none


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ("<origin-filter>or:learned</origin-filter>", {"domain"}),
        ("<origin-filter>or:learned</origin-filter><config-filter>true</config-filter>", {"domain"}),
        ("<origin-filter>or:system</origin-filter><config-filter>true</config-filter>", set()),
    ],
)
async def test_origin_filters(client: RawClient, filter: str, expected: set[str]) -> None:
    reply = await client.rpc(get_data("operational", f"{filter}<xpath-filter>//hcm:server</xpath-filter>"))
    assert leafs(reply) == expected


async def test_an_xpath_filter_has_the_functions_of_yang(client: RawClient) -> None:
    """ietf-netconf-nmda: the core functions and those of RFC 7950 section 10."""
    for datastore in ("running", "operational"):
        matching = "//hcm:server/hcm:domain[re-match(., '%s')]"
        for pattern, expected in (("[a-z]+\\.example", {"domain"}), ("[a-z]+", set())):
            request = get_data(datastore, f"<xpath-filter>{matching % pattern}</xpath-filter>")
            assert leafs(await client.rpc(request)) == expected
    local = "//ncm:session[derived-from-or-self(ncm:transport, 'hcm:local')]/ncm:username"
    reply = await client.rpc(get_data("operational", f"<xpath-filter>{local}</xpath-filter>"))
    assert len(list(reply.iter(f"{{{xml.MONITORING}}}username"))) == 1
    wrong = get_data("operational", "<xpath-filter>//hcm:server[re-match(hcm:domain, '(')]</xpath-filter>")
    assert tag(await client.rpc(wrong)) == "invalid-value"


async def test_origin_filters_leave_state_alone_and_go_together(client: RawClient) -> None:
    reply = await client.rpc(get_data("operational", "<origin-filter>or:learned</origin-filter>"))
    assert leafs(reply) == {"domain", "state"}
    two = "<origin-filter>or:learned</origin-filter><origin-filter>or:default</origin-filter>"
    reply = await client.rpc(get_data("operational", f"{two}<config-filter>true</config-filter>"))
    assert {"domain", "ping-interval"} <= leafs(reply)
    assert "keepalive-interval" not in leafs(reply)
    negated = "<negated-origin-filter>or:default</negated-origin-filter><config-filter>true</config-filter>"
    reply = await client.rpc(get_data("operational", negated))
    assert "keepalive-interval" in leafs(reply)
    assert "ping-interval" not in leafs(reply)


async def test_config_filter(client: RawClient) -> None:
    assert leafs(await client.rpc(get_data("operational", "<config-filter>false</config-filter>"))) == {"state"}
    assert "state" not in leafs(await client.rpc(get_data("operational", "<config-filter>true</config-filter>")))
    assert leafs(await client.rpc(get_data("running", "<config-filter>false</config-filter>"))) == set()


async def test_max_depth(client: RawClient) -> None:
    [data] = await client.rpc(get_data("running", "<max-depth>1</max-depth>"))
    assert [xml.local_name(element) for element in data.iter()] == ["data", "cloud-management"]
    [data] = await client.rpc(get_data("running", "<max-depth>2</max-depth>"))
    assert [xml.local_name(element) for element in data[0]] == [
        "server",
        "backup-server",
        "backup-server",
        "keepalive-interval",
    ]
    assert len(data[0][0]) == 0
    assert [xml.local_name(element) for element in data[0][1]] == ["domain"]  # an entry keeps its key
    by_filter = "<xpath-filter>//hcm:backup-server</xpath-filter><max-depth>%s</max-depth>"
    [data] = await client.rpc(get_data("running", by_filter % 1))
    assert [xml.local_name(element) for element in data[0][0]] == ["domain"]
    [data] = await client.rpc(get_data("running", by_filter % 2))
    assert [xml.local_name(element) for element in data[0][0]] == ["domain", "port"]
    [data] = await client.rpc(get_data("running", by_filter % "unbounded"))
    assert [xml.local_name(element) for element in data[0][0]] == ["domain", "port"]


async def test_a_subtree_filter(client: RawClient) -> None:
    wanted = f'<subtree-filter><cloud-management xmlns="{xml.HCM}"><server/></cloud-management></subtree-filter>'
    assert leafs(await client.rpc(get_data("operational", wanted))) == {"domain", "port"}
    assert leafs(await client.rpc(get_data("running", wanted))) == {"domain"}
    assert leafs(await client.rpc(get_data("running", "<subtree-filter/>"))) == set()


@pytest.mark.parametrize(
    ("mode", "present"), [("report-all", True), ("report-all-tagged", True), ("explicit", False), ("trim", False)]
)
async def test_defaults_of_operational(client: RawClient, mode: str, present: bool) -> None:
    reply = await client.rpc(get_data("operational", f"<d:with-defaults>{mode}</d:with-defaults>"))
    assert ("ping-interval" in leafs(reply)) is present
    assert leaf(reply, "connection/state") == "established"


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (get_data("dynamic"), "invalid-value"),
        (f"<get-data {DECLARED}><datastore>hcm:running</datastore></get-data>", "invalid-value"),
        (f"<get-data {DECLARED}/>", "missing-element"),
        (get_data("running", "<with-origin/>"), "invalid-value"),
        (get_data("running", "<origin-filter>or:learned</origin-filter>"), "invalid-value"),
        (get_data("operational", "<origin-filter>or:nowhere</origin-filter>"), "invalid-value"),
        (
            get_data(
                "operational",
                "<origin-filter>or:learned</origin-filter><negated-origin-filter>or:default</negated-origin-filter>",
            ),
            "bad-element",
        ),
        (get_data("operational", "<origin-filter>or:learned</origin-filter>" * 101), "too-big"),
        (get_data("running", "<max-depth>0</max-depth>"), "invalid-value"),
        (get_data("running", "<max-depth>65536</max-depth>"), "invalid-value"),
        (get_data("running", f"<max-depth>{'9' * 5000}</max-depth>"), "invalid-value"),
        (get_data("running", "<config-filter>maybe</config-filter>"), "invalid-value"),
        (get_data("running", "<subtree-filter/><xpath-filter>/*</xpath-filter>"), "bad-element"),
        (get_data("running", "<xpath-filter>1+1</xpath-filter>"), "invalid-value"),
        (get_data("running", "<no-such-parameter/>"), "unknown-element"),
    ],
)
async def test_a_wrong_request(client: RawClient, request_: str, error: str) -> None:
    assert tag(await client.rpc(request_)) == error


def edit_data(datastore: str, content: str, rest: str = "") -> str:
    return (
        f"<edit-data {DECLARED}><datastore>ds:{datastore}</datastore>{rest}<config>"
        f'<cloud-management xmlns="{xml.HCM}">{content}</cloud-management></config></edit-data>'
    )


async def test_edit_data(client: RawClient) -> None:
    assert is_ok(await client.rpc(edit_data("candidate", "<ping-interval>70</ping-interval>")))
    assert leaf(await client.rpc(get_data("candidate")), "ping-interval") == "70"
    assert leaf(await client.rpc(get_data("running")), "ping-interval") is None
    assert is_ok(await client.rpc(edit_data("running", "<ping-interval>71</ping-interval>")))
    assert leaf(await client.rpc(get_data("operational")), "ping-interval") == "71"
    replace = "<default-operation>replace</default-operation>"
    assert is_ok(await client.rpc(edit_data("running", "<ping-interval>72</ping-interval>", replace)))
    assert leafs(await client.rpc(get_data("running"))) == {"ping-interval"}


async def test_edit_data_is_all_or_nothing(client: RawClient) -> None:
    wrong = "<ping-interval>70</ping-interval><keepalive-interval>5</keepalive-interval>"
    assert tag(await client.rpc(edit_data("running", wrong))) == "invalid-value"
    assert leaf(await client.rpc(get_data("running")), "ping-interval") is None


@pytest.mark.parametrize("datastore", ["operational", "intended", "startup", "other"])
async def test_what_cannot_be_written(client: RawClient, datastore: str) -> None:
    assert tag(await client.rpc(edit_data(datastore, "<ping-interval>70</ping-interval>"))) == "invalid-value"


async def test_lock_unlock_and_validate_name_datastores_this_way_too(client: RawClient) -> None:
    leaf_ = f'<datastore xmlns="{NMDA}" xmlns:ds="urn:ietf:params:xml:ns:yang:ietf-datastores">ds:%s</datastore>'
    assert is_ok(await client.rpc(f"<lock><target>{leaf_ % 'candidate'}</target></lock>"))
    assert is_ok(await client.rpc(f"<unlock><target>{leaf_ % 'candidate'}</target></unlock>"))
    assert is_ok(await client.rpc(f"<validate><source>{leaf_ % 'running'}</source></validate>"))
    for operation in ("lock", "unlock"):
        reply = await client.rpc(f"<{operation}><target>{leaf_ % 'operational'}</target></{operation}>")
        assert tag(reply) == "invalid-value"
