"""What `headstay cloud-admin code` does. Owns what it prints; `cloud_admin` owns the command line."""

from __future__ import annotations

import argparse
import asyncio
import datetime
import json
import re
import sys

from headstay.cli.cloud_devices import accepted, never_added, reached
from headstay.cli.tables import local_time
from headstay.cloud.administration import NewCode, Outcome
from headstay.cloud.codes import LONGEST_LIFE, SHORTEST_LIFE, USUAL_LIFE
from headstay.cloud.registry import RegistryUnavailable
from headstay.errors import CommandError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def run(arguments: argparse.Namespace) -> int:
    """Make a code and print it. Returns 0, or 2 for a malformed serial number or duration.

    Raises CommandError or StartupError when it cannot be done.
    """
    serial: str = arguments.serial
    if not accepted(serial):
        return 2
    life = USUAL_LIFE if arguments.valid is None else _duration(arguments.valid)
    if life is None or not SHORTEST_LIFE <= life <= LONGEST_LIFE:
        print(f"headstay: --valid: {arguments.valid!r} is not a time from 1m to 7d, as 30m or 12h", file=sys.stderr)
        return 2
    try:
        made = asyncio.run(_make(arguments, life))
    except RegistryUnavailable as error:
        raise CommandError(f"the registry cannot do this now: {error}") from None
    if made.outcome is Outcome.UNKNOWN:
        raise never_added(serial)
    if made.outcome is Outcome.UNBOUND:
        raise CommandError(
            f"{serial} is not bound to anyone, so there is nothing to unbind; "
            f"`headstay cloud-admin device add {serial}` binds it again"
        )
    if arguments.json:
        print(json.dumps({"serial": serial, "code": made.code, "expires-at": made.expires_at}, indent=2))
        return 0
    print(f"{made.code}\ngood once, until {local_time(made.expires_at)} (local)")
    print(f"on the device: headstay unbind {made.code}")
    return 0


async def _make(arguments: argparse.Namespace, life: datetime.timedelta) -> NewCode:
    async with reached(arguments) as administration:
        return await administration.make_code(arguments.serial, life)


def _duration(text: str) -> datetime.timedelta | None:
    match = re.fullmatch(r"([0-9]{1,6})([smhd])", text)
    return None if match is None else datetime.timedelta(seconds=int(match[1]) * _UNITS[match[2]])
