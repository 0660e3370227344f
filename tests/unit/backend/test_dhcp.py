"""What the device learns from DHCP: in force at once, told, on disk, there again after a restart."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import replace
from functools import reduce
from pathlib import Path

import pytest

from headstay.backend.dhcp import Dhcp, resealed
from headstay.backend.plan import Backend
from headstay.datastore.difference import difference
from headstay.datastore.secrets import Vault
from headstay.dhcp.event import Happening, LeaseEvent
from headstay.dhcp.lease import GRACE
from headstay.dhcp.pending import leave
from headstay.dhcp.wall_clock import WallClock
from headstay.dhcp.watch import NetworkdWatch
from headstay.engine.actions import Action
from headstay.engine.events import DhcpChange
from headstay.engine.instant import Instant
from headstay.engine.settings import Role, Server, Settings, Source
from headstay.errors import OperationFailed
from models import device_model, hcm, made

WALL = 1_700_000_000.0
BOOT = "boot"
CLOCK = WallClock(BOOT, WALL - 1000)
CONFIGURED = "<dhcp><interface>eth0</interface></dhcp><server><domain>primary</domain></server>"


class FakeStore:
    """Facts that survive the device that wrote them."""

    def __init__(self) -> None:
        self.kept: dict[str, str] = {}
        self.full = False

    def facts(self) -> dict[str, str]:
        return self.kept

    async def save(self, contents: Mapping[str, bytes | None], facts: Mapping[str, str] | None = None) -> None:
        if self.full:
            raise OperationFailed("the configuration could not be saved: the disk is full")
        self.kept |= facts or {}


class FakeDevice:
    """A device from its start: the parts that DHCP needs, and the engine's settings as its actions leave them."""

    def __init__(
        self,
        store: FakeStore,
        content: str = CONFIGURED,
        *,
        wall: float = WALL,
        boot_id: str = BOOT,
        jump: float = 0,
        key: bytes = bytes(32),
    ):
        self.now = Instant(1000.0 + wall - WALL, wall + jump)
        self.running = made(device_model(), hcm(content))
        self.batches: list[tuple[Action, ...]] = []
        self.told: list[DhcpChange] = []
        vault = Vault(key)
        self.backend = Backend(device_model(), vault)
        self.dhcp = Dhcp(device_model(), vault, self.backend, store, boot_id=boot_id, clock=lambda: self.now)
        self.dhcp.watches(NetworkdWatch(Path("/nonexistent")))
        self.settings = self.backend.settings(self.running)
        self.backend.performs_with(self._perform)
        self.dhcp.tells(lambda change, _: self.told.append(change))

    def _perform(self, actions: object) -> None:
        batch = tuple(actions)  # type: ignore[call-overload]
        self.batches.append(batch)
        self.settings = reduce(lambda settings, action: action.applied_to(settings), batch, self.settings)

    def commit(self, content: str) -> None:
        new = made(device_model(), hcm(content))
        changes = difference(device_model().schema, self.running, new)
        self.backend.prepare(self.running, new, changes).apply()
        self.running = new

    def passes(self, seconds: float) -> None:
        self.now = Instant(self.now.monotonic + seconds, self.now.wall + seconds)

    @property
    def names(self) -> list[str]:
        return [server.domain for server in self.settings.servers]


@pytest.fixture
def store() -> FakeStore:
    return FakeStore()


@pytest.fixture
def device(store: FakeStore) -> FakeDevice:
    return FakeDevice(store)


def bound(
    domain: bytes | None = b"cloud.example", password: bytes | None = b"hunter2", interface: str = "eth0"
) -> LeaseEvent:
    return LeaseEvent(interface, "dhclient", Happening.BOUND, domain, password, 120)


EXPIRED = LeaseEvent("eth0", "dhclient", Happening.EXPIRED)


async def test_a_lease_comes_and_goes(device: FakeDevice) -> None:
    before = device.settings
    await device.dhcp.take(bound())
    assert device.settings.servers == (Server("cloud.example", 19443, Role.PRIMARY, Source.DHCP),)
    assert (device.settings.password, device.settings.password_source) == ("hunter2", Source.DHCP)
    await device.dhcp.take(EXPIRED)
    assert device.settings == before
    assert len(device.batches) == 2
    assert device.told == [
        DhcpChange(interface="eth0", domain="cloud.example", password_present=True),
        DhcpChange(interface="eth0", domain=None, password_present=False),
    ]


async def test_a_renewal_with_the_same_values_does_and_says_nothing(device: FakeDevice) -> None:
    await device.dhcp.take(bound())
    device.passes(60)
    await device.dhcp.take(bound())
    assert (len(device.batches), len(device.told)) == (1, 1)
    lease = device.dhcp.lease()
    assert lease is not None
    assert lease.expires_at == WALL + 180


