"""Several violations of the model at once: told of are those that each would be told of alone, and nothing else."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from headstay.datastore.model import Model
from headstay.datastore.violations import MOST_VIOLATIONS
from headstay.errors import NetconfError, RpcErrors
from models import device_model, hcm, made, rules, test_model

Told = tuple[str, str | None, str | None]

PEM = "-----BEGIN %s-----\nAAAA\n-----END %s-----\n"
DEVICE_FAULTS = (
    "<server><domain>a</domain></server><backup-server><domain>a</domain></backup-server>",
    "<address-family>ipv4</address-family><source-address>2001:db8::1</source-address>",
    "<switchback><hold-down>60</hold-down></switchback>",
    f"<tls><client-certificate>{PEM % (('CERTIFICATE',) * 2)}</client-certificate></tls>",
)
RULES_FAULTS = (
    "<low>9</low><high>1</high><limited>0</limited>",
    "<person><name>a</name><friend>x</friend></person>",
    "<person><name>b</name><friend>y</friend></person>",
    "<person><name>c</name><tag>1</tag><tag>2</tag><tag>3</tag></person>",
    "".join(f"<pair><left>{n}</left><right>true</right></pair>" for n in range(4)),
    "<required><needed>x</needed><inner><also>y</also></inner></required>",
    "<reference>none</reference>",
    "<crew><member><name>k</name></member><watch>1</watch><captain>k</captain></crew>",
    "<crew><member><name>k</name></member><watch>1</watch><watch>2</watch><captain>nobody</captain></crew>",
)


def errors(model: Model, tree: etree._Element) -> list[NetconfError]:
    try:
        model.validate(tree)
    except NetconfError as error:
        return [error]
    except RpcErrors as found:
        return list(found.errors)
    return []


def told(model: Model, tree: etree._Element) -> list[Told]:
    return [(e.tag, e.app_tag, None if e.path is None else e.path.text) for e in errors(model, tree)]


@pytest.mark.parametrize("chosen", [c for n in range(5) for c in itertools.combinations(DEVICE_FAULTS, n)])
def test_faults_of_the_device_add_up(chosen: tuple[str, ...]) -> None:
    model = device_model()
    alone = [told(model, made(model, hcm(fault))) for fault in chosen]
    assert all(len(found) == 1 for found in alone)
    assert sorted(told(model, made(model, hcm("".join(chosen))))) == sorted(itertools.chain(*alone))


@settings(deadline=None)
@given(st.lists(st.sampled_from(RULES_FAULTS[:-1]), unique=True))
def test_faults_of_every_kind_add_up(chosen: list[str]) -> None:
    model = test_model()
    alone = {found for fault in chosen for found in told(model, made(model, rules(fault)))}
    together = told(model, made(model, rules("".join(chosen))))
    assert set(together) == alone
    assert len(together) == len(alone) == len(chosen)


def test_the_first_is_the_one_that_a_validation_comes_to_first() -> None:
    """A list that is too long is told of before what is wrong with its entries."""
    model = device_model()
    servers = "".join(f"<backup-server><domain>b{n}</domain></backup-server>" for n in range(9))
    [first, second] = told(model, made(model, hcm(f"<server><domain>b3</domain></server>{servers}")))
    assert (first[1], second[1]) == ("too-many-elements", "duplicate-server")


def test_below_what_lacks_something_nothing_more_is_looked_for() -> None:
    model = test_model()
    lacking = "<crew><watch>1</watch><captain>nobody</captain></crew>"
    assert len(told(model, made(model, rules(lacking)))) == 1
    assert len(told(model, made(model, rules(lacking + "<reference>none</reference>")))) == 2


def test_there_is_an_end() -> None:
    model = test_model()
    many = "".join(f"<person><name>{n}</name><friend>x</friend></person>" for n in range(MOST_VIOLATIONS + 1))
    assert len(told(model, made(model, rules(many)))) == MOST_VIOLATIONS
