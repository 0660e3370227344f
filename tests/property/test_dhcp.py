"""DHCP: no input crashes a decoder, good values come through each client's form, and only good values come through.

And the law of the backend with leases: whatever was committed and leased in whatever order, the engine is as a fresh
start with the last configuration and the last lease would have it.
"""

from __future__ import annotations

from functools import reduce

from hypothesis import given, settings
from hypothesis import strategies as st

from headstay.backend.plan import Backend
from headstay.backend.precedence import in_force
from headstay.backend.settings import dhcp_use_of
from headstay.datastore.difference import difference
from headstay.datastore.secrets import Vault
from headstay.datastore.values import NotAValue
from headstay.dhcp import networkd
from headstay.dhcp.event import Client, LeaseEvent
from headstay.dhcp.hooks import DECODERS, client_of, decode
from headstay.dhcp.lease import Lease
from headstay.dhcp.values import Learned, learned
from headstay.engine.settings import Settings
from models import device_model, hcm, made

SCHEMA = device_model().schema
DOMAIN = SCHEMA.find("/hcm:cloud-management/server/domain")
PASSWORD = SCHEMA.find("/hcm:cloud-management/server/password")

HOOKS = ("interface", "reason", "lease", "wpad", "opt252", "opt253", "interface_order", "NM_DISPATCHER_ACTION")
VALUES = ("new_cloud_domain", "new_cloud_password", "new_dhcp_lease_time", "DHCP4_WPAD", "DHCP4_PRIVATE_253")
NAMES = st.sampled_from((*HOOKS, *VALUES, "DEVICE_IP_IFACE", "DHCP4_DHCP_LEASE_TIME"))
WORDS = st.sampled_from(["bound", "BOUND", "RENEW", "up", "eth0", "deconfig", "EXPIRE", "6:", "::", "1,2", "99 ,"])
# With lone surrogates: that is how Python shows octets of the environment that are no UTF-8.
TEXTS = st.one_of(WORDS, st.text(st.characters()), st.text("0123456789abcdef:, "), st.integers().map(str))


@given(st.sampled_from(list(Client)), st.lists(TEXTS, max_size=3), st.dictionaries(NAMES, TEXTS))
def test_no_input_crashes_a_decoder(client: Client, arguments: list[str], environment: dict[str, str]) -> None:
    event = decode(client, arguments, environment)
    client_of(arguments, environment)
    if event is not None:
        learned(event.domain, event.password)


@given(st.text(st.characters()), st.text(st.characters()))
def test_no_lease_file_crashes_its_decoder(interface: str, text: str) -> None:
    networkd.decode(interface, text)
    networkd.decode("eth0", f"ADDRESS=1\nOPTION_252={text}\nLIFETIME={text}\n")


def hook_of(client: Client, domain: bytes, password: bytes) -> tuple[list[str], dict[str, str]]:
    """What a client makes of two options. A string of the environment holds no NUL."""
    string = password.decode("utf-8", "surrogateescape")
    match client:
        case Client.UDHCPC:
            return ["bound"], {"interface": "eth0", "opt253": domain.hex(), "wpad": string}
        case Client.DHCLIENT:
            decimal = (",".join(map(str, octets)) for octets in (domain, password))
            return [], {"interface": "eth0", "reason": "BOUND"} | dict(
                zip(("new_cloud_domain", "new_cloud_password"), decimal, strict=True)
            )
        case Client.DHCPCD:
            values = {"new_cloud_domain": domain.hex(), "new_cloud_password": password.hex()}
            return [], {"interface": "eth0", "reason": "BOUND", "interface_order": "eth0"} | values
        case _:
            environment = {"NM_DISPATCHER_ACTION": "up", "DEVICE_IP_IFACE": "eth0"}
            return ["eth0", "up"], environment | {"DHCP4_PRIVATE_253": domain.hex(":"), "DHCP4_WPAD": string}


@given(
    st.sampled_from(list(DECODERS)),
    st.binary(min_size=1, max_size=300),
    st.binary(min_size=1, max_size=300).filter(lambda octets: 0 not in octets),
)
def test_octets_come_through_every_client(client: Client, domain: bytes, password: bytes) -> None:
    arguments, environment = hook_of(client, domain, password)
    assert client_of(arguments, environment) is client
    event = decode(client, arguments, environment)
    assert event is not None
    assert (event.domain, event.password) == (domain, password)


