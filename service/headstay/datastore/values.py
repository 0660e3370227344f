"""Lexical forms of YANG's built-in types (RFC 7950 section 9), stricter than any library underneath.

Each function takes the text of an element and returns its canonical form, or raises NotAValue with a reason that an
operator understands. Knows no schema, and no range, length or pattern: those are the model's.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal


class NotAValue(ValueError):
    """A text that is not a value of its type, with the model's error-app-tag where it gives one.

    `explained` tells that the reason is the model's own error-message, and so meant for a person.
    """

    def __init__(self, reason: str, app_tag: str | None = None, *, explained: bool = False) -> None:
        super().__init__(reason)
        self.app_tag = app_tag
        self.explained = explained


_MAPPED = 0xFFFF
"""The first 96 bits of an IPv4-mapped address."""
_INTEGER = re.compile(r"[+-]?[0-9]{1,40}")
_DECIMAL = re.compile(r"([+-]?)([0-9]{1,40})(?:\.([0-9]{1,40}))?")
_QUOTED_OR_PREFIX = re.compile(r"'[^']*'|\"[^\"]*\"|(?<![\w.'\"-])([A-Za-z_][\w.-]*):(?=[A-Za-z_*])")
_STEP = re.compile(r"/(?:([A-Za-z_][\w.-]*):)?([A-Za-z_][\w.-]*)")
_PREDICATE = re.compile(
    r"\s*\[\s*(?:[A-Za-z_][\w.-]*:)?(\.|[A-Za-z_][\w.-]*)\s*=\s*(?:'([^']*)'|\"([^\"]*)\"|\$USER)\s*\]"
)


def integer(text: str) -> str:
    """RFC 7950 section 9.2.1: decimal digits only in instance data; `010` is ten and `0x10` is not an integer."""
    if not _INTEGER.fullmatch(text) or not text.isascii():
        raise NotAValue("expected an integer")
    return str(int(text))


def decimal64(text: str, fraction_digits: int) -> str:
    """RFC 7950 section 9.3: no exponent, no more fraction digits than the type has; zeros at the end do not count."""
    match = _DECIMAL.fullmatch(text)
    if match is None or not text.isascii() or len((match[3] or "").rstrip("0")) > fraction_digits:
        raise NotAValue(f"expected a decimal number with at most {fraction_digits} fraction digits")
    whole, fraction = str(int(match[2])), (match[3] or "").rstrip("0") or "0"
    sign = "-" if match[1] == "-" and Decimal(f"{whole}.{fraction}") != 0 else ""
    return f"{sign}{whole}.{fraction}"


def boolean(text: str) -> str:
    """RFC 7950 section 9.5.1."""
    if text not in ("true", "false"):
        raise NotAValue("expected true or false")
    return text


def empty(text: str) -> str:
    """RFC 7950 section 9.11."""
    if text:
        raise NotAValue("expected no value")
    return text


def binary(text: str) -> str:
    """RFC 7950 section 9.8: base64, white space between its characters ignored."""
    compact = "".join(text.split())
    try:
        octets = base64.b64decode(compact, validate=True)
    except (binascii.Error, ValueError):
        raise NotAValue("expected base64") from None
    if len(compact) % 4:  # Python lets too much padding pass
        raise NotAValue("expected base64")
    return base64.b64encode(octets).decode()


def bits(text: str, order: Mapping[str, int]) -> str:
    """RFC 7950 section 9.7: names of bits, each once; canonical in the order of their positions."""
    names = text.split()
    unknown = [name for name in names if name not in order]
    if unknown:
        raise NotAValue(f"there is no bit {unknown[0]!r}")
    if len(set(names)) != len(names):
        raise NotAValue("a bit stands twice")
    return " ".join(sorted(names, key=order.__getitem__))


def ip_address(text: str) -> str:
    """RFC 6991 section 4: an IPv4 or IPv6 address in canonical form."""
    try:
        return str(ipaddress.IPv4Address(text))
    except ValueError:
        return ipv6_address(text)


def ipv6_address(text: str) -> str:
    """RFC 6991 section 4: canonical is RFC 5952's form. A zone stays as it is: its number is nobody's to know here."""
    given, percent, zone = text.partition("%")
    try:
        address = ipaddress.IPv6Address(given)
    except ValueError:
        raise NotAValue("expected an IPv6 address") from None
    return _shortened(address) + percent + zone


def _shortened(address: ipaddress.IPv6Address) -> str:
    """RFC 5952, whose section 5 has an IPv4 address within (RFC 4291 section 2.5.5) written as one."""
    prefix, embedded = divmod(int(address), 2**32)
    if prefix == _MAPPED or (prefix == 0 and embedded >= 2**16):  # below that are :: and ::1
        return f"::{'ffff:' if prefix else ''}{ipaddress.IPv4Address(embedded)}"
    return address.compressed


def qualified_name(text: str, prefixes: Mapping[str | None, str]) -> tuple[str, str]:
    """RFC 7950 section 9.10.3: a name as (namespace, local name); without a prefix, the default namespace counts."""
    prefix, colon, name = text.rpartition(":")
    namespace = prefixes.get(prefix if colon else None)
    if namespace is None:
        raise NotAValue(f"the prefix {prefix!r} is not declared" if colon else "expected a name with its prefix")
    return namespace, name


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a node-instance-identifier."""

    prefix: str
    name: str
    predicates: tuple[tuple[str, str | None], ...] = ()
    """(key, value) pairs; the key `.` is the value of a leaf-list's entry, the value None the variable $USER."""


def node_path(text: str) -> tuple[Step, ...]:
    """RFC 8341's node-instance-identifier: an instance-identifier whose predicates are optional; `/` has no steps.

    A step without a prefix is in the module of the step before it, as in JSON (RFC 7951 section 6.11).
    """
    steps: list[Step] = []
    at = 0 if text != "/" else 1
    while at < len(text):
        match = _STEP.match(text, at)
        if match is None or (match[1] is None and not steps):
            raise NotAValue("expected a path such as /prefix:node/prefix:list[prefix:key='value'], or /")
        predicates: list[tuple[str, str | None]] = []
        at = match.end()
        while (found := _PREDICATE.match(text, at)) is not None:
            predicates.append((found[1], next((value for value in found.groups()[1:] if value is not None), None)))
            at = found.end()
        steps.append(Step(match[1] or steps[-1].prefix, match[2], tuple(predicates)))
    if not text:
        raise NotAValue("expected a path")
    return tuple(steps)


def prefixes_in_path(text: str) -> set[str]:
    """Return the prefixes that an XPath expression or instance-identifier uses outside its quoted strings."""
    return {found[1] for found in _QUOTED_OR_PREFIX.finditer(text) if found[1] is not None}


def with_prefixes(text: str, renamed: Mapping[str, str]) -> str:
    """Return the expression with the prefixes that `prefixes_in_path` finds renamed, quoted strings as they are."""
    return _QUOTED_OR_PREFIX.sub(lambda found: found[0] if found[1] is None else f"{renamed[found[1]]}:", text)
