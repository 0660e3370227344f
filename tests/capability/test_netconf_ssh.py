"""The server and the real ncclient, over SSH and over the Unix socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ncclient import manager
from ncclient.operations import RPCError
from ncclient.xml_ import to_ele

from fakes_netconf import CLOUD, USERS, make_datastores, running_server
from headstay import xml
from headstay.netconf.server import NetconfServer

HCM = {"hcm": xml.HCM}
EDIT = f"""<config xmlns="{xml.NETCONF}"><cloud-management xmlns="{xml.HCM}"><ping-interval>%s</ping-interval>
</cloud-management></config>"""


def over_ssh(server: NetconfServer, **options: Any) -> manager.Manager:
    return manager.connect(
        host="127.0.0.1",
        port=server.port,
        username="admin",
        password="right",
        hostkey_verify=False,
        allow_agent=False,
        look_for_keys=False,
        timeout=20,
        **options,
    )


def whole_transaction(connect: Callable[[], manager.Manager]) -> None:
    with connect() as m:
        assert {"urn:ietf:params:netconf:base:1.1", "urn:ietf:params:netconf:capability:candidate:1.0"} <= set(
            m.server_capabilities
        )
        with m.locked("running"), m.locked("candidate"):
            m.edit_config(target="candidate", config=EDIT % 77, error_option="rollback-on-error")
            m.validate(source="candidate")
            assert not running(m).xpath("//hcm:ping-interval", namespaces=HCM)
            m.commit()
        [leaf] = running(m).xpath("//hcm:ping-interval", namespaces=HCM)
        assert leaf.text == "77"
        m.edit_config(target="candidate", config=EDIT % 78)
        m.discard_changes()
        m.commit()
        assert running(m).xpath("string(//hcm:ping-interval)", namespaces=HCM) == "77"


def running(m: manager.Manager) -> Any:
    return m.get_config(source="running").data_ele


async def test_a_transaction_over_ssh(tmp_path: Path) -> None:
    async with running_server(tmp_path) as server:
        await asyncio.to_thread(whole_transaction, lambda: over_ssh(server))


async def test_a_transaction_over_the_unix_socket(tmp_path: Path) -> None:
    def connect() -> manager.Manager:
        return manager.connect_uds(path=str(tmp_path / "netconf.sock"), timeout=20)

    async with running_server(tmp_path):
        await asyncio.to_thread(whole_transaction, connect)


async def test_filters_schemas_and_errors(tmp_path: Path) -> None:
    def talk(server: NetconfServer) -> None:
        with over_ssh(server) as m:
            ports = m.get_config(source="running", filter=("xpath", "//hcm:backup-server/hcm:port")).data_ele
            assert ports.xpath("string(//hcm:port)", namespaces=HCM) == "1001"
            state = m.get(filter=("subtree", f'<cloud-management xmlns="{xml.HCM}"><connection/></cloud-management>'))
            assert state.data_ele.xpath("string(//hcm:state)", namespaces=HCM) == "established"
            assert m.get_schema("headstay-cloud-management").data.startswith("module headstay-cloud-management")
            with pytest.raises(RPCError) as caught:
                m.edit_config(target="candidate", config=EDIT % "never")
            assert caught.value.tag == "invalid-value"
            assert "ping-interval" in caught.value.path
            with pytest.raises(RPCError) as caught:
                m.dispatch(to_ele("<no-such-operation/>"))
            assert caught.value.tag == "operation-not-supported"

    async with running_server(tmp_path, datastores=make_datastores(CLOUD, USERS)) as server:
        await asyncio.to_thread(talk, server)


async def test_kill_session_and_copy_config(tmp_path: Path) -> None:
    def talk(server: NetconfServer) -> None:
        with over_ssh(server) as killer:
            victim = over_ssh(server)
            victim.lock("running")
            killer.kill_session(victim.session_id)
            killer.lock("running")
            killer.copy_config(source="running", target="candidate")
            killer.unlock("running")
            victim._session.join(10)
            assert not victim.connected

    async with running_server(tmp_path) as server:
        await asyncio.to_thread(talk, server)
