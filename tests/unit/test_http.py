"""The door: a real service over plain stages, asked over HTTP while its database is away."""

import asyncio
import contextlib
import json
import re
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import pytest_asyncio
from fastapi import FastAPI

from contracts.messages import MAX_BODY_BYTES
from contracts.outcome import MESSAGES
from graph import service as service_module
from graph.http import SESSION_COOKIE, SESSION_HEADER, build_http
from graph.service import Service
from store.identity import issue_interaction_id, issue_session, session_of
from store.logbook import Logbook
from store.spool import SpoolFull
from tests.plain_stages import PlainStages
from tests.samples import SECRET, closed_pool

QUESTION = {"text": "how do i appeal a grade"}


@dataclass
class Hub:
    """A service, its door, and one client that keeps its cookies."""

    app: FastAPI
    service: Service
    logbook: Logbook
    stages: PlainStages
    root: Path
    client: httpx.AsyncClient

    async def ask(self, text: str = QUESTION["text"], **rest: Any) -> httpx.Response:
        headers = rest.pop("headers", None)
        return await self.client.post("/v1/query", json={"text": text, **rest}, headers=headers)

    def stranger(self, *, address: str = "127.0.0.1", scheme: str = "http") -> httpx.AsyncClient:
        """Another client, without this one's cookies."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(address, 1))
        return httpx.AsyncClient(transport=transport, base_url=f"{scheme}://hub", timeout=10)

    def logged(self) -> list[dict[str, Any]]:
        """The interactions in the spool, in their order."""
        return [entry["row"] for entry in self._spooled() if entry["kind"] == "Interaction"]

    def thumbs(self) -> list[dict[str, Any]]:
        return [entry["row"] for entry in self._spooled() if entry["kind"] == "Feedback"]

    def _spooled(self) -> list[dict[str, Any]]:
        files = sorted(self.root.glob("*/*.jsonl"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]


MakeHub = Callable[..., Hub]


@pytest_asyncio.fixture
async def make_hub(tmp_path: Path) -> AsyncIterator[MakeHub]:
    """Makes hubs whose database is away, and closes them after the test."""
    async with contextlib.AsyncExitStack() as stack:

        def make(stages: PlainStages | None = None, **settings: Any) -> Hub:
            plain = stages or PlainStages()
            root = tmp_path / uuid.uuid4().hex
            pool = closed_pool()
            logbook = Logbook(pool, root=root, retention_days=7)
            stack.push_async_callback(logbook.close)
            service = plain.service(pool, logbook=logbook, **settings)
            app = build_http(lambda: service)
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(app, raise_app_exceptions=False),
                base_url="http://hub",
                timeout=10,
            )
            stack.push_async_callback(client.aclose)
            return Hub(app, service, logbook, plain, root, client)

        yield make


@pytest_asyncio.fixture
async def hub(make_hub: MakeHub) -> Hub:
    return make_hub()


def problem(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of a response, checked for what every one of them has."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document["status"] == status
    assert document["type"].startswith("urn:hub:problem:")
    assert document["title"]
    assert document["detail"]
    assert document["request_id"] == response.headers["x-request-id"]
    return document


# ---- an answer --------------------------------------------------------------------------------


async def test_a_question_is_answered_and_written_down(hub: Hub) -> None:
    response = await hub.ask()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    answer = response.json()
    assert (answer["outcome"], answer["intent"]) == ("answered", "exams_and_grades")
    assert len(answer["results"]) == 3
    (row,) = hub.logged()
    assert row["interaction_id"] == answer["interaction_id"]
    assert row["query_text"] == QUESTION["text"]


async def test_every_field_of_the_contract_is_there_even_when_it_is_null(hub: Hub) -> None:
    assert list((await hub.ask()).json()) == [
        *("interaction_id", "outcome", "message", "crisis", "intent", "confidence"),
        *("is_confused", "confused_because", "alternatives", "results", "degraded"),
        *("model_version", "embedding_space", "timings_ms"),
    ]


async def test_a_crisis_is_answered_with_its_card(hub: Hub) -> None:
    answer = (await hub.ask("i want to kill myself")).json()
    assert set(answer["crisis"]) == {"title", "text", "phone", "url"}
    assert answer["message"] is None


async def test_a_confused_answer_says_so(make_hub: MakeHub) -> None:
    answer = (await make_hub(PlainStages(missing={"classifier"})).ask()).json()
    assert (answer["is_confused"], answer["message"]) == (True, MESSAGES["confused"])
    assert answer["degraded"] == ["classifier"]


async def test_text_in_any_script_comes_through_whole(hub: Hub) -> None:
    texts = [
        "🎓 émigré",
        "متى الامتحان",
        "'; DROP TABLE x; --",
        "<script>alert(1)</script>",
        "a\tb",
    ]
    for text in texts:
        assert (await hub.ask(text)).status_code == 200
    assert [row["query_text"] for row in hub.logged()] == texts


async def test_answers_are_no_guess_of_the_content_type(hub: Hub) -> None:
    body = json.dumps(QUESTION)
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "application/json"):
        response = await hub.client.post(
            "/v1/query", content=body, headers={"content-type": content_type}
        )
        assert response.status_code == 200


# ---- what cannot be read ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b"", "body"),
        (b"not json", "body"),
        (b"\xff\xfe", "body"),
        (b"[" * 30_000, "body"),
        (b"[]", "body"),
        (b"{}", "text"),
        (b'{"text": ""}', "text"),
        (b'{"text": "  \\u200b "}', "text"),
        (b'{"text": "a\\u0000b"}', "text"),
        (b'{"text": "\\ud800"}', "body"),
        (b'{"text": 5}', "text"),
        (json.dumps({"text": "x" * 2_001}).encode(), "text"),
        (b'{"text": "x", "top_k": 21}', "top_k"),
        (b'{"text": "x", "top_k": ' + b"9" * 60_000 + b"}", "body"),
        (b'{"text": "x", "deadline_ms": 99}', "deadline_ms"),
        (b'{"text": "x", "request_id": "x"}', "request_id"),
        (b'{"text": "x", "tags": [1]}', "tags.0"),
        (b'{"text": "x", "colour": 1}', "colour"),
    ],
)
async def test_a_body_that_cannot_be_used_is_a_422_that_names_the_field(
    hub: Hub, body: bytes, field: str
) -> None:
    document = problem(await hub.client.post("/v1/query", content=body), 422)
    assert [error["field"] for error in document["errors"]] == [field]
    assert field in document["detail"]
    assert hub.logged() == []
    assert (await hub.ask()).status_code == 200  # unharmed


async def test_a_problem_stays_small_however_much_is_wrong(hub: Hub) -> None:
    body = {"text": "x", **{f"unknown{number}": 1 for number in range(3_000)}}
    response = await hub.client.post("/v1/query", json=body)
    assert len(problem(response, 422)["errors"]) == 20
    assert len(response.content) < 5_000


async def chunks(size: int, *, of: int = 16_384) -> AsyncIterator[bytes]:
    for _ in range(size // of):
        yield b"x" * of
    yield b"x" * (size % of)


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 65 * 1024, 1_000_000, 6_000_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_64_kb_is_a_413(hub: Hub, size: int, chunked: bool) -> None:
    content = chunks(size) if chunked else b"x" * size
    for path in ("/v1/query", "/v1/feedback"):
        problem(await hub.client.post(path, content=content), 413)
        content = chunks(size) if chunked else content
    assert (await hub.ask()).status_code == 200


async def test_a_body_of_exactly_64_kb_is_read(hub: Hub) -> None:
    body = json.dumps(QUESTION)
    padded = body + " " * (MAX_BODY_BYTES - len(body))
    assert (await hub.client.post("/v1/query", content=padded)).status_code == 200


async def test_paths_and_methods_that_are_not_there_are_problems_too(hub: Hub) -> None:
    problem(await hub.client.get("/v1/nothing"), 404)
    problem(await hub.client.get("/docs/assets/../../secret"), 404)
    response = await hub.client.get("/v1/query")
    problem(response, 405)
    assert response.headers["allow"] == "POST"


async def test_a_bug_is_a_500_that_tells_nothing_of_itself(
    hub: Hub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("password=hunter2")

    monkeypatch.setattr(Service, "ask", broken)
    response = await hub.ask()
    problem(response, 500)
    assert "hunter2" not in response.text
    assert "hunter2" in caplog.text


async def test_a_callers_request_id_names_the_problem(hub: Hub) -> None:
    given = await hub.client.post("/v1/query", content=b"", headers={"X-Request-ID": "abc-123"})
    assert problem(given, 422)["request_id"] == "abc-123"
    assert (await hub.ask(headers={"X-Request-ID": "abc-124"})).headers["x-request-id"] == "abc-124"


@pytest.mark.parametrize("forged", ["a b", "x" * 65, "<b>", "é", "a;b", "-" * 5])
async def test_a_request_id_that_is_no_word_is_replaced(hub: Hub, forged: str) -> None:
    headers = {b"X-Request-ID": forged.encode()}
    document = problem(await hub.client.post("/v1/query", content=b"", headers=headers), 422)
    assert re.fullmatch("[0-9a-f]{32}", document["request_id"])


# ---- sessions and quotas ----------------------------------------------------------------------


async def test_a_new_session_comes_as_a_cookie_that_no_script_can_read(hub: Hub) -> None:
    cookie = (await hub.ask()).headers["set-cookie"]
    assert cookie.startswith(f"{SESSION_COOKIE}=")
    assert {"httponly", "samesite=lax", "path=/"} <= {
        part.strip().lower() for part in cookie.split(";")
    }
    assert "secure" not in cookie.lower()
    second = await hub.ask()
    assert "set-cookie" not in second.headers
    assert SESSION_HEADER not in second.headers
    first_row, second_row = hub.logged()
    assert first_row["session_id"] == second_row["session_id"]


async def test_over_https_the_cookie_is_for_https_only(hub: Hub) -> None:
    async with hub.stranger(scheme="https") as client:
        direct = await client.post("/v1/query", json=QUESTION)
    async with hub.stranger() as client:
        proxied = await client.post(
            "/v1/query", json=QUESTION, headers={"X-Forwarded-Proto": "https"}
        )
    assert "secure" in direct.headers["set-cookie"].lower()
    assert "secure" in proxied.headers["set-cookie"].lower()


async def test_an_api_client_keeps_its_session_in_a_header(hub: Hub) -> None:
    async with hub.stranger() as client:
        token = (await client.post("/v1/query", json=QUESTION)).headers[SESSION_HEADER]
    async with hub.stranger() as client:
        again = await client.post("/v1/query", json=QUESTION, headers={SESSION_HEADER: token})
    assert SESSION_HEADER not in again.headers
    assert "set-cookie" not in again.headers
    assert {row["session_id"] for row in hub.logged()} == {session_of(token, secret=SECRET)}


@pytest.mark.parametrize("kind", ["forged", "another hub's", "an interaction id", "session id"])
async def test_a_session_that_is_not_ours_becomes_a_new_one(hub: Hub, kind: str) -> None:
    session_id, token = issue_session(secret=SECRET)
    forged = {
        "forged": token[:-1] + ("A" if token[-1] != "A" else "B"),
        "another hub's": issue_session(secret=b"fedcba9876543210")[1],
        "an interaction id": issue_interaction_id(session_id=session_id, secret=SECRET),
        "session id": session_id,
    }[kind]
    for headers in ({SESSION_HEADER: forged}, {"Cookie": f"{SESSION_COOKIE}={forged}"}):
        async with hub.stranger() as client:
            response = await client.post("/v1/query", json=QUESTION, headers=headers)
        assert response.status_code == 200
        assert response.headers[SESSION_HEADER] != forged
    assert session_id not in {row["session_id"] for row in hub.logged()}


async def test_the_token_that_proves_a_session_is_stored_nowhere(hub: Hub) -> None:
    token = (await hub.ask()).headers[SESSION_HEADER]
    assert token not in json.dumps(hub.logged())


async def test_a_session_over_its_quota_is_told_when_to_come_back(make_hub: MakeHub) -> None:
    hub = make_hub(quota_per_minute=2)
    assert [(await hub.ask()).status_code for _ in range(2)] == [200, 200]
    refused = await hub.ask()
    assert problem(refused, 429)["type"] == "urn:hub:problem:quota"
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert len(hub.logged()) == 2
    async with hub.stranger() as client:  # another session is not concerned
        assert (await client.post("/v1/query", json=QUESTION)).status_code == 200


async def test_thumbs_have_a_quota_of_their_own(make_hub: MakeHub) -> None:
    hub = make_hub(quota_per_minute=1, feedback_per_minute=2)
    thumb = {"interaction_id": (await hub.ask()).json()["interaction_id"], "score": 1}
    problem(await hub.ask(), 429)  # no question is left, but both thumbs are
    for _ in range(2):
        assert (await hub.client.post("/v1/feedback", json=thumb)).status_code == 202
    refused = await hub.client.post("/v1/feedback", json=thumb)
    document = problem(refused, 429)
    assert document["type"] == "urn:hub:problem:quota"
    assert "2 thumbs a minute" in document["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 30
    assert len(hub.thumbs()) == 2


async def test_guesses_at_ids_use_up_the_quota_of_thumbs(make_hub: MakeHub) -> None:
    hub = make_hub(feedback_per_minute=2)
    await hub.ask()
    guess = {"interaction_id": "0" * 44, "score": -1}
    statuses = [(await hub.client.post("/v1/feedback", json=guess)).status_code for _ in range(3)]
    assert statuses == [404, 404, 429]


async def test_an_addresss_quota_counts_its_thumbs_too(make_hub: MakeHub) -> None:
    hub = make_hub(quota_per_address=2)
    thumb = {"interaction_id": (await hub.ask()).json()["interaction_id"], "score": 1}
    assert (await hub.client.post("/v1/feedback", json=thumb)).status_code == 202
    problem(await hub.client.post("/v1/feedback", json=thumb), 429)


async def test_an_address_has_a_quota_only_when_one_is_set(make_hub: MakeHub) -> None:
    limited, free = make_hub(quota_per_address=1), make_hub(quota_per_address=0)
    for hub, expected in ((limited, [200, 429]), (free, [200, 200])):
        statuses = []
        for _ in range(2):
            async with hub.stranger(address="10.0.0.1") as client:
                statuses.append((await client.post("/v1/query", json=QUESTION)).status_code)
        assert statuses == expected
        async with hub.stranger(address="10.0.0.2") as client:
            assert (await client.post("/v1/query", json=QUESTION)).status_code == 200


# ---- too much, too late, nothing at all -------------------------------------------------------


async def test_overload_is_refused_within_milliseconds(make_hub: MakeHub) -> None:
    hub = make_hub(PlainStages(late_s={"retriever": 0.3}), max_waiting=2)
    inside = [asyncio.create_task(hub.ask()) for _ in range(2)]
    await asyncio.sleep(0.05)
    began_s = time.monotonic()
    refused = await hub.ask()
    assert time.monotonic() - began_s < 0.1
    assert problem(refused, 503)["type"] == "urn:hub:problem:overload"
    assert refused.headers["retry-after"] == "1"
    assert [response.status_code for response in await asyncio.gather(*inside)] == [200, 200]
    assert (await hub.ask()).status_code == 200  # room again


async def test_when_nothing_can_be_said_it_is_a_503_and_still_written_down(
    make_hub: MakeHub,
) -> None:
    hub = make_hub(PlainStages(missing={"classifier", "embedder", "retriever"}))
    refused = await hub.ask()
    assert problem(refused, 503)["type"] == "urn:hub:problem:nothing-to-say"
    assert int(refused.headers["retry-after"]) >= 1
    assert len(hub.logged()) == 1


async def test_a_crisis_is_answered_when_nothing_else_can_be(make_hub: MakeHub) -> None:
    hub = make_hub(PlainStages(missing={"classifier", "embedder", "retriever"}))
    response = await hub.ask("i want to kill myself")
    assert response.status_code == 200
    assert response.json()["crisis"]["phone"]


async def test_the_deadline_holds_over_http(make_hub: MakeHub) -> None:
    hub = make_hub(PlainStages(late_s={"retriever": 30.0}))
    began_s = time.monotonic()
    answer = (await hub.ask(deadline_ms=100)).json()
    assert time.monotonic() - began_s < 0.6
    assert answer["degraded"] == ["retriever"]


async def test_what_cannot_be_written_down_is_not_answered(
    hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    interaction_id = (await hub.ask()).json()["interaction_id"]

    def full(record: object) -> None:
        raise SpoolFull("no room")

    monkeypatch.setattr(hub.logbook._spool, "append", full)
    refused = await hub.ask()
    assert problem(refused, 503)["type"] == "urn:hub:problem:log"
    thumb = {"interaction_id": interaction_id, "score": 1}
    problem(await hub.client.post("/v1/feedback", json=thumb), 503)


async def hang_up_after(app: FastAPI, body: bytes, *, wait_s: float) -> None:
    """Ask as a client that leaves: what the server does then is to cancel the handler."""
    headers = [(b"content-type", b"application/json")]
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/v1/query",
        "headers": headers,
    }
    scope |= {"query_string": b"", "scheme": "http", "server": ("hub", 80), "client": ("h", 1)}
    scope |= {"http_version": "1.1", "root_path": "", "raw_path": b"/v1/query"}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Any) -> None:
        raise AssertionError("answered after all")

    handler = asyncio.create_task(app(scope, receive, send))
    await asyncio.sleep(wait_s)
    handler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await handler


async def test_a_client_that_hangs_up_is_written_down_all_the_same(make_hub: MakeHub) -> None:
    hub = make_hub(PlainStages(late_s={"retriever": 0.15}))
    await hang_up_after(hub.app, json.dumps(QUESTION).encode(), wait_s=0.05)
    assert hub.logged() == []
    await asyncio.gather(*hub.service._tasks)
    (row,) = hub.logged()
    assert (row["outcome"], len(row["result_ids"])) == ("answered", 3)


async def test_a_client_that_hangs_up_gives_its_place_back_and_no_other_query_fails(
    make_hub: MakeHub,
) -> None:
    hub = make_hub(PlainStages(late_s={"classifier": 0.1}), max_waiting=2)
    body = json.dumps(QUESTION).encode()
    _, stays = await asyncio.gather(hang_up_after(hub.app, body, wait_s=0.05), hub.ask())
    assert stays.json()["degraded"] == []
    await asyncio.gather(*hub.service._tasks)
    both = await asyncio.gather(hub.ask(), hub.ask())
    assert [response.status_code for response in both] == [200, 200]


async def test_a_failure_that_nobody_waits_for_any_more_is_told_in_the_log(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = make_hub(PlainStages(late_s={"retriever": 0.1}))

    def broken(record: object) -> None:
        raise RuntimeError("the spool is on fire")

    monkeypatch.setattr(hub.logbook._spool, "append", broken)
    await hang_up_after(hub.app, json.dumps(QUESTION).encode(), wait_s=0.02)
    await asyncio.wait(set(hub.service._tasks))
    await asyncio.sleep(0)
    assert "the spool is on fire" in caplog.text


# ---- the same request twice -------------------------------------------------------------------


async def test_a_request_id_twice_gives_the_first_answer_and_one_row(hub: Hub) -> None:
    request_id = str(uuid.uuid4())
    first = await hub.ask(request_id=request_id)
    again = await hub.ask("How do I  appeal a GRADE", request_id=request_id.upper(), top_k=1)
    assert again.status_code == 200
    assert again.json() == first.json()
    assert len(hub.logged()) == 1


async def test_a_request_id_with_another_text_is_a_409(hub: Hub) -> None:
    request_id = str(uuid.uuid4())
    await hub.ask(request_id=request_id)
    document = problem(await hub.ask("where is the library", request_id=request_id), 409)
    assert document["type"] == "urn:hub:problem:request-id-reused"
    assert len(hub.logged()) == 1


async def test_the_same_request_id_of_two_sessions_is_two_requests(hub: Hub) -> None:
    request_id = str(uuid.uuid4())
    first = await hub.ask(request_id=request_id)
    async with hub.stranger() as client:
        other = await client.post("/v1/query", json={**QUESTION, "request_id": request_id})
    assert other.json()["interaction_id"] != first.json()["interaction_id"]
    assert len(hub.logged()) == 2


async def test_two_at_once_with_one_request_id_share_one_answer(make_hub: MakeHub) -> None:
    hub = make_hub(PlainStages(late_s={"retriever": 0.05}))
    await hub.ask()  # a session
    request_id = str(uuid.uuid4())
    answers = await asyncio.gather(*[hub.ask(request_id=request_id) for _ in range(5)])
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["interaction_id"] for answer in answers}) == 1
    assert len(hub.logged()) == 2


async def test_an_answer_that_failed_may_be_asked_for_again_with_its_request_id(
    make_hub: MakeHub,
) -> None:
    stages = PlainStages(missing={"classifier", "embedder", "retriever"})
    hub = make_hub(stages)
    async with hub.stranger() as client:
        token = issue_session(secret=SECRET)[1]
        body, headers = {**QUESTION, "request_id": str(uuid.uuid4())}, {SESSION_HEADER: token}
        problem(await client.post("/v1/query", json=body, headers=headers), 503)
        stages.missing.clear()
        again = await client.post("/v1/query", json=body, headers=headers)
    assert again.json()["outcome"] == "answered"


async def test_a_client_that_hung_up_finds_its_answer_with_the_request_id(
    make_hub: MakeHub,
) -> None:
    hub = make_hub(PlainStages(late_s={"retriever": 0.1}))
    await hub.ask()
    cookie = f"{SESSION_COOKIE}={hub.client.cookies[SESSION_COOKIE]}"
    request_id = str(uuid.uuid4())
    async with hub.stranger() as client:
        asking = asyncio.create_task(
            client.post(
                "/v1/query",
                json={**QUESTION, "request_id": request_id},
                headers={"Cookie": cookie},
            )
        )
        await asyncio.sleep(0.05)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
    again = (await hub.ask(request_id=request_id)).json()
    assert [row["interaction_id"] for row in hub.logged()][1:] == [again["interaction_id"]]


# ---- feedback ---------------------------------------------------------------------------------


async def test_a_thumb_is_kept_while_the_database_is_away(hub: Hub) -> None:
    interaction_id = (await hub.ask()).json()["interaction_id"]
    thumb = {"interaction_id": interaction_id, "score": -1, "comment": "mail me: a@b.co"}
    response = await hub.client.post("/v1/feedback", json=thumb)
    assert response.status_code == 202
    assert response.json() == {"interaction_id": interaction_id, "status": "pending"}
    (kept,) = hub.thumbs()
    assert (kept["interaction_id"], kept["score"]) == (interaction_id, -1)
    assert kept["comment"] == "mail me: [email]"


@pytest.mark.parametrize(
    "forged",
    [
        *("x", "0" * 44, "é" * 20),
        pytest.param(
            issue_interaction_id(session_id="", secret=b"fedcba9876543210"), id="of another hub"
        ),
    ],
)
async def test_a_thumb_for_what_is_not_ours_is_a_404(hub: Hub, forged: str) -> None:
    response = await hub.client.post("/v1/feedback", json={"interaction_id": forged, "score": 1})
    assert problem(response, 404)["type"] == "urn:hub:problem:unknown-interaction"
    assert hub.thumbs() == []


async def test_a_thumb_is_taken_from_the_session_that_asked_and_from_no_other(hub: Hub) -> None:
    answer = await hub.ask()
    thumb = {"interaction_id": answer.json()["interaction_id"], "score": -1}
    async with hub.stranger() as stranger:
        refused = [await stranger.post("/v1/feedback", json=thumb)]  # without a session
        await stranger.post("/v1/query", json=QUESTION)
        refused.append(await stranger.post("/v1/feedback", json=thumb))
        # Nobody is told whether there is such an interaction at all.
        unknown = await stranger.post("/v1/feedback", json={**thumb, "interaction_id": "0" * 44})
        assert {problem(one, 404)["detail"] for one in [*refused, unknown]} == {
            unknown.json()["detail"]
        }
        assert hub.thumbs() == []
        headers = {SESSION_HEADER: answer.headers[SESSION_HEADER]}
        stranger.cookies.clear()
        mine = await stranger.post("/v1/feedback", json=thumb, headers=headers)
    assert mine.status_code == 202
    assert [kept["score"] for kept in hub.thumbs()] == [-1]


async def test_a_thumb_for_a_session_is_a_404(hub: Hub) -> None:
    token = (await hub.ask()).headers[SESSION_HEADER]
    response = await hub.client.post("/v1/feedback", json={"interaction_id": token, "score": 1})
    problem(response, 404)


@pytest.mark.parametrize("score", [0, 5, True, "1", None])
async def test_a_thumb_is_up_or_down(hub: Hub, score: object) -> None:
    body = {"interaction_id": "x", "score": score}
    document = problem(await hub.client.post("/v1/feedback", json=body), 422)
    assert [error["field"] for error in document["errors"]] == ["score"]


# ---- how the hub is ---------------------------------------------------------------------------


async def test_health_asks_nobody(make_hub: MakeHub) -> None:
    hub = make_hub(PlainStages(missing={"classifier", "embedder", "retriever"}))
    response = await hub.client.get("/v1/healthz")
    assert (response.status_code, response.json()) == (200, {"status": "alive"})


@pytest.mark.parametrize(
    ("missing", "status"),
    [
        (set(), 200),
        ({"classifier"}, 200),
        ({"embedder", "retriever"}, 200),
        ({"classifier", "retriever"}, 503),
        ({"classifier", "embedder", "retriever"}, 503),
    ],
)
async def test_ready_means_that_any_answer_is_possible(
    make_hub: MakeHub, missing: set[str], status: int
) -> None:
    response = await make_hub(PlainStages(missing=missing)).client.get("/v1/readyz")
    assert response.status_code == status
    order = ["classifier", "embedder", "retriever"]
    degraded = [stage for stage in order if stage in missing]
    assert response.json() == {"ready": status == 200, "degraded": degraded}


async def test_a_stage_that_hangs_is_degraded_in_time(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "PROBE_TIMEOUT_S", 0.05)
    hub = make_hub(PlainStages(late_s={"embedder": 30.0, "models": 30.0}))
    assert (await hub.client.get("/v1/readyz")).json()["degraded"] == ["embedder"]
    problem(await hub.client.get("/v1/models"), 503)


async def test_readiness_is_asked_once_a_second_however_many_ask(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = make_hub()
    asked: list[str] = []
    probe = hub.stages.probe

    async def counting(stage: str) -> None:
        asked.append(stage)
        await probe(stage)

    monkeypatch.setattr(hub.stages, "probe", counting)
    await asyncio.gather(*[hub.client.get("/v1/readyz") for _ in range(10)])
    await hub.client.get("/v1/readyz")
    assert sorted(asked) == ["classifier", "embedder", "retriever"]
    monkeypatch.setattr(service_module, "READY_FOR_S", 0.0)
    hub.stages.missing.add("embedder")
    assert (await hub.client.get("/v1/readyz")).json()["degraded"] == ["embedder"]


async def test_models_says_what_every_replica_holds(hub: Hub) -> None:
    assert (await hub.client.get("/v1/models")).json() == {
        "champion": "v3",
        "replicas": [
            {
                "replica": "a",
                "version": "v3",
                "wanted": "v3",
                "error": None,
                "memory_bytes": 1000,
            }
        ],
        "embedders": [{"replica": "e", "space": "space", "embedder": "local"}],
    }


async def test_models_says_what_replicas_hold_while_the_artifact_store_is_away(hub: Hub) -> None:
    hub.stages.missing.add("champion")
    answer = (await hub.client.get("/v1/models")).json()
    assert answer["champion"] is None
    assert [one["version"] for one in answer["replicas"]] == ["v3"]


async def test_models_are_said_while_no_embedder_replica_takes_calls(
    make_hub: MakeHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_module, "PROBE_TIMEOUT_S", 0.05)
    for stages in (PlainStages(missing={"spaces"}), PlainStages(late_s={"spaces": 30.0})):
        said = (await make_hub(stages).client.get("/v1/models")).json()
        assert (said["champion"], said["embedders"]) == ("v3", [])


async def test_models_is_a_problem_while_no_replica_takes_calls(hub: Hub) -> None:
    hub.stages.missing.add("models")
    answer = await hub.client.get("/v1/models")
    assert "retry-after" in answer.headers
    problem(answer, 503)


async def test_only_pages_of_the_origins_that_are_set_may_ask_from_a_browser(hub: Hub) -> None:
    friend, stranger = {"Origin": "https://www.example.edu"}, {"Origin": "https://evil.example"}
    closed = await hub.ask(headers=friend)
    assert "access-control-allow-origin" not in closed.headers

    app = build_http(lambda: hub.service, cors_origins=("https://www.example.edu",))
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hub") as client:
        asks = {
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-hub-session",
        }
        allowed = await client.options("/v1/query", headers=friend | asks)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == friend["Origin"]
        assert (await client.options("/v1/query", headers=stranger | asks)).status_code == 400
        answer = await client.post("/v1/query", json=QUESTION, headers=friend)
        assert answer.headers["access-control-allow-origin"] == friend["Origin"]
        assert SESSION_HEADER in answer.headers["access-control-expose-headers"]
        refused = await client.post("/v1/query", content=b"", headers=friend)
        assert refused.headers["access-control-allow-origin"] == friend["Origin"]
        other = await client.post("/v1/query", json=QUESTION, headers=stranger)
        assert "access-control-allow-origin" not in other.headers


# ---- the API's description --------------------------------------------------------------------


async def test_the_docs_need_nothing_from_elsewhere(hub: Hub) -> None:
    page = await hub.client.get("/docs")
    assert page.status_code == 200
    assert not re.findall(r"(?:https?:)?//[\w.]+", page.text)
    references = re.findall(r"""(?:src|href)=["']([^"']+)""", page.text)
    assert len(references) >= 3
    for reference in [*references, "/openapi.json"]:
        assert (await hub.client.get(reference)).status_code == 200, reference


async def test_the_docs_can_read_our_version_of_openapi(hub: Hub) -> None:
    version = (await hub.client.get("/openapi.json")).json()["openapi"]
    assert version.startswith("3.1.")
    script = await hub.client.get("/docs/assets/swagger-ui-bundle.js")
    assert "isOpenAPI31" in script.text  # Swagger UI before its version 5 has no 3.1


async def test_the_home_page_leads_somewhere(hub: Hub) -> None:
    response = await hub.client.get("/", follow_redirects=True)
    assert response.status_code == 200


def references(part: object) -> list[str]:
    if isinstance(part, dict):
        own = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return own + [found for value in part.values() for found in references(value)]
    if isinstance(part, list):
        return [found for value in part for found in references(value)]
    return []


async def test_the_openapi_document_is_whole(hub: Hub) -> None:
    document = (await hub.client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]
    for reference in references(document):
        assert reference.removeprefix("#/components/schemas/") in schemas, reference
    for schema in schemas.values():
        jsonschema.Draft202012Validator.check_schema(schema)
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert set(document["paths"]) == {
        *("/v1/query", "/v1/feedback", "/v1/healthz", "/v1/readyz", "/v1/models", "/v1/hints")
    }
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["responses"] for operation in operations)


