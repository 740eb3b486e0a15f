"""When the learning-loop benchmark is content, and what it complains of."""

import pytest

from benchmarks.learning_verdict import SIGNS, Retrained, shortcomings
from training.stages.run import Exit

HONEST = Retrained(Exit.DONE, (), 590)
STOPPED = {
    "by chance": Retrained(Exit.LABELS_INCONSISTENT, ("noise: about 30% of 590 labels",), 590),
    "swapped": Retrained(
        Exit.LABELS_INCONSISTENT, ("swap: dining and library look swapped, 32 of 46",), 590
    ),
}


def test_a_better_version_and_stopped_poison_are_all_it_wants() -> None:
    assert shortcomings(HONEST, gain=0.05, stopped=STOPPED) == []


@pytest.mark.parametrize(
    ("honest", "gain", "complaint"),
    [
        (HONEST, 0.049, "not better by 5%"),
        (HONEST, None, "no version"),
        (Retrained(Exit.CANDIDATE_WORSE, (), 590), None, "no version"),
        (Retrained(Exit.NOT_ENOUGH_LABELS, (), 500), None, "no version"),
    ],
)
def test_a_loop_that_does_not_turn_is_told(
    honest: Retrained, gain: float | None, complaint: str
) -> None:
    (said,) = shortcomings(honest, gain=gain, stopped=STOPPED)
    assert complaint in said


@pytest.mark.parametrize("name", SIGNS)
@pytest.mark.parametrize(
    "passed",
    [
        Retrained(Exit.DONE, (), 590),
        Retrained(Exit.NOT_ENOUGH_LABELS, (), 400),
        Retrained(Exit.LABELS_INCONSISTENT, ("swap: housing and tutoring look swapped",), 590),
    ],
)
def test_poison_that_passes_or_is_stopped_for_something_else_is_told(
    name: str, passed: Retrained
) -> None:
    (said,) = shortcomings(HONEST, gain=0.1, stopped={**STOPPED, name: passed})
    assert said == f"the labels {name} were not stopped for what they are"
