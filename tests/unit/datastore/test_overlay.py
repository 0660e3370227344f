from __future__ import annotations

from lxml import etree

from headstay import xml
from headstay.datastore.overlay import overlaid
from models import config, device_model, hcm, made, rules, test_model, text, values


def state(content: str) -> etree._Element:
    return xml.parse(f'<data><cloud-management xmlns="{xml.HCM}">{content}</cloud-management></data>'.encode())


def test_state_is_laid_over_configuration_in_schema_order() -> None:
    model = device_model()
    running = made(model, hcm("<enabled>true</enabled><service><name>telemetry</name></service>"))
    before = text(running)
    result = overlaid(
        model.schema,
        running,
        state("<connection><state>established</state></connection>"),
        state("<connection><attempts>3</attempts></connection>"),
    )
    assert [child.tag.partition("}")[2] for child in result[0]] == ["enabled", "service", "connection"]
    assert values(result, ".//hcm:connection/*") == ["established", "3"]
    assert text(running) == before


def test_a_later_leaf_counts_and_the_state_is_not_changed() -> None:
    model = device_model()
    first, second = state("<enabled>true</enabled>"), state("<enabled>false</enabled>")
    assert values(overlaid(model.schema, model.empty(), first, second), ".//hcm:enabled") == ["false"]
    assert values(first, ".//hcm:enabled") == ["true"]
    assert len(second) == 1


def test_entries_are_joined_by_key() -> None:
    model = device_model()
    server = "<server-status><domain>{}</domain>{}</server-status>"
    result = overlaid(
        model.schema,
        model.empty(),
        state(server.format("a", "<order>1</order>") + server.format("b", "")),
        state(server.format("a", "<port>2</port>") + server.format("c", "")),
    )
    assert values(result, ".//hcm:server-status/hcm:domain") == ["a", "b", "c"]
    assert values(result, ".//hcm:server-status[1]/*") == ["a", "1", "2"]


def test_values_of_leaf_lists_are_joined() -> None:
    model = test_model()
    laid = config("<tr:rules><tr:sorted>2</tr:sorted><tr:sorted>1</tr:sorted></tr:rules>")
    assert values(overlaid(model.schema, made(model, rules("<sorted>1</sorted>")), laid), ".//tr:sorted") == ["1", "2"]
