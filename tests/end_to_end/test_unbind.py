"""Unbinding with real processes: codes from `headstay cloud-admin code`, given to the device by its administrator."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ncclient import manager
from ncclient.operations.rpc import RPCError
from ncclient.xml_ import to_ele

from end_to_end.processes import Cloud, Device, until
from end_to_end.test_main_path import HCM, PASSWORD, configure, connected, connection, server, until_state

SERIAL = "HS-E2E-UNBIND"


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    cloud = Cloud(tmp_path / "c")
    cloud.add(SERIAL, PASSWORD)
    yield cloud
    cloud.stop()


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    device = Device(tmp_path / "d", SERIAL, 'log-level = "debug"')
    yield device
    device.stop()


@pytest.fixture
def session(device: Device) -> Iterator[manager.Manager]:
    with connected(device) as session:
        yield session


def code_from(cloud: Cloud) -> str:
    done = cloud.admin("code", SERIAL, "--json")
    assert done.returncode == 0, done.stderr
    return str(json.loads(done.stdout)["code"])


def is_bound(cloud: Cloud) -> bool:
    (entry,) = json.loads(cloud.admin("device", "list", "--json").stdout)
    return bool(entry["bound"])


def refusal(session: manager.Manager, code: str) -> tuple[str, str]:
    with pytest.raises(RPCError) as refused:
        session.dispatch(to_ele(f'<unbind xmlns="{HCM}"><code>{code}</code></unbind>'))
    assert code not in str(refused.value.message)
    return refused.value.tag, refused.value.app_tag


def test_over_the_connection(cloud: Cloud, device: Device, session: Any) -> None:
    configure(session, server(cloud))
    before = until_state(session, "established")
    code = code_from(cloud)
    assert refusal(session, "WRONG-CODE") == ("operation-failed", "wrong-code")
    assert connection(session)["connected-at"] == before["connected-at"]
    session.dispatch(to_ele(f'<unbind xmlns="{HCM}"><code>{code}</code></unbind>'))
    seen = until_state(session, "unconnected")
    assert (seen["last-down-reason"], seen["device-state"]) == ("unbound", "waiting")
    assert "server-domain=localhost" in device.program.until_line(": unbound ")
    assert not is_bound(cloud)
    refused = cloud.admin("code", SERIAL)
    assert refused.returncode == 1
    assert f"`headstay cloud-admin device add {SERIAL}` binds it again" in refused.stderr
    assert cloud.admin("device", "add", SERIAL).stdout == f"{SERIAL}: bound again\n"
    assert is_bound(cloud)
    assert code not in device.program.log
    assert code not in cloud.program.log


def test_by_https_while_the_device_waits(cloud: Cloud, device: Device, session: Any) -> None:
    configure(session, server(cloud))
    until_state(session, "established")
    spent = code_from(cloud)
    done = device.unbind(spent)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("unbound;")
    before = until_state(session, "unconnected")
    assert cloud.admin("device", "add", SERIAL).returncode == 0
    assert refusal(session, spent) == ("operation-failed", "wrong-code")
    code = code_from(cloud)
    assert code != spent
    # As somebody types it at night, from standard input.
    done = device.unbind("-", stdin=f" {code.lower().replace('-', ' ')} ")
    assert (done.returncode, done.stderr) == (0, "")
    assert not is_bound(cloud)
    after = connection(session)
    assert (after["state"], after["attempts"]) == ("unconnected", before["attempts"])
    session.dispatch(to_ele(f'<reconnect xmlns="{HCM}"/>'))
    until_state(session, "established")
    assert code not in device.program.log


def test_too_many_wrong_codes_ask_for_a_new_one(cloud: Cloud, device: Device, session: Any) -> None:
    configure(session, server(cloud))
    until_state(session, "established")
    code = code_from(cloud)
    tags = [refusal(session, f"WRONG-{n}")[1] for n in range(5)]
    assert tags == ["wrong-code"] * 4 + ["too-many-attempts"]
    done = device.unbind(code)
    assert (done.returncode, done.stdout) == (1, "")
    assert "have the cloud make a new one" in done.stderr
    assert connection(session)["state"] == "established"
    assert device.unbind(code_from(cloud)).returncode == 0
    until_state(session, "unconnected")


def test_where_nobody_can_be_asked(cloud: Cloud, device: Device, session: Any) -> None:
    assert refusal(session, "1") == ("operation-failed", "no-server")
    configure(session, "<enabled>false</enabled>" + server(cloud))
    assert refusal(session, "1") == ("operation-failed", "disabled")
    configure(session, "<enabled>true</enabled>" + server(cloud, "not the password"))
    until(lambda: connection(session), lambda seen: "failure-reason" in seen)
    done = device.unbind("1")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "no server of the cloud could be asked" in done.stderr
    assert "localhost: authentication-refused (bad-proof)" in done.stderr
