"""SCRAM-SHA-256 as the wire uses it (RFC 5802, RFC 7677): scramp behind typed errors and bounds.

Owns the bounds on iterations and the mapping of scramp's errors. Knows no socket, no store. `client_final` derives keys
and takes milliseconds: call it in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from scramp import ScramClient, ScramException, ScramMechanism

from headstay.errors import WireError
from headstay.wire.messages import SCRAM_SHA_256

FEWEST_ITERATIONS = 4_096
MOST_ITERATIONS = 100_000
USUAL_ITERATIONS = 4_096
"""What the cloud stores for a new password. Passwords of devices are long and random; the bound protects the device."""


class WrongProof(WireError):
    """The other end did not prove that it knows the password."""


class ClientProof:
    """The device's side of one exchange. Call client_first, client_final, then verify, in this order."""

    def __init__(self, serial: str, password: str, nonce: str | None = None) -> None:
        self._client = ScramClient([SCRAM_SHA_256], serial, password, c_nonce=nonce)

    def client_first(self) -> str:
        """Return the client-first-message."""
        message: str = self._client.get_client_first()
        return message

    def client_final(self, server_first: str) -> str:
        """Answer the server-first-message. Takes milliseconds: call it in a thread.

        Raises WireError if the message is malformed or its iterations are outside FEWEST_ITERATIONS…MOST_ITERATIONS.
        """
        iterations = re.search(r"(?:^|,)i=([0-9]{1,7})(?:,|$)", server_first)
        if iterations is None or not FEWEST_ITERATIONS <= int(iterations[1]) <= MOST_ITERATIONS:
            raise WireError("SCRAM: the server's iteration count is missing or out of bounds")
        try:
            self._client.set_server_first(server_first)
            message: str = self._client.get_client_final()
        except ScramException:
            raise WireError("SCRAM: the server's first message is malformed") from None
        return message

    def verify(self, server_final: str) -> None:
        """Check the server's signature. Raises WrongProof if the server does not know the password."""
        try:
            self._client.set_server_final(server_final)
        except ScramException:
            raise WrongProof("SCRAM: the server's signature is wrong") from None


@dataclass(frozen=True, slots=True)
class Verifier:
    """What the cloud stores instead of a password (RFC 5802 section 3)."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes

    def __repr__(self) -> str:
        return f"Verifier(iterations={self.iterations})"


def verifier_of(password: str, iterations: int = USUAL_ITERATIONS) -> Verifier:
    """Derive what the cloud stores for a password, with a fresh salt. Takes milliseconds: call it in a thread.

    Raises WireError if the password is empty or holds characters that SASLprep forbids (RFC 4013 section 2.3).
    """
    try:
        salt, stored_key, server_key, count = ScramMechanism(SCRAM_SHA_256).make_auth_info(
            password, iteration_count=iterations
        )
    except ScramException:
        raise WireError("SCRAM: the password holds characters that are not allowed in one") from None
    return Verifier(salt, count, stored_key, server_key)


class ServerProof:
    """The cloud's side of one exchange."""

    def __init__(self, verifier_for: Callable[[str], Verifier]) -> None:
        def auth_info(serial: str) -> tuple[bytes, bytes, bytes, int]:
            verifier = verifier_for(serial)
            return verifier.salt, verifier.stored_key, verifier.server_key, verifier.iterations

        self._server = ScramMechanism(SCRAM_SHA_256).make_server(auth_info)

    def server_first(self, client_first: str) -> str:
        """Answer the client-first-message. Raises WireError if it is malformed."""
        try:
            self._server.set_client_first(client_first)
            message: str = self._server.get_server_first()
        except ScramException:
            raise WireError("SCRAM: the device's first message is malformed") from None
        return message

    def server_final(self, client_final: str) -> str:
        """Check the device's proof and return the server-final-message with our signature. Raises WrongProof."""
        try:
            self._server.set_client_final(client_final)
            message: str = self._server.get_server_final()
        except ScramException:
            raise WrongProof("SCRAM: the device's proof is wrong") from None
        return message
