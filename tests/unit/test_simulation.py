"""Simulated students: like people in the large, the same for the same seed, and honest about it."""

import asyncio
import itertools
import json
import random
from collections import Counter
from difflib import SequenceMatcher
from typing import Any

import httpx
import pytest

from contracts.text import normalise
from scripts.simulation import NotServed, Tally, simulate
from scripts.students import Crowd, Question, Student, type_as_people_do
from training.examples import QUERIES_FILE, Example, read_examples, read_labels


@pytest.fixture(scope="module")
def crowd() -> Crowd:
    return Crowd(read_examples(QUERIES_FILE, labels=read_labels()))


def session(crowd: Crowd, *, seed: int, outcome: str = "answered") -> list[Question]:
    student, asked = Student(crowd, seed=seed), []
    while (question := student.ask()) is not None:
        asked.append(question)
        student.hear({"intent": question.intent, "outcome": outcome})
    return asked


def test_few_intents_and_few_questions_are_asked_most(crowd: Crowd) -> None:
    asked = [question for seed in range(3_000) for question in session(crowd, seed=seed)]
    intents = Counter(question.intent for question in asked)
    assert set(intents) == set(read_labels())
    assert sum(count for _, count in intents.most_common(5)) > 0.5 * len(asked)
    questions = Counter(question.plain_text for question in asked)
    assert questions.most_common(1)[0][1] > 20, "the commonest is asked by many"
    assert len(questions) > 500, "and many are asked by few"


def test_the_same_seed_is_the_same_student(crowd: Crowd) -> None:
    assert session(crowd, seed=7) == session(crowd, seed=7)
    assert session(crowd, seed=7) != session(crowd, seed=8)


def test_students_ask_on_and_ask_anew_when_the_hub_was_not_sure(crowd: Crowd) -> None:
    def repeats(outcome: str) -> int:
        visits = [session(crowd, seed=seed, outcome=outcome) for seed in range(500)]
        return sum(
            earlier.plain_text == later.plain_text
            for visit in visits
            for earlier, later in itertools.pairwise(visit)
        )

    assert max(len(session(crowd, seed=seed)) for seed in range(500)) > 3
    assert repeats("rephrase") > 3 * repeats("answered")


def test_what_is_mistyped_can_still_be_read() -> None:
    plain, draw = "how do i appeal a grade", random.Random(1)
    typed = [type_as_people_do(plain, draw=draw) for _ in range(1_000)]
    likeness = [SequenceMatcher(None, normalise(text), plain).ratio() for text in typed]
    assert len(set(typed)) > 100
    assert min(likeness) > 0.7
    assert 0.3 < sum(text == plain for text in typed) / len(typed) < 0.7


def test_thumbs_mostly_tell_whether_the_intent_was_the_one_meant(crowd: Crowd) -> None:
    for fits, expected in ((True, 1), (False, -1)):
        thumbs = []
        for seed in range(3_000):
            student = Student(crowd, seed=seed)
            question = student.ask()
            assert question is not None
            intent = question.intent if fits else "another"
            thumbs.append(student.hear({"intent": intent, "outcome": "answered"}))
        given = [thumb.score for thumb in thumbs if thumb is not None]
        assert 0.15 < len(given) / len(thumbs) < 0.5
        assert 0.88 < given.count(expected) / len(given) < 0.97


class Hub:
    """A hub of a few lines: it answers everything with one intent, and remembers what came."""

    def __init__(self, *, knows_sessions: bool = True, full: int = 0) -> None:
        self.requests: list[tuple[str, str, dict[str, Any]]] = []
        self._knows_sessions = knows_sessions
        self._full = full

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        body, token = json.loads(request.content), request.headers["X-Hub-Session"]
        if self._full:
            self._full -= 1
            return httpx.Response(503, headers={"Retry-After": "0"})
        self.requests.append((request.url.path, token, body))
        headers = {} if self._knows_sessions else {"X-Hub-Session": "f" * 44}
        number = f"{token}-{len(self.requests)}"
        answer = {"interaction_id": number, "outcome": "answered", "intent": "dining"}
        return httpx.Response(200, json=answer, headers=headers)


def run(hub: Hub, *, sessions: int = 40) -> Tally:
    crowd = Crowd([Example("where is lunch", "dining"), Example("my room is cold", "housing")])
    tokens = [f"token-{number}" for number in range(sessions)]
    return asyncio.run(
        simulate(
            "http://hub",
            tokens=tokens,
            crowd=crowd,
            rate=10_000,
            transport=httpx.MockTransport(hub),
        )
    )


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Student, "pause_s", lambda self: 0.0)


@pytest.mark.usefixtures("no_pauses")
def test_every_session_asks_with_its_own_token_and_thumbs_only_its_own_answers() -> None:
    hub = Hub()
    tally = run(hub)
    asked = [token for path, token, _ in hub.requests if path == "/v1/query"]
    assert set(asked) == {f"token-{number}" for number in range(40)}
    thumbs = [(token, body) for path, token, body in hub.requests if path == "/v1/feedback"]
    assert thumbs
    assert all(body["interaction_id"].startswith(f"{token}-") for token, body in thumbs)
    assert tally.thumbs.total() == len(thumbs)
    assert tally.outcomes.total() + tally.hung_up + tally.too_fast == len(asked)
    assert 0 < tally.right < tally.outcomes.total()


@pytest.mark.usefixtures("no_pauses")
def test_a_hub_that_is_full_is_asked_again_when_it_says() -> None:
    tally = run(Hub(full=5))
    assert tally.refusals == {"503": 5}
    assert tally.outcomes.total() >= 38


@pytest.mark.usefixtures("no_pauses")
def test_a_hub_that_does_not_know_the_sessions_is_left_alone() -> None:
    hub = Hub(knows_sessions=False)
    with pytest.raises(NotServed, match="HUB_SECRET is another one"):
        run(hub)
    assert len(hub.requests) < 80


@pytest.mark.usefixtures("no_pauses")
def test_a_hub_that_is_away_is_said_in_one_sentence() -> None:
    async def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused")

    with pytest.raises(NotServed, match=r"does not answer \(ConnectError\)"):
        run(away)  # type: ignore[arg-type]