@given(st.binary(min_size=1, max_size=300), st.binary(min_size=1, max_size=300))
def test_octets_come_through_systemd_networkd(domain: bytes, password: bytes) -> None:
    event = networkd.decode("eth0", f"ADDRESS=1\nOPTION_252={password.hex()}\nOPTION_253={domain.hex()}\n")
    assert event is not None
    assert (event.domain, event.password) == (domain, password)


HOSTS = st.one_of(
    st.text("aA1.-xX:%/ ", max_size=12),
    st.ip_addresses().map(str),
    st.from_regex(r"[a-zA-Z0-9-]{1,64}(\.[a-zA-Z0-9-]{1,64}){0,5}", fullmatch=True),
    st.text(max_size=300),
)


@given(HOSTS)
def test_a_domain_is_learned_if_it_could_be_configured(text: str) -> None:
    octets = text.encode()
    stripped = text.rstrip("\0\r\n")
    try:
        DOMAIN.canonical(stripped, {})
    except NotAValue:
        assert learned(octets, None).domain is None
    else:
        assert learned(octets, None) == Learned(domain=stripped.lower())


@given(st.one_of(st.text(max_size=130), st.text("ab:/htps \x01\0\n", max_size=20), st.binary(max_size=200)))
def test_a_password_is_learned_if_it_could_be_configured(given_: str | bytes) -> None:
    octets = given_ if isinstance(given_, bytes) else given_.encode()
    found = learned(None, octets)
    if found.password is not None:
        PASSWORD.canonical(f"$0${found.password}", {})
        assert found.password.encode() == octets.rstrip(b"\0\r\n")
        assert found.ignored is None
    elif octets.rstrip(b"\0\r\n"):
        assert found.ignored is not None


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_a_reason_holds_no_password_and_can_be_shown(domain: bytes, password: bytes) -> None:
    ignored = learned(domain, password).ignored
    assert ignored is None or ignored.isprintable()


# the law of the backend -------------------------------------------------------------------------------

NAMED = st.sampled_from(["a", "B", "c.example"])
LEASES = st.none() | st.builds(
    Lease,
    interface=st.just("eth0"),
    client=st.just("dhclient"),
    received_at=st.just(0.0),
    domain=st.none() | NAMED.map(str.lower),
    password=st.none() | st.sampled_from(["x", "y"]),
)


@st.composite
def contents(draw: st.DrawFn) -> str:
    primary, port = draw(st.none() | NAMED), draw(st.none() | st.integers(1, 3))
    server = f"<domain>{primary}</domain>" if primary else ""
    server += f"<port>{port}</port>" if port else ""
    backups = draw(st.lists(NAMED.filter(lambda name: name != primary), unique=True, max_size=2))
    listed = "".join(f"<backup-server><domain>{name}</domain></backup-server>" for name in backups)
    dhcp = f"<enabled>{draw(st.sampled_from(['true', 'false']))}</enabled>"
    dhcp += f"<interface>{draw(st.sampled_from(['eth0', 'eth0', 'eth1']))}</interface>"
    ping = draw(st.sampled_from(["", "<ping-interval>10</ping-interval>"]))
    return f"<server>{server}</server>{listed}<dhcp>{dhcp}</dhcp>{ping}"


@settings(deadline=None)
@given(contents(), st.lists(contents() | LEASES, max_size=6))
def test_commits_and_leases_equal_a_fresh_start(first: str, steps: list[str | Lease | None]) -> None:
    held: list[Lease | None] = [None]
    backend = Backend(device_model(), Vault(bytes(32)))
    backend.learns_from(lambda interface: held[0] if interface == "eth0" else None)
    running = made(device_model(), hcm(first))
    engine = backend.settings(running)

    def perform(actions: object) -> None:
        nonlocal engine
        engine = reduce(lambda done, action: action.applied_to(done), actions, engine)  # type: ignore[call-overload]

    backend.performs_with(perform)
    for step in steps:
        if isinstance(step, str):
            new = made(device_model(), hcm(step))
            backend.prepare(running, new, difference(SCHEMA, running, new)).apply()
            running = new
        else:
            held[0] = step
            backend.follow_lease()
        assert engine == fresh(running, held[0])


def fresh(running: object, lease: Lease | None) -> Settings:
    use = dhcp_use_of(SCHEMA, running)  # type: ignore[arg-type]
    configured = Backend(device_model(), Vault(bytes(32))).settings(running)  # type: ignore[arg-type]
    return in_force(configured, use, lease if use.interface == "eth0" else None)


def test_an_event_is_a_value() -> None:
    assert isinstance(decode(Client.UDHCPC, ["deconfig"], {"interface": "e"}), LeaseEvent)
