"""What the texts on the wire may be made of, and how a text from elsewhere is made fit to be read. Knows no message.

Both ends read these texts into logs, states and databases, so neither may hand the other a control character or a text
without end. The types are checked when a message is decoded; what breaks them is a WireError, hence a protocol error.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from headstay.wire import SERIAL_PATTERN

LONGEST_REASON = 256
"""Characters."""
LONGEST_LEGIBLE = 200
"""Characters that `legible` leaves of a text: it fits into a reason with a few words before it."""

# Control characters; those that change the direction of what follows; line and paragraph separators; surrogates and
# noncharacters, which XML does not allow either (XML 1.0 section 2.2).
_ILLEGIBLE = (
    r"\x00-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
    r"\u2028\u2029"
    r"\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"
)
_LEGIBLE = rf"^[^{_ILLEGIBLE}]*\Z"
_VISIBLE_ASCII = r"^[!-~]*\Z"

Serial = Annotated[str, Meta(pattern=rf"^{SERIAL_PATTERN}\Z")]
Reason = Annotated[str, Meta(pattern=_LEGIBLE, min_length=1, max_length=LONGEST_REASON)]
"""A word of the wire's, or a text for a person to read."""
Description = Annotated[str, Meta(pattern=_LEGIBLE, max_length=255)]
"""What a device says of itself."""
ServiceName = Annotated[str, Meta(pattern=r"^[a-z0-9-]*\Z", min_length=1, max_length=64)]
Services = Annotated[tuple[ServiceName, ...], Meta(max_length=64)]
Instance = Annotated[str, Meta(pattern=_VISIBLE_ASCII, min_length=1, max_length=128)]
Word = Annotated[str, Meta(pattern=_VISIBLE_ASCII, min_length=1, max_length=64)]
"""A type, a mechanism, a code, a boot-id, a time."""
Url = Annotated[str, Meta(pattern=_VISIBLE_ASCII, min_length=1, max_length=2048)]
Secret = Annotated[str, Meta(pattern=_VISIBLE_ASCII, min_length=1, max_length=2048)]
"""A token or the name of an exchange: it goes into an HTTP field as it is."""
ScramText = Annotated[str, Meta(pattern=_VISIBLE_ASCII, max_length=1024)]
"""RFC 5802 section 7. With a serial number for the user name, all of it is visible ASCII."""

Seconds = Annotated[float, Meta(ge=0)]
Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]
"""What an identifier or a generation may be: no larger than a database's integer."""
Sequence = Annotated[int, Meta(ge=1, le=2**63 - 1)]


def legible(text: str) -> str:
    """Return a text from the network, or of an exception, as one printable line of LONGEST_LEGIBLE characters at most.

    Every such text that reaches a log, a state or a notification goes through here, or has been through a type above.
    """
    return "".join(c if c.isprintable() else " " for c in text[:LONGEST_LEGIBLE]).strip()
