"""create-subscription: what it takes and what it refuses (RFC 5277 section 2.1.1)."""

from __future__ import annotations

import asyncio
import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from fakes_netconf import MOMENT, NC, NoSessions, make_context, make_datastores, model, operation
from headstay import errors, xml
from headstay.datastore.access import Access, Requester, Source
from headstay.netconf.messages import Reply
from headstay.netconf.notifications import Notifications
from headstay.netconf.operations import Context, execute
from headstay.netconf.streams import Subscription

EVENT = etree.fromstring(f'<d><dhcp-change xmlns="{xml.HCM}"><interface>vlan1</interface></dhcp-change></d>')
PAST = "2018-01-27T14:00:00Z"


def subscribe(parameters: str = "") -> str:
    return f'<create-subscription xmlns="{xml.NOTIFICATION}">{parameters}</create-subscription>'


async def asked(parameters: str, context: Context | None = None) -> Subscription:
    """What the session is subscribed to once the reply is sent, and not before."""
    context = context or make_context()
    assert isinstance(context.sessions, NoSessions)
    reply = await execute(context, operation(subscribe(parameters)))
    assert (reply.body, reply.ends_session) == (b"<ok/>", False)
    assert context.sessions.subscribed == []
    assert reply.then is not None
    reply.then()
    [(session_id, subscription)] = context.sessions.subscribed
    assert session_id == context.requester.session_id
    return subscription


async def refused(parameters: str, context: Context | None = None) -> errors.NetconfError:
    with pytest.raises(errors.NetconfError) as caught:
        await execute(context or make_context(), operation(subscribe(parameters)))
    return caught.value


async def test_without_parameters() -> None:
    subscription = await asked("")
    assert (subscription.start, subscription.stop) == (None, None)
    assert subscription.accepts(EVENT)


@pytest.mark.parametrize("parameters", ["<stream>NETCONF</stream>", "<stream> NETCONF </stream>"])
async def test_the_stream(parameters: str) -> None:
    assert (await asked(parameters)).start is None


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        (PAST, MOMENT - timedelta(minutes=18, seconds=40)),
        ("2018-01-27T14:18:40Z", MOMENT),
        ("2018-01-27t14:18:40z", MOMENT),
        ("2018-01-27T16:18:40+02:00", MOMENT),
        ("2018-01-26T23:48:40.5-14:30", MOMENT.replace(microsecond=500_000) - timedelta(hours=0)),
        ("2017-01-27T14:18:40.1234567890123Z", datetime(2017, 1, 27, 14, 18, 40, 123456, UTC)),
        ("0001-01-01T00:00:00+14:00", None),
    ],
)
async def test_times(text: str, moment: datetime | None) -> None:
    context = make_context(sessions=NoSessions(Notifications(clock=lambda: MOMENT.timestamp() + 1)))
    subscription = await asked(f"<startTime>{text}</startTime>", context)
    assert subscription.start is not None
    if moment is not None:
        assert subscription.start == moment.timestamp()


