"""The services that this device knows: a file for each, and the dict from name to class."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from headstay.engine.services import telemetry
from headstay.engine.settings import Service
from headstay.engine.subconnection import ServiceContext, ServiceCore

SERVICES: Mapping[str, Callable[[ServiceContext], ServiceCore]] = {telemetry.NAME: telemetry.Telemetry}


def enabled_services(configured: tuple[Service, ...]) -> tuple[str, ...]:
    """Return the names that the device knows and has enabled; a known service without an entry is enabled."""
    disabled = {service.name for service in configured if not service.enabled}
    return tuple(name for name in SERVICES if name not in disabled)
