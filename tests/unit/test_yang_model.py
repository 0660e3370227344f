"""The YANG modules' text: clean, loadable, described, true to the engine's names; the deviations take effect."""

from __future__ import annotations

import dataclasses
import enum
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree

from headstay.engine import channel, events, reasons, settings, status, subconnections, verdicts
from headstay.engine.services import SERVICES
from yang_engines import MODULES, OURS, RFC_5277, USERS, YANG, libyang_context, yangson_model

YIN = "{urn:ietf:params:xml:ns:yang:yin:1}"


# the text -----------------------------------------------------------------------------------------


def pyang(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pyang", "--path", str(YANG), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def yin() -> dict[str, etree._Element]:
    """Our modules as XML."""
    names = (*MODULES, *RFC_5277)
    return {name: etree.fromstring(pyang("--format", "yin", f"{YANG}/{name}.yang").stdout.encode()) for name in names}


@pytest.fixture(scope="module")
def ours(yin: dict[str, etree._Element]) -> etree._Element:
    return yin[MODULES[0]]


def under(root: etree._Element, *path: str) -> etree._Element:
    """Descend by the names of data nodes, RPCs, notifications and typedefs."""
    for name in path:
        (root,) = (child for child in root if child.get("name") == name and child.tag != f"{YIN}import")
    return root


def text_of(node: etree._Element) -> str:
    """A node's description, in one line."""
    return " ".join(str(node.findtext(f"{YIN}description/{YIN}text")).split())


def enumeration(node: etree._Element) -> set[str]:
    return {str(found.get("name")) for found in node.findall(f"{YIN}type/{YIN}enum")}


def leafs(node: etree._Element) -> set[str]:
    return {str(leaf.get("name")) for leaf in node.findall(f"{YIN}leaf")}


@pytest.mark.parametrize("name", [*MODULES, *RFC_5277])
def test_lint_finds_nothing(name: str) -> None:
    checks = ["--lint", "--strict", "--max-line-length", "72"]
    hyphens = ["--lint-ensure-hyphenated-names"] if name in MODULES else []
    done = pyang(*checks, *hyphens, f"{YANG}/{name}.yang")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_every_module_of_ours_is_here() -> None:
    assert {file.stem for file in YANG.glob("*.yang")} == {*MODULES, *RFC_5277}


@pytest.mark.parametrize("name", [*MODULES, *RFC_5277])
def test_everything_is_described(name: str, yin: dict[str, etree._Element]) -> None:
    said = ("container", "list", "leaf", "leaf-list", "enum", "typedef", "rpc", "notification", "must", "deviation")
    nodes = [node for kind in said for node in yin[name].iter(f"{YIN}{kind}")]
    assert nodes
    for node in nodes:
        text = node.findtext(f"{YIN}description/{YIN}text") or ""
        assert text.strip().endswith("."), etree.tostring(node)[:200]


def test_error_messages_are_one_line(ours: etree._Element) -> None:
    """They go into an rpc-error and into logs as they stand."""
    messages = [str(node.findtext(f"{YIN}value")) for node in ours.iter(f"{YIN}error-message")]
    assert messages
    for message in messages:
        assert message == " ".join(message.split())


def test_every_must_has_its_message_and_tag(ours: etree._Element) -> None:
    for must in ours.iter(f"{YIN}must"):
        assert must.find(f"{YIN}error-message") is not None
        assert must.find(f"{YIN}error-app-tag") is not None


def test_operations_and_secrets_are_denied_by_default(ours: etree._Element) -> None:
    deny = "{urn:ietf:params:xml:ns:yang:ietf-netconf-acm}default-deny-all"
    rpcs = ours.findall(f"{YIN}rpc")
    secrets = [leaf for leaf in ours.iter(f"{YIN}leaf") if leaf.find(f"{YIN}type[@name='secret']") is not None]
    assert {leaf.get("name") for leaf in secrets} == {"password", "private-key"}
    for node in (*rpcs, *secrets):
        assert node.find(deny) is not None, node.get("name")


# the same names as the engine's -------------------------------------------------------------------


def values(kind: type[enum.Enum]) -> set[str]:
    return {str(member.value) for member in kind}


def names(kind: Any) -> set[str]:
    return {field.name.replace("_", "-") for field in dataclasses.fields(kind)}


@pytest.mark.parametrize(
    ("typedef", "kind"),
    [
        ("connection-state", reasons.State),
        ("device-state", reasons.DeviceState),
        ("process-state", reasons.ProcessState),
        ("failure-reason", reasons.FailureReason),
        ("last-down-reason", reasons.DownReason),
        ("last-report-failure-reason", reasons.ReportFailure),
        ("last-report-incomplete-reason", reasons.ReportIncomplete),
        ("subconnection-state", reasons.SubconnectionState),
        ("server-role", settings.Role),
        ("value-source", settings.Source),
    ],
)
def test_enumerations_are_the_engines(typedef: str, kind: type[enum.Enum], ours: etree._Element) -> None:
    assert enumeration(under(ours, typedef)) == values(kind)


def test_every_reason_of_the_engine_is_in_the_model(ours: etree._Element) -> None:
    modelled = [enumeration(node) for node in ours.findall(f"{YIN}typedef")]
    for kind in vars(reasons).values():
        if isinstance(kind, type) and issubclass(kind, enum.Enum) and kind is not enum.Enum:
            assert values(kind) in modelled, kind


def test_verdicts_of_a_test_are_the_engines(ours: etree._Element) -> None:
    stage = under(ours, "test-connection").find(f"{YIN}output/{YIN}list")
    assert leafs(stage) == names(verdicts.Verdict)
    assert enumeration(under(stage, "name")) == values(verdicts.StageName)
    assert enumeration(under(stage, "result")) == values(verdicts.Result)


def test_address_family_is_the_engines(ours: etree._Element) -> None:
    assert enumeration(under(ours, "cloud-management", "address-family")) == values(settings.AddressFamily)


def test_state_is_the_engines(ours: etree._Element) -> None:
    tree = under(ours, "cloud-management")
    # `mode` is always https; `established` becomes a value of `last-result`.
    assert leafs(under(tree, "connection")) == names(status.ConnectionStatus) | {"mode"}
    assert leafs(under(tree, "server-status")) == names(status.ServerStatus) - {"established"}
    assert leafs(under(tree, "subconnection")) == names(status.SubconnectionStatus)


@pytest.mark.parametrize("event", events.Event.__args__)
def test_notifications_are_the_engines(event: Any, ours: etree._Element) -> None:
    notification = under(ours, event.name)
    assert leafs(notification) == names(event)
    for field in dataclasses.fields(event):
        mandatory = under(notification, field.name.replace("_", "-")).find(f"{YIN}mandatory") is not None
        assert mandatory == (field.default is dataclasses.MISSING), field.name


def test_defaults_are_the_engines(ours: etree._Element) -> None:
    tree, engine = under(ours, "cloud-management"), settings.Settings()

    def default(*path: str) -> str | None:
        found = under(tree, *path).find(f"{YIN}default")
        return None if found is None else found.get("value")

    assert default("enabled") == str(engine.enabled).lower()
    assert default("server", "port") == str(settings.DEFAULT_PORT)
    assert default("backup-server", "port") is None
    assert default("keepalive-interval") == str(engine.keepalive_interval)
    assert default("ping-interval") == str(engine.ping_interval)
    assert default("address-family") == engine.address_family.value
    assert (default("switchback", "mode"), engine.hold_down) == ("never", None)
    service = settings.Service("telemetry")
    assert default("service", "enabled") == str(service.enabled).lower()
    assert default("service", "queue-limit") == str(service.queue_limit)
    assert (default("service", "rate-limit"), service.rate_limit) == (None, None)


def test_bounds_that_the_descriptions_name_are_the_engines(ours: etree._Element) -> None:
    tree = under(ours, "cloud-management")
    assert f"({settings.QUEUE_OCTETS} octets)" in text_of(under(tree, "service", "queue-limit"))
    assert f"at most {channel.READ_RATE} messages a second" in text_of(under(tree, "service"))
    shown = under(tree, "subconnection")
    assert f"Of the {subconnections.MOST_REMEMBERED} services" in text_of(shown)
    for node in (shown, under(shown, "instance")):
        assert f"'{subconnections.NO_INSTANCE}'" in text_of(node)


def test_services_that_the_description_names_are_the_engines(ours: etree._Element) -> None:
    description = under(ours, "cloud-management", "service", "name").findtext(f"{YIN}description/{YIN}text")
    table = re.findall(r"^ +([a-z0-9-]+)  +\S", str(description), re.MULTILINE)
    assert table == list(SERVICES)


# what is left out ---------------------------------------------------------------------------------


def deviated(yin: dict[str, etree._Element]) -> list[str]:
    """The paths that the deviations take away, with module names for prefixes."""
    module = yin[MODULES[1]]
    paths = [str(node.get("target-node")) for node in module.findall(f"{YIN}deviation")]
    assert len(paths) == len(module.findall(f".//{YIN}deviate[@value='not-supported']")) == len(set(paths))
    for imported in module.findall(f"{YIN}import"):
        prefix = imported.find(f"{YIN}prefix")
        assert prefix is not None
        paths = [path.replace(f"/{prefix.get('value')}:", f"/{imported.get('module')}:") for path in paths]
    return paths


def relative(path: str) -> str:
    """yangson wants a module's name only where it changes."""
    first, *rest = path.lstrip("/").split("/")
    return "/".join(["", first, *(step.split(":")[1] for step in rest)])


def test_yangson_takes_away_what_the_deviations_name(yin: dict[str, etree._Element]) -> None:
    # yangson passes over a deviation whose target is missing: so each must be there without the deviations.
    whole, device = yangson_model(False), yangson_model(True)
    for path in deviated(yin):
        assert whole.get_schema_node(relative(path)) is not None, path
        assert device.get_schema_node(relative(path)) is None, path


def test_libyang_takes_away_what_the_deviations_name(yin: dict[str, etree._Element]) -> None:
    whole, device = libyang_context(False), libyang_context(True)
    for path in deviated(yin):
        one = path.replace(":service/", ":service[name='x']/").replace("-order", "-order[.='x']")
        assert "Not found node" not in creation(whole, one)
        assert "Not found node" in creation(device, one)


def creation(context: Any, path: str) -> str:
    """Return what libyang says when it is told to make an instance: an invalid value, or that there is no such node."""
    libyang = pytest.importorskip("oopt_gnpy_libyang")
    context.clean_all_errors()
    try:
        context.create(path)
    except libyang.ErrorWithCode:
        return "; ".join(str(error.message) for error in context.errors())
    return ""


def test_libyang_refuses_a_deviation_without_target() -> None:
    """So a deviation that a later change forgets to remove is found."""
    libyang = pytest.importorskip("oopt_gnpy_libyang")
    text = (YANG / "headstay-deviations.yang").read_text().replace("hcm:commit-history", "hcm:no-such-node")
    with pytest.raises(libyang.ErrorWithCode):
        libyang_context(False).parse_module(text, libyang.SchemaFormat.YANG)


def data_paths(node: Any, above: str = "") -> Iterator[str]:
    for child in node.data_children():
        path = f"{above}/{child.name}"
        yield path
        if hasattr(child, "data_children"):
            yield from data_paths(child, path)


def test_configuration_of_this_release() -> None:
    tree = yangson_model(True).get_schema_node(f"/{OURS}")
    state = ("connection", "server-status", "subconnection", "dhcp-lease")
    implemented = {path for path in data_paths(tree) if path.split("/")[1] not in state}
    assert implemented == {
        "/enabled",
        *("/server", "/server/domain", "/server/port", "/server/password"),
        *("/backup-server", "/backup-server/domain", "/backup-server/port"),
        *("/keepalive-interval", "/ping-interval", "/source-address", "/address-family"),
        *("/switchback", "/switchback/mode", "/switchback/hold-down"),
        *("/tls", "/tls/trust-anchor", "/tls/client-certificate", "/tls/private-key"),
        *("/dhcp", "/dhcp/enabled", "/dhcp/interface"),
        *("/service", "/service/name", "/service/enabled", "/service/queue-limit", "/service/rate-limit"),
    }


def test_operations_and_notifications_of_this_release() -> None:
    left = {child.name for child in yangson_model(True).schema.children if child.ns == MODULES[0]}
    notifications = {event.name for event in events.Event.__args__}  # type: ignore[attr-defined]
    operations = {"reconnect", "unbind", "test-connection", "clear-counters", "dhcp-update"}
    assert left == {"cloud-management"} | operations | notifications


def test_users_are_all_that_is_left_of_ietf_system() -> None:
    tree = yangson_model(True).get_schema_node(f"/{USERS}")
    user = "/authentication/user"
    assert set(data_paths(tree)) == {
        *("/authentication", user, f"{user}/name", f"{user}/password", f"{user}/authorized-key"),
        *(f"{user}/authorized-key/{leaf}" for leaf in ("name", "algorithm", "key-data")),
    }


# regular expressions ------------------------------------------------------------------------------

MATCH_ALL = """
import json, re, sys
from elementpath.regex import translate_pattern
patterns, hostile = json.load(sys.stdin)
for pattern in patterns:
    regex = re.compile(translate_pattern(pattern, back_references=False, lazy_quantifiers=False, anchors=False))
    for text in hostile:
        regex.match(text)
print("done")
"""
PIECES = ["a", "1", "-", ".", ":", " ", "\n", "a.", "1.", "a-", "a-.", "0x1.", "1:", "=", "$", "A=", "aa1a."]
BLOCKS = ["-----BEGIN CERTIFICATE-----", "-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----\n"]
KEYS = ["-----BEGIN PRIVATE KEY-----", "-----BEGIN EC PRIVATE KEY-----\nA\n-----END EC PRIVATE KEY-----\n"]


def test_no_regular_expression_backtracks_for_ever(ours: etree._Element) -> None:
    """Each meets long texts that nearly match. One that backtracks exponentially would never come to the end."""
    patterns = sorted({str(node.get("value")) for node in ours.iter(f"{YIN}pattern")})
    starts, ends = ["", "$0$", "$aes-256-gcm$"], ["", "!", "\n", "\x07"]
    repeated = [(piece * 5000)[:5000] for piece in (*PIECES, *BLOCKS, *KEYS)]
    hostile = [start + text + end for start in starts for text in repeated for end in ends]
    work = json.dumps([patterns, hostile])
    bound = 60  # seconds; it takes about one
    done = subprocess.run(
        [sys.executable, "-c", MATCH_ALL], input=work, capture_output=True, text=True, check=True, timeout=bound
    )
    assert done.stdout == "done\n"
