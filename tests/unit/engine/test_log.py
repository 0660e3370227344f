from __future__ import annotations

import logging

from headstay.engine.events import AuthenticationFailure, ConnectionStateChange, DhcpChange, SubconnectionStateChange
from headstay.engine.log import line_of, log_event
from headstay.engine.reasons import FailureReason, State, SubconnectionState


def test_a_line_begins_with_the_name_and_holds_what_is_known() -> None:
    event = AuthenticationFailure(server_domain="c.example", failure_reason=FailureReason.AUTHENTICATION_REFUSED)
    assert line_of(event) == "authentication-failure server-domain=c.example failure-reason=authentication-refused"


def test_a_boolean_is_written_as_in_the_model() -> None:
    event = DhcpChange(interface="eth0", password_present=True)
    assert line_of(event) == "dhcp-change interface=eth0 password-present=true"


def test_nothing_from_the_network_can_forge_a_line() -> None:
    event = SubconnectionStateChange(
        service="t", instance="1\n2 x=y", new_state=SubconnectionState.FAILED, details='a "b"'
    )
    assert line_of(event) == (
        'subconnection-state-change service=t instance="1\\n2 x=y" new-state=failed details="a \\"b\\""'
    )


def test_trouble_is_a_warning(caplog) -> None:
    caplog.set_level(logging.INFO, "headstay.engine")
    log_event(ConnectionStateChange(old_state=State.UNCONNECTED, new_state=State.REQUEST))
    log_event(
        ConnectionStateChange(
            old_state=State.REQUEST, new_state=State.UNCONNECTED, failure_reason=FailureReason.DNS_FAILED
        )
    )
    assert [record.levelname for record in caplog.records] == ["INFO", "WARNING"]
