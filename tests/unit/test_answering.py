"""A query's way through the graph: what is answered when everything works, and when not."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from contracts.messages import QueryAnswer, QueryRequest
from contracts.records import Interaction, Prediction
from store.identity import asked_at, is_interaction_of
from tests.plain_stages import PlainStages, prediction
from tests.samples import SECRET


async def ask(
    stages: PlainStages, text: str = "how do i appeal a grade", **fields: Any
) -> tuple[QueryAnswer, Interaction]:
    return await stages.answerer().answer(QueryRequest(text=text, **fields), session_id="5e55")


async def test_everything_that_the_stages_found_is_in_the_answer() -> None:
    answer, _ = await ask(PlainStages())
    assert answer.outcome == "answered"
    assert (answer.is_confused, answer.confused_because, answer.message) == (False, None, None)
    assert (answer.intent, answer.confidence, answer.model_version) == (
        "exams_and_grades",
        0.91,
        "v3",
    )
    assert [(one.intent, one.confidence) for one in answer.alternatives] == [
        ("exams_and_grades", 0.91),
        ("academic_advising", 0.05),
        ("graduation", 0.01),
    ]
    assert [result.id for result in answer.results] == ["exams-0", "exams-1", "exams-2"]
    assert answer.results[0].model_dump() == {
        "id": "exams-0",
        "title": "Appeals 0",
        "snippet": "how to <b>appeal</b>",
        "url": "https://example.edu/0",
        "intent": "exams_and_grades",
        "score": 0.9,
    }
    assert (answer.degraded, answer.embedding_space, answer.crisis) == ([], "space", None)
    assert is_interaction_of(answer.interaction_id, session_id="5e55", secret=SECRET)


async def test_timings_name_every_stage_and_the_total_is_no_less_than_their_course() -> None:
    stages = PlainStages(late_s={"classifier": 0.1, "embedder": 0.08, "retriever": 0.02})
    answer, _ = await ask(stages)
    timings = answer.timings_ms
    assert set(timings) == {"classify", "embed", "retrieve", "total"}
    assert timings["classify"] >= 100
    assert timings["embed"] >= 80
    assert timings["retrieve"] >= 20
    assert timings["total"] >= timings["classify"] + timings["retrieve"]
    # Classify and embed run side by side.
    assert timings["total"] < timings["classify"] + timings["embed"] + timings["retrieve"]


@pytest.mark.parametrize(
    ("says", "outcome", "because", "message"),
    [
        (prediction(0.6, 0.4), "answered", None, None),
        (
            prediction(0.59, 0.45),
            "confused",
            "ambiguous",
            "I'm not sure, but here is what I found...",
        ),
        (
            prediction(0.59, 0.1),
            "confused",
            "low_confidence",
            "I'm not sure, but here is what I found...",
        ),
        (
            prediction(0.9, 0.1, intent="out_of_scope"),
            "confused",
            "out_of_scope",
            "I'm not sure, but here is what I found...",
        ),
        (prediction(0.39, 0.3), "rephrase", "low_confidence", "Could you rephrase that?"),
        (
            prediction(0.5),
            "confused",
            "low_confidence",
            "I'm not sure, but here is what I found...",
        ),
    ],
)
async def test_the_outcome_follows_the_confidence(
    says: Prediction, outcome: str, because: str | None, message: str | None
) -> None:
    answer, logged = await ask(PlainStages(says=says))
    assert (answer.outcome, answer.confused_because, answer.message) == (outcome, because, message)
    assert answer.is_confused is (outcome != "answered")
    assert (logged.outcome, logged.confused_because) == (outcome, because)
    assert len(answer.results) == 3  # whatever the outcome


async def test_the_retriever_is_told_what_the_query_asked_and_what_the_others_found() -> None:
    stages = PlainStages()
    await ask(stages, top_k=7, tags=("housing", "forms"))
    (search,) = stages.searches
    assert search.vector is not None
    assert search.vector.tolist() == [1, 0]
    assert replace(search, vector=None) == type(search)(
        text="how do i appeal a grade",
        vector=None,
        space="space",
        intent="exams_and_grades",
        confidence=0.91,
        top_k=7,
        tags=("housing", "forms"),
    )


async def test_out_of_scope_is_no_intent_to_prefer() -> None:
    stages = PlainStages(says=prediction(0.9, 0.1, intent="out_of_scope"))
    await ask(stages)
    assert (stages.searches[0].intent, stages.searches[0].confidence) == (None, 0.0)


# ---- a stage is missing -----------------------------------------------------------------------


async def test_without_the_classifier_the_results_still_come() -> None:
    stages = PlainStages(missing={"classifier"})
    answer, logged = await ask(stages)
    assert (answer.outcome, answer.confused_because) == ("confused", "degraded")
    assert (answer.intent, answer.confidence, answer.model_version) == (None, None, None)
    assert (answer.alternatives, answer.degraded, len(answer.results)) == ([], ["classifier"], 3)
    assert answer.message == "I'm not sure, but here is what I found..."
    assert (stages.searches[0].intent, stages.searches[0].confidence) == (None, 0.0)
    assert (logged.intent, logged.confidence, logged.degraded) == (None, None, ("classifier",))


async def test_without_the_embedder_full_text_alone_is_searched() -> None:
    stages = PlainStages(missing={"embedder"})
    answer, logged = await ask(stages)
    assert (answer.outcome, answer.degraded, len(answer.results)) == ("answered", ["embedder"], 3)
    assert answer.embedding_space is None
    assert (stages.searches[0].vector, stages.searches[0].space) == (None, None)
    assert logged.embedding_space is None


async def test_without_the_retriever_the_intent_still_comes() -> None:
    answer, logged = await ask(PlainStages(missing={"retriever"}))
    assert (answer.outcome, answer.degraded, answer.results) == ("answered", ["retriever"], [])
    assert logged.result_ids == ()


async def test_without_any_stage_there_is_still_an_answer_to_log() -> None:
    answer, logged = await ask(PlainStages(missing={"classifier", "embedder", "retriever"}))
    assert answer.degraded == ["classifier", "embedder", "retriever"]
    assert (answer.outcome, answer.confused_because) == ("confused", "degraded")
    assert logged.degraded == ("classifier", "embedder", "retriever")


async def test_an_empty_search_result_is_no_degradation() -> None:
    answer, _ = await ask(PlainStages(finds=0))
    assert (answer.results, answer.degraded) == ([], [])


# ---- a stage is late --------------------------------------------------------------------------

NEVER_S = 30.0


@pytest.mark.parametrize(
    "late",
    [
        ("classifier",),
        ("embedder",),
        ("retriever",),
        ("classifier", "embedder"),
        ("embedder", "retriever"),
        ("classifier", "embedder", "retriever"),
    ],
)
async def test_nothing_waits_past_the_deadline_and_what_is_late_is_named(
    late: tuple[str, ...],
) -> None:
    began_s = time.monotonic()
    answer, _ = await ask(PlainStages(late_s=dict.fromkeys(late, NEVER_S)), deadline_ms=150)
    assert time.monotonic() - began_s < 0.15 + 0.5
    assert answer.degraded == list(late)
    assert len(answer.results) == (0 if "retriever" in late else 3)
    assert "total" in answer.timings_ms


async def test_a_late_embedder_leaves_the_retriever_its_share_of_the_deadline() -> None:
    stages = PlainStages(late_s={"embedder": NEVER_S, "retriever": 0.05})
    answer, _ = await ask(stages, deadline_ms=600)
    assert (answer.degraded, len(answer.results)) == (["embedder"], 3)


async def test_a_classifier_that_misses_the_search_still_answers_before_the_deadline() -> None:
    stages = PlainStages(late_s={"classifier": 0.42})
    answer, _ = await ask(stages, deadline_ms=600)
    assert (answer.outcome, answer.degraded) == ("answered", [])
    assert stages.searches[0].intent is None
    assert answer.timings_ms["classify"] >= 420


async def test_when_all_is_there_nobody_waits_for_the_deadline() -> None:
    began_s = time.monotonic()
    await ask(PlainStages(), deadline_ms=10_000)
    await ask(PlainStages(missing={"classifier", "embedder"}), deadline_ms=10_000)
    await ask(PlainStages(missing={"retriever"}), deadline_ms=10_000)
    assert time.monotonic() - began_s < 1


async def test_time_spent_before_the_stages_counts() -> None:
    request = QueryRequest(text="hello", deadline_ms=1_000)
    stages = PlainStages(late_s={"retriever": NEVER_S})
    began_s = time.monotonic()
    answer, _ = await stages.answerer().answer(
        request, session_id="s", asked_s=time.perf_counter() - 0.9
    )
    assert time.monotonic() - began_s < 0.5
    assert answer.degraded == ["retriever"]
    assert answer.timings_ms["total"] >= 900


async def test_late_stages_leave_no_error_behind(caplog: pytest.LogCaptureFixture) -> None:
    stages = PlainStages(
        late_s={"classifier": 0.15, "embedder": 0.15}, missing={"classifier", "embedder"}
    )
    await ask(stages, deadline_ms=100)
    await asyncio.sleep(0.1)
    assert [record for record in caplog.records if record.name == "asyncio"] == []


# ---- privacy, crisis and the log --------------------------------------------------------------


async def test_no_stage_and_no_log_sees_what_the_redaction_seam_takes_out() -> None:
    stages = PlainStages()
    _, logged = await ask(stages, "mail me at jane@uni.edu or 555-123-4567")
    redacted = "mail me at [email] or [phone]"
    assert stages.texts == [redacted, redacted]
    assert stages.searches[0].text == redacted
    assert logged.query_text == redacted


@pytest.mark.parametrize("missing", [set(), {"classifier", "embedder", "retriever"}])
async def test_a_crisis_gets_its_card_whatever_else_works(missing: set[str]) -> None:
    answer, logged = await ask(PlainStages(missing=missing), "i want to kill myself")
    assert answer.crisis is not None
    assert answer.crisis.phone
    assert answer.crisis.url.startswith("https://")
    assert answer.message is None
    assert logged.is_crisis is True
    assert len(answer.results) == (0 if missing else 3)


async def test_an_idiom_is_no_crisis() -> None:
    answer, logged = await ask(PlainStages(), "this exam is killing me")
    assert answer.crisis is None
    assert logged.is_crisis is False


async def test_a_crisis_is_seen_before_the_text_is_redacted() -> None:
    answer, logged = await ask(PlainStages(), "i want to kill myself, call 555-123-4567")
    assert answer.crisis is not None
    assert "555-123-4567" not in logged.query_text


async def test_what_is_logged_is_what_was_answered() -> None:
    answer, logged = await ask(
        PlainStages(), "appeal", request_id="2f1b8c8e-8a55-4e0b-9e4f-0123456789ab"
    )
    assert logged.interaction_id == answer.interaction_id
    assert logged.asked_at == asked_at(answer.interaction_id)
    assert logged.session_id == "5e55"
    assert logged.request_id == "2f1b8c8e-8a55-4e0b-9e4f-0123456789ab"
    assert logged.query_text == "appeal"
    assert (logged.intent, logged.confidence) == (answer.intent, answer.confidence)
    assert [(one.intent, one.confidence) for one in logged.alternatives] == [
        (one.intent, one.confidence) for one in answer.alternatives
    ]
    assert logged.result_ids == ("exams-0", "exams-1", "exams-2")
    assert (logged.model_version, logged.embedding_space) == ("v3", "space")
    assert logged.timings_ms == answer.timings_ms
    assert logged.degraded == ()


async def test_many_at_once_each_get_an_id_of_their_own() -> None:
    answerer = PlainStages().answerer()
    answers = await asyncio.gather(
        *[answerer.answer(QueryRequest(text=f"q {n}"), session_id="s") for n in range(200)]
    )
    assert len({answer.interaction_id for answer, _ in answers}) == 200
    assert sorted(logged.query_text for _, logged in answers) == sorted(
        f"q {n}" for n in range(200)
    )


async def test_a_query_without_a_vector_goes_by_words_and_the_one_beside_it_by_meaning() -> None:
    stages = PlainStages(without_vector={"unknown"})
    answerer = stages.answerer()
    answers = await asyncio.gather(
        *(answerer.answer(QueryRequest(text=t), session_id="5e55") for t in ("unknown", "known"))
    )
    assert [answer.degraded for answer, _ in answers] == [["embedder"], []]
    assert [answer.embedding_space for answer, _ in answers] == [None, "space"]
    assert all(answer.results for answer, _ in answers)
    assert {search.text: search.space for search in stages.searches} == {
        "unknown": None,
        "known": "space",
    }