async def test_what_is_ignored_is_told_and_costs_nothing_else(device: FakeDevice) -> None:
    await device.dhcp.take(bound(b"https://cloud.example/", b"http://wpad/wpad.dat"))
    assert device.batches == []
    (change,) = device.told
    assert (change.domain, change.password_present) == (None, False)
    assert change.ignored is not None
    assert "WPAD" in change.ignored
    lease = device.dhcp.lease()
    assert lease is not None
    assert lease.ignored == change.ignored


async def test_only_the_configured_interface_counts(device: FakeDevice) -> None:
    await device.dhcp.take(bound(interface="eth1"))
    assert (device.names, device.told, device.dhcp.lease()) == (["primary"], [], None)
    # It was remembered: whoever says that it counts after all need not wait for its renewal.
    device.commit(CONFIGURED.replace("eth0", "eth1"))
    assert device.names == ["cloud.example"]


async def test_a_commit_while_a_lease_is_held_keeps_its_values(device: FakeDevice) -> None:
    await device.dhcp.take(bound())
    backup = "<backup-server><domain>b</domain></backup-server>"
    device.commit(f"{CONFIGURED.replace('primary', 'other')}{backup}")
    assert device.names == ["cloud.example", "b"]
    assert device.settings.password == "hunter2"
    await device.dhcp.take(EXPIRED)
    assert device.names == ["other", "b"]
    assert device.settings.password is None


async def test_disabled_and_enabled_again(device: FakeDevice) -> None:
    await device.dhcp.take(bound())
    disabled = CONFIGURED.replace("</interface>", "</interface><enabled>false</enabled>")
    device.commit(disabled)
    assert (device.names, device.settings.password) == (["primary"], None)
    await device.dhcp.take(bound(b"b.example"))
    assert device.names == ["primary"]
    assert len(device.told) == 1
    device.commit(CONFIGURED)
    assert device.names == ["b.example"]


async def test_a_lease_that_changes_between_prepare_and_apply(device: FakeDevice) -> None:
    await device.dhcp.take(bound())
    new = made(device_model(), hcm(f"{CONFIGURED}<ping-interval>10</ping-interval><enabled>true</enabled>"))
    plan = device.backend.prepare(device.running, new, difference(device_model().schema, device.running, new))
    await device.dhcp.take(EXPIRED)
    plan.apply()
    assert device.names == ["primary"]
    assert device.settings == FakeDevice(FakeStore(), f"{CONFIGURED}<ping-interval>10</ping-interval>").settings


# restarts ---------------------------------------------------------------------------------------------


async def test_a_restart_during_a_lease(device: FakeDevice, store: FakeStore) -> None:
    await device.dhcp.take(bound())
    again = FakeDevice(store, wall=WALL + 100)
    assert again.settings == device.settings
    assert again.dhcp.lease() == device.dhcp.lease()
    assert again.told == []


async def test_a_restart_after_the_lease_has_ended(device: FakeDevice, store: FakeStore) -> None:
    await device.dhcp.take(bound())
    again = FakeDevice(store, wall=WALL + 120 + GRACE)
    assert (again.names, again.dhcp.lease()) == (["primary"], None)


async def test_a_lease_that_was_given_back_does_not_come_back(device: FakeDevice, store: FakeStore) -> None:
    await device.dhcp.take(bound())
    await device.dhcp.take(EXPIRED)
    assert FakeDevice(store).dhcp.lease() is None


