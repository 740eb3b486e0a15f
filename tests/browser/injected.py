"""What answers in the hub's place, so that a test reaches every state and every field."""

import json
import re
from collections.abc import Callable
from typing import Any

from playwright.sync_api import Page, Route

from contracts.messages import QueryAnswer
from contracts.outcome import MESSAGES
from graph.hints import read_hints

Json = dict[str, Any]


def answer(number: int = 1, **changes: Any) -> Json:
    """Return an answer of the contract, as JSON; `changes` replace fields."""
    fields = {
        "interaction_id": f"interaction-{number}",
        "outcome": "answered",
        "message": None,
        "crisis": None,
        "intent": "exams_and_grades",
        "confidence": 0.91,
        "is_confused": False,
        "confused_because": None,
        "alternatives": [
            {"intent": "exams_and_grades", "confidence": 0.91},
            {"intent": "transcripts_and_records", "confidence": 0.05},
            {"intent": "out_of_scope", "confidence": 0.01},
        ],
        "results": [
            {
                "id": f"node-{place}",
                "title": f"Regrade requests and grade appeals, part {place}",
                "snippet": "To appeal a grade, write to your instructor within ten days.",
                "url": f"https://www.alderridge.example/registrar/appeals/{place}",
                "intent": "exams_and_grades",
                "score": 1 / place,
            }
            for place in (1, 2, 3)
        ],
        "degraded": [],
        "model_version": "v3",
        "embedding_space": "b7e34a2afc7d3395",
        "timings_ms": {"total": 11.9},
        **changes,
    }
    return QueryAnswer(**fields).model_dump(mode="json")


def confused(number: int = 1, **changes: Any) -> Json:
    """Return an answer that is not sure."""
    unsure = {
        "outcome": "confused",
        "message": MESSAGES["confused"],
        "is_confused": True,
        "confused_because": "ambiguous",
        "confidence": 0.5,
    }
    return answer(number, **{**unsure, **changes})


def rephrase(number: int = 1, **changes: Any) -> Json:
    """Return an answer that asks for other words."""
    unsure = {"outcome": "rephrase", "message": MESSAGES["rephrase"], "confidence": 0.2}
    return confused(number, **{**unsure, "confused_because": "low_confidence", **changes})


class InjectedHub:
    """Answers every call to /v1/* and keeps what was asked.

    `away`: connections are refused. `ready`: what /v1/readyz says. `silent`: a question is heard
    and never answered. `reply` answers a question in its own way: it gets the route and the body.
    """

    def __init__(self, page: Page) -> None:
        self.away = False
        self.silent = False
        self.ready = True
        self.answer: Callable[[str], Json] = lambda _: answer(len(self.asked))
        self.reply: Callable[[Route, Json], None] | None = None
        self.asked: list[Json] = []
        self.thumbs: list[Json] = []
        self.looks = 0
        self.hints: Json = read_hints().model_dump(mode="json")
        page.route(re.compile(r"/v1/"), self._handle)

    def _handle(self, route: Route) -> None:
        path = route.request.url.split("/v1/")[1]
        body = json.loads(route.request.post_data or "{}")
        if path == "query":
            self.asked.append(body)
        elif path == "readyz":
            self.looks += 1
        if self.away:
            route.abort("connectionrefused")
        elif path == "query" and self.reply is not None:
            self.reply(route, body)
        elif path == "query" and not self.silent:
            route.fulfill(json=self.answer(body["text"]))
        elif path == "feedback":
            self.thumbs.append(body)
            route.fulfill(json={"interaction_id": body["interaction_id"], "status": "stored"})
        elif path == "readyz":
            route.fulfill(
                status=200 if self.ready else 503, json={"ready": self.ready, "degraded": []}
            )
        elif path == "hints":
            route.fulfill(json=self.hints)


def problem(route: Route, status: int, detail: str, **headers: str) -> None:
    """Refuse, as the hub does: with a problem document."""
    document = {
        "type": "about:blank",
        "title": "Refused",
        "status": status,
        "detail": detail,
        "request_id": "of-the-test",
    }
    route.fulfill(
        status=status,
        body=json.dumps(document),
        headers={"Content-Type": "application/problem+json", **headers},
    )
