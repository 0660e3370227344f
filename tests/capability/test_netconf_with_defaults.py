"""What a client sees of default values (RFC 6243), and what it may send back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from lxml import etree

from fakes_netconf import CLOUD, RawClient, is_ok, make_datastores, running_server, tag, unix_client
from headstay import xml

WITH = 'xmlns="urn:ietf:params:xml:ns:yang:ietf-netconf-with-defaults"'
FILTER = f'<filter type="subtree"><cloud-management xmlns="{xml.HCM}"><%s/></cloud-management></filter>'


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[RawClient]:
    datastores = make_datastores(CLOUD, with_startup=True)
    async with running_server(tmp_path, datastores=datastores), unix_client(tmp_path) as made:
        yield await made.greet()


def get_config(mode: str | None, source: str = "running", filter: str = "") -> str:
    parameter = "" if mode is None else f"<with-defaults {WITH}>{mode}</with-defaults>"
    return f"<get-config><source><{source}/></source>{filter}{parameter}</get-config>"


def names(reply: etree._Element) -> list[str]:
    return [xml.local_name(leaf) for leaf in reply.iter(f"{{{xml.HCM}}}*")]


async def test_hello_names_the_modes(client: RawClient) -> None:
    announced = [element.text for element in client.server_hello.iter(f"{{{xml.NETCONF}}}capability")]
    assert (
        "urn:ietf:params:netconf:capability:with-defaults:1.0"
        "?basic-mode=explicit&also-supported=report-all,report-all-tagged,trim"
    ) in announced


async def test_each_mode(client: RawClient) -> None:
    assert "ping-interval" not in names(await client.rpc(get_config(None)))
    assert "ping-interval" not in names(await client.rpc(get_config("explicit")))
    assert "ping-interval" not in names(await client.rpc(get_config("trim")))
    assert "ping-interval" in names(await client.rpc(get_config("report-all")))
    reply = await client.rpc(get_config("report-all-tagged"))
    wd = "{urn:ietf:params:xml:ns:netconf:default:1.0}default"
    tags = {xml.local_name(leaf): leaf.get(wd) for leaf in reply.iter(f"{{{xml.HCM}}}*")}
    assert tags["ping-interval"] == "true"
    assert tags["keepalive-interval"] is None  # it was set


async def test_a_filter_may_ask_for_a_default(client: RawClient) -> None:
    assert names(await client.rpc(get_config("report-all", filter=FILTER % "ping-interval"))) == [
        "cloud-management",
        "ping-interval",
    ]
    assert names(await client.rpc(get_config(None, filter=FILTER % "ping-interval"))) == []


async def test_get_has_it_too(client: RawClient) -> None:
    reply = await client.rpc(f"<get><with-defaults {WITH}>report-all</with-defaults></get>")
    assert {"ping-interval", "connection"} <= set(names(reply))


@pytest.mark.parametrize(
    ("parameter", "error"),
    [
        (f"<with-defaults {WITH}>all</with-defaults>", "invalid-value"),
        ('<with-defaults xmlns="urn:other">trim</with-defaults>', "unknown-namespace"),
        (f"<with-defaults {WITH}>trim</with-defaults>" * 2, "bad-element"),
    ],
)
async def test_a_wrong_parameter(client: RawClient, parameter: str, error: str) -> None:
    assert tag(await client.rpc(f"<get-config><source><running/></source>{parameter}</get-config>")) == error


async def test_a_tagged_reply_may_be_sent_back(client: RawClient) -> None:
    before = await client.rpc(get_config(None))
    reply = await client.rpc(get_config("report-all-tagged"))
    config = xml.serialise(reply[0][0]).decode()
    assert is_ok(await client.rpc(f"<edit-config><target><running/></target><config>{config}</config></edit-config>"))
    assert names(await client.rpc(get_config(None))) == names(before)


async def test_a_copy_with_defaults(client: RawClient) -> None:
    def copy(mode: str) -> str:
        parameter = f"<with-defaults {WITH}>{mode}</with-defaults>"
        return f"<copy-config><target><startup/></target><source><running/></source>{parameter}</copy-config>"

    assert is_ok(await client.rpc(copy("report-all")))
    assert "ping-interval" in names(await client.rpc(get_config("explicit", "startup")))
    for mode in ("explicit", "trim", "report-all-tagged"):
        assert is_ok(await client.rpc(copy(mode)))
        assert "ping-interval" not in names(await client.rpc(get_config("explicit", "startup")))
