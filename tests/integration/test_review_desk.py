"""The learning loop's people at a real database: all is asked, queued, labelled twice, verified."""

from pathlib import Path

import pytest

from benchmarks.review_desk import People, ask_everything, queue_everything, review_everything
from contracts.records import Interaction
from models.classifier import IntentClassifier
from store.database import Connection
from store.labels import read_labels
from tests.samples import SECRET
from tests.tiny_classifier import make_tiny_classifier
from training.label_gate import decide_labels

INTENTS = ("dining", "housing", "library", "out_of_scope")
WORDS = {"perch": "library", "acorns": "dining", "burrow": "housing"}
MEANT = [("a perch", "library"), ("my acorns", "dining"), ("the burrow", "housing")]
QUERIES = [(f"{text} number {n}", intent) for n in range(30) for text, intent in MEANT]


@pytest.fixture
def logged(connection: Connection, database_url: str, tmp_path: Path) -> list[Interaction]:
    """Ninety answered queries in the log, each with its review item."""
    folder = make_tiny_classifier(tmp_path, words=WORDS, labels=INTENTS, otherwise="out_of_scope")
    made = ask_everything(
        connection,
        [text for text, _ in QUERIES],
        database_url=database_url,
        classifier=IntentClassifier(folder),
        secret=SECRET,
    )
    assert queue_everything(connection, made) == len(QUERIES)
    return made


def meant_by(logged: list[Interaction]) -> dict[str, str]:
    return {one.interaction_id: intent for one, (_, intent) in zip(logged, QUERIES, strict=True)}


def test_what_was_asked_is_in_the_log_as_the_hub_would_have_answered(
    connection: Connection, logged: list[Interaction]
) -> None:
    rows = connection.execute(
        "SELECT interaction_id, query_text, intent, model_version FROM interaction_log"
    ).fetchall()
    assert sorted(rows) == sorted(
        (one.interaction_id, text, intent, "v9")
        for one, (text, intent) in zip(logged, QUERIES, strict=True)
    )


def test_people_without_slips_verify_everything_as_it_is_meant(
    connection: Connection, logged: list[Interaction]
) -> None:
    meant = meant_by(logged)
    people = People(error=0.0, lead_error=0.0)
    verified = review_everything(connection, meant=meant, intents=INTENTS, people=people, seed=0)
    assert {one.item_id: one.intent for one in verified} == meant
    assert {one.verified_by for one in verified} == {"agreement"}
    assert len(read_labels(connection)) == 2 * len(QUERIES)


def test_a_lead_decides_where_two_people_differ(
    connection: Connection, logged: list[Interaction]
) -> None:
    meant = meant_by(logged)
    people = People(error=0.3, lead_error=0.0)
    verified = review_everything(connection, meant=meant, intents=INTENTS, people=people, seed=1)
    assert len(verified) == len(QUERIES)
    by_lead = [one for one in verified if one.verified_by == "lead"]
    assert len(by_lead) > 20
    assert all(one.intent == meant[one.item_id] for one in by_lead)


def test_their_labels_count_in_a_demo_hub_alone(
    connection: Connection, logged: list[Interaction]
) -> None:
    verified = review_everything(
        connection, meant=meant_by(logged), intents=INTENTS, people=People(), seed=2
    )
    assert {one.source for one in verified} == {"simulated"}
    counted = [
        len(decide_labels(verified, intents=INTENTS, needed=1, least_new=0, is_demo=demo).counted)
        for demo in (False, True)
    ]
    assert counted == [0, len(verified)]
