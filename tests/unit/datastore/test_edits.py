"""The account of a commit: what it names, how it gets coarser, and that no value stands in it."""

from __future__ import annotations

from lxml import etree

from headstay.datastore.difference import difference
from headstay.datastore.edits import LONGEST_PATH, MOST_EDITS, account
from headstay.datastore.model import Model
from models import config, device_model, hcm, made, rules, test_model

CM = "/hcm:cloud-management"


def edits(before: etree._Element, after: etree._Element, model: Model | None = None) -> list[tuple[str, str]]:
    model = model or device_model()
    changes = difference(model.schema, made(model, before), made(model, after))
    return [(edited.operation, edited.path.text) for edited in account(changes)]


def json_paths(before: etree._Element, after: etree._Element, model: Model | None = None) -> list[str]:
    model = model or device_model()
    return [e.json_path for e in account(difference(model.schema, made(model, before), made(model, after)))]


def backups(*names: str) -> str:
    return "".join(f"<backup-server><domain>{name}</domain><port>1</port></backup-server>" for name in names)


def services(names: list[str], enabled: str = "true") -> str:
    return "".join(f"<service><name>{name}</name><enabled>{enabled}</enabled></service>" for name in names)


def user(name: str, more: str = "") -> etree._Element:
    entry = f"<sys:user><sys:name>{name}</sys:name>{more}</sys:user>"
    return config(f"<sys:system><sys:authentication>{entry}</sys:authentication></sys:system>")


def test_nothing() -> None:
    assert edits(hcm(""), hcm("")) == []


def test_leafs() -> None:
    before = hcm("<enabled>true</enabled><server><port>1</port></server>")
    after = hcm("<enabled>false</enabled><server><domain>a</domain></server>")
    assert edits(before, after) == [
        ("replace", f"{CM}/hcm:enabled"),
        ("create", f"{CM}/hcm:server/hcm:domain"),
        ("delete", f"{CM}/hcm:server/hcm:port"),
    ]


def test_an_entry_that_comes_or_goes_stands_for_all_that_is_in_it() -> None:
    assert edits(hcm(backups("a")), hcm(backups("b"))) == [
        ("delete", f"{CM}/hcm:backup-server[hcm:domain='a']"),
        ("create", f"{CM}/hcm:backup-server[hcm:domain='b']"),
    ]


def test_an_entry_that_moves_stands_for_what_changes_in_it() -> None:
    before = rules("<order>a</order><order>b</order>")
    after = rules("<order>b</order><order>a</order>")
    assert edits(before, after, test_model()) == [("merge", "/tr:rules/tr:order[.='a']")]


def test_many_entries_are_named_by_their_parent() -> None:
    names = [f"s{number}" for number in range(MOST_EDITS)]
    fits = edits(hcm(""), hcm(services(names)))
    assert len(fits) == MOST_EDITS
    assert fits[0] == ("create", f"{CM}/hcm:service[hcm:name='s0']")
    assert edits(hcm(""), hcm(services([*names, "one-more"]))) == [("merge", CM)]


def test_leafs_of_many_entries_rise_as_far_as_they_must() -> None:
    names = [f"s{number}" for number in range(40)]
    before = hcm(services(names) + backups("a"))
    after = hcm(services(names, "false") + backups("b"))
    found = edits(before, after)
    assert len(found) == 42
    assert ("replace", f"{CM}/hcm:service[hcm:name='s0']/hcm:enabled") in found
    more = [f"s{number}" for number in range(60)]
    # Deletions are named in the old tree, creations in the new one: still none stands within another.
    assert edits(hcm(services(more) + backups("a")), hcm(services(more, "false") + backups("b"))) == [("merge", CM)]


def test_other_modules_keep_their_detail_as_long_as_they_fit() -> None:
    names = [f"s{number}" for number in range(200)]
    top = f'<cloud-management xmlns="urn:headstay:yang:cloud-management">{services(names)}</cloud-management>'
    users = (
        "<sys:system><sys:authentication><sys:user><sys:name>u</sys:name></sys:user></sys:authentication></sys:system>"
    )
    found = edits(config(""), config(top + users))
    assert ("merge", CM) in found
    assert len(found) == 2
    assert found[1][1].startswith("/sys:system")


def test_a_path_that_cannot_be_written_is_that_of_the_parent() -> None:
    parent = "/sys:system/sys:authentication"
    assert edits(config(""), user("""it's "quoted\"""")) == [("merge", parent)]
    assert edits(config(""), user("n" * LONGEST_PATH)) == [("merge", parent)]
    assert edits(config(""), user("it's")) == [("create", f"""{parent}/sys:user[sys:name="it's"]""")]


def test_a_large_value_is_no_name() -> None:
    anchor = "-----BEGIN CERTIFICATE-----\n" + "MIIB" * 300 + "\n-----END CERTIFICATE-----\n"
    found = edits(hcm(""), hcm(f"<tls><trust-anchor>{anchor}</trust-anchor></tls>"))
    assert found == [("merge", f"{CM}/hcm:tls")]


def test_no_value_of_a_leaf_stands_in_it() -> None:
    secret = hcm("<server><password>$0$correct horse</password></server>")
    users = user("u", f"<sys:password>$6$salt${'h' * 86}</sys:password>")
    assert edits(hcm(""), secret) == [("create", f"{CM}/hcm:server/hcm:password")]
    assert "hhh" not in str(edits(config(""), users)) + str(json_paths(config(""), users))


def test_the_path_in_json() -> None:
    assert json_paths(hcm(""), hcm(backups("a") + "<server><port>1</port></server>")) == [
        "/headstay-cloud-management:cloud-management/server/port",
        "/headstay-cloud-management:cloud-management/backup-server[domain='a']",
    ]
    assert json_paths(rules(""), rules("<order>a</order>"), test_model()) == ["/test-rules:rules/order[.='a']"]


def test_a_module_that_adds_to_another_is_named() -> None:
    after = rules("<extra xmlns='urn:test:augment'>ti:dog</extra>")
    found = json_paths(rules(""), after, test_model())
    assert found == ["/test-rules:rules/test-augment:extra"]


def test_what_went_and_what_came_are_one_where_they_stand_within_each_other() -> None:
    # The persons are named by their parent in the old tree; what comes after them is in the new tree only.
    persons = "".join(f"<person><name>p{number}</name></person>" for number in range(MOST_EDITS + 1))
    after = rules("<extra xmlns='urn:test:augment'>ti:dog</extra>")
    assert edits(rules(persons), after, test_model()) == [("merge", "/tr:rules")]
