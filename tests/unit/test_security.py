"""Every response says what a browser may do with it, whatever kind of response it is."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from contracts.messages import MAX_BODY_BYTES
from graph.http import SESSION_HEADER, build_http
from graph.security import CLOSED, PAGE
from store.logbook import Logbook
from tests.plain_stages import PlainStages
from tests.samples import closed_pool

FRIEND = {"Origin": "https://www.example.edu"}
STRANGER = {"Origin": "https://evil.example"}
QUESTION = {"text": "how do i appeal a grade"}
PREFLIGHT = {
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": f"content-type, {SESSION_HEADER.lower()}",
}
ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
}

MakeClient = Callable[..., httpx.AsyncClient]


@pytest_asyncio.fixture
async def make_client(tmp_path: Path) -> AsyncIterator[MakeClient]:
    """Makes clients of a hub over plain stages, whose database is away."""
    async with AsyncExitStack() as stack:
        pool = closed_pool()
        logbook = Logbook(pool, root=tmp_path, retention_days=7)
        stack.push_async_callback(logbook.close)
        service = PlainStages().service(pool, logbook=logbook)

        def make(*origins: str, bug: bool = False, scheme: str = "http") -> httpx.AsyncClient:
            def broken() -> Any:
                raise RuntimeError("a bug")

            app = build_http(broken if bug else lambda: service, cors_origins=origins)
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            client = httpx.AsyncClient(transport=transport, base_url=f"{scheme}://hub", timeout=10)
            stack.push_async_callback(client.aclose)
            return client

        yield make


REQUESTS = {
    "the page": ("GET", "/", {}, 200, PAGE),
    "the page's head": ("HEAD", "/", {}, 200, PAGE),
    "a web file": ("GET", "/web/hub-client.js", {}, 200, PAGE),
    "no web file": ("GET", "/web/none.js", {}, 404, CLOSED),
    "the page, posted to": ("POST", "/", {}, 405, CLOSED),
    "an answer": ("POST", "/v1/query", {"json": QUESTION}, 200, CLOSED),
    "hints": ("GET", "/v1/hints", {}, 200, CLOSED),
    "health": ("GET", "/v1/healthz", {}, 200, CLOSED),
    "nothing there": ("GET", "/v1/nothing", {}, 404, CLOSED),
    "a wrong method": ("GET", "/v1/query", {}, 405, CLOSED),
    "too large": ("POST", "/v1/query", {"content": b"x" * (MAX_BODY_BYTES + 1)}, 413, CLOSED),
    "invalid": ("POST", "/v1/query", {"json": {"text": ""}}, 422, CLOSED),
    "a redirect": ("GET", "/web", {}, 307, CLOSED),
    "the description": ("GET", "/openapi.json", {}, 200, CLOSED),
    "an asset of the docs": ("GET", "/docs/assets/swagger-ui.css", {}, 200, CLOSED),
}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("origins", [(), (FRIEND["Origin"],)], ids=["closed", "cors"])
async def test_every_kind_of_response_carries_the_headers(
    make_client: MakeClient, kind: str, origins: tuple[str, ...]
) -> None:
    method, path, content, status, policy = REQUESTS[kind]
    response = await make_client(*origins).request(method, path, **content)
    assert response.status_code == status
    check(response, policy=policy, cross_origin=bool(origins))


@pytest.mark.parametrize("origins", [(), (FRIEND["Origin"],)], ids=["closed", "cors"])
async def test_a_bug_carries_them_too(make_client: MakeClient, origins: tuple[str, ...]) -> None:
    client = make_client(*origins, bug=True)
    response = await client.post("/v1/query", json=QUESTION, headers=FRIEND)
    assert response.status_code == 500
    check(response, policy=CLOSED, cross_origin=bool(origins))
    assert response.headers.get("access-control-allow-origin") == (
        FRIEND["Origin"] if origins else None
    )


def check(response: httpx.Response, *, policy: str, cross_origin: bool = False) -> None:
    headers = response.headers
    assert headers.get_list("content-security-policy") == [policy]
    for name, value in ALWAYS.items():
        assert headers.get_list(name) == [value]
    resource = "cross-origin" if cross_origin else "same-origin"
    assert headers.get_list("cross-origin-resource-policy") == [resource]
    for feature in ("camera", "microphone", "geolocation"):
        assert f"{feature}=()" in headers["permissions-policy"]
    assert "strict-transport-security" not in headers
    if "etag" not in headers:
        assert headers.get_list("cache-control") == ["no-store"]


# ---- https ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scheme", "forwarded", "strict"),
    [
        ("http", None, False),
        ("https", None, True),
        ("http", "https", True),
        ("http", "HTTPS, http", True),
        ("http", "http", False),
        ("https", "http", False),
    ],
)
async def test_https_is_asked_for_only_when_it_was_spoken(
    make_client: MakeClient, scheme: str, forwarded: str | None, strict: bool
) -> None:
    headers = {"X-Forwarded-Proto": forwarded} if forwarded else {}
    response = await make_client(scheme=scheme).post("/v1/query", json=QUESTION, headers=headers)
    assert ("strict-transport-security" in response.headers) is strict
    assert ("; Secure" in response.headers["set-cookie"]) is strict


# ---- the docs ---------------------------------------------------------------------------------


async def test_the_docs_start_by_the_hash_of_what_is_served(make_client: MakeClient) -> None:
    response = await make_client().get("/docs")
    policy = response.headers["content-security-policy"]
    check(response, policy=policy)
    (script,) = re.findall(r"<script>(.*?)</script>", response.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'self' 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert "trusted" not in policy  # Swagger UI assigns innerHTML
    assert not re.search(r"\son\w+=|\sstyle=|<style", response.text)


# ---- pages of other origins -------------------------------------------------------------------


async def test_no_page_of_another_origin_may_ask_unless_it_is_set(make_client: MakeClient) -> None:
    client = make_client()
    for response in (
        await client.post("/v1/query", json=QUESTION, headers=FRIEND),
        await client.options("/v1/query", headers=FRIEND | PREFLIGHT),
        await client.get("/web/hub-client.js", headers=FRIEND),
    ):
        assert not [name for name in response.headers if name.startswith("access-control-")]


async def test_a_preflight_is_answered_with_the_headers(make_client: MakeClient) -> None:
    client = make_client(FRIEND["Origin"])
    allowed = await client.options("/v1/query", headers=FRIEND | PREFLIGHT)
    assert allowed.status_code == 200
    assert allowed.headers["access-control-allow-origin"] == FRIEND["Origin"]
    check(allowed, policy=CLOSED, cross_origin=True)
    refused = await client.options("/v1/query", headers=STRANGER | PREFLIGHT)
    assert refused.status_code == 400
    assert "access-control-allow-origin" not in refused.headers
    check(refused, policy=CLOSED, cross_origin=True)


async def test_a_page_of_a_set_origin_reads_answers_problems_and_the_module(
    make_client: MakeClient,
) -> None:
    client = make_client(FRIEND["Origin"])
    for method, path, content in (
        ("POST", "/v1/query", {"json": QUESTION}),
        ("POST", "/v1/query", {"json": {"text": ""}}),
        ("GET", "/v1/hints", {}),
        ("GET", "/v1/nothing", {}),
        ("GET", "/web/hub-client.js", {}),
    ):
        response = await client.request(method, path, headers=FRIEND, **content)
        assert response.headers["access-control-allow-origin"] == FRIEND["Origin"]
        assert "Retry-After" in response.headers["access-control-expose-headers"]
        stranger = await client.request(method, path, headers=STRANGER, **content)
        assert "access-control-allow-origin" not in stranger.headers
