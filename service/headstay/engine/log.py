"""Events as lines of the log: one function, so that each event looks the same wherever it is read.

A line is the event's name, then `leaf=value` for what is known. Events hold no secret, so neither does a line.
"""

from __future__ import annotations

import dataclasses
import enum
import json
import logging

from headstay.engine.events import AuthenticationFailure, Event, ReportBufferFull, Unbound

log = logging.getLogger("headstay.engine")


def line_of(event: Event) -> str:
    """Return the line for an event, for instance `authentication-failure server-domain=cloud.example …`."""
    words = [event.name]
    for field in dataclasses.fields(event):
        value = getattr(event, field.name)
        if value is not None:
            words.append(f"{field.name.replace('_', '-')}={_text(value)}")
    return " ".join(words)


def log_event(event: Event) -> None:
    """Write an event to the log: what somebody has to look at as a warning, the rest for information."""
    troubled = getattr(event, "failure_reason", None) or getattr(event, "down_reason", None)
    grave = troubled is not None or isinstance(event, AuthenticationFailure | ReportBufferFull | Unbound)
    log.log(logging.WARNING if grave else logging.INFO, "%s", line_of(event))


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value.value if isinstance(value, enum.Enum) else value)
    plain = text.isprintable() and text and not set(text) & set(' "=')
    return text if plain else json.dumps(text, ensure_ascii=True)
