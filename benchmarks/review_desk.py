"""Simulated students and reviewers at a real database: asked, logged, queued, labelled, verified.

Every statement is the hub's own. Sessions are marked as simulated before their first question, so
the labels that come of them count in a demo hub only.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from benchmarks.drifted_queries import say
from contracts.messages import QueryRequest
from contracts.records import Interaction, VerifiedLabel
from graph.composing import compose_answer, interaction_of
from models.classifier import IntentClassifier
from store.database import Connection, open_pool
from store.identity import issue_interaction_id, issue_session
from store.interactions import store_rows
from store.labels import claim_next, give_label, read_verified
from store.redaction import redact
from store.review_queue import NewItem, NewMember, write_queue
from store.reviewers import add_reviewer
from store.simulated import mark_simulated
from training.examples import Example, read_labels

SESSIONS: Final = 60
LEASE_S: Final = 300.0
_ROWS: Final = 200


@dataclass(frozen=True, slots=True)
class People:
    """Who reviews, and how often each is wrong. The lead decides what the others disagree on."""

    reviewers: tuple[str, str] = ("alder", "birch")
    lead: str = "cedar"
    error: float = 0.05
    lead_error: float = 0.02


def ask_everything(
    connection: Connection,
    texts: Sequence[str],
    *,
    database_url: str,
    classifier: IntentClassifier,
    secret: bytes,
) -> list[Interaction]:
    """Let the classifier answer the queries, and log each as one simulated interaction."""
    sessions = [issue_session(secret=secret)[0] for _ in range(min(SESSIONS, len(texts)))]
    mark_simulated(connection, sessions)
    made = []
    for number, (text, prediction) in enumerate(
        zip(texts, classifier.predict(list(texts)), strict=True)
    ):
        session_id = sessions[number % len(sessions)]
        answer = compose_answer(
            interaction_id=issue_interaction_id(session_id=session_id, secret=secret),
            card=None,
            prediction=prediction,
            space=None,
            nodes=[],
            degraded=["embedder", "retriever"],
            timings_ms={},
        )
        made.append(
            interaction_of(
                answer,
                request=QueryRequest(text=text),
                text=redact(text),
                session_id=session_id,
            )
        )
    asyncio.run(_store(database_url, made))
    return made


async def _store(database_url: str, interactions: Sequence[Interaction]) -> None:
    pool = open_pool(database_url, size=1)
    await pool.open(wait=True)
    try:
        for start in range(0, len(interactions), _ROWS):
            rows = [asdict(one) for one in interactions[start : start + _ROWS]]
            await store_rows(pool, interactions=rows, feedback=[], timeout_s=10.0)
    finally:
        await pool.close()


def queue_everything(connection: Connection, interactions: Sequence[Interaction]) -> int:
    """Make a review item of each interaction; return how many there are.

    The queue itself would take the doubtful ones and a sample of the others: here each query
    counts, so that the share of the drift that is labelled is known.
    """
    made, _ = write_queue(
        connection,
        items=[NewItem(one.interaction_id, one.asked_at, "audit", 1.0) for one in interactions],
        members=[
            NewMember(one.interaction_id, one.asked_at, one.interaction_id) for one in interactions
        ],
        raised=[],
    )
    return made


def review_everything(
    connection: Connection,
    *,
    meant: Mapping[str, str],
    intents: Sequence[str],
    people: People,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> list[VerifiedLabel]:
    """Let two people label every item, and a lead those on which they differ.

    `meant` gives the intent of each item by its id. Returns the labels that two people stand for.
    """
    for name in people.reviewers:
        add_reviewer(connection, name=name, role="reviewer", password=None)
    add_reviewer(connection, name=people.lead, role="lead", password=None)
    random = np.random.default_rng(seed)
    turns = [(name, people.error) for name in people.reviewers]
    for name, error in [*turns, (people.lead, people.lead_error)]:
        while (item := claim_next(connection, reviewer=name, lease_s=LEASE_S)) is not None:
            said = say(
                meant[item.item_id],
                suggested=[one.intent for one in item.alternatives],
                intents=intents,
                error=error,
                random=random,
            )
            give_label(connection, item_id=item.item_id, reviewer=name, intent=said)
            advance()
    return read_verified(connection)


def label_everything(
    connection: Connection,
    queries: Sequence[Example],
    *,
    database_url: str,
    classifier: IntentClassifier,
    secret: bytes,
    people: People,
    seed: int,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[Interaction], list[VerifiedLabel]]:
    """Let all be asked, queued and labelled: what a hub knows after a month, in seconds.

    `queries` carry what each means. Returns the interactions that were logged, in their order, and
    the labels that two people stand for.
    """
    asked = ask_everything(
        connection,
        [one.text for one in queries],
        database_url=database_url,
        classifier=classifier,
        secret=secret,
    )
    queue_everything(connection, asked)
    verified = review_everything(
        connection,
        meant={one.interaction_id: query.intent for one, query in zip(asked, queries, strict=True)},
        intents=read_labels(),
        people=people,
        seed=seed,
        advance=advance,
    )
    return asked, verified
