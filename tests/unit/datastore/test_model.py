"""The model's schema, and what `validate` refuses: tags, paths, app-tags (RFC 7950 section 15)."""

from __future__ import annotations

from pathlib import Path

import pytest
from lxml import etree

from headstay import xml
from headstay.datastore.model import Model
from headstay.datastore.modules import ModuleUse, module_directories
from headstay.datastore.schema import DefaultDeny, Kind
from headstay.errors import ErrorInfo, NetconfError, RpcErrors, StartupError
from models import config, device_model, hcm, made, rules, test_model, types


def refused(model: Model, content: etree._Element) -> NetconfError:
    tree = made(model, content)
    with pytest.raises(NetconfError) as caught:
        model.validate(tree)
    return caught.value


def path(error: NetconfError) -> str:
    assert error.path is not None
    return error.path.text


# the schema -----------------------------------------------------------------------------------------


def test_the_schema_is_plain() -> None:
    schema = test_model().schema
    pair = schema.find("/tr:rules/pair")
    assert (pair.kind, pair.keys, pair.user_ordered) == (Kind.LIST, ("left", "right"), True)
    assert schema.find("/tr:rules/preset").defaults == ("a", "b")
    assert schema.find("/tr:rules/crew").presence
    assert not schema.find("/tr:rules/state").config
    assert schema.find("/tt:types/anything").kind is Kind.ANYDATA


def test_nodes_of_cases_know_their_choices() -> None:
    schema = test_model().schema
    (outer, other), (_, barrel) = schema.find("/tr:rules/barrel").cases
    assert schema.find("/tr:rules/tcp-port").cases[0][0] == outer
    assert schema.find("/tr:rules/ta:balloon").cases[0][0] == outer
    assert (other, barrel) == ("test-rules:other", "test-rules:barrel")


def test_what_a_conditional_augment_adds_is_there() -> None:
    assert test_model().schema.find("/tr:rules/person/ta:stamp").module == "test-augment"


def test_keys_come_first() -> None:
    for node in [*device_model().schema.walk(), *test_model().schema.walk()]:
        assert tuple(child.name for child in list(node.children.values())[: len(node.keys)]) == node.keys


def test_elements_have_prefixes_only_where_values_use_some() -> None:
    assert test_model().schema.find("/tt:types/int8").prefixed
    assert not any(node.prefixed for node in device_model().schema.children.values() if node.namespace == xml.HCM)


def test_a_broken_module_stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "broken.yang").write_text(
        "module broken {\n  namespace urn:b;\n  prefix b;\n  leaf x { type nope; }\n}"
    )
    with pytest.raises(StartupError, match="cannot be loaded"):
        Model([ModuleUse("broken")], [tmp_path, *module_directories()])


# what is accepted -----------------------------------------------------------------------------------


def test_nothing_is_valid() -> None:
    device_model().validate(device_model().empty())


def test_defaults_count_in_must() -> None:
    content = "<low>10</low><high>10</high><limited>9</limited>"
    test_model().validate(made(test_model(), rules(content)))
    assert "high" in path(refused(test_model(), rules("<high>9</high>")))  # low is 10 by default


def test_defaults_under_a_false_condition_do_not_count() -> None:
    person = "<person><name>a</name></person>"
    test_model().validate(made(test_model(), rules(person)))


def test_an_identity_as_a_key() -> None:
    content = "<kind><id>ti:dog</id><number>1</number></kind><kind><id>ti:dog</id><number>2</number></kind>"
    test_model().validate(made(test_model(), types(content)))


# what is refused ------------------------------------------------------------------------------------


def test_nine_backup_servers() -> None:
    nine = "".join(f"<backup-server><domain>b{number}</domain></backup-server>" for number in range(9))
    error = refused(device_model(), hcm(nine))
    assert (error.tag, error.app_tag) == ("operation-failed", "too-many-elements")
    assert path(error) == "/hcm:cloud-management/hcm:backup-server"


@pytest.mark.parametrize(
    ("primary", "backup"),
    [("::1", "0:0:0:0:0:0:0:1"), ("2001:DB8::0:A", "2001:db8::a"), ("::ffff:1.2.3.4", "::FFFF:102:304")],
)
def test_one_server_twice_as_an_ipv6_address(primary: str, backup: str) -> None:
    content = f"<server><domain>{primary}</domain></server><backup-server><domain>{backup}</domain></backup-server>"
    assert refused(device_model(), hcm(content)).app_tag == "duplicate-server"


def test_one_server_twice() -> None:
    content = "<server><domain>A.example</domain></server><backup-server><domain>a.EXAMPLE</domain></backup-server>"
    error = refused(device_model(), hcm(content))
    assert (error.tag, error.app_tag) == ("operation-failed", "duplicate-server")
    assert path(error) == "/hcm:cloud-management/hcm:backup-server[hcm:domain='a.EXAMPLE']"
    assert "in the list already" in error.message
    assert error.path is not None
    assert error.path.prefixes == (("hcm", xml.HCM),)


