"""Whatever the status of the link says, it can be shown: the laws of the way from status and events to the model."""

from __future__ import annotations

import json
from dataclasses import fields

from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from headstay import xml
from headstay.backend.report import notification, report_body, state_tree
from headstay.engine import events
from headstay.engine.status import ConnectionStatus, ServerStatus, Status, SubconnectionStatus
from models import device_model

TEXTS = st.text(max_size=20) | st.characters() | st.sampled_from(["\x00", "a\x1bb", "\ud800", "\ufffe", "x" * 300])
ADDRESSES = st.sampled_from(["192.0.2.1", "fe80::1%eth0", "::ffff:192.0.2.1", "", "%", "2001:DB8::0"]) | TEXTS
TIMES = st.none() | st.floats()


def of(kind: type, **more: st.SearchStrategy[object]) -> st.SearchStrategy:
    """Any instance: each field of the type that it says it is, with any text for str and any float for times."""
    known: dict[str, st.SearchStrategy[object]] = {
        field.name: {
            "str": TEXTS,
            "str | None": st.none() | TEXTS,
            "float | None": TIMES,
        }[field.type]
        for field in fields(kind)
        if field.type in ("str", "str | None", "float | None")
    }
    known.update({name: ADDRESSES for name in ("address", "server_address") if name in known})
    return st.builds(kind, **(known | more))


STATUSES = st.builds(
    Status,
    of(ConnectionStatus),
    st.tuples(of(ServerStatus, order=st.integers(1, 9), port=st.integers(1, 65535))),
    st.tuples(of(SubconnectionStatus)),
)


@given(STATUSES)
def test_any_status_gives_a_tree_that_can_be_written_and_read(status: Status) -> None:
    tree = state_tree(status)
    read = xml.parse(xml.serialise(tree))
    assert [(leaf.tag, leaf.text or "") for leaf in read.iter() if len(leaf) == 0] == [
        (leaf.tag, leaf.text or "") for leaf in tree.iter() if len(leaf) == 0
    ]
    for leaf in tree.iter():
        assert (leaf.text or "").isprintable()


@settings(deadline=None)  # the first example loads the model
@given(STATUSES)
def test_addresses_and_times_are_the_models_or_left_out(status: Status) -> None:
    schema = device_model().schema
    top = schema.find("/hcm:cloud-management")

    def check(element: etree._Element, path: str) -> None:
        for leaf in element:
            name = etree.QName(leaf).localname
            if name in ("address", "server-address") or name.endswith(("-at", "-attempt")):
                found = schema.find(f"/hcm:cloud-management/{path}/{name}")
                assert found.canonical(leaf.text or "", {}).text == leaf.text

    (management,) = state_tree(status)
    assert management.tag == top.tag
    for part in management:
        check(part, etree.QName(part).localname)


@given(
    of(events.ConnectionStateChange)
    | of(events.AuthenticationFailure)
    | of(events.SubconnectionStateChange)
    | of(events.ServerSwitchover)
    | of(events.Unbound)
)
def test_any_event_gives_a_report_that_can_be_written(event: events.Event) -> None:
    assert json.dumps(report_body(event), ensure_ascii=False).encode().decode().isprintable()
    element = notification(event)
    read = xml.parse(xml.serialise(element))
    assert [(leaf.tag, leaf.text or "") for leaf in read] == [(leaf.tag, leaf.text or "") for leaf in element]