async def test_no_password_is_on_disk_or_in_a_log(
    device: FakeDevice, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG"):
        await device.dhcp.take(bound())
        await device.dhcp.take(bound(interface="eth1"))
    assert "hunter2" not in str(store.kept) + caplog.text + repr(device.told) + repr(device.batches)


@pytest.mark.parametrize("damage", ["", "nonsense", "[1]", "{}", '[{"interface": "eth0"}]'])
def test_what_is_stored_and_damaged_is_left_behind(damage: str, store: FakeStore) -> None:
    store.kept["dhcp-leases"] = damage
    assert FakeDevice(store).dhcp.lease() is None


async def test_a_new_key_keeps_the_lease(device: FakeDevice, store: FakeStore) -> None:
    await device.dhcp.take(bound())
    new = bytes([1]) * 32
    changed = resealed(device_model(), store.kept, Vault(bytes(32)), Vault(new))
    assert changed.keys() <= store.kept.keys()
    assert "hunter2" not in str(changed)
    store.kept |= changed
    settings = FakeDevice(store, key=new).settings
    assert (settings.password, settings.servers[0].domain) == ("hunter2", "cloud.example")


@pytest.mark.parametrize("facts", [{}, {"dhcp-leases": "["}, {"dhcp-leases": "[{}]"}, {"dhcp-leases": "7"}])
def test_a_new_key_leaves_alone_what_cannot_be_read(facts: dict[str, str]) -> None:
    assert resealed(device_model(), facts, Vault(bytes(32)), Vault(bytes([1]) * 32)) == {}


async def test_another_devices_key(device: FakeDevice, store: FakeStore, caplog: pytest.LogCaptureFixture) -> None:
    await device.dhcp.take(bound())
    assert FakeDevice(store, key=b"x" * 32).dhcp.lease() is None
    assert "cannot be read" in caplog.text


async def test_a_disk_that_refuses_costs_no_lease(
    device: FakeDevice, store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    store.full = True
    await device.dhcp.take(bound())
    assert device.names == ["cloud.example"]
    assert "could not be stored" in caplog.text


# what no RPC brings -----------------------------------------------------------------------------------


async def test_an_event_that_waited_for_the_daemon(device: FakeDevice, tmp_path: Path) -> None:
    file = leave(tmp_path, bound(), WALL - 20, CLOCK)
    await device.dhcp.look(tmp_path)
    lease = device.dhcp.lease()
    assert lease is not None
    assert (lease.received_at, lease.expires_at) == (WALL - 20, WALL + 100)
    assert device.names == ["cloud.example"]
    assert not file.exists()


async def test_an_event_that_waited_too_long(device: FakeDevice, tmp_path: Path) -> None:
    file = leave(tmp_path, bound(), WALL - 1000, CLOCK)
    await device.dhcp.look(tmp_path)
    assert (device.names, device.dhcp.lease(), device.told) == (["primary"], None, [])
    assert not file.exists()


async def test_a_file_that_is_no_event(device: FakeDevice, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = leave(tmp_path, bound(), WALL, CLOCK)
    file.write_text("nonsense")
    await device.dhcp.look(tmp_path)
    assert (device.told, file.exists()) == ([], False)
    assert "no event of a DHCP client" in caplog.text


async def test_a_client_that_died_without_a_word(device: FakeDevice, store: FakeStore, tmp_path: Path) -> None:
    await device.dhcp.take(bound())
    device.passes(119 + GRACE)
    await device.dhcp.look(tmp_path)
    assert device.names == ["cloud.example"]
    device.passes(1)
    await device.dhcp.look(tmp_path)
    assert device.names == ["primary"]
    assert device.told[-1] == DhcpChange(interface="eth0", domain=None, password_present=False)
    assert FakeDevice(store).dhcp.lease() is None


async def test_a_wall_clock_that_jumps_ends_no_lease(device: FakeDevice, tmp_path: Path) -> None:
    await device.dhcp.take(bound())
    device.now = Instant(device.now.monotonic + 1, WALL + 1e9)
    await device.dhcp.look(tmp_path)
    assert device.names == ["cloud.example"]


@pytest.mark.parametrize("jump", [1e9, -1e9])
async def test_a_wall_clock_that_is_set_before_a_restart_ends_no_lease(
    device: FakeDevice, store: FakeStore, jump: float
) -> None:
    await device.dhcp.take(bound())
    lease = FakeDevice(store, wall=WALL + 10, jump=jump).dhcp.lease()
    assert lease is not None
    assert (lease.received_at, lease.expires_at) == (WALL + jump, WALL + jump + 120)
    assert FakeDevice(store, wall=WALL + 120 + GRACE, jump=jump).dhcp.lease() is None


async def test_after_a_boot_only_the_wall_clock_tells_how_old_a_lease_is(device: FakeDevice, store: FakeStore) -> None:
    await device.dhcp.take(bound())
    assert FakeDevice(store, wall=WALL + 100, boot_id="another").dhcp.lease() == device.dhcp.lease()
    assert FakeDevice(store, wall=WALL + 200, boot_id="another").dhcp.lease() is None


async def test_an_event_that_waited_while_the_clock_was_set(device: FakeDevice, tmp_path: Path) -> None:
    leave(tmp_path, bound(), 30.0, WallClock(BOOT, 10.0))  # 20 seconds after the boot, in 1970
    await device.dhcp.look(tmp_path)
    lease = device.dhcp.lease()
    assert lease is None  # it was received 980 seconds ago
    device.now = Instant(60.0, WALL)
    leave(tmp_path, bound(), 30.0, WallClock(BOOT, 10.0))
    await device.dhcp.look(tmp_path)
    lease = device.dhcp.lease()
    assert lease is not None
    assert (lease.received_at, lease.expires_at) == (WALL - 40, WALL + 80)


async def test_systemd_networkd_before_the_clock_was_set(device: FakeDevice, tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    device.now = Instant(60.0, WALL)
    device.dhcp.watches(NetworkdWatch(tmp_path / "leases", name_of=lambda _: "eth0"))
    file = tmp_path / "leases" / "2"
    file.write_text(f"ADDRESS=192.0.2.9\nLIFETIME=120\nOPTION_253={b'cloud.example'.hex()}\n")
    os.utime(file, (30.0, 30.0))
    await device.dhcp.look(tmp_path)
    lease = device.dhcp.lease()
    assert lease is not None
    assert lease.received_at == WALL - 60


async def test_systemd_networkd(device: FakeDevice, tmp_path: Path) -> None:
    (tmp_path / "leases").mkdir()
    device.dhcp.watches(NetworkdWatch(tmp_path / "leases", name_of=lambda _: "eth0"))
    file = tmp_path / "leases" / "2"
    file.write_text(f"ADDRESS=192.0.2.9\nLIFETIME=120\nOPTION_253={b'cloud.example'.hex()}\n")
    os.utime(file, (WALL, WALL))
    await device.dhcp.look(tmp_path)
    lease = device.dhcp.lease()
    assert lease is not None
    assert (lease.client, lease.received_at, device.names) == ("systemd-networkd", WALL, ["cloud.example"])
    # It has been renewed for a day, which leaves the file as it was.
    device.passes(86400)
    await device.dhcp.look(tmp_path)
    assert device.dhcp.lease() == lease
    file.unlink()
    await device.dhcp.look(tmp_path)
    assert device.names == ["primary"]


def test_before_anything_is_known(device: FakeDevice) -> None:
    assert device.dhcp.lease() is None
    assert device.settings == Settings(servers=(Server("primary"),))


async def test_a_hook_that_was_killed_leaves_old_news_that_changes_nothing(
    device: FakeDevice, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await device.dhcp.take(replace(EXPIRED, told_at=2000))
    assert caplog.text == ""
    file = leave(tmp_path, replace(bound(), told_at=1000), WALL, CLOCK)
    await device.dhcp.look(tmp_path)
    assert "dhclient on eth0 has told later news already; what came in now is ignored" in caplog.text
    assert "hunter2" not in caplog.text
    assert (device.dhcp.lease(), device.batches, file.exists()) == (None, [], False)


async def test_the_log_says_whether_the_link_can_do_without_a_secret_and_each_time_that_changes(
    store: FakeStore, caplog: pytest.LogCaptureFixture
) -> None:
    def said() -> list[str]:
        lines = [record.getMessage().partition("cannot be decrypted; ")[2] for record in caplog.records]
        caplog.clear()
        return lines

    down, made_up = (
        "the cloud connection stays down until it is set again",
        "what DHCP gives makes up for it; set it again",
    )
    lost = "<server><domain>primary</domain><password>$aes-256-gcm$AAAA</password></server>"
    content = f"<dhcp><interface>eth0</interface></dhcp>{lost}"
    caplog.set_level(logging.ERROR)
    device = FakeDevice(store, content)
    assert said() == [down]
    for event, line in ((bound(), made_up), (bound(), None), (EXPIRED, down), (bound(password=None), None)):
        await device.dhcp.take(event)
        assert said() == ([] if line is None else [line])
    await device.dhcp.take(bound())
    assert (device.settings.password, device.settings.obstacle, said()) == ("hunter2", None, [made_up])
    off = content.replace("<interface>", "<enabled>false</enabled><interface>")
    for committed, line in ((off, down), (content, made_up)):
        device.commit(committed)
        assert said() == [line]
    device.commit(CONFIGURED)
    plan = device.backend.reinstate(made(device_model(), hcm(off)))
    assert said() == []
    plan.apply()
    assert said() == [down]
    FakeDevice(store, content)  # a restart, which finds the lease again
    assert said() == [made_up]


async def test_a_commit_beside_a_lost_password_keeps_what_dhcp_gives(store: FakeStore) -> None:
    lost = "<password>$aes-256-gcm$AAAA</password>"
    content = f"<dhcp><interface>eth0</interface></dhcp><server><domain>primary</domain>{lost}</server>"
    device = FakeDevice(store, content)
    await device.dhcp.take(bound(domain=None))
    device.commit(f"{content}<ping-interval>10</ping-interval>")
    assert (device.settings.ping_interval, device.settings.password) == (10, "hunter2")
    assert device.settings.obstacle is None
    await device.dhcp.take(EXPIRED)
    assert device.settings.obstacle is not None
