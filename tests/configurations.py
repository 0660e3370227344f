"""Random configurations for the oracle: mostly valid, with every kind of mistake now and then.

A configuration is XML text, so that what a client may write (white space, prefixes, signs) is part of it.
"""

from __future__ import annotations

from random import Random
from xml.sax.saxutils import escape

from headstay import xml
from headstay.datastore.schema import Kind, SchemaNode
from models import PREFIXES

CERTIFICATE = "-----BEGIN CERTIFICATE-----\nMIIB+/aa\nAA==\n-----END CERTIFICATE-----\n"
KEY = "$0$-----BEGIN PRIVATE KEY-----\nMIIB+/aa\n-----END PRIVATE KEY-----\n"

_ANYTHING = ("", " ", "a", "1", "-1", "0x10", "010", " true ", "true", "1.0", "A", "a b", "é", "a\n")
_NUMBERS = ("0", "1", "+1", "-0", "007", "255", "256", "-1", "1.0", "1e1", "1_0", "", "0x1", "٣")
_NAMES = ("a", "b", "c", "aa", "abcd", "abcde", "")
_HOSTS = ("a", "b.example", "B.Example", "192.0.2.1", "2001:db8::1", "a..b", "x y", "1.2", "", "a\n", "fe80::1%e", "A")
_IDENTITIES = (
    "ti:dog",
    "tt:cat",
    "x:wolf",
    "tt:lion",
    "ti:animal",
    "dog",
    "cat",
    "w:dog",
    "nope:dog",
    " ti:dog",
    "ti:",
)
# RFC 7950 section 9.10.2: derived from *all* base identities. libyang is content with one.
_PETS = ("ti:dog", "tt:cat", "tt:lion", "ti:pet", "ti:animal", "dog", "cat", "w:dog", "nope:dog", " ti:dog", "ti:")
_MIXES = ("1", "01", "abc", "7", "A", "", "128", "-5", "+5")

