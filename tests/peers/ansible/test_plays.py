"""Real Ansible plays against a real device and a real cloud: every option, the examples, twice, and in check mode."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from end_to_end.northbound import configure, connected
from end_to_end.processes import Cloud, Device

ROOT = Path(__file__).parents[3]
PEERS = ROOT / ".peers"
PLAYS = Path(__file__).parent / "plays"
EXAMPLES = ROOT / "examples" / "ansible"
SECRET = "a-secret-that-nobody-may-see"
LIMIT = 150
"""Seconds for one run of a play; none takes half of it."""

pytestmark = pytest.mark.skipif(
    not (PEERS / "installed").exists(), reason="Ansible is not here; tools/peers installs it"
)


class Ansible:
    """ansible-playbook on one device."""

    def __init__(self, directory: Path, device: Device, cloud: Cloud) -> None:
        directory.mkdir()
        self._directory = directory
        variables: dict[str, Any] = {
            "ansible_connection": "ansible.netcommon.netconf",
            "ansible_host": "127.0.0.1",
            "ansible_port": device.port,
            "ansible_user": "admin",
            "ansible_password": device.PASSWORD,
            "ansible_host_key_checking": False,
            "ansible_python_interpreter": str(PEERS / "bin" / "python"),
            "cloud_servers": ["localhost", "backup.invalid"],
            "cloud_port": cloud.port,
            "cloud_password": SECRET,
            "cloud_trust_anchor": cloud.trust_anchor,
        }
        inventory = {"devices": {"hosts": {"sw-1": variables}}}
        (directory / "inventory.json").write_text(json.dumps(inventory))

    def play(self, file: Path, *arguments: str, fails: bool = False) -> dict[str, Any]:
        """Run a play; return what the JSON callback said. Nothing that was printed may hold the secret."""
        done = subprocess.run(
            [PEERS / "bin" / "ansible-playbook", "--inventory", self._directory / "inventory.json", file, *arguments],
            env={
                "PATH": f"{PEERS / 'bin'}:{os.environ['PATH']}",
                "HOME": str(self._directory),
                "LANG": "C.UTF-8",
                "ANSIBLE_COLLECTIONS_PATH": str(PEERS / "collections"),
                "ANSIBLE_HOME": str(self._directory / "home"),
                "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.default",
                "ANSIBLE_LOG_PATH": str(self._directory / "log"),
                "ANSIBLE_NETCONF_PLUGINS": str(PLAYS / "netconf"),
                "ANSIBLE_PERSISTENT_LOG_MESSAGES": "false",
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        printed = done.stdout + done.stderr
        assert SECRET not in printed
        assert "reserved name" not in printed
        assert (done.returncode != 0) is fails, printed
        [recap] = [line for line in done.stdout.splitlines() if line.startswith("sw-1")]
        counts = dict(word.split("=") for word in recap.partition(":")[2].split())
        return {"printed": printed, **{name: int(count) for name, count in counts.items()}}


@pytest.fixture
def device(tmp_path: Path) -> Iterator[Device]:
    made = Device(tmp_path / "device", "SN-1", "startup = true\n")
    yield made
    made.stop()


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[Cloud]:
    made = Cloud(tmp_path / "cloud")
    made.add("SN-1", SECRET)
    yield made
    made.stop()


@pytest.fixture
def ansible(tmp_path: Path, device: Device, cloud: Cloud) -> Ansible:
    return Ansible(tmp_path / "ansible", device, cloud)


def test_every_option_that_works_against_any_server(ansible: Ansible, device: Device) -> None:
    found = ansible.play(PLAYS / "every_option.yml")
    assert found["failed"] == 0
    assert found["ignored"] == 3  # the three that must fail, and say why


def test_the_example_connects_the_device_and_a_second_run_changes_nothing(
    ansible: Ansible, device: Device, tmp_path: Path
) -> None:
    play = copied(EXAMPLES, tmp_path) / "cloud-connection.yml"
    before = ansible.play(play, "--check", "--diff")
    assert before["changed"] == 1
    assert device.state()["state"] == "unconnected"  # check mode has changed nothing
    # Without no_log the difference is shown, and must show no secret either.
    play.write_text(play.read_text().replace("no_log: true", "no_log: false"))
    first = ansible.play(play, "--diff")
    assert first["changed"] == 1
    assert "$aes-256-gcm$" in first["printed"]
    assert device.state()["state"] == "established"
    connected_at = device.state()["connected-at"]
    second = ansible.play(play, "--diff")
    assert second["changed"] == 0
    assert device.state()["connected-at"] == connected_at
    assert ansible.play(play, "--check", "--diff")["changed"] == 0


@pytest.mark.parametrize(
    "wanted",
    [
        ("localhost", "backup.invalid", "127.0.0.1"),  # another order
        ("127.0.0.1", "localhost", "new.invalid", "backup.invalid"),  # a backup becomes the primary, a new one comes
        ("localhost",),
    ],
)
def test_the_list_in_the_inventory_becomes_the_list_on_the_device(
    wanted: tuple[str, ...], ansible: Ansible, cloud: Cloud, device: Device, tmp_path: Path
) -> None:
    play = copied(EXAMPLES, tmp_path) / "cloud-connection.yml"
    play.write_text(play.read_text().replace("no_log: true", "no_log: false"))
    with connected(device) as session:
        configure(
            session,
            f"<server><domain>localhost</domain><port>{cloud.port}</port><password>$0${SECRET}</password></server>"
            "<backup-server><domain>127.0.0.1</domain></backup-server>"
            "<backup-server><domain>backup.invalid</domain><port>4711</port></backup-server>"
            f"<ping-interval>77</ping-interval><tls><trust-anchor>{cloud.trust_anchor}</trust-anchor></tls>",
        )
        assert ansible.play(play, "--check", "--diff", *servers(*wanted))["changed"] == 1
        assert listed(device) == ("localhost", "127.0.0.1", "backup.invalid")
        for changed in (1, 0):
            found = ansible.play(play, "--diff", *servers(*wanted))
            assert (found["changed"], listed(device)) == (changed, wanted)
        kept = session.get_config("running").xml
    leafs = ["<ping-interval>77<", "<password>$aes-256-gcm$", "<trust-anchor>"]
    leafs += ["<port>4711<"] if "backup.invalid" in wanted else []
    assert [leaf for leaf in leafs if leaf not in kept] == []


def test_the_safe_example_confirms_what_works_and_takes_back_what_does_not(
    ansible: Ansible, device: Device, tmp_path: Path
) -> None:
    play = copied(EXAMPLES, tmp_path) / "safely.yml"
    ansible.play(play, *servers("localhost", "127.0.0.1"))
    assert device.state()["server-domain"] == "localhost"
    promoted = ("127.0.0.1", "localhost")
    ansible.play(play, "--diff", *servers(*promoted))
    assert (device.state()["server-domain"], listed(device)) == ("127.0.0.1", promoted)
    # Two tries instead of eighteen: this server never answers, and the session's end takes the change back.
    play.write_text(play.read_text().replace("retries: 18", "retries: 1"))
    wrong = ansible.play(play, *servers("nowhere.invalid"), fails=True)
    assert wrong["failed"] == 1
    assert (device.state()["server-domain"], listed(device)) == ("127.0.0.1", promoted)


def test_the_safe_example_leaves_nothing_behind_when_it_is_refused(
    ansible: Ansible, device: Device, tmp_path: Path
) -> None:
    examples = copied(EXAMPLES, tmp_path)
    refused = ansible.play(examples / "safely.yml", *servers("localhost", "localhost"), fails=True)
    assert "This server is in the list already" in refused["printed"], refused["printed"]
    assert listed(device) == ()
    ansible.play(examples / "safely.yml", *servers("localhost"))
    assert listed(device) == ("localhost",)
    assert ansible.play(examples / "cloud-connection.yml", *servers("localhost"))["changed"] == 0


def test_the_safe_example_in_check_mode_validates_and_changes_nothing(
    ansible: Ansible, device: Device, tmp_path: Path
) -> None:
    play = copied(EXAMPLES, tmp_path) / "safely.yml"
    ansible.play(play, "--check", "--diff")
    refused = ansible.play(play, "--check", *servers("localhost", "localhost"), fails=True)
    assert "This server is in the list already" in refused["printed"], refused["printed"]
    assert listed(device) == ()
    with connected(device) as session:
        session.lock("candidate")  # which would be denied if the candidate had changes


def servers(*wanted: str) -> tuple[str, str]:
    """The argument that gives the inventory another list."""
    return "--extra-vars", json.dumps({"cloud_servers": wanted})


def listed(device: Device) -> tuple[str, ...]:
    """The servers that are configured on the device, in their order."""
    return tuple(entry["domain"] for entry in device.entries("servers"))


def copied(examples: Path, directory: Path) -> Path:
    """The examples as a user takes them over, but for the time between two looks at the connection."""
    taken = Path(shutil.copytree(examples, directory / "examples"))
    for play in taken.glob("*.yml"):
        play.write_text(play.read_text().replace("delay: 5", "delay: 1"))
    return taken


@pytest.mark.parametrize("first", ["LOCALHOST", "0:0:0:0:0:0:0:1"])
def test_the_safe_example_knows_the_first_server_in_any_form(
    first: str, ansible: Ansible, device: Device, tmp_path: Path
) -> None:
    cloud = Cloud(tmp_path / "another", "::1" if ":" in first else "127.0.0.1")
    try:
        cloud.add("SN-1", SECRET)
        play = copied(EXAMPLES, tmp_path) / "safely.yml"
        place = {"cloud_port": cloud.port, "cloud_trust_anchor": cloud.trust_anchor}
        ansible.play(play, *servers(first, "backup.invalid"), "--extra-vars", json.dumps(place))
        assert device.state()["server-role"] == "primary"
    finally:
        cloud.stop()


@pytest.mark.parametrize("example", ["cloud-connection.yml", "safely.yml"])
def test_what_a_device_refuses_is_told_without_the_password(
    example: str, ansible: Ansible, device: Device, tmp_path: Path
) -> None:
    play = copied(EXAMPLES, tmp_path) / example
    for password, told in (
        (f"{SECRET}\x7f", "A secret starts with"),
        (SECRET * 10, "A password has from 1 to 128 characters"),
        (f"{SECRET}\x01", "invalid Char value 1"),  # this is no XML, as Ansible finds out by itself
    ):
        given = "--extra-vars", json.dumps({"cloud_password": password})
        refused = ansible.play(play, "-vvv", *servers("localhost"), *given, fails=True)
        assert told in refused["printed"]
        assert refused["failed"] == 1
    assert "This is not a domain name" in ansible.play(play, *servers("https://a/"), fails=True)["printed"]
    assert listed(device) == ()


@pytest.mark.parametrize(
    ("example", "kind"),
    # A connection that has died fails once more where Ansible unlocks, which hides the message of the edit.
    [("safely.yml", "dying"), ("cloud-connection.yml", "repeating"), ("safely.yml", "repeating")],
)
def test_an_error_that_repeats_the_edit_is_kept_back_with_the_password(
    example: str, kind: str, ansible: Ansible, tmp_path: Path
) -> None:
    play = copied(EXAMPLES, tmp_path) / example
    failed = ansible.play(play, "-vvv", "--extra-vars", f"ansible_network_os={kind}", fails=True)
    assert "Ansible's message is kept back" in failed["printed"]
    assert "run the play again" in failed["printed"]
    assert failed["failed"] >= 1  # and the unlocking, by a connection that has died
