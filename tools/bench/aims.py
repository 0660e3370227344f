"""What headstay wants to reach, and whether it did: absolute bounds, and ratios to a peer measured in the same run."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

SESSIONS = 1000
PER_SESSION_KB = 40.0
BASE_MB = 75.0
LINEAR = 1.25
"""How much more an entry may cost among 5 000 than among 625."""


@dataclass(frozen=True, slots=True)
class Aim:
    """One aim and what was measured."""

    what: str
    value: float
    peer: float | None
    ratio: float | None
    aim: str
    met: bool


def aims(own: dict[str, Any], peer: dict[str, Any]) -> list[dict[str, Any]]:
    """Hold the figures of a device against those of its peer, and against the bounds."""
    memory, growth = own["memory"], own["growth"]
    costs = [step["seconds"] / step["entries"] for step in growth]
    found = [
        at_most("session set-up, p50, ms", 0.2, *(p50(server, "session set-up") for server in (own, peer))),
        at_most("get-config, p50, ms", 1.0, *(p50(server, "get-config") for server in (own, peer))),
        at_most("edit-config + commit, p50, ms", 1.0, *(p50(server, "edit-config + commit") for server in (own, peer))),
        at_least("get-config of 8 sessions, 1/s", 1.0, *(rate(server, "get-config") for server in (own, peer))),
        bound("idle sessions that answer", memory["answering"], f">= {SESSIONS}", memory["answering"] >= SESSIONS),
        bound("memory of an idle session, KB", memory["per_session_kb"], f"<= {PER_SESSION_KB:.0f}",
              memory["per_session_kb"] <= PER_SESSION_KB),
        bound("memory at start, MB", memory["at_start_mb"], f"<= {BASE_MB:.0f}", memory["at_start_mb"] <= BASE_MB),
        bound("cost of an entry, 5000 to 625 of them", costs[-1] / costs[0], f"<= {LINEAR}",
              costs[-1] <= LINEAR * costs[0]),
    ]  # fmt: skip
    return [asdict(aim) for aim in found]


def at_most(what: str, most: float, value: float, peer: float) -> Aim:
    """An aim that is met where the ratio to the peer is no more than this."""
    return Aim(what, value, peer, round(value / peer, 3), f"<= {most}", value <= most * peer)


def at_least(what: str, least: float, value: float, peer: float) -> Aim:
    """An aim that is met where the ratio to the peer is no less than this."""
    return Aim(what, value, peer, round(value / peer, 3), f">= {least}", value >= least * peer)


def bound(what: str, value: float, aim: str, met: bool) -> Aim:
    """An aim that no peer has a part in."""
    return Aim(what, round(value, 3), None, None, aim, met)


def p50(server: dict[str, Any], what: str) -> float:
    """Return what one session waits."""
    return float(_line(server, what, 1)["p50_ms"])


def rate(server: dict[str, Any], what: str) -> float:
    """Return what eight sessions get done together."""
    return float(_line(server, what, 8)["rate_per_s"])


def _line(server: dict[str, Any], what: str, sessions: int) -> dict[str, Any]:
    lines: list[dict[str, Any]] = server["results"]
    return next(line for line in lines if (line["what"], line["sessions"]) == (what, sessions))
