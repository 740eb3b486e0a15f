"""The circuit breaker: it opens, rests, tries once, and believes what it sees."""

import contextlib
import logging
from dataclasses import dataclass

import pytest

from contracts.errors import EmbedderAway
from models.breaker import Breaker


@dataclass
class Clock:
    now_s: float = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("the service", failure=EmbedderAway, failures=3, rest_s=5.0, clock=clock)


def fails(breaker: Breaker) -> str:
    """Make a call that fails, and return what is raised."""
    with pytest.raises(EmbedderAway) as caught, breaker.guard():
        raise EmbedderAway("no route")
    return caught.value.detail


def succeeds(breaker: Breaker) -> None:
    with breaker.guard():
        pass


def refuses(breaker: Breaker) -> bool:
    """Say whether a call is not even begun."""
    with contextlib.suppress(EmbedderAway), breaker.guard():
        return False
    return True


def test_it_opens_after_so_many_failures_in_a_row_and_not_before(breaker: Breaker) -> None:
    for _ in range(2):
        fails(breaker)
    succeeds(breaker)  # begins a new row
    for _ in range(3):
        assert fails(breaker) == "no route"
    assert "asked again in a while" in fails(breaker)
    assert refuses(breaker)


def test_after_its_rest_one_call_tries_and_the_others_are_refused(
    breaker: Breaker, clock: Clock
) -> None:
    for _ in range(3):
        fails(breaker)
    clock.now_s += 4.9
    assert refuses(breaker)
    clock.now_s += 0.2
    with breaker.guard():
        assert refuses(breaker)
    succeeds(breaker)
    fails(breaker)
    succeeds(breaker)  # closed: a single failure opens nothing


def test_a_trial_that_fails_begins_the_rest_anew(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        fails(breaker)
    clock.now_s += 5.1
    assert fails(breaker) == "no route"
    clock.now_s += 4.9
    assert refuses(breaker)
    clock.now_s += 0.2
    succeeds(breaker)
    succeeds(breaker)


def test_an_answer_that_is_an_error_of_ours_counts_as_an_answer(breaker: Breaker) -> None:
    for _ in range(2):
        fails(breaker)
    with pytest.raises(ValueError, match="too long"), breaker.guard():
        raise ValueError("too long")
    fails(breaker)
    succeeds(breaker)


def test_a_trial_that_was_given_up_leaves_room_for_another(breaker: Breaker, clock: Clock) -> None:
    for _ in range(3):
        fails(breaker)
    clock.now_s += 5.1
    with pytest.raises(KeyboardInterrupt), breaker.guard():
        raise KeyboardInterrupt
    succeeds(breaker)


def test_calls_that_began_before_it_opened_neither_end_the_trial_nor_prolong_the_rest(
    breaker: Breaker, clock: Clock
) -> None:
    with contextlib.suppress(EmbedderAway), breaker.guard():
        for _ in range(3):
            fails(breaker)
        clock.now_s += 4.0
        raise EmbedderAway("an old call")
    clock.now_s += 1.1
    succeeds(breaker)


def test_that_it_opens_and_closes_is_said_once_each(
    breaker: Breaker, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="models.breaker"):
        for _ in range(5):
            fails(breaker)
        clock.now_s += 5.1
        fails(breaker)
        clock.now_s += 5.1
        succeeds(breaker)
        succeeds(breaker)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 2
    assert said[0].startswith("the service is away, asking again every 5 s:")
    assert said[1] == "the service answers again"
