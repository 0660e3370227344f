"""The established connection: keepalive and ping, what the cloud says on it, earlier servers, and how it ends.

Part of the machine's core. Each function is what one input brings about, as TRANSITIONS says. When something is due is
for `keepalive` and `switchback` to say, where the device goes afterwards for `failover`; how a connection comes about
is not known here.
"""

from __future__ import annotations

from headstay.engine import change, inputs
from headstay.engine.effects import Probe, SendPing
from headstay.engine.instant import Instant
from headstay.engine.link import Link, Token, UnexpectedInput, Why
from headstay.engine.reasons import DeviceState, DownReason, ProcessState
from headstay.engine.settings import Server
from headstay.wire import messages

_BYE = {
    "replaced-by-newer-connection": DownReason.REPLACED_BY_NEWER_CONNECTION,
    "removed-from-cloud": DownReason.REMOVED_FROM_CLOUD,
    "unbound": DownReason.UNBOUND,
}


def check(link: Link, _: inputs.Tick, now: Instant) -> None:
    """Do what is due: keepalive and ping, what waits too long, and giving up a server that is silent."""
    keepalive = link.keepalive
    if keepalive is None:
        return
    if now.monotonic >= keepalive.gives_up_at:
        link.picture.process_state = ProcessState.MESSAGE_NOT_RECEIVED
        _fell_silent(link, now)
        return
    if now.monotonic >= keepalive.keepalive_at:
        link.send(messages.Keepalive(keepalive.sent(now.monotonic)))
        link.picture.process_state = ProcessState.MESSAGE_SENT
    if now.monotonic >= keepalive.ping_at:
        keepalive.pinged(now.monotonic)
        link.effects.append(SendPing())
    link.effects += link.subconnections.expire(now)
    link.effects += link.unbinding.expire(now)
    _ask_earlier(link, now)


def received(link: Link, given: inputs.MessageReceived, now: Instant) -> None:
    """A message came on the main connection."""
    match given.message:
        case messages.KeepaliveAck(id=number):
            if link.keepalive is not None and link.keepalive.answered(number, now.monotonic):
                link.picture.process_state = ProcessState.MESSAGE_RECEIVED
        case messages.Open() as offer:
            link.effects += link.subconnections.offered(given.attempt, offer, now)
        case messages.Close(instance=instance, reason=reason):
            link.effects += link.subconnections.close(instance, reason)
        case messages.Bye(reason=reason, retry_after=retry_after):
            _told_bye(link, reason, retry_after, now)
        case messages.UnbindResult(result=result):
            link.effects += link.unbinding.answered(result, link.picture.server)
        case messages.Unknown():
            link.picture.unknown_messages += 1


def lost(link: Link, given: inputs.ConnectionLost, now: Instant) -> None:
    """The main connection broke."""
    why = Why(down=given.reason, details=given.details)
    server, stood_for = _take_down(link, why, now, graceful=True)
    link.rest(link.failover.lost(server, stood_for, None, now), now)


def subconnection_opened(link: Link, given: inputs.SubconnectionOpened, now: Instant) -> None:
    """A subconnection stands."""
    link.effects += link.subconnections.opened(given.instance, now)


def subconnection_ended(link: Link, given: inputs.SubconnectionEnded, _: Instant) -> None:
    """A subconnection is no more; the main connection stays."""
    link.effects += link.subconnections.ended(given.instance, given.details)


def probe_failed(link: Link, given: inputs.ProbeFailed, now: Instant) -> None:
    """The earlier server that was asked would not take the device: ask the next."""
    failure = given.failure
    link.failover.answered_no(given.server, failure.reason, failure.retry_after, now)
    link.switchback.refused(given.server)
    _ask_earlier(link, now)


def probed(link: Link, given: inputs.Probed, now: Instant) -> None:
    """An earlier server would take the device: go there."""
    if not link.switchback.accepted(given.server):
        return
    link.token = Token(given.token, change.place_of(given.server), now.monotonic + given.expires_in)
    # The model's reasons have none of its own for this: the configured policy asks for the new connection.
    why = Why(down=DownReason.RECONNECT_REQUESTED, details="switchback")
    _, stood_for = _take_down(link, why, now, graceful=True)
    link.rest(link.failover.turned_back(given.server, stood_for, now), now)


def _told_bye(link: Link, reason: str, retry_after: float | None, now: Instant) -> None:
    down = _BYE.get(reason)
    if down is None:
        details = None if reason == DownReason.CLOSED_BY_SERVER.value else reason
        why = Why(down=DownReason.CLOSED_BY_SERVER, details=details)
        server, stood_for = _take_down(link, why, now, graceful=True)
        link.rest(link.failover.lost(server, stood_for, retry_after, now), now)
        return
    if down is DownReason.UNBOUND:
        link.effects += link.unbinding.told_goodbye(link.picture.server)
    _take_down(link, Why(down=down), now, graceful=True)
    link.turning_from = link.token = None
    link.rest(link.failover.sent_away(retry_after, now), now)


def _fell_silent(link: Link, now: Instant) -> None:
    server, stood_for = _take_down(link, Why(down=DownReason.KEEPALIVE_TIMEOUT), now, graceful=False)
    link.rest(link.failover.fell_silent(server, stood_for, now), now)


def _ask_earlier(link: Link, now: Instant) -> None:
    server = link.switchback.next(now.monotonic, lambda s: link.failover.may_be_dialled(s, now.monotonic))
    if server is not None and link.attempt is not None:
        link.failover.asked(server, now)
        link.effects.append(Probe(link.attempt, server, link.settings))


def _take_down(link: Link, why: Why, now: Instant, *, graceful: bool) -> tuple[Server, float]:
    """End the established connection. Returns its server and the seconds for which it stood."""
    if link.picture.server is None or link.picture.connected_at is None or why.down is None:
        raise UnexpectedInput("there is no connection to take down")
    stood_for = now.monotonic - link.picture.connected_at.monotonic
    link.turning_from = link.picture.server
    link.release(why.down.value, graceful=graceful)
    link.enter(DeviceState.WAITING, now, why)
    return link.picture.server, stood_for
