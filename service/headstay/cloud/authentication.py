"""CORE: decides whether a device may register. Owns SCRAM exchanges, tokens and the tallies of failures.

Knows no HTTP, no database and no clock: the device's record and the time are arguments, randomness is handed in.
Answers are the wire's bodies; what a malformed request raises is a WireError.

Who is refused, and how (design section 4):

    serial number not added                                            unknown-serial
    a verified client certificate bears another name                   certificate-mismatch, whatever the mechanism
    the cloud holds a password, the mechanism is none or certificate   password-required: a certificate does not
                                                                       stand in for the password, it comes on top
    SCRAM-SHA-256 for a serial without password in the cloud           not-allowed
    certificate, but none was verified                                 certificate-mismatch
    the proof is wrong, late, or used before                           bad-proof

Who fails too often is told to wait (`busy`) before anything else is looked at; `limits` says whose failures count
against whom. A `busy` counts as no failure.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headstay.cloud.devices import Device, fold
from headstay.cloud.grants import Grants
from headstay.cloud.limits import Failures, Limits, Places, origin_of
from headstay.errors import WireError
from headstay.wire.messages import (
    CERTIFICATE,
    NONE,
    SCRAM_SHA_256,
    Authenticate,
    AuthenticateFinal,
    Body,
    Busy,
    Challenge,
    Granted,
    Refused,
)
from headstay.wire.scram import ServerProof, Verifier, WrongProof

UNKNOWN_SERIAL = "unknown-serial"
BAD_PROOF = "bad-proof"
PASSWORD_REQUIRED = "password-required"  # noqa: S105 (a reason, not a password)
CERTIFICATE_MISMATCH = "certificate-mismatch"
NOT_ALLOWED = "not-allowed"


@dataclass(frozen=True, slots=True)
class Peer:
    """Where a request came from."""

    address: str
    certificate_name: str | None
    """The common name of its verified client certificate; None without one."""


@dataclass(frozen=True, slots=True)
class _Claim:
    """Who somebody says that they are, and from where."""

    folded: str | None
    """None when nobody can tell."""
    origin: str
    added: bool
    """Whether the serial number was added to the cloud."""

    @property
    def pair(self) -> str:
        return f"{self.folded} {self.origin}"


@dataclass(frozen=True, slots=True)
class _Exchange:
    folded: str
    proof: ServerProof


class Authentication:
    """All authentications of one cloud. `draw` returns a fresh random secret of 256 bits, as text."""

    def __init__(self, limits: Limits, draw: Callable[[], str]) -> None:
        self._limits = limits
        self._draw = draw
        self._exchanges: Grants[_Exchange] = Grants(limits.exchange_life, limits.exchanges_per_pair, limits.exchanges)
        self._tokens: Grants[str] = Grants(limits.token_life, limits.tokens_per_serial)
        self._failures_of_pair = Failures(limits.failures_of_pair)
        self._failures_of_address = Failures(limits.failures_of_address)
        self._failures_of_serial = Failures(limits.failures_of_serial)
        self._places = Places(limits.places_per_serial)
        self.revocations = 0
        """How often something was revoked: what was read from the registry before may be true no more."""

    def begin(self, request: Authenticate, device: Device | None, peer: Peer, now: float) -> Body:
        """Answer the first request. `device` is the registry's record of the request's serial.

        Returns Challenge, Granted, Refused or Busy. Raises WireError if the request is malformed.
        """
        folded = fold(request.serial)
        who = _Claim(folded, origin_of(peer.address), added=device is not None)
        if request.mechanism not in (SCRAM_SHA_256, CERTIFICATE, NONE):
            raise WireError("the mechanism is not known")
        busy = self._busy(who, now)
        if busy is not None:
            return busy
        if device is None:
            return self._refuse(UNKNOWN_SERIAL, who, now)
        reason = _refusal(request.mechanism, folded, device.verifier, peer)
        if reason is not None:
            return self._refuse(reason, who, now)
        if device.verifier is None:
            return self._grant(folded, who.origin, "", now)
        exchange, message = _challenge(folded, device.verifier, request.message)
        secret = self._draw()
        if not self._exchanges.issue(secret, who.pair, exchange, now):
            return Busy(self._limits.busy_retry)
        return Challenge(secret, message)

    def finish(self, request: AuthenticateFinal, peer: Peer, now: float) -> Body:
        """Answer SCRAM's second request: Granted, Refused or Busy. The exchange is spent, whatever the answer."""
        exchange = self._exchanges.take(request.exchange, now)
        origin = origin_of(peer.address)
        # Without an exchange nobody can tell whose proof it is: the address alone answers for it.
        who = _Claim(None, origin, added=False) if exchange is None else _Claim(exchange.folded, origin, added=True)
        busy = self._busy(who, now)
        if busy is not None:
            return busy
        if exchange is None:
            return self._refuse(BAD_PROOF, who, now)
        try:
            message = exchange.proof.server_final(request.message)
        except WrongProof:
            return self._refuse(BAD_PROOF, who, now)
        return self._grant(exchange.folded, origin, message, now)

    def holder(self, token: str, now: float) -> str | None:
        """Return the folded serial that holds `token`, or None when the token is wrong, expired or revoked."""
        return self._tokens.look(token, now)

    def revoke(self, folded: str) -> None:
        """Forget the exchanges, tokens and places of a serial: it was removed, or its password changed."""
        self.revocations += 1
        self._exchanges.revoke_where(lambda exchange: exchange.folded == folded)
        self._tokens.revoke(folded)
        self._places.forget(folded)

    def _grant(self, folded: str, origin: str, message: str, now: float) -> Granted:
        self._places.note(folded, origin)
        token = self._draw()
        self._tokens.issue(token, folded, folded, now)
        return Granted(token, self._limits.token_life, message)

    def _busy(self, who: _Claim, now: float) -> Busy | None:
        wait = 0.0
        if who.folded is not None:
            wait = self._failures_of_pair.wait(who.pair, now)
        if who.folded is None or not self._places.known(who.folded, who.origin):
            wait = max(wait, self._failures_of_address.wait(who.origin, now))
            if who.folded is not None:
                wait = max(wait, self._failures_of_serial.wait(who.folded, now))
        return Busy(wait) if wait > 0 else None

    def _refuse(self, reason: str, who: _Claim, now: float) -> Refused:
        self._failures_of_address.count(who.origin, now)
        if who.folded is not None:
            self._failures_of_pair.count(who.pair, now)
            if who.added:  # others cannot fill that table
                self._failures_of_serial.count(who.folded, now)
        return Refused(reason)


def _challenge(folded: str, verifier: Verifier, client_first: str) -> tuple[_Exchange, str]:
    """Begin an exchange and return the server-first-message with it. Raises WireError if it cannot be begun."""

    def verifier_for(name: str) -> Verifier:
        # The proof is made over this name: it must be the serial that the answer will be about.
        if name.lower() != folded:
            raise WireError("SCRAM: the user name is not the serial number")
        return verifier

    proof = ServerProof(verifier_for)
    return _Exchange(folded, proof), proof.server_first(client_first)


def _refusal(mechanism: str, folded: str, verifier: Verifier | None, peer: Peer) -> str | None:
    """Return why an added serial may not go on with this mechanism; None if it may."""
    if peer.certificate_name is not None and peer.certificate_name.lower() != folded:
        return CERTIFICATE_MISMATCH
    if mechanism == SCRAM_SHA_256:
        return NOT_ALLOWED if verifier is None else None
    if verifier is not None:
        return PASSWORD_REQUIRED
    if mechanism == CERTIFICATE and peer.certificate_name is None:
        return CERTIFICATE_MISMATCH
    return None
