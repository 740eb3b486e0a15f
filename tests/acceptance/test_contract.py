"""The contract, as a frontend meets it over HTTP."""

import re
import time
import uuid

import httpx
import psycopg
import pytest

from contracts.messages import Models, QueryAnswer, Readiness
from scripts.run import Hub
from tests.live_hub import client_of


@pytest.fixture(scope="module")
def client(hub: Hub) -> httpx.Client:
    with client_of(hub) as client:
        yield client


def rows_of(hub: Hub, interaction_id: str, *, within_s: float = 3.0) -> list[dict]:
    """Return the stored rows of an interaction; the log is at most a second behind."""
    deadline = time.monotonic() + within_s
    while True:
        with psycopg.connect(hub.settings.database_url) as connection:
            cursor = connection.execute(
                "SELECT to_jsonb(log) FROM interaction_log AS log WHERE interaction_id = %s",
                (interaction_id,),
            )
            rows = [row[0] for row in cursor.fetchall()]
        if rows or time.monotonic() > deadline:
            return rows
        time.sleep(0.05)


def test_a_question_gets_an_answer_of_the_contract(client: httpx.Client) -> None:
    response = client.post("/v1/query", json={"text": "how do i appeal a grade"})
    answer = QueryAnswer.model_validate_json(response.content)
    assert answer.outcome == "answered"
    assert answer.intent == "exams_and_grades"
    assert answer.message is None
    assert not answer.is_confused
    assert len(answer.alternatives) == 3
    assert answer.alternatives[0].confidence == answer.confidence
    assert len(answer.results) == 5
    scores = [result.score for result in answer.results]
    assert scores == sorted(scores, reverse=True)
    assert answer.model_version == client.get("/v1/models").json()["champion"]
    assert answer.embedding_space
    assert set(answer.timings_ms) == {"classify", "embed", "retrieve", "total"}


def test_top_k_bounds_the_results(client: httpx.Client) -> None:
    for top_k in (1, 20):
        answer = client.post("/v1/query", json={"text": "parking permit", "top_k": top_k}).json()
        assert len(answer["results"]) == top_k


def test_out_of_scope_is_confused_and_says_so(client: httpx.Client) -> None:
    answer = client.post("/v1/query", json={"text": "what's the best pizza topping"}).json()
    assert answer["is_confused"]
    assert answer["outcome"] in {"confused", "rephrase"}
    assert answer["message"]


def test_every_answer_is_one_row_of_the_log(hub: Hub, client: httpx.Client) -> None:
    text = "where do i return a book, mail me at jo@alder.example"
    answer = client.post("/v1/query", json={"text": text}).json()
    (row,) = rows_of(hub, answer["interaction_id"])
    assert row["query_text"] == "where do i return a book, mail me at [email]"
    assert row["intent"] == answer["intent"]
    assert row["confidence"] == answer["confidence"]
    assert row["result_ids"] == [result["id"] for result in answer["results"]]
    assert row["model_version"] == answer["model_version"]
    assert [one["intent"] for one in row["alternatives"]] == [
        one["intent"] for one in answer["alternatives"]
    ]


def test_a_repeated_request_id_is_answered_once(hub: Hub, client: httpx.Client) -> None:
    body = {"text": "how do i print a poster", "request_id": str(uuid.uuid4())}
    first = client.post("/v1/query", json=body)
    again = client.post("/v1/query", json=body)
    assert again.json() == first.json()
    assert len(rows_of(hub, first.json()["interaction_id"])) == 1
    with psycopg.connect(hub.settings.database_url) as connection:
        cursor = connection.execute(
            "SELECT count(*) FROM interaction_log WHERE request_id = %s", (body["request_id"],)
        )
        assert cursor.fetchone() == (1,)


def test_a_thumb_reaches_the_row_and_can_be_changed(hub: Hub, client: httpx.Client) -> None:
    answer = client.post("/v1/query", json={"text": "is the gym open on sunday"}).json()
    body = {"interaction_id": answer["interaction_id"], "score": 1}
    assert client.post("/v1/feedback", json=body).status_code in {200, 202}
    assert rows_of(hub, answer["interaction_id"])
    changed = client.post("/v1/feedback", json={**body, "score": -1, "comment": "closed!"})
    assert changed.status_code == 200
    assert changed.json() == {"interaction_id": answer["interaction_id"], "status": "stored"}
    (row,) = rows_of(hub, answer["interaction_id"])
    assert (row["feedback_score"], row["feedback_comment"]) == (-1, "closed!")


def test_a_session_is_a_cookie_of_the_server(hub: Hub) -> None:
    with client_of(hub) as browser:
        first = browser.post("/v1/query", json={"text": "hello there"})
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=lax" in cookie
        again = browser.post("/v1/query", json={"text": "hello again"})
        assert "set-cookie" not in again.headers
    with client_of(hub) as api:
        token = first.headers["x-hub-session"]
        same = api.post("/v1/query", json={"text": "hi"}, headers={"X-Hub-Session": token})
        assert "set-cookie" not in same.headers
        forged = api.post("/v1/query", json={"text": "hi"}, headers={"X-Hub-Session": "a" * 44})
        assert forged.headers["x-hub-session"] != "a" * 44


def test_the_hub_says_how_it_is(client: httpx.Client) -> None:
    assert client.get("/v1/healthz").json() == {"status": "alive"}
    ready = Readiness.model_validate_json(client.get("/v1/readyz").content)
    assert ready.ready
    models = Models.model_validate_json(client.get("/v1/models").content)
    assert models.champion
    assert [replica.version for replica in models.replicas] == [models.champion]
    assert models.replicas[0].memory_bytes > 10_000_000
    assert [one.embedder for one in models.embedders] == ["local"]


def test_the_documentation_needs_nothing_from_elsewhere(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "http://" not in page
    assert "https://" not in page
    assets = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert len(assets) >= 2
    for asset in assets:
        assert asset.startswith("/docs/")
        assert client.get(asset).status_code == 200
    schema = client.get("/openapi.json").json()
    assert {"/v1/query", "/v1/feedback", "/v1/healthz", "/v1/readyz", "/v1/models"} <= set(
        schema["paths"]
    )
    for name in ("QueryRequest", "QueryAnswer", "FeedbackRequest", "Problem"):
        assert name in schema["components"]["schemas"]
