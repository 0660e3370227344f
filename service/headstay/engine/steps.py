"""The ordered steps of one attempt, each with real sockets: resolve, connect, authenticate, register, handshake.

Shell. **One TLS connection carries everything up to the main WebSocket**, as long as the URL names the host and port
that the device has dialled: TCP, TLS, two requests of SCRAM, one to register, and the upgrade, six round trips in all.
A new connection for each would cost two more round trips and, on the cloud, one more TLS handshake each time; after a
power cut thousands of devices do this at once. Doing HTTP here, through h11, also lets every failure be named, and no
HTTP client can follow a redirect behind our back.

A step returns the input that tells the machine what came of it, or raises; `failures.classify` names what it raised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from websockets.asyncio.client import ClientConnection

from headstay.engine import inputs
from headstay.engine.dial import Target, dial, resolve, target_of
from headstay.engine.effects import Authenticate, Connect, Handshake, Register, Resolve, Step
from headstay.engine.failures import Answer, StepFailed, intercepted, refusal
from headstay.engine.http import HttpConnection, Request
from headstay.engine.inputs import AddressInfo, OfAttempt
from headstay.engine.race import Reached, unheard
from headstay.engine.reasons import FailureReason
from headstay.engine.settings import Identity, Settings
from headstay.engine.tls import TlsContexts
from headstay.engine.websocket import Url, upgrade, url_of
from headstay.wire import AUTHENTICATE_PATH, MAIN_SUBPROTOCOL, REGISTER_PATH, UNBIND_PATH, messages, subprotocol_of
from headstay.wire.scram import ClientProof


class Attempt:
    """The sockets of one attempt. Steps run one after another; `abort` closes whatever the attempt holds."""

    def __init__(
        self,
        begin: Resolve,
        identity: Identity,
        tell: Callable[[OfAttempt], None],
        contexts: TlsContexts,
        *,
        reached: Reached = unheard,
    ) -> None:
        """`tell` hears how far the attempt has come, `reached` at which address of the server TCP stands."""
        self.number = begin.attempt
        self.main: ClientConnection | None = None
        """The main connection, once the handshake has succeeded."""
        self._settings = begin.settings
        self._identity = identity
        self._tell = tell
        self._contexts = contexts
        self._reached = reached
        self._target = target_of(begin.server.domain, begin.server.port)
        self._addresses: tuple[AddressInfo, ...] = ()
        self._http: HttpConnection | None = None

    async def perform(self, step: Step) -> OfAttempt:
        """Perform a step; return what came of it, or raise."""
        match step:
            case Resolve():
                return inputs.Resolved(self.number, await resolve(self._target, self._settings.address_family))
            case Connect(addresses=addresses):
                self._addresses = addresses
                http = await self._connection()
                return inputs.Connected(self.number, http.address)
            case Authenticate():
                granted = await self._authenticate()
                return inputs.Authenticated(self.number, granted.token, granted.expires_in)
            case Register(token=token, services=services):
                return await self._register(token, services)
            case Handshake(url=url):
                return await self._handshake(url_of(url))

    async def unbind(self, token: str, code: str) -> str:
        """Have the server unbind the device; return its result. Comes after Authenticate, in place of Register."""
        answer = await self._post(UNBIND_PATH, messages.UnbindRequest(self._identity.serial, code), token)
        _require_success(answer, FailureReason.AUTHENTICATION_REFUSED)
        return messages.decode_body(answer.body, messages.UnbindAnswer).result

    def abort(self) -> None:
        """Close the HTTP connection, if that is what the attempt still has. The main connection is not touched."""
        if self._http is not None:
            self._http.abort()
            self._http = None

    @property
    def connection(self) -> HttpConnection | None:
        """The HTTP connection that the attempt has now."""
        return self._http

    async def request(self, path: str, body: messages.Body, token: str | None = None) -> Answer:
        """Make a request that is no step. Whoever asks judges the answer."""
        return await self._post(path, body, token)

    async def _connection(self) -> HttpConnection:
        """Return the connection to the server; dial again if the server has closed the last one after its answer."""
        if self._http is not None and self._http.fault is not None:
            raise self._http.fault
        if self._http is None or not self._http.reusable:
            self.abort()
            self._http = await dial(self._target, self._addresses, self._settings, self._contexts, self._reached)
        return self._http

    async def _post(self, path: str, body: messages.Body, token: str | None = None) -> Answer:
        http = await self._connection()
        request = Request(self._target.authority, path, messages.encode(body), token)
        answer = await http.post(request, self._sent)
        self._tell(inputs.AnswerReceived(self.number))
        return answer

    def _sent(self) -> None:
        self._tell(inputs.RequestSent(self.number))

    async def _authenticate(self) -> messages.Granted:
        """Prove who the device is. A device that holds a password never goes without."""
        serial = self._identity.serial
        if self._settings.password is not None:
            return await self._prove(ClientProof(serial, self._settings.password))
        with_certificate = self._settings.tls.client_certificate is not None
        mechanism = messages.CERTIFICATE if with_certificate else messages.NONE
        answer = await self._post(AUTHENTICATE_PATH, messages.Authenticate(serial, mechanism))
        return messages.decode_body(_granted(answer), messages.Granted)

    async def _prove(self, proof: ClientProof) -> messages.Granted:
        first = messages.Authenticate(self._identity.serial, messages.SCRAM_SHA_256, proof.client_first())
        answer = await self._post(AUTHENTICATE_PATH, first)
        challenge = messages.decode_body(_granted(answer), messages.Challenge)
        final = await asyncio.to_thread(proof.client_final, challenge.message)
        answer = await self._post(AUTHENTICATE_PATH, messages.AuthenticateFinal(challenge.exchange, final))
        granted = messages.decode_body(_granted(answer), messages.Granted)
        proof.verify(granted.message)  # before the token is used: only then is this the cloud that knows the password
        return granted

    async def _register(self, token: str, services: tuple[str, ...]) -> inputs.Registered | inputs.TokenRefused:
        device = self._identity
        body = messages.Register(device.serial, device.model, device.software, device.boot_id, services)
        answer = await self._post(REGISTER_PATH, body, token)
        if answer.status == 401 and not intercepted(answer):
            return inputs.TokenRefused(self.number)
        _require_success(answer, FailureReason.REGISTRATION_REFUSED)
        registered = messages.decode_body(answer.body, messages.Registered)
        return inputs.Registered(self.number, registered.url)

    async def _handshake(self, url: Url) -> inputs.Handshaken:
        if url.target == self._target:
            http = await self._connection()
        else:
            self.abort()
            self._http = http = await dial_url(url, self._settings, self._contexts)
        address = http.address
        self.main = await upgrade(http, url, MAIN_SUBPROTOCOL, sent=self._sent)
        self._http = None
        self._tell(inputs.AnswerReceived(self.number))
        return inputs.Handshaken(self.number, address)


async def dial_url(url: Url, settings: Settings, contexts: TlsContexts) -> HttpConnection:
    """Dial the host that a URL names, by the same rules as the server itself."""
    target: Target = url.target
    return await dial(target, await resolve(target, settings.address_family), settings, contexts)


async def open_subconnection(url: Url, service: str, settings: Settings, contexts: TlsContexts) -> ClientConnection:
    """Open the WebSocket of a subconnection. Raises what `failures.classify` knows."""
    http = await dial_url(url, settings, contexts)
    try:
        return await upgrade(
            http, url, subprotocol_of(service), sent=lambda: None, ping_interval=settings.ping_interval
        )
    except BaseException:
        http.abort()
        raise


def _granted(answer: Answer) -> bytes:
    _require_success(answer, FailureReason.AUTHENTICATION_REFUSED)
    return answer.body


def _require_success(answer: Answer, refused: FailureReason) -> None:
    if answer.status == 200 and not intercepted(answer):
        return
    failure = refusal(answer, refused)
    raise StepFailed(failure.reason, failure.details, failure.retry_after)