async def test_what_is_sent_and_answered_is_as_described(hub: Hub) -> None:
    document = (await hub.client.get("/openapi.json")).json()

    def valid(instance: object, name: str) -> bool:
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        return bool(jsonschema.Draft202012Validator(schema).is_valid(instance))

    answer = (await hub.ask("i want to kill myself")).json()
    assert valid(answer, "QueryAnswer")
    assert not valid({**answer, "outcome": "perhaps"}, "QueryAnswer")
    thumb = {"interaction_id": answer["interaction_id"], "score": 1}
    assert valid(thumb, "FeedbackRequest")
    assert not valid({**thumb, "score": 2}, "FeedbackRequest")
    assert valid((await hub.client.post("/v1/feedback", json=thumb)).json(), "FeedbackAnswer")
    assert valid(QUESTION, "QueryRequest")
    assert valid({**QUESTION, "top_k": 20, "tags": ["a"], "request_id": None}, "QueryRequest")
    for bad in ({"top_k": 0}, {"colour": 1}, {"text": ""}, {"text": "x" * 2_001}):
        assert not valid({**QUESTION, **bad}, "QueryRequest")
    refused = await hub.client.post("/v1/query", content=b"")
    assert valid(refused.json(), "Problem")
    assert valid((await hub.client.get("/v1/readyz")).json(), "Readiness")
    assert valid((await hub.client.get("/v1/models")).json(), "Models")
