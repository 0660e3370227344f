"""Tests one server stage by stage, the way the link would go, and says of each stage what came of it.

Shell. It has its own sockets and its own TLS sessions, so that neither the link nor what the cloud knows of it is
touched, and a certificate is always verified in full. What it asks the cloud beyond an attempt's own steps, `wire`
describes. One test is one server; whoever calls sees to it that few run at once. No verdict holds a secret.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import replace

from headstay.engine import inputs
from headstay.engine.dial import TlsFailed, local_addresses, target_of
from headstay.engine.effects import Authenticate, Connect, Handshake, Resolve
from headstay.engine.explanations import explain, listed
from headstay.engine.failures import Answer, StepFailed, classify, intercepted, refusal
from headstay.engine.inputs import AddressInfo, Failure
from headstay.engine.instant import Instant, read_clock
from headstay.engine.probe import in_time
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import Identity, Server, Settings
from headstay.engine.shown_certificate import describe, look
from headstay.engine.steps import Attempt
from headstay.engine.tls import TlsContexts, TlsSettingsError
from headstay.engine.verdicts import STAGE_OF, Result, StageName, Verdict
from headstay.engine.websocket import url_of
from headstay.errors import WireError
from headstay.wire import AUTHENTICATE_PATH, REGISTER_PATH, messages

_ORDER = tuple(StageName)
_LOOKED_AT = (FailureReason.CERTIFICATE_UNTRUSTED, FailureReason.CERTIFICATE_NAME_MISMATCH)
"""Failures after which it helps to know what the certificate says; OpenSSL tells the dates by itself."""


async def examine(
    server: Server, settings: Settings, identity: Identity, clock: Callable[[], Instant] = read_clock
) -> tuple[Verdict, ...]:
    """Test a server; return a verdict for every stage, in order. Takes at most LONGEST_TEST seconds.

    Whatever goes wrong is a verdict. Cancelling closes the test's connections.
    """
    return await _Examination(server, settings, identity, clock).run()


class _Examination:
    def __init__(self, server: Server, settings: Settings, identity: Identity, clock: Callable[[], Instant]) -> None:
        self._server = server
        self._settings = settings
        self._identity = identity
        self._clock = clock
        self._begin = Resolve(0, server, settings)
        self._contexts = TlsContexts(clock)
        self._attempt = Attempt(self._begin, identity, _unheard, self._contexts, reached=self._reached)
        self._verdicts: list[Verdict] = []
        self._begun = 0.0
        self._port: int | None = None
        self._address: str | None = None
        self._addresses: tuple[AddressInfo, ...] = ()
        self._elsewhere: str | None = None
        """Host and port of the main connection's URL, where it is not this server."""

    async def run(self) -> tuple[Verdict, ...]:
        skipped: str | None = None
        with contextlib.suppress(TlsSettingsError):  # it comes again where it is to be told
            # To read the system's trust store takes longer than to connect, and is no part of it.
            await asyncio.to_thread(self._contexts.context, self._settings.tls)
        self._begun = self._clock().monotonic
        try:
            skipped = await self._stages()
        except Exception as error:  # noqa: BLE001 -- the supervisor: one place classifies every failure
            await self._fail(error)
        finally:
            self._attempt.abort()
            if self._attempt.main is not None:
                self._attempt.main.transport.abort()
        rest = _ORDER[len(self._verdicts) :]
        return (*self._verdicts, *(self._verdict(name, Result.SKIPPED, explanation=skipped) for name in rest))

    # the stages -----------------------------------------------------------------------------------

    async def _stages(self) -> str | None:
        """Go through the stages, each verdict as it comes; return why those that are left were not gone through."""
        resolved = await in_time(STAGE_OF[self._name], self._attempt.perform(self._begin))
        assert isinstance(resolved, inputs.Resolved)  # noqa: S101 -- for mypy: what a step tells is known
        self._addresses = resolved.addresses
        self._pass(listed(tuple(str(info[4][0]) for info in self._addresses)))
        self._port = self._server.port
        await in_time(STAGE_OF[self._name], self._attempt.perform(Connect(0, self._addresses)))
        self._pass(self._certificate())  # `_reached` has passed `connect`
        await in_time(STAGE_OF[self._name], self._greet())
        self._pass()
        authenticated = await in_time(STAGE_OF[self._name], self._attempt.perform(Authenticate(0)))
        assert isinstance(authenticated, inputs.Authenticated)  # noqa: S101 -- as above
        self._pass()
        text = await in_time(STAGE_OF[self._name], self._offer(authenticated.token))
        if text is None:
            self._pass("The cloud can be registered with, and does not know how to test the way any further.")
            return "This cloud cannot be tested any further without registering."
        url = url_of(text)
        if url.target != target_of(self._server.domain, self._server.port):
            self._elsewhere = url.target.authority
        self._pass(None if self._elsewhere is None else f"The connection goes to {self._elsewhere}.")
        self._port = url.target.port
        self._address = self._address if self._elsewhere is None else None
        await in_time(STAGE_OF[self._name], self._upgrade(text))
        self._pass()
        return None

    async def _greet(self) -> None:
        """See whether a cloud answers: it says in its own words what an empty request lacks."""
        answer = await self._attempt.request(AUTHENTICATE_PATH, messages.Body())
        if not _malformed(answer):
            _raise_refusal(answer, FailureReason.PROTOCOL_ERROR)

    async def _offer(self, token: str) -> str | None:
        """Ask where registering would lead; None if the cloud does not know that question."""
        answer = await self._attempt.request(REGISTER_PATH, messages.RegisterProbe(self._identity.serial, True), token)
        if _malformed(answer):
            return None
        if answer.status == 401 and not intercepted(answer):
            raise StepFailed(FailureReason.REGISTRATION_REFUSED, "the token that it has just given is not good")
        if answer.status != 200 or intercepted(answer):
            _raise_refusal(answer, FailureReason.REGISTRATION_REFUSED)
        return messages.decode_body(answer.body, messages.Probed).url

    async def _upgrade(self, url: str) -> None:
        """Open the WebSocket, and wait for the cloud to close it: then frames come through, too."""
        handshaken = await self._attempt.perform(Handshake(0, url))
        assert isinstance(handshaken, inputs.Handshaken)  # noqa: S101 -- as above
        self._address = handshaken.address
        main = self._attempt.main
        assert main is not None  # noqa: S101 -- a handshake leaves it there
        await main.wait_closed()
        if main.close_code != 1000:
            raise StepFailed(FailureReason.SOCKET_FAILED, "the WebSocket was opened, and then cut")

    # verdicts -------------------------------------------------------------------------------------

    @property
    def _name(self) -> StageName:
        """The stage that is gone through now."""
        return _ORDER[len(self._verdicts)]

    def _reached(self, address: str) -> None:
        """TCP stands at an address; at another one when TLS has failed or stalls at the first."""
        if self._name in (StageName.CONNECT, StageName.TLS):
            self._address = address
        if self._name is StageName.CONNECT:
            self._pass()

    def _certificate(self) -> str | None:
        connection = self._attempt.connection
        if connection is None or connection.tls is None:
            return None
        self._address = connection.address
        return describe(connection.tls)

    def _pass(self, explanation: str | None = None) -> None:
        self._verdicts.append(self._verdict(self._name, Result.PASSED, explanation=explanation))

    async def _fail(self, error: Exception) -> None:
        if isinstance(error, TlsFailed) and self._name is StageName.TLS:
            self._address = str(error.address[4][0]).partition("%")[0]
        failure = classify(error)
        verdict = self._verdict(self._name, Result.FAILED, failure.reason)
        found = await self._found(error, failure)
        explanation = explain(self._name, failure, found)
        if self._elsewhere is not None and self._name is StageName.HANDSHAKE:
            explanation = f"At {self._elsewhere}, which registration named: {explanation}"
        self._verdicts.append(replace(verdict, explanation=explanation))

    def _verdict(
        self,
        name: StageName,
        result: Result,
        reason: FailureReason | None = None,
        explanation: str | None = None,
    ) -> Verdict:
        if result is Result.SKIPPED:
            return Verdict(self._server.domain, name, result, explanation=explanation)
        now = self._clock().monotonic
        taken, self._begun = max(0, round((now - self._begun) * 1000)), now
        return Verdict(self._server.domain, name, result, taken, self._port, self._address or None, reason, explanation)

    async def _found(self, error: Exception, failure: Failure) -> str | None:
        """Return what was found, where more is to be found out than the failure says."""
        if isinstance(error, TlsFailed) and self._name is StageName.TLS and failure.reason in _LOOKED_AT:
            return await self._untrusted(error.address, failure)
        if isinstance(error, OSError) and not isinstance(error, ssl.SSLError | socket.gaierror):
            return self._unreachable(error)
        return None

    async def _untrusted(self, address: AddressInfo, failure: Failure) -> str | None:
        source = self._settings.source_address
        target = target_of(self._server.domain, self._server.port)
        local = None if source is None else local_addresses(source)
        shown = await look(target.host, address, local)
        if shown is None:
            return None
        if failure.reason is FailureReason.CERTIFICATE_NAME_MISMATCH:
            return f"the certificate is for {shown.names}, not for {target.host}; issued by {shown.issuer}"
        store = "the configured trust anchors" if self._settings.tls.trust_anchors else "this system's trust store"
        return f"the certificate for {shown.names} does not lead to {store}: {shown.chain}"

    def _unreachable(self, error: OSError) -> str | None:
        if error.errno == errno.EADDRNOTAVAIL and self._settings.source_address is not None:
            return f"this device has no address {self._settings.source_address}, which is its source-address"
        if error.errno is None:
            return None
        said = os.strerror(error.errno)
        if self._name is not StageName.CONNECT:
            return said
        return f"{said} at {listed(tuple(str(info[4][0]) for info in self._addresses))}, port {self._server.port}"


def _malformed(answer: Answer) -> bool:
    """Tell whether this is a cloud's answer to a request that lacks something."""
    if answer.status != 400 or intercepted(answer):
        return False
    try:
        return messages.decode_body(answer.body, messages.Refused).reason == "malformed"
    except WireError:
        return False


def _raise_refusal(answer: Answer, refused: FailureReason) -> None:
    failure = refusal(answer, refused)
    raise StepFailed(failure.reason, failure.details, failure.retry_after)


def _unheard(_: inputs.OfAttempt) -> None:
    """How far a test has come is no news of the connection."""
