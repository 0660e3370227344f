"""What ietf-netconf-monitoring counts, for one session and for the server (RFC 6022 section 2.1.5)."""

from __future__ import annotations

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Counters:
    """The counters that exist for each session and for all of them together."""

    in_rpcs: int = 0
    """Correct <rpc> messages received."""
    in_bad_rpcs: int = 0
    """Messages received that were no correct <rpc>: not well-formed, or wrong on the rpc layer."""
    out_rpc_errors: int = 0
    """Replies sent with an <rpc-error> in them."""
    out_notifications: int = 0
    """Notifications sent."""

    def add(self, other: Counters) -> None:
        """Add another session's counters to these."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(slots=True)
class Statistics:
    """What the server counts besides."""

    in_bad_hellos: int = 0
    """Sessions dropped because of a wrong <hello>."""
    in_sessions: int = 0
    """Sessions started: a <hello> with a session-id was sent."""
    dropped_sessions: int = 0
    """Sessions that ended without close-session and without kill-session."""
