"""Whatever a client sends, it gets a clear answer, and the hub is unharmed."""

import httpx
import pytest

from scripts.run import Hub
from tests.live_hub import client_of

JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def client(hub: Hub) -> httpx.Client:
    with client_of(hub) as client:
        yield client


def problem_of(response: httpx.Response, status: int) -> dict:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == status
    assert problem["request_id"]
    assert problem["detail"]
    return problem


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"text": ""}, "text"),
        ({"text": " \t\n\u200b\ufeff"}, "text"),
        ({"text": "a" * 2001}, "text"),
        ({"text": "null \x00 byte"}, "text"),
        ({}, "text"),
        ({"text": 7}, "text"),
        ({"text": ["a"]}, "text"),
        ({"text": None}, "text"),
        ({"text": "hello", "top_k": 0}, "top_k"),
        ({"text": "hello", "top_k": 21}, "top_k"),
        ({"text": "hello", "top_k": "5"}, "top_k"),
        ({"text": "hello", "top_k": 2.5}, "top_k"),
        ({"text": "hello", "deadline_ms": 99}, "deadline_ms"),
        ({"text": "hello", "deadline_ms": 10_001}, "deadline_ms"),
        ({"text": "hello", "request_id": "not a uuid"}, "request_id"),
        ({"text": "hello", "mood": "unknown field"}, "mood"),
        ({"text": "hello", "tags": ["a"] * 9}, "tags"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_field_that_cannot_be_used_is_named(client: httpx.Client, body: dict, field: str) -> None:
    problem = problem_of(client.post("/v1/query", json=body), 422)
    assert field in {error["field"].split(".")[0] for error in problem["errors"]}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b'{"text": "cut',
        b'["text"]',
        b'"text"',
        b"null",
        b'{"text": "lone surrogate \\ud800"}',
        b'{"text": "\xff\xfe not utf-8"}',
        b'{"text": NaN}',
        b"[" * 20_000,
    ],
    ids=lambda body: repr(body[:30]),
)
def test_a_body_that_is_no_query_is_refused(client: httpx.Client, body: bytes) -> None:
    problem = problem_of(client.post("/v1/query", content=body, headers=JSON), 422)
    assert problem["errors"]


@pytest.mark.parametrize("size", [65 * 1024, 1024 * 1024])
def test_a_body_that_is_too_large_is_refused(client: httpx.Client, size: int) -> None:
    body = b'{"text": "' + b"a" * size + b'"}'
    problem_of(client.post("/v1/query", content=body, headers=JSON), 413)


def test_a_chunked_body_that_is_too_large_is_refused(client: httpx.Client) -> None:
    chunks = (b"a" * 8192 for _ in range(40))
    problem_of(client.post("/v1/query", content=chunks, headers=JSON), 413)


@pytest.mark.parametrize(
    "text",
    [
        "😀 where can i eat 🍕",
        "أين المكتبة",
        "\u202eyrarbil eht si erehw",
        "'; DROP TABLE interaction_log; --",
        "<script>alert(1)</script> how do i enrol",
        "%s %(text)s {0} ${jndi:x}",
        "a" * 2000,
        "e\u0301" * 500,
        "how | do & i ! appeal : * a <-> grade",
        "\\' \\\" \\\\",
        "𝒽𝑜𝓌 𝒹𝑜 𝐼 𝓅𝒶𝓎",
    ],
    ids=lambda text: ascii(text)[:30],
)
def test_a_strange_text_is_a_query_like_any_other(client: httpx.Client, text: str) -> None:
    response = client.post("/v1/query", json={"text": text})
    assert response.status_code == 200, response.text
    assert response.json()["degraded"] == []


def test_a_crisis_idiom_shows_no_crisis_card(client: httpx.Client) -> None:
    answer = client.post("/v1/query", json={"text": "this exam is killing me"}).json()
    assert answer["crisis"] is None


def test_a_query_in_danger_gets_the_card_and_results_still_follow(client: httpx.Client) -> None:
    answer = client.post("/v1/query", json={"text": "i dont want to live anymore"}).json()
    assert answer["crisis"]["phone"]
    assert answer["message"] is None
    assert answer["results"]


def test_a_request_id_with_another_text_is_a_conflict(client: httpx.Client) -> None:
    request_id = "5f0c6a51-5be5-4bb4-8f5b-0f6f8c2e3a11"
    body = {"text": "how do i renew a book", "request_id": request_id}
    first = client.post("/v1/query", json=body).json()
    assert client.post("/v1/query", json=body).json() == first
    problem_of(client.post("/v1/query", json={**body, "text": "another one"}), 409)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/nothing", 404), ("GET", "/v1/query", 405), ("DELETE", "/v1/feedback", 405)],
)
def test_a_wrong_address_is_a_problem_document(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    problem_of(client.request(method, path), status)


@pytest.mark.parametrize("score", [0, 2, "1", None, 1.5, True])
def test_a_thumb_is_up_or_down(client: httpx.Client, score: object) -> None:
    body = {"interaction_id": "x", "score": score}
    problem_of(client.post("/v1/feedback", json=body), 422)


def test_feedback_for_what_the_hub_never_said_is_not_found(client: httpx.Client) -> None:
    body = {"interaction_id": "0" * 32 + "forgedforged", "score": 1}
    problem_of(client.post("/v1/feedback", json=body), 404)


def test_after_all_of_this_the_hub_answers_as_before(client: httpx.Client) -> None:
    answer = client.post("/v1/query", json={"text": "how do i appeal a grade"}).json()
    assert answer["outcome"] == "answered"
    assert answer["degraded"] == []
    assert client.get("/v1/readyz").json() == {"ready": True, "degraded": []}