@settings(deadline=None)  # the first example loads the model
@given(st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", fullmatch=True) | st.text())
def test_any_time_is_a_time_or_refused(text: str) -> None:
    leaf = etree.Element(f"{{{xml.NOTIFICATION}}}startTime")
    try:
        leaf.text = text
    except ValueError:
        return  # XML cannot carry it
    request = etree.Element(f"{{{xml.NOTIFICATION}}}create-subscription")
    request.append(leaf)
    with contextlib.suppress(errors.BadElement):
        asyncio.run(execute(make_context(), request))


async def test_a_stop_time_may_lie_ahead() -> None:
    subscription = await asked(f"<startTime>{PAST}</startTime><stopTime>2099-01-01T00:00:00Z</stopTime>")
    assert subscription.stop == datetime(2099, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("parameters", "tag", "bad_element"),
    [
        (f"<stopTime>{PAST}</stopTime>", "missing-element", "startTime"),
        (f"<startTime>{PAST}</startTime><stopTime>2018-01-27T13:59:59Z</stopTime>", "bad-element", "stopTime"),
        (f"<startTime>{PAST}</startTime><stopTime>{PAST}</stopTime>", "bad-element", "stopTime"),
        ("<startTime>2018-01-27T14:18:40.1Z</startTime>", "bad-element", "startTime"),
        ("<startTime>2018-01-27T14:00:00</startTime>", "bad-element", "startTime"),
        ("<startTime>2018-02-30T14:00:00Z</startTime>", "bad-element", "startTime"),
        ("<startTime>2018-01-27</startTime>", "bad-element", "startTime"),
        ("<startTime>\u0662018-01-27T14:00:00Z</startTime>", "bad-element", "startTime"),
        ("<startTime/>", "bad-element", "startTime"),
        (f"<startTime>{PAST}</startTime><stopTime>soon</stopTime>", "bad-element", "stopTime"),
        ("<stream>SNMP</stream>", "invalid-value", None),
        ("<stream/>", "invalid-value", None),
        ("<frob/>", "unknown-element", "frob"),
        (f"<stream {NC}>NETCONF</stream>", "unknown-namespace", "stream"),
        ("<filter/><filter/>", "bad-element", "filter"),
        ('<filter type="regexp"/>', "bad-attribute", "filter"),
        ('<filter type="xpath" select="/a["/>', "invalid-value", None),
    ],
)
async def test_what_is_refused(parameters: str, tag: str, bad_element: str | None) -> None:
    error = await refused(parameters)
    assert (error.tag, error.type) == (tag, errors.ErrorType.PROTOCOL)
    assert {info.value for info in error.info if info.name == "bad-element"} == ({bad_element} - {None})


async def test_a_second_subscription_is_refused() -> None:
    notifications = Notifications(clock=MOMENT.timestamp)
    notifications.subscribe(1, Subscription(lambda _: True), ready=True)
    error = await refused("", make_context(sessions=NoSessions(notifications)))
    assert (error.tag, error.type) == ("operation-failed", errors.ErrorType.PROTOCOL)
    other = make_context(sessions=NoSessions(notifications), requester=Requester("admin", 2, Source.DIRECT))
    assert isinstance(await execute(other, operation(subscribe())), Reply)


@pytest.mark.parametrize("namespace", ["", f' xmlns="{xml.NETCONF}"'])
async def test_a_filter_in_either_namespace(namespace: str) -> None:
    subscription = await asked(f'<filter{namespace}><dhcp-change xmlns="{xml.HCM}"/></filter>')
    assert subscription.accepts(EVENT)
    other = await asked(f'<filter{namespace}><unbound xmlns="{xml.HCM}"/></filter>')
    assert not other.accepts(EVENT)


async def test_access_control_is_asked_for_each_notification(monkeypatch: pytest.MonkeyPatch) -> None:
    context = make_context()
    subscription = await asked("", context)
    seen: list[tuple[Requester, object]] = []

    def may_receive(requester: Requester, notification: etree._Element) -> bool:
        seen.append((requester, notification.tag))
        return False

    monkeypatch.setattr(context.datastores, "may_receive", may_receive)
    assert not subscription.accepts(EVENT)
    assert seen == [(context.requester, f"{{{xml.HCM}}}dhcp-change")]


async def test_a_notification_that_a_rule_denies_is_not_sent_and_is_counted() -> None:
    rules = f"""<nacm xmlns="{xml.NACM}"><groups><group><name>g</name><user-name>guest</user-name></group></groups>
    <rule-list><name>r</name><group>g</group><rule><name>1</name><notification-name>dhcp-change</notification-name>
    <action>deny</action></rule></rule-list></nacm>"""
    access = Access(model())
    datastores = make_datastores(rules, access=access)

    async def accepts(user: str) -> bool:
        context = make_context(datastores, requester=Requester(user, 5, Source.DIRECT), sessions=NoSessions())
        return (await asked("", context)).accepts(EVENT)

    assert await accepts("kim")
    assert access.denials.notifications == 0
    assert not await accepts("guest")
    assert access.denials.notifications == 1
