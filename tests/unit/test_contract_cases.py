"""The cases for frontends: what their servers say is what the hub can say, and no wording of a
frontend's own is asked for."""

import json
from collections import Counter
from typing import Any, Literal

import jsonschema
import pytest
from pydantic import BaseModel, ConfigDict

from contracts.outcome import MESSAGES, OUT_OF_SCOPE, decide
from contracts.settings import PROJECT

CASES = PROJECT / "contracts" / "cases"
SCHEMA = PROJECT / "contracts" / "schema"
HINTS = json.loads((CASES / "hints.json").read_text())
SHORTEST_MS, PATIENCE_MS = 800, 10_000
"""hub-client.js has the same two."""


class Given(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    text: str
    unreachable: Literal[True] | None = None
    status: int | None = None
    headers: dict[str, str] = {}
    body: dict[str, Any] | None = None
    raw: str | None = None
    delay_ms: int = 0


class Then(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    state: Literal["idle", "answered", "confused", "rephrase", "offline"]
    shows: list[str]
    hides: list[str]
    choices: list[str]
    crisis_on_top: bool | None = None
    links: list[str] = []
    no_links: list[str] = []
    says_partial: Literal[True] | None = None
    retry_after_s: int | None = None
    typing_at_least_ms: int
    typing_at_most_ms: int | None = None
    fits_width: Literal[True] | None = None
    right_to_left: list[str] = []


class Case(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    name: str
    outside_contract: Literal[True] | None = None
    given: Given
    then: Then


def read_cases() -> list[Case]:
    files = sorted(file for file in CASES.glob("*.json") if file.name != "hints.json")
    return [Case.model_validate(row) for file in files for row in json.loads(file.read_text())]


ALL = read_cases()
each_case = pytest.mark.parametrize("case", ALL, ids=lambda case: case.name)
each_answer = pytest.mark.parametrize(
    "case",
    [case for case in ALL if case.given.status == 200 and not case.outside_contract],
    ids=lambda case: case.name,
)


def fits(instance: object, name: str) -> bool:
    schema = json.loads((SCHEMA / f"{name}.json").read_text())
    return bool(jsonschema.Draft202012Validator(schema).is_valid(instance))


def texts_in(part: object) -> list[str]:
    if isinstance(part, str):
        return [part]
    values = part.values() if isinstance(part, dict) else part if isinstance(part, list) else []
    return [text for value in values for text in texts_in(value)]


def body_of(case: Case) -> dict[str, Any]:
    assert case.given.body is not None
    return case.given.body


def test_the_hints_are_hints_of_the_contract() -> None:
    assert fits(HINTS, "hints")


def test_every_case_has_a_name_of_its_own() -> None:
    assert [name for name, count in Counter(case.name for case in ALL).items() if count > 1] == []


@each_case
def test_a_server_does_one_thing(case: Case) -> None:
    given = case.given
    assert fits({"text": given.text}, "query-request")
    if given.unreachable:
        assert (given.status, given.body, given.raw, given.headers) == (None, None, None, {})
    else:
        assert given.status is not None
        assert (given.body is None) != (given.raw is None)
        assert "Content-Type" in given.headers


@each_case
def test_a_body_is_of_the_contract_unless_the_case_says_otherwise(case: Case) -> None:
    given = case.given
    is_problem = given.headers.get("Content-Type") == "application/problem+json"
    if is_problem:
        assert fits(given.body, "problem")
        assert body_of(case)["status"] == given.status
        assert given.headers["X-Request-ID"] == body_of(case)["request_id"]
    elif given.status == 200:
        assert fits(given.body, "query-answer") is not (case.outside_contract or False)
    else:
        assert given.body is None


@each_answer
def test_an_answer_is_one_that_the_hub_can_give(case: Case) -> None:
    answer = body_of(case)
    confidences = [one["confidence"] for one in answer["alternatives"]]
    assert confidences == sorted(confidences, reverse=True)
    decided = decide(
        answer["intent"],
        confidence=answer["confidence"],
        runner_up=confidences[1] if len(confidences) > 1 else None,
    )
    assert (answer["outcome"], answer["confused_because"]) == decided
    assert answer["is_confused"] is (answer["outcome"] != "answered")
    assert ("classifier" in answer["degraded"]) is (answer["intent"] is None)
    if answer["intent"] is not None:
        assert answer["alternatives"][0]["intent"] == answer["intent"]
    if "retriever" in answer["degraded"]:
        assert answer["results"] == []
    scores = [one["score"] for one in answer["results"]]
    assert scores == sorted(scores, reverse=True)
    if not case.name.startswith("markup in a message"):
        assert answer["message"] == (None if answer["crisis"] else MESSAGES[answer["outcome"]])


@each_answer
def test_what_must_be_shown_follows_from_the_answer(case: Case) -> None:
    answer, then = body_of(case), case.then
    if case.given.delay_ms > PATIENCE_MS:
        assert then.state == "offline"
        return
    assert then.state == answer["outcome"]
    assert then.crisis_on_top is (answer["crisis"] is not None)
    others = [one["intent"] for one in answer["alternatives"] if one["intent"] != OUT_OF_SCOPE]
    titles = [HINTS["intents"][intent] for intent in others]
    assert then.choices == (titles if answer["outcome"] != "answered" else [])
    urls = [one["url"] for one in answer["results"]]
    urls += [answer["crisis"]["url"]] if answer["crisis"] else []
    assert sorted(then.links + then.no_links) == sorted(urls)
    assert all(url.startswith("https://") and "[" not in url for url in then.links)


@each_case
def test_only_what_was_asked_or_answered_has_to_be_read(case: Case) -> None:
    given, then = case.given, case.then
    known = [given.text, *texts_in(given.body), *texts_in(HINTS)]
    assert then.shows or then.state == "answered"
    for text in then.shows:
        assert text in known, text
    assert set(then.right_to_left) <= set(then.shows)
    for hidden in then.hides:
        assert not [text for text in then.shows if hidden in text], hidden


@each_case
def test_typing_lasts_as_long_as_the_answer_takes_and_never_a_flicker(case: Case) -> None:
    then = case.then
    assert then.typing_at_least_ms == max(SHORTEST_MS, min(case.given.delay_ms, PATIENCE_MS))
    if then.typing_at_most_ms is not None:
        assert then.typing_at_most_ms > then.typing_at_least_ms


@each_case
def test_what_is_refused_or_away_is_told_apart(case: Case) -> None:
    given, then = case.given, case.then
    if given.headers.get("Content-Type") == "application/problem+json":
        assert then.state == "idle"
        assert body_of(case)["detail"] in then.shows
        retry_after = given.headers.get("Retry-After")
        assert then.retry_after_s == (int(retry_after) if retry_after else None)
    elif given.status != 200 or case.outside_contract:
        assert then.state == "offline"
    if then.state in {"idle", "offline"}:
        assert (then.crisis_on_top, then.choices, then.links) == (None, [], [])


def test_every_state_reason_and_status_has_a_case() -> None:
    answers = [body_of(case) for case in ALL if case.given.status == 200 and case.given.body]
    states = {case.then.state for case in ALL}
    assert states == {"idle", "answered", "confused", "rephrase", "offline"}
    assert {answer["confused_because"] for answer in answers} == {
        *(None, "degraded", "low_confidence", "out_of_scope", "ambiguous")
    }
    crises = {answer["outcome"] for answer in answers if answer["crisis"]}
    assert crises == {"answered", "confused", "rephrase"}
    assert {tuple(answer["degraded"]) for answer in answers} >= {
        *(("classifier",), ("embedder",), ("retriever",))
    }
    assert {case.given.status for case in ALL} == {None, 200, 422, 429, 500, 502, 503, 504}
    assert {0, 799, 801, 9_900, 10_100} <= {case.given.delay_ms for case in ALL}
