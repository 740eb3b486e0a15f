"""What the contract takes and what it refuses, field by field."""

import json
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from contracts.messages import (
    MAX_COMMENT_CHARS,
    MAX_TEXT_CHARS,
    FeedbackRequest,
    QueryRequest,
    field_problems,
)


def query(**fields: Any) -> QueryRequest:
    return QueryRequest.model_validate_json(json.dumps({"text": "hello", **fields}))


def problems(model: type[BaseModel], body: str | bytes) -> dict[str, str]:
    """The fields that are refused, each with the sentence that says why."""
    with pytest.raises(ValidationError) as caught:
        model.model_validate_json(body)
    errors = caught.value.errors(include_url=False, include_input=False)
    return {problem.field: problem.message for problem in field_problems(errors)}


def refused(**fields: Any) -> dict[str, str]:
    return problems(QueryRequest, json.dumps({"text": "hello", **fields}))


def test_a_text_alone_is_a_query_with_the_defaults_of_the_contract() -> None:
    asked = query()
    assert (asked.request_id, asked.top_k, asked.deadline_ms, asked.tags) == (None, 5, 2000, ())


def test_the_text_is_trimmed_before_it_is_measured() -> None:
    assert query(text="  hello \n").text == "hello"
    assert len(query(text=" " * 500 + "x" * MAX_TEXT_CHARS + "\n").text) == MAX_TEXT_CHARS


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "x" * 2_000,
        "🎓" * 2_000,
        "متى الامتحان النهائي؟",
        "'; DROP TABLE interaction_log; --",
        "<script>alert(1)</script>",
        "line\nbreak\ttab",
        "a\u200bb",
        "\x1b[31mred",
    ],
)
def test_any_readable_text_of_up_to_2000_characters_is_taken_as_it_is(text: str) -> None:
    assert query(text=text).text == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \t\n",
        "\u200b",
        "\u200b \ufeff\u2060",
        "\u3164\u2800",
        "x" * 2_001,
        "🎓" * 2_001,
        "\x00",
        "null\x00byte",
        None,
        5,
        1.5,
        True,
        ["hello"],
        {"text": "hello"},
    ],
)
def test_a_text_that_cannot_be_read_is_refused_by_name(text: object) -> None:
    assert list(refused(text=text)) == ["text"]


def test_the_reason_is_a_sentence_without_pydantics_prefix() -> None:
    assert refused(text="\u200b") == {"text": "must contain something that can be read"}
    assert refused(text="a\x00b") == {"text": "must not contain the NUL character"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"text": "\\ud800"}',
        b'{"text": "x\\udfffy"}',
        b'{"text": "\\ud800\\ud800"}',
        b'{"text": "\xff\xfe"}',
        b"\xff",
        b"",
        b"text=hello",
        b'{"text": "hello"',
        b'{"text": "hello"} {}',
        b"[" * 30_000,
        b"null",
        b'"hello"',
        b"[]",
        b"5",
    ],
)
def test_what_is_no_json_object_is_refused_as_a_whole(body: bytes) -> None:
    assert list(problems(QueryRequest, body)) == ["body"]


def test_a_surrogate_pair_is_one_character() -> None:
    assert QueryRequest.model_validate_json(b'{"text": "\\ud83c\\udf93"}').text == "🎓"


def test_a_missing_text_is_named() -> None:
    assert list(problems(QueryRequest, "{}")) == ["text"]


@pytest.mark.parametrize("name", ["session_id", "Text", "deadline", "__proto__", ""])
def test_unknown_fields_are_refused_by_name(name: str) -> None:
    assert list(refused(**{name: 1})) == [name or "body"]


@pytest.mark.parametrize("top_k", [1, 20])
def test_top_k_reaches_from_1_to_20(top_k: int) -> None:
    assert query(top_k=top_k).top_k == top_k


@pytest.mark.parametrize("top_k", [0, 21, -1, 5.0, 5.5, "5", True, None, [5], 10**400])
def test_any_other_top_k_is_refused(top_k: object) -> None:
    assert list(refused(top_k=top_k)) == ["top_k"]


@pytest.mark.parametrize("deadline_ms", [100, 10_000])
def test_the_deadline_reaches_from_100_ms_to_10_s(deadline_ms: int) -> None:
    assert query(deadline_ms=deadline_ms).deadline_ms == deadline_ms


@pytest.mark.parametrize("deadline_ms", [99, 10_001, 0, -5, "2000", 2000.5, None, False])
def test_any_other_deadline_is_refused(deadline_ms: object) -> None:
    assert list(refused(deadline_ms=deadline_ms)) == ["deadline_ms"]


def test_a_request_id_is_a_uuid_in_any_spelling() -> None:
    spelt = "2F1B8C8E-8A55-4E0B-9E4F-0123456789AB"
    assert query(request_id=spelt).request_id == UUID(spelt)
    assert query(request_id=None).request_id is None


@pytest.mark.parametrize("request_id", ["", "x", "2f1b8c8e", 7, ["a"], "\x00" * 32])
def test_any_other_request_id_is_refused(request_id: object) -> None:
    assert list(refused(request_id=request_id)) == ["request_id"]


def test_tags_are_up_to_eight_short_words() -> None:
    tags = [f"tag{number}" for number in range(8)]
    assert query(tags=tags).tags == tuple(tags)
    assert query(tags=["x" * 64]).tags == ("x" * 64,)


@pytest.mark.parametrize(
    ("tags", "field"),
    [
        ([str(number) for number in range(9)], "tags"),
        ([""], "tags"),
        (["x" * 65], "tags"),
        (["a\x00b"], "tags"),
        ("housing", "tags"),
        ({"a": 1}, "tags"),
        (None, "tags"),
        ([1], "tags.0"),
        (["a", None], "tags.1"),
    ],
)
def test_any_other_tags_are_refused(tags: object, field: str) -> None:
    assert list(refused(tags=tags)) == [field]


def test_every_field_that_cannot_be_used_is_named() -> None:
    assert set(refused(text="", top_k=0, deadline_ms=1, x=1)) == {
        "text",
        "top_k",
        "deadline_ms",
        "x",
    }


def feedback(**fields: Any) -> str:
    return json.dumps({"interaction_id": "abc", "score": 1, **fields})


def test_a_thumb_is_up_or_down_and_may_have_a_comment() -> None:
    given = FeedbackRequest.model_validate_json(feedback(score=-1, comment="x" * MAX_COMMENT_CHARS))
    assert (given.score, len(given.comment or "")) == (-1, 1_000)
    assert FeedbackRequest.model_validate_json(feedback()).comment is None


@pytest.mark.parametrize("score", [0, 2, -2, "1", 1.0, True, None, [1]])
def test_any_other_score_is_refused(score: object) -> None:
    assert list(problems(FeedbackRequest, feedback(score=score))) == ["score"]


@pytest.mark.parametrize("comment", ["x" * 1_001, "a\x00b", 5, ["x"]])
def test_a_comment_too_long_or_unreadable_is_refused(comment: object) -> None:
    assert list(problems(FeedbackRequest, feedback(comment=comment))) == ["comment"]


@pytest.mark.parametrize("interaction_id", ["", "x" * 129, 5, None])
def test_an_interaction_id_that_cannot_be_ours_is_refused(interaction_id: object) -> None:
    body = feedback(interaction_id=interaction_id)
    assert list(problems(FeedbackRequest, body)) == ["interaction_id"]


def test_unknown_fields_of_feedback_are_refused() -> None:
    assert list(problems(FeedbackRequest, feedback(stars=5))) == ["stars"]
