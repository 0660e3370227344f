from __future__ import annotations

import pytest

from headstay.engine.explanations import ADVICE, IN_STAGE, REFUSED, explain, listed
from headstay.engine.inputs import Failure
from headstay.engine.reasons import FailureReason
from headstay.engine.verdicts import StageName

TEXTS = [*ADVICE.values(), *IN_STAGE.values(), *REFUSED.values()]


def test_every_reason_has_its_advice() -> None:
    assert set(ADVICE) == set(FailureReason)


@pytest.mark.parametrize("text", TEXTS)
def test_an_advice_is_whole_sentences_in_one_line(text: str) -> None:
    assert text.isprintable()
    assert text.endswith(".")
    assert text[0].isupper()
    assert len(text) <= 300


@pytest.mark.parametrize("stage", StageName)
@pytest.mark.parametrize("reason", FailureReason)
def test_a_failure_without_details_is_still_explained(stage: StageName, reason: FailureReason) -> None:
    said = explain(stage, Failure(reason))
    assert said.lower().startswith(reason.value.replace("-", " "))
    assert said.endswith(IN_STAGE.get((stage, reason), ADVICE[reason]))


def test_what_was_found_comes_first() -> None:
    failure = Failure(FailureReason.SERVER_BUSY, "busy", 12.4)
    assert explain(StageName.HTTP, failure).startswith("Busy, to be asked again in 12 s. Wait")
    assert explain(StageName.HTTP, failure, "so it is").startswith("So it is, to be")


def test_many_texts_from_elsewhere_are_listed_within_bounds() -> None:
    assert listed(("a", "b")) == "a, b"
    assert listed(tuple("abcdefg")) == "a, b, c, d and 3 more"
    assert listed(("\x1b[31mred",)) == "[31mred"
