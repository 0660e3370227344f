"""The model's own RPCs: each checks its input against the model, asks the engine, and answers in the model's words.

To add one, write its method, named like the RPC, and enter it in `table`. Knows no session; who may execute an RPC has
been decided before it is called.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence

from lxml import etree

from headstay import xml
from headstay.backend.dhcp import Dhcp
from headstay.backend.report import stage_element
from headstay.backend.unbind_errors import unbind_error
from headstay.datastore.access import Requester, Source
from headstay.datastore.model import Model
from headstay.datastore.secrets import CLEAR
from headstay.dhcp.event import Happening, LeaseEvent, is_interface
from headstay.engine.dial import target_of
from headstay.engine.inputs import UnbindFailure
from headstay.engine.reasons import DeviceState
from headstay.engine.runner import Engine
from headstay.engine.settings import DEFAULT_PORT, Server
from headstay.engine.verdicts import Verdict
from headstay.errors import AccessDenied, DataMissing, InUse, InvalidValue, OperationFailed

Rpc = Callable[[Requester, etree._Element], Awaitable[Sequence[etree._Element]]]
"""The requester and the RPC's element in, the output parameters out."""


ABANDONED = frozenset({(xml.HCM, "test-connection"), (xml.HCM, "unbind")})
"""The RPCs that wait for the network and change nothing here: each is cancelled with the session that asked for it."""


class Rpcs:
    """The RPCs of one device."""

    def __init__(self, model: Model, engine: Engine, dhcp: Dhcp) -> None:
        self._model = model
        self._engine = engine
        self._dhcp = dhcp
        self._testing = False

    def table(self) -> Mapping[tuple[str, str], Rpc]:
        """Return the RPCs by namespace and name."""
        return {
            (xml.HCM, "reconnect"): self.reconnect,
            (xml.HCM, "test-connection"): self.test_connection,
            (xml.HCM, "clear-counters"): self.clear_counters,
            (xml.HCM, "unbind"): self.unbind,
            (xml.HCM, "dhcp-update"): self.dhcp_update,
        }

    async def reconnect(self, _requester: Requester, operation: etree._Element) -> Sequence[etree._Element]:
        """Connect anew, now. What becomes of it stands in the state.

        Raises OperationFailed while a secret cannot be decrypted, there is no server or the connection is disabled:
        nothing would become of it.
        """
        self._model.rpc_input(operation)
        self._demand_secrets()
        self._demand_something_to_dial()
        self._engine.reconnect()
        return ()

    async def test_connection(  # named like the RPC; no test of pytest's
        self,
        _requester: Requester,  # noqa: PT019
        operation: etree._Element,
    ) -> Sequence[etree._Element]:
        """Test one server, or each in force, beside the connection. Cancelling ends the test.

        Raises InUse while another test runs, DataMissing if there is no server to test, OperationFailed while a secret
        cannot be decrypted: a test without it would say what the server makes of somebody else.
        """
        given = self._model.rpc_input(operation)
        self._demand_secrets()
        servers = self._servers(given)
        if self._testing:
            raise InUse("another test of a connection runs; try again in a minute")
        self._testing = True
        try:
            return [stage_element(verdict) for server in servers for verdict in await self._examine(server)]
        finally:
            self._testing = False

    async def clear_counters(self, _requester: Requester, operation: etree._Element) -> Sequence[etree._Element]:
        """Set the counters of `connection` and of each `subconnection` to zero. Times and reasons stay."""
        self._model.rpc_input(operation)
        self._engine.clear_counters()
        return ()

    async def unbind(self, _requester: Requester, operation: etree._Element) -> Sequence[etree._Element]:
        """Have the cloud unbind the device by a verification code. Raises OperationFailed or InUse, with the reason.

        Cancelling gives it up if the code has not been sent yet.
        """
        code = self._model.rpc_input(operation).findtext(f"{{{xml.HCM}}}code") or ""
        outcome = await self._engine.unbind(code)
        if outcome.failure is not None:
            raise unbind_error(outcome.failure, outcome.details)
        return ()

    async def dhcp_update(self, requester: Requester, operation: etree._Element) -> Sequence[etree._Element]:
        """Take over what a DHCP client did. What becomes of its values stands in `dhcp-lease`.

        Raises AccessDenied for anyone but root and the daemon's own user on the local socket.
        """
        if not requester.recovery or requester.source is not Source.LOCAL:
            raise AccessDenied("only root and the daemon's own user may tell it of DHCP, over its local socket")
        await self._dhcp.take(_lease_event(self._model.rpc_input(operation)))
        return ()

    async def _examine(self, server: Server) -> Sequence[Verdict]:
        self._demand_secrets()  # again: a configuration may have come back since the test of the server before
        return await self._engine.examine(server)

    def _demand_secrets(self) -> None:
        """Refuse what would have to be tried without a secret that is configured."""
        if self._engine.obstacle is not None:
            raise OperationFailed(self._engine.obstacle, app_tag=UnbindFailure.UNREADABLE_SECRET.value)

    def _demand_something_to_dial(self) -> None:
        """Refuse what an engine that has nothing to do would pass over."""
        if self._engine.status().connection.device_state is not DeviceState.IDLE:
            return
        if not self._engine.servers:
            raise OperationFailed(
                "there is no cloud server to connect to; configure server/domain", app_tag=UnbindFailure.NO_SERVER.value
            )
        raise OperationFailed(
            "the cloud connection is disabled; set enabled to true", app_tag=UnbindFailure.DISABLED.value
        )

    def _servers(self, given: etree._Element) -> Sequence[Server]:
        """Return the servers to test."""
        in_force = self._engine.servers
        domain, port = (given.findtext(f"{{{xml.HCM}}}{name}") for name in ("domain", "port"))
        if domain is None:
            if not in_force:
                raise DataMissing("no server is configured; name one to test")
            return in_force
        host = target_of(domain, 0).host
        own = next((server.port for server in in_force if target_of(server.domain, 0).host == host), None)
        usual = in_force[0].port if in_force else DEFAULT_PORT
        return [Server(domain, int(port) if port is not None else own or usual)]


def _lease_event(given: etree._Element) -> LeaseEvent:
    domain, password, lease_time, told_at = (
        given.findtext(f"{{{xml.HCM}}}{name}") for name in ("domain", "password", "lease-time", "told-at")
    )
    if password is not None and not password.startswith(CLEAR):
        raise InvalidValue(f"password: give it in clear ({CLEAR}…); this is where DHCP's own value comes in")
    interface = given.findtext(f"{{{xml.HCM}}}interface") or ""
    if not is_interface(interface):
        raise InvalidValue("interface: an interface's name has no spaces")
    return LeaseEvent(
        interface=interface,
        client=given.findtext(f"{{{xml.HCM}}}client") or "",
        happening=Happening(given.findtext(f"{{{xml.HCM}}}event")),
        domain=None if domain is None else domain.encode(),
        password=None if password is None else password.removeprefix(CLEAR).encode(),
        lease_time=None if lease_time is None else int(lease_time),
        told_at=None if told_at is None else int(told_at),
    )