def test_a_must_without_words_of_its_own() -> None:
    content = "<high>5</high><low>1</low><limited>6</limited>"
    error = refused(test_model(), rules(content))
    assert (error.tag, error.app_tag, path(error)) == ("operation-failed", "must-violation", "/tr:rules/tr:limited")


def test_a_leafref_to_nothing() -> None:
    error = refused(test_model(), rules("<person><name>a</name><friend>b</friend></person>"))
    assert (error.tag, error.app_tag) == ("data-missing", "instance-required")
    assert path(error) == "/tr:rules/tr:person[tr:name='a']/tr:friend"


def test_an_instance_identifier_to_nothing() -> None:
    error = refused(test_model(), types("<instance>/tt:types/tt:int8</instance>"))
    assert (error.tag, error.app_tag) == ("data-missing", "instance-required")


def test_a_false_when() -> None:
    error = refused(test_model(), rules("<mode>off</mode><plain-only>x</plain-only>"))
    assert (error.tag, error.info) == ("unknown-element", (ErrorInfo("bad-element", "plain-only"),))


def test_a_missing_mandatory_leaf() -> None:
    error = refused(test_model(), rules("<mode>deep</mode>"))
    assert (error.tag, path(error)) == ("data-missing", "/tr:rules/tr:deep/tr:depth")
    assert "depth" in error.message


def test_a_missing_mandatory_choice() -> None:
    error = refused(test_model(), rules("<required><needed>x</needed><inner><also>y</also></inner></required>"))
    assert (error.tag, error.app_tag) == ("data-missing", "missing-choice")
    assert error.info == (ErrorInfo("missing-choice", "way", xml.YANG),)  # RFC 7950 section 15.6
    assert path(error) == "/tr:rules/tr:required"


def test_too_few() -> None:
    crew = "<member><name>a</name></member><captain>a</captain><watch>1</watch>"
    error = refused(test_model(), rules(f"<crew>{crew}</crew>"))
    assert (error.tag, error.app_tag) == ("operation-failed", "too-few-elements")
    assert path(error) == "/tr:rules/tr:crew/tr:watch"


def test_none_at_all_are_too_few() -> None:
    error = refused(test_model(), rules("<crew><watch>1</watch><watch>2</watch><captain>a</captain></crew>"))
    assert (error.tag, error.app_tag) == ("operation-failed", "too-few-elements")
    assert path(error) == "/tr:rules/tr:crew/tr:member"


def test_too_many_in_a_leaf_list() -> None:
    person = "<person><name>a</name><tag>1</tag><tag>2</tag><tag>3</tag></person>"
    error = refused(test_model(), rules(person))
    assert (error.app_tag, path(error)) == ("too-many-elements", "/tr:rules/tr:person[tr:name='a']/tr:tag")


@pytest.mark.parametrize(
    "same",
    [
        "<mail>m</mail>",
        "<home><number>1</number></home>",  # the street is the same by default
    ],
)
def test_unique(same: str) -> None:
    two = "".join(f"<person><name>{name}</name>{same}</person>" for name in "ab")
    error = refused(test_model(), rules(two))
    assert (error.tag, error.app_tag) == ("operation-failed", "data-not-unique")


def test_trees_that_edit_would_not_make() -> None:
    model = device_model()
    top = f'<cloud-management xmlns="{xml.HCM}">%s</cloud-management>'
    for content, tag in (
        ("<enabled>true</enabled><enabled>true</enabled>", "bad-element"),
        ("<no-such/>", "unknown-element"),
        ("<backup-server><domain>a</domain></backup-server>" * 2, "operation-failed"),
        ("<backup-server><port>1</port></backup-server>", "operation-failed"),
    ):
        with pytest.raises((NetconfError, RpcErrors)) as caught:
            model.validate(config(top % content))
        first = caught.value.errors[0] if isinstance(caught.value, RpcErrors) else caught.value
        assert first.tag == tag, content


def test_no_value_stands_in_an_error() -> None:
    model = device_model()
    secret = "$aes-256-gcm$hunter2/"
    for content in (
        f"<tls><private-key>{secret}</private-key></tls>",
        f"<server><password>{secret}\n</password></server>",
    ):
        with pytest.raises(NetconfError) as caught:
            model.validate(config(f'<cloud-management xmlns="{xml.HCM}">{content}</cloud-management>'))
        assert "hunter2" not in caught.value.message


def test_what_the_modules_deny_by_default() -> None:
    model = device_model()
    denied = {node.path: node.default_deny for node in model.schema.walk()}
    assert denied["/hcm:cloud-management/server/password"] is DefaultDeny.ALL
    assert denied["/hcm:cloud-management/server/domain"] is DefaultDeny.NOTHING
    assert denied["/nacm:nacm/groups/group/user-name"] is DefaultDeny.ALL  # by the container around it
    assert denied["/sys:system/authentication/user/name"] is DefaultDeny.WRITE
    assert denied["/sys:system/authentication/user/password"] is DefaultDeny.ALL  # a hash
    assert f"{{{xml.HCM}}}reconnect" in model.denied_by_default
    assert f"{{{xml.NETCONF}}}commit" not in model.denied_by_default
