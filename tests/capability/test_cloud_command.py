"""`headstay cloud` and `headstay cloud-admin` as processes of their own."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

HEADSTAY = [sys.executable, "-c", "from headstay.cli import main; raise SystemExit(main())"]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "cloud.toml"
    path.write_text('state-dir = "state"\n[listen]\nport = 0\n')
    return path


def admin(config: Path, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [*HEADSTAY, "cloud-admin", "device", *arguments, "--config", str(config)]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False)


@dataclass
class RunningCloud:
    process: asyncio.subprocess.Process
    ready: str
    port: int
    trust: ssl.SSLContext

    async def stop(self) -> tuple[int, str]:
        self.process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(self.process.communicate(), 30)
        assert self.process.returncode is not None
        return self.process.returncode, errors.decode()


@pytest.fixture
async def cloud(config: Path) -> AsyncIterator[RunningCloud]:
    process = await asyncio.create_subprocess_exec(
        *HEADSTAY, "cloud", "--config", str(config), stderr=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stderr is not None
    ready = (await asyncio.wait_for(process.stderr.readline(), 60)).decode()
    found = json.loads((config.parent / "state" / "cloud.json").read_text())
    yield RunningCloud(process, ready, found["port"], ssl.create_default_context(cafile=found["ca_file"]))
    if process.returncode is None:
        process.kill()
    await process.communicate()


async def connected(
    cloud: RunningCloud, session: aiohttp.ClientSession, serial: str
) -> aiohttp.ClientWebSocketResponse:
    base = f"https://127.0.0.1:{cloud.port}/v1"
    async with session.post(f"{base}/authenticate", json={"serial": serial, "mechanism": "none"}) as response:
        assert response.status == 200
        token = (await response.json())["token"]
    said = {"serial": serial, "model": "M", "software": "1", "boot-id": "b", "services": []}
    async with session.post(f"{base}/register", json=said, headers={"Authorization": f"Bearer {token}"}) as response:
        url = (await response.json())["url"]
    return await session.ws_connect(url, protocols=["headstay.v1"])


async def test_changes_take_effect_on_the_running_cloud(cloud: RunningCloud, config: Path) -> None:
    state = config.parent / "state"
    assert cloud.ready == f"cloud: listening on https://127.0.0.1:{cloud.port} (ca: {state}/ca.pem)\n"
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=cloud.trust)) as session:
        added = await asyncio.to_thread(admin, config, "add", "SW-1")
        assert (added.returncode, added.stdout, added.stderr) == (0, "SW-1: added\n", "")
        main = await connected(cloud, session, "sw-1")

        listed = await asyncio.to_thread(admin, config, "list", "--json")
        assert [(d["serial"], d["connected"]) for d in json.loads(listed.stdout)] == [("SW-1", True)]

        changed = await asyncio.to_thread(admin, config, "add", "sw-1", "--password", stdin="secret\nrest\n")
        assert (changed.returncode, changed.stdout) == (0, "sw-1: password changed\n")
        body = {"serial": "SW-1", "mechanism": "none"}
        async with session.post(f"https://127.0.0.1:{cloud.port}/v1/authenticate", json=body) as response:
            assert await response.json() == {"reason": "password-required"}

        removed = await asyncio.to_thread(admin, config, "remove", "sw-1")
        assert (removed.returncode, removed.stdout) == (0, "sw-1: removed\n")
        assert await main.receive_json(timeout=30) == {"type": "bye", "reason": "removed-from-cloud"}
        assert (await main.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
    code, log = await cloud.stop()
    assert code == 0
    assert "secret" not in log
    assert "Traceback" not in log


async def test_stop_says_goodbye_and_leaves_nothing(cloud: RunningCloud, config: Path) -> None:
    await asyncio.to_thread(admin, config, "add", "SW-1")
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=cloud.trust)) as session:
        main = await connected(cloud, session, "SW-1")
        cloud.process.send_signal(signal.SIGTERM)
        assert await main.receive_json(timeout=30) == {"type": "bye", "reason": "closed-by-server"}
        assert (await main.receive(timeout=30)).type is aiohttp.WSMsgType.CLOSE
    _, log = await asyncio.wait_for(cloud.process.communicate(), 30)
    assert cloud.process.returncode == 0
    assert b"Traceback" not in log
    left = {path.name for path in (config.parent / "state").iterdir()}
    assert not left & {"cloud.json", "admin.sock"}


async def test_killed_cloud_comes_back(cloud: RunningCloud, config: Path) -> None:
    await asyncio.to_thread(admin, config, "add", "SW-1")
    cloud.process.kill()
    await cloud.process.communicate()
    listed = await asyncio.to_thread(admin, config, "list")
    assert listed.stdout.splitlines()[1].split() == ["SW-1", "no", "yes", "no", "-", "-"]


def test_registry_is_changed_while_no_cloud_runs(config: Path) -> None:
    assert admin(config, "add", "SW-1").stdout == "SW-1: added\n"
    again = admin(config, "add", "sw-1")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == "headstay: sw-1 was added before; to give it another password use --password\n"
    assert admin(config, "add", "sw-1", "--password", stdin="secret").stdout == "sw-1: password changed\n"
    assert admin(config, "list").stdout.splitlines()[1].split() == ["SW-1", "yes", "yes", "no", "-", "-"]
    assert admin(config, "remove", "SW-1").stdout == "SW-1: removed\n"
    unknown = admin(config, "remove", "SW-1")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert unknown.stderr.startswith("headstay: SW-1 was never added;")


def test_wrong_command_lines(config: Path, tmp_path: Path) -> None:
    wrong = admin(config, "add", "_1")
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "'_1' is not a serial number" in wrong.stderr
    for stdin in ("", "\n", "\x01\n"):
        empty = admin(config, "add", "SW-1", "--password", stdin=stdin)
        assert (empty.returncode, empty.stderr.count("\n")) == (1, 1)
        assert "nothing was changed" in empty.stderr
    missing = [*HEADSTAY, "cloud-admin", "--state-dir", str(tmp_path / "none"), "device", "list"]
    found = subprocess.run(missing, capture_output=True, text=True, timeout=60, check=False)
    assert (found.returncode, found.stderr) == (1, f"headstay: {tmp_path / 'none'}: no such state directory\n")


@pytest.mark.parametrize(("second", "outcome"), [("secret", "SW-1: added"), ("other", "the two passwords differ")])
def test_password_is_asked_twice_without_echo_at_a_terminal(config: Path, second: str, outcome: str) -> None:
    child, terminal = pty.fork()
    if child == 0:
        os.execv(
            HEADSTAY[0], [*HEADSTAY, "cloud-admin", "device", "add", "SW-1", "--password", "--config", str(config)]
        )
    shown = b""
    try:
        for prompt, answer in ((b"Password: ", "secret"), (b"Once more: ", second)):
            while not shown.endswith(prompt):
                shown += os.read(terminal, 1024)
            os.write(terminal, answer.encode() + b"\n")
        while True:
            shown += os.read(terminal, 1024)
    except OSError:  # the child has closed its end
        pass
    finally:
        os.close(terminal)
        os.waitpid(child, 0)
    assert outcome in shown.decode()
    assert "secret" not in shown.decode()


def start_refused(config: Path) -> str:
    command = [*HEADSTAY, "cloud", "--config", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    return done.stderr


def test_start_that_fails_is_one_line(config: Path, tmp_path: Path) -> None:
    assert "cannot be read" in start_refused(tmp_path / "none.toml")
    assert admin(config, "list").returncode == 0
    with socket.create_server(("127.0.0.1", 0)) as taken:
        busy = tmp_path / "busy.toml"
        busy.write_text(f'state-dir = "state"\n[listen]\nport = {taken.getsockname()[1]}\n')
        assert "the port is in use" in start_refused(busy)
    (tmp_path / "state" / "ca-key.pem").write_bytes(b"junk")
    assert f"{tmp_path}/state/ca-key.pem: not a PEM private key" in start_refused(config)
    (tmp_path / "state" / "ca-key.pem").unlink()
    (tmp_path / "state" / "ca.pem").unlink()
    (tmp_path / "state" / "registry.sqlite").write_bytes(b"junk" * 1_000)
    assert f"{tmp_path}/state/registry.sqlite: the registry cannot be used" in start_refused(config)