_VALUES: dict[str, tuple[str, ...]] = {
    "/hcm:cloud-management/enabled": ("true", "false", "1", " true ", "TRUE"),
    "/hcm:cloud-management/server/domain": _HOSTS,
    "/hcm:cloud-management/server/port": ("1", "65535", "0", "65536", "0443", "+9", "0x10", "443.0"),
    "/hcm:cloud-management/server/password": ("$0$s", "$0$", "s", "$aes-256-gcm$AAAA", "$0$a\nb", "$0$é"),
    "/hcm:cloud-management/backup-server/domain": _HOSTS,
    "/hcm:cloud-management/backup-server/port": ("1", "65535", "0", "65536", ""),
    "/hcm:cloud-management/keepalive-interval": ("10", "600", "9", "601", "0x10", "010"),
    "/hcm:cloud-management/ping-interval": ("10", "600", "9", "601", "60.0"),
    "/hcm:cloud-management/source-address": ("192.0.2.1", "2001:db8::1", "::", "fe80::1%e", "1.2.3", "192.0.2.1\n"),
    "/hcm:cloud-management/address-family": ("any", "ipv4", "ipv6", "ipx", "IPv4"),
    "/hcm:cloud-management/switchback/mode": ("never", "hold-down", "hold-down", "Never"),
    "/hcm:cloud-management/switchback/hold-down": ("10", "86400", "9", "86401", "+10"),
    "/hcm:cloud-management/tls/trust-anchor": (CERTIFICATE, CERTIFICATE * 2, "x", ""),
    "/hcm:cloud-management/tls/client-certificate": (CERTIFICATE, "x"),
    "/hcm:cloud-management/tls/private-key": (KEY, "$aes-256-gcm$AAAA", "$0$x", CERTIFICATE),
    "/hcm:cloud-management/dhcp/enabled": ("true", "false", ""),
    "/hcm:cloud-management/dhcp/interface": ("vlan1", "eth0", "a b", "", "e" * 65),
    "/hcm:cloud-management/service/name": ("telemetry", "netconf", "-a", "A", "x9", ""),
    "/hcm:cloud-management/service/enabled": ("true", "false", ""),
    "/hcm:cloud-management/service/queue-limit": ("1", "100000", "100001", "0", "+5", "05", ""),
    "/hcm:cloud-management/service/rate-limit": ("1", "4294967295", "4294967296", "0", "-0", ""),
    "/sys:system/authentication/user/name": ("root", "admin", "a b", "é"),
    "/sys:system/authentication/user/password": ("$0$x", "$6$salt$" + "a" * 86, "$1$x", "x", "$6$rounds=5$s$a"),
    "/sys:system/authentication/user/authorized-key/name": _NAMES,
    "/sys:system/authentication/user/authorized-key/algorithm": ("ssh-ed25519", "x"),
    "/sys:system/authentication/user/authorized-key/key-data": ("AAAA", "AA==", "AAA", "é"),
    "/tt:types/int8": ("0", "-128", "127", "128", "-129", "+7", "-0", "007", "0x1", "", "1 2", "1.0", "٣"),
    "/tt:types/int64": ("9223372036854775807", "-9223372036854775808", "9223372036854775808", "1" * 40),
    "/tt:types/uint64": ("18446744073709551615", "18446744073709551616", "-1", "-0"),
    "/tt:types/ranged": ("-10", "-5", "-4", "0", "7", "32767", "32768", "6", "-11"),
    "/tt:types/percent": ("0", "100", "101", "50"),
    "/tt:types/decimal": (
        "1",
        "1.5",
        "1.50",
        "+1.5",
        "-0.0",
        "1.505",
        "1.500",
        ".5",
        "5.",
        "1e1",
        "92233720368547758.07",
    ),
    "/tt:types/fine": ("1", "9.223372036854775807", "-9.223372036854775808", "9.223372036854775808", "9" * 39, "0.1"),
    "/tt:types/money": ("1.5", "-1.5", "1.51", "10", "10.00", "9", "-1.6"),
    "/tt:types/flag": ("true", "false", "True", "1", ""),
    "/tt:types/nothing": ("", "", "x"),
    # RFC 4648 section 3.3 leaves white space to the reader: the model ignores it, libyang does so now and then.
    "/tt:types/octets": ("AAAA", "AAAAAA==", "AAAAAAA=", "", "AAA", "AAAA=", "é", "A-A_"),
    "/tt:types/rights": ("read", "run read", "write run", "read read", "x", "", " read  write "),
    "/tt:types/colour": ("red", "dark blue", "Red", "", "green", "dark  blue"),
    "/tt:types/word": ("a", "a-b", "a-", "forbidden", "forbid", "abcdefgh", "abcdefghi", "a\n", "A", ""),
    "/tt:types/text": ("", "x", " x ", "é\t\n", "'\"<&", "😀"),
    "/tt:types/animal": _IDENTITIES,
    "/tt:types/pet": _PETS,
    "/tt:types/mixed": ("1", "128", "1.5", "01", "1.50", "true", "auto", "4 ever", "ti:dog", "AAAA", "AAA", "1.0", "x"),
    "/tt:types/mixes": _MIXES,
    "/tt:types/expression": ("/tt:types/tt:int8", "x:a[. = 'w:b']", "1 + 1", "child::x:a", "w:a", "nope:a"),
    "/tt:types/instance": (
        "/tt:types/tt:int8",
        "/tr:rules/tr:person[tr:name='a']/tr:mail",
        "/tt:types/tt:mixes[.='1']",
        "/tt:types",
        "/types/int8",
        "/w:types",
        "tt:types",
        "",
    ),
    "/tt:types/loose": (
        "/tt:types/tt:int8",
        "/tt:types/tt:kind[tt:id='ti:dog'][tt:number='1.0']",
        "x",
        "",
    ),  # RFC 7950 section 9.13 asks for no schema node
    "/tt:types/kind/id": ("ti:dog", "tt:cat", "x:wolf", "cat", "w:dog", "ti:animal"),
    "/tt:types/kind/number": ("1.0", "2", "2.55", "-3.5", ""),
    "/tr:rules/mode": ("off", "plain", "deep", "deep", "plain", "no"),
    "/tr:rules/deep/depth": _NUMBERS,
    "/tr:rules/low": ("0", "5", "10", "20", "x"),
    "/tr:rules/high": ("0", "5", "10", "20"),
    "/tr:rules/limited": ("0", "5", "10", "20"),
    "/tr:rules/pigeon": ("", "", "x"),
    "/tr:rules/udp/port": ("1", "65536"),
    "/tr:rules/tcp-port": ("1", "65536"),
    "/tr:rules/udp/checksum": ("true", "false"),
    "/tr:rules/barrel/size": ("1", "256"),
    "/tr:rules/person/name": ("a", "b", "c", "dd", "abcde"),
    "/tr:rules/person/mail": ("m", "n", "o", ""),
    "/tr:rules/person/home/street": ("Main", "Side"),
    "/tr:rules/person/home/number": ("1", "2", "3"),
    "/tr:rules/person/friend": ("a", "b", "c", "z"),
    "/tr:rules/person/boss": ("a", "z", "abcde"),
    "/tr:rules/person/ta:stamp": ("1", "x"),
    "/tr:rules/pair/left": ("1", "2", "3", "4", "256"),
    "/tr:rules/pair/right": ("true", "false", "x"),
    "/tr:rules/pair/weight": ("1", "2"),
    "/tr:rules/crew/watch": ("1", "2", "3", "4"),
    "/tr:rules/crew/captain": ("a", "b"),
    "/tr:rules/sorted": ("1", "2", "3", "x"),
    "/tr:rules/reference": ("a", "b"),
    "/tr:rules/counted": ("0", "1", "2", "5"),
    "/tr:rules/ta:extra": _IDENTITIES,
    "/tr:rules/ta:far/distance": ("1", "x"),
    "/tr:rules/ta:far/near": ("a", "b", "z"),
}
_NO_OTHERS = {
    # RFC 7950 section 9.12: a leafref in a union counts only if what it refers to exists. The model looks at the text.
    "/tr:rules/reference",
    # The library takes 1 and true in one leaf-list for the same value; RFC 7950 section 7.7 has them differ.
    "/tt:types/mixes",
    # RFC 6991 section 3 gives xpath1.0 no pattern; libyang compiles the expression.
    "/tt:types/expression",
    # RFC 4648 section 3.3 again: ` true ` is base64 for a reader that ignores white space.
    "/tt:types/mixed",
}
"""Leafs that get listed values only, because the judges are known to differ."""
_LIKELY = 0.85
"""How often a value comes from the first half of the ones listed, which are mostly the valid ones."""


