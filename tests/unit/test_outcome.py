"""Every rule that makes an outcome of a prediction, and both sides of each border."""

from typing import get_args

import pytest

from contracts.outcome import (
    AMBIGUOUS_WITHIN,
    ANSWER_FROM,
    MESSAGES,
    REPHRASE_BELOW,
    ConfusedBecause,
    Outcome,
    decide,
)

DEGRADED = ("confused", "degraded")
REPHRASE = ("rephrase", "low_confidence")
OUT_OF_SCOPE = ("confused", "out_of_scope")
AMBIGUOUS = ("confused", "ambiguous")
UNSURE = ("confused", "low_confidence")
ANSWERED = ("answered", None)


def test_the_thresholds_are_those_of_the_contract() -> None:
    assert (REPHRASE_BELOW, ANSWER_FROM, AMBIGUOUS_WITHIN) == (0.40, 0.60, 0.15)


@pytest.mark.parametrize(
    ("intent", "confidence", "runner_up", "expected"),
    [
        # no classifier comes before everything else
        (None, None, None, DEGRADED),
        ("dining", None, None, DEGRADED),
        (None, 0.99, None, DEGRADED),
        # below 0.40: rephrase, out of scope or not
        ("dining", 0.0, None, REPHRASE),
        ("dining", 0.3999, 0.39, REPHRASE),
        ("out_of_scope", 0.3999, 0.1, REPHRASE),
        # from 0.40 on, out of scope stays out of scope, however sure
        ("out_of_scope", 0.40, 0.39, OUT_OF_SCOPE),
        ("out_of_scope", 0.5999, 0.1, OUT_OF_SCOPE),
        ("out_of_scope", 1.0, 0.0, OUT_OF_SCOPE),
        # between: ambiguous when the second is within 0.15, that border included
        ("dining", 0.40, 0.40, AMBIGUOUS),
        ("dining", 0.40, 0.25, AMBIGUOUS),
        ("dining", 0.40, 0.2499, UNSURE),
        ("dining", 0.5999, 0.4499, AMBIGUOUS),
        ("dining", 0.5999, 0.4498, UNSURE),
        ("dining", 0.5999, 0.0, UNSURE),
        ("dining", 0.50, None, UNSURE),
        # from 0.60 on: answered, however close the second
        ("dining", 0.60, 0.40, ANSWERED),
        ("dining", 0.60, None, ANSWERED),
        ("dining", 1.0, 0.0, ANSWERED),
    ],
)
def test_the_first_rule_that_matches_decides(
    intent: str | None,
    confidence: float | None,
    runner_up: float | None,
    expected: tuple[Outcome, ConfusedBecause | None],
) -> None:
    assert decide(intent, confidence=confidence, runner_up=runner_up) == expected


def test_floating_point_never_moves_the_border_of_ambiguity() -> None:
    # 0.45 - 0.30 is 0.15000000000000002, and 0.55 - 0.40 is 0.15000000000000002 too.
    hundredths = [(c / 100, (c - 15) / 100) for c in range(40, 60)]
    assert {decide("dining", confidence=c, runner_up=r) for c, r in hundredths} == {AMBIGUOUS}


def test_every_outcome_has_its_message_and_only_an_answer_has_none() -> None:
    assert set(MESSAGES) == set(get_args(Outcome))
    assert MESSAGES == {
        "answered": None,
        "confused": "I'm not sure, but here is what I found...",
        "rephrase": "Could you rephrase that?",
    }
