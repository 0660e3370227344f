"""What options 253 and 252 may hold, and why anything else is ignored. Pure.

A DHCP server is nobody's friend: whatever it sends becomes a usable value or a reason, never an error. What it may give
is what the configuration could have: the model's `host` for the server, and its rule for the password.
"""

from __future__ import annotations

import ipaddress
import re
import unicodedata
from dataclasses import dataclass, field

_LONGEST_DOMAIN = 253
_LONGEST_PASSWORD = 128
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*")
_ENDS_IN_A_NUMBER = re.compile(r"(.*\.)?([0-9]+|0[Xx][0-9A-Fa-f]*)", re.DOTALL)
_URL = re.compile(r"https?://", re.IGNORECASE)
_SHOWN = 40
_NOT_TEXT = "\N{REPLACEMENT CHARACTER}"


@dataclass(frozen=True, slots=True)
class Learned:
    """What a lease gives."""

    domain: str | None = None
    """A `host` in lower case, an IPv6 address in its short form, as the configuration would hold it."""
    password: str | None = field(default=None, repr=False)
    ignored: str | None = None
    """What was not used, and why, for a person to read. Holds no password."""


def learned(domain: bytes | None, password: bytes | None) -> Learned:
    """Return what the octets of option 253 and option 252 give. An option that holds nothing gives nothing."""
    name, secret = text_of(domain or b""), text_of(password or b"")
    reasons = [reason for reason in (_domain_fault(name), _password_fault(secret)) if reason is not None]
    return Learned(
        domain=None if not name or _domain_fault(name) else _usual_form(name),
        password=None if not secret or _password_fault(secret) else secret,
        ignored="; ".join(reasons) or None,
    )


def text_of(octets: bytes) -> str:
    """Return an option's octets as text that XML can carry; U+FFFD stands for what is no text, and so for no value.

    Servers and their administrators end strings with NUL, CR or LF: that much is taken away.
    """
    text = octets.rstrip(b"\0\r\n").decode("utf-8", "replace")
    return "".join(_NOT_TEXT if _cannot_be_carried(character) else character for character in text)


def _cannot_be_carried(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs") or character in "\ufffe\uffff"


def _domain_fault(text: str) -> str | None:
    if not text:
        return None
    if len(text) > _LONGEST_DOMAIN:
        return f"option 253 is longer than {_LONGEST_DOMAIN} characters"
    if _NOT_TEXT in text:
        return "option 253 holds control characters or octets that are no text"
    if _is_host(text):
        return None
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
    if "://" in text or "/" in text:
        return f"option 253 is no domain name but a URL or a path: {shown!a}"
    return f"option 253 is no domain name or IP address: {shown!a}"


def _password_fault(text: str) -> str | None:
    if not text:
        return None
    if _URL.match(text):
        return "option 252 is the address of a proxy file (WPAD), not a password"
    if len(text) > _LONGEST_PASSWORD:
        return f"option 252 is longer than {_LONGEST_PASSWORD} characters"
    if _NOT_TEXT in text:
        return "option 252 holds control characters or octets that are no text"
    return None


def _usual_form(host: str) -> str:
    try:
        return ipaddress.ip_address(host).compressed
    except ValueError:
        return host.lower()


def _is_host(text: str) -> bool:
    try:
        return "%" not in text and ipaddress.ip_address(text) is not None
    except ValueError:
        return _NAME.fullmatch(text) is not None and _ENDS_IN_A_NUMBER.fullmatch(text) is None
