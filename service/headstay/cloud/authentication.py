"""CORE: decides whether a device may register. Owns SCRAM exchanges, tokens and the tally of failures.

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
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from headstay.cloud.grants import Grants
from headstay.cloud.limits import Failures, Limits, origin_of
from headstay.cloud.registry import Device, fold
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
class _Exchange:
    folded: str
    proof: ServerProof


class Authentication:
    """All authentications of one cloud. `draw` returns a fresh random secret of 256 bits, as text."""

    def __init__(self, limits: Limits, draw: Callable[[], str]) -> None:
        self._limits = limits
        self._draw = draw
        self._exchanges: Grants[_Exchange] = Grants(limits.exchange_life, limits.exchanges_per_serial, limits.exchanges)
        self._tokens: Grants[str] = Grants(limits.token_life, limits.tokens_per_serial)
        self._failures_of_serial = Failures(limits.failures_of_serial)
        self._failures_of_address = Failures(limits.failures_of_address)

    def begin(self, request: Authenticate, device: Device | None, peer: Peer, now: float) -> Body:
        """Answer the first request. `device` is the registry's record of the request's serial.

        Returns Challenge, Granted, Refused or Busy. Raises WireError if the request is malformed.
        """
        folded = fold(request.serial)
        if request.mechanism not in (SCRAM_SHA_256, CERTIFICATE, NONE):
            raise WireError("the mechanism is not known")
        # The tally of a serial is read only when it was added: unknown ones cannot fill that table.
        busy = self._busy(folded if device is not None else None, peer, now)
        if busy is not None:
            return busy
        if device is None:
            return self._refuse(UNKNOWN_SERIAL, None, peer, now)
        reason = _refusal(request.mechanism, folded, device.verifier, peer)
        if reason is not None:
            return self._refuse(reason, folded, peer, now)
        if device.verifier is None:
            return self._grant(folded, "", now)
        return self._challenge(folded, device.verifier, request.message, now)

    def finish(self, request: AuthenticateFinal, peer: Peer, now: float) -> Body:
        """Answer SCRAM's second request: Granted, Refused or Busy. The exchange is spent, whatever the answer."""
        busy = self._busy(None, peer, now)
        if busy is not None:
            return busy
        exchange = self._exchanges.take(request.exchange, now)
        if exchange is None:
            return self._refuse(BAD_PROOF, None, peer, now)
        busy = self._busy(exchange.folded, peer, now)
        if busy is not None:
            return busy
        try:
            message = exchange.proof.server_final(request.message)
        except WrongProof:
            return self._refuse(BAD_PROOF, exchange.folded, peer, now)
        return self._grant(exchange.folded, message, now)

    def holder(self, token: str, now: float) -> str | None:
        """Return the folded serial that holds `token`, or None when the token is wrong, expired or revoked."""
        return self._tokens.look(token, now)

    def revoke(self, folded: str) -> None:
        """Forget the exchanges and tokens of a serial: it was removed, or its password changed."""
        self._exchanges.revoke(folded)
        self._tokens.revoke(folded)

    def _challenge(self, folded: str, verifier: Verifier, client_first: str, now: float) -> Body:
        def verifier_for(name: str) -> Verifier:
            # The proof is made over this name: it must be the serial that the answer will be about.
            if name.lower() != folded:
                raise WireError("SCRAM: the user name is not the serial number")
            return verifier

        proof = ServerProof(verifier_for)
        message = proof.server_first(client_first)
        secret = self._draw()
        if not self._exchanges.issue(secret, folded, _Exchange(folded, proof), now):
            return Busy(self._limits.busy_retry)
        return Challenge(secret, message)

    def _grant(self, folded: str, message: str, now: float) -> Granted:
        token = self._draw()
        self._tokens.issue(token, folded, folded, now)
        return Granted(token, self._limits.token_life, message)

    def _busy(self, folded: str | None, peer: Peer, now: float) -> Busy | None:
        wait = self._failures_of_address.wait(origin_of(peer.address), now)
        if folded is not None:
            wait = max(wait, self._failures_of_serial.wait(folded, now))
        return Busy(wait) if wait > 0 else None

    def _refuse(self, reason: str, folded: str | None, peer: Peer, now: float) -> Refused:
        self._failures_of_address.count(origin_of(peer.address), now)
        if folded is not None:
            self._failures_of_serial.count(folded, now)
        return Refused(reason)


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
