"""What the standard modules' types say with patterns, in words: those modules give no error-message of their own.

A pattern of RFC 6991 has several hundred characters, and nobody who mistyped an address wants to read them. Pure.
"""

from __future__ import annotations

_FORMS = {
    "ip-address-no-zone": "an IPv4 or IPv6 address without zone",
    "ipv4-address-no-zone": "an IPv4 address without zone",
    "ipv6-address-no-zone": "an IPv6 address without zone",
    "ip-address": "an IPv4 or IPv6 address",
    "ipv4-address": "an IPv4 address",
    "ipv6-address": "an IPv6 address",
    "domain-name": "a domain name",
    "date-and-time": "a date and time with its offset, such as 2026-01-31T12:00:00Z",
    "yang-identifier": "a name of YANG's: letters, digits, hyphens, underscores and dots, no digit first",
    "revision-identifier": "a date such as 2026-01-31",
    "matchall-string-type": "*",
    "group-name-type": "a name that does not start with *",
    "crypt-hash": "a password in clear after $0$, or its hash, which starts with $1$, $5$ or $6$",
}
"""What a value looks like, by the typedef's name (RFC 6991, 7317, 8341)."""


def known(typedef: str | None) -> str | None:
    """Return what is expected of a value, in words; None if nobody has found any."""
    return None if typedef is None or typedef not in _FORMS else f"expected {_FORMS[typedef]}"


def expected(typedef: str | None) -> str:
    """Return what is expected of a value that breaks a pattern without words of its own. Never the pattern."""
    usual = "expected another form of text" if typedef is None else f"expected a value of the type {typedef}"
    return known(typedef) or usual