class Configurations:
    """Writes configurations of one schema."""

    def __init__(self, schema: SchemaNode, density: float = 0.25) -> None:
        self._schema = schema
        self._density = density

    def write(self, random: Random, *, mistakes: float = 0.05) -> str:
        """Return a configuration; `mistakes` is how often something is wrong on purpose, 0..1."""
        return self._children(random, self._schema, mistakes, self._density if random.random() < 0.8 else 0.6)

    def _children(self, random: Random, parent: SchemaNode, mistakes: float, density: float) -> str:
        pieces: list[str] = []
        cases: dict[str, str] = {}
        for node in parent.children.values():
            always = node.name in parent.keys
            if not node.config and random.random() >= mistakes / 4:
                continue
            if any(cases.get(choice, case) != case for choice, case in node.cases) and random.random() >= mistakes:
                continue
            if random.random() < (1 - mistakes / 4 if always else max(density, 0.6 if len(parent.children) < 4 else 0)):
                written = self._instances(random, node, mistakes, density)
                if written:
                    cases.update(node.cases)
                    pieces += written
        if random.random() < mistakes / 10:
            pieces.append("<no-such-node/>")
        if parent.parent is None or parent.kind is not Kind.LIST:
            random.shuffle(pieces)
        return "".join(pieces)

    def _instances(self, random: Random, node: SchemaNode, mistakes: float, density: float) -> list[str]:
        if node.kind is Kind.ANYDATA:
            return []
        if node.kind not in (Kind.LIST, Kind.LEAF_LIST):
            times = 2 if random.random() < mistakes / 10 else 1
            return [self._instance(random, node, mistakes, density) for _ in range(times)]
        found: dict[str, str] = {}
        for _ in range(random.choice((1, 1, 2, 3, 4, 9 if random.random() < mistakes else 2))):
            entry = self._instance(random, node, mistakes, density)
            # RFC 6241 section 7.2 merges an entry that stands twice in an edit; in data it would be an error.
            found.setdefault(self._key(node, entry), entry)
        return list(found.values())

    def _key(self, node: SchemaNode, entry: str) -> str:
        element = xml.parse(_declared(entry))
        keys = [element] if node.kind is Kind.LEAF_LIST else [element.find(tag) for tag in node.key_tags]
        schemas = [node] if node.kind is Kind.LEAF_LIST else [node.children[tag] for tag in node.key_tags]
        parts = []
        for key, schema in zip(keys, schemas, strict=True):
            try:
                parts.append(schema.canonical((key.text if key is not None else "") or "", element.nsmap).text)
            except ValueError:
                parts.append((key.text if key is not None else "") or "")
        return "\0".join(parts)

    def _instance(self, random: Random, node: SchemaNode, mistakes: float, density: float) -> str:
        if node.terminal:
            return _element(node, escape(self._value(random, node, mistakes)))
        content = self._children(random, node, mistakes, density)
        # RFC 7950 section 7.5.1: a container without presence that holds nothing means nothing. libyang counts it in
        # `when`, and takes it twice.
        return _element(node, content) if content or node.kind is Kind.LIST or node.presence else ""

    def _value(self, random: Random, node: SchemaNode, mistakes: float) -> str:
        listed = _VALUES.get(node.path, _NAMES)
        if random.random() < mistakes / 4 and node.path not in _NO_OTHERS:
            return random.choice(_ANYTHING)
        if random.random() < _LIKELY:
            return random.choice(listed[: (len(listed) + 1) // 2])
        return random.choice(listed)


def _element(node: SchemaNode, content: str) -> str:
    return f'<{node.name} xmlns="{node.namespace}">{content}</{node.name}>'


def _declared(content: str) -> bytes:
    declarations = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in PREFIXES.items())
    return content.replace(" xmlns=", f" {declarations} xmlns=", 1).encode()


def document(content: str) -> list[str]:
    """Return the top-level elements, each with the prefixes of PREFIXES declared."""
    root = xml.parse(b"<config>" + content.encode() + b"</config>")
    return [_declared(xml.serialise(child).decode()).decode() for child in root]
