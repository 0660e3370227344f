"""What the user wants of the link: that it runs, what it shall be, and what it is asked for.

Part of the machine's core. Each function is what one input brings about, as TRANSITIONS says. They come in nearly any
state, so nothing here knows the steps of an attempt or the words of the connection: what goes on is left alone, or let
go of. What a change of settings means is for `change` to say.
"""

from __future__ import annotations

from functools import reduce

from headstay.engine import change, inputs
from headstay.engine.effects import ClearTraffic, WakeServices
from headstay.engine.events import ReportBufferFull
from headstay.engine.instant import Instant
from headstay.engine.link import Link, Why
from headstay.engine.reasons import DeviceState, DownReason
from headstay.engine.services import telemetry
from headstay.engine.settings import Settings, service_of


def start(link: Link, _: inputs.Started, now: Instant) -> None:
    """From now on the link may dial."""
    link.started = True
    if change.wants_connection(link.settings):
        link.rest(now.monotonic, now)


def stop(link: Link, _: inputs.Stopped, now: Instant) -> None:
    """Let go of everything, and dial no more."""
    link.started = False
    link.let_go(Why(down=DownReason.PROCESS_RESTARTED), DeviceState.IDLE, now)


def configure(link: Link, given: inputs.Configured, now: Instant) -> None:
    """Take over one commit's actions, as one."""
    old = link.settings
    new = link.settings = reduce(lambda settings, action: action.applied_to(settings), given.actions, old)
    link.reports.limit = service_of(new.services, telemetry.NAME).queue_limit
    link.failover.configure(new.servers)
    link.switchback.configure(new.hold_down, new.servers, now.monotonic)
    hopeful = change.reasons_to_dial_anew(old, new)
    if hopeful:
        link.failover.forget_backoff()
    if old.password != new.password or old.tls != new.tls:
        link.token = None
    if link.keepalive is not None:
        link.keepalive.retune(new.keepalive_interval, new.ping_interval, now.monotonic)
    if link.started:
        _follow(link, old, new, hopeful, now)
    # Last: a connection that has just gone down takes its subconnections with it.
    link.effects += link.subconnections.configure(new.services)
    if link.picture.device_state is DeviceState.CONNECTED:
        link.effects += link.subconnections.news()


def _follow(link: Link, old: Settings, new: Settings, hopeful: bool, now: Instant) -> None:
    """Work out, once, what the new settings mean for what is going on."""
    if not change.wants_connection(new):
        link.failover.restart()
        link.let_go(Why(down=change.down_reason_without_server(old, new)), DeviceState.IDLE, now)
    elif link.attempt is None:
        if hopeful or link.picture.device_state is DeviceState.IDLE:
            link.anew(now)
    elif link.picture.server is not None:
        reason = change.disturbance(old, new, link.picture.server)
        if reason is not None:
            link.let_go(Why(down=reason), DeviceState.WAITING, now)
            link.anew(now)


def reconnect(link: Link, _: inputs.ReconnectRequested, now: Instant) -> None:
    """Connect anew, whatever was to be waited for."""
    link.token = None
    link.let_go(Why(down=DownReason.RECONNECT_REQUESTED), DeviceState.WAITING, now)
    link.anew(now)


def clear_counters(link: Link, _: inputs.CountersCleared, __: Instant) -> None:
    """Count from zero again."""
    link.picture.clear_counters()
    link.reports.account.clear_counters()
    link.effects.append(ClearTraffic())


def report(link: Link, given: inputs.ReportMade, now: Instant) -> None:
    """Bring a report to the cloud, as soon as there is a way."""
    due = link.resume_at is not None and link.resume_at <= now.monotonic
    if link.reports.add(given.body, given.time, hopeful=link.attempt is not None or due, now=now.wall):
        link.emit(ReportBufferFull(buffer_full_count=link.reports.account.buffer_full_count))
    if link.subconnections.established(telemetry.NAME):
        link.effects.append(WakeServices(telemetry.NAME))


def unbind(link: Link, given: inputs.UnbindRequested, now: Instant) -> None:
    """Have the cloud unbind the device."""
    established = link.picture.device_state is DeviceState.CONNECTED
    link.effects += link.unbinding.ask(given, link.settings, now, established=established)


def unbind_concluded(link: Link, given: inputs.UnbindConcluded, now: Instant) -> None:
    """What was asked of the servers beside the connection has come to its end."""
    link.effects += link.unbinding.concluded(given)
    if given.outcome.failure is not None:
        return
    link.token = None
    # A connection may have come to stand while the answer was on its way: then the cloud has let the device in anew.
    if link.picture.device_state is not DeviceState.IDLE:
        link.let_go(Why(down=DownReason.UNBOUND), DeviceState.WAITING, now)
        link.rest(link.failover.sent_away(None, now), now)
