"""What the NETCONF server takes on: every bound that a manager can meet, with its default.

Owns the numbers and their names; `[netconf.limits]` in `device.toml` has the same ones. Enforces nothing.
"""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from headstay import xml
from headstay.netconf import framing, streams

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
Seconds = Annotated[float, Meta(gt=0, le=86_400)]
SecondsOrNever = Annotated[float, Meta(ge=0, le=604_800)]
Work = Annotated[int, Meta(ge=1, le=1_000_000_000_000)]


class Limits(msgspec.Struct, frozen=True, rename="kebab", forbid_unknown_fields=True):
    """The bounds of one server."""

    unauthenticated: Count = 64
    """SSH connections whose user has not been authenticated yet."""
    unauthenticated_of_address: Count = 32
    """Those of them that come from one address: enough for many clients behind one NAT, too few to keep others out."""
    sessions: Count = 256
    """NETCONF sessions, whatever they come in by."""
    sessions_of_user: Count = 64
    """Those of them that one user may have; also the SSH connections of one user."""
    sessions_of_connection: Count = 32
    """NETCONF sessions on one SSH connection."""
    reserved: Annotated[int, Meta(ge=0, le=1_000_000)] = 8
    """Those of `sessions` that are kept for recovery sessions."""
    message_octets: Annotated[int, Meta(ge=65_536, le=1 << 30)] = framing.MOST_OCTETS
    """Octets of one message from a client."""
    message_elements: Annotated[int, Meta(ge=1_000, le=10_000_000)] = xml.MOST_NODES
    """Elements of one message from a client. Deeper than 256 levels, or a text over 10 MB, is refused in any case."""
    large_messages: Count = 4
    """Messages of 64 KiB and more that are taken in at a time, one of each user, and held until they are answered."""
    large_message_timeout: Seconds = 60
    """Seconds for such a message to become complete; then its session is ended."""
    hello_octets: Annotated[int, Meta(ge=1_024, le=1 << 20)] = 65_536
    """Octets of a client's <hello>, which names its capabilities and nothing else."""
    login_timeout: Seconds = 30
    """Seconds for a client to authenticate."""
    login_failures: Count = 6
    """Failed attempts to authenticate on one SSH connection; the last one ends it."""
    failed_login_delay: Annotated[float, Meta(ge=0, le=60)] = 1
    """Seconds that the answer to a first wrong password takes; each further one from the same address doubles them."""
    hello_timeout: Seconds = 30
    """Seconds for a client's <hello>."""
    connection_idle_timeout: Seconds = 30
    """Seconds that an authenticated SSH connection may be without a NETCONF session."""
    idle_timeout: SecondsOrNever = 3600
    """Seconds that a session may be without a request and without a subscription. 0: for ever."""
    unread_timeout: Seconds = 60
    """Seconds for which a client may leave unread what was sent to it; then its session is cut."""
    replay_notifications: Count = streams.MOST_ENTRIES
    """Notifications that the replay log holds; the oldest leave it first."""
    replay_octets: Annotated[int, Meta(ge=65_536, le=1 << 30)] = streams.MOST_OCTETS
    """Octets of them."""
    filter_comparisons: Work = 500_000
    """Comparisons of a data node with a filter node in one subtree filter: about half a second."""
    xpath_characters: Count = 4096
    """Characters of one XPath expression."""
    xpath_work: Work = 4_000_000
    """What an XPath expression may cost by the estimate made before it runs: nodes visited; some tenths of a second."""
    xpath_repeated_nodes: Work = 100_000
    """Nodes that the paths of a union may select again, beyond twice the tree."""
    subscription_filter_elements: Count = 50
    """Elements of a subtree filter that is held against each notification."""
    subscription_filter_octets: Annotated[int, Meta(ge=1, le=1 << 30)] = 16_384
    """Octets of it."""
    subscription_xpath_work: Work = 400_000
    """What an expression may cost that is evaluated for each notification; some hundredths of a second."""
