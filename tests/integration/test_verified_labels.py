"""Which labels count as verified: two people, and a lead decides; one person never, by no trick."""

import psycopg
import pytest

from store.database import Connection

ITEM = "0" * 44


@pytest.fixture(autouse=True)
def item(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO reviewers (name, role) VALUES ('ana', 'reviewer'), ('ben', 'reviewer'),"
        " ('cleo', 'reviewer'), ('dan', 'reviewer'), ('lea', 'lead'), ('lou', 'lead')"
    )
    connection.execute(
        "INSERT INTO review_items (item_id, query_text, reason, priority, asked_at, outcome,"
        " source, model_version) VALUES (%s, 'how do i get a gown', 'doubtful', 1, now(),"
        " 'confused', 'real', 'v1')",
        (ITEM,),
    )
    connection.execute(
        "INSERT INTO review_members VALUES (%s, %s, 's1'), ('another', %s, 's2')",
        (ITEM, ITEM, ITEM),
    )


def say(connection: Connection, **said: str) -> None:
    """Each named reviewer labels the item, in this order, with the role held now."""
    for reviewer, intent in said.items():
        connection.execute(
            "INSERT INTO labels (item_id, reviewer, role, intent, source)"
            " SELECT %s, name, role, %s, 'real' FROM reviewers WHERE name = %s",
            (ITEM, intent, reviewer),
        )


def undo(connection: Connection, reviewer: str) -> None:
    connection.execute(
        "UPDATE labels SET retracted_at = clock_timestamp() WHERE reviewer = %s", (reviewer,)
    )


def promote(connection: Connection, reviewer: str) -> None:
    connection.execute("UPDATE reviewers SET role = 'lead' WHERE name = %s", (reviewer,))


def verified(connection: Connection) -> tuple[str, str] | None:
    rows = connection.execute("SELECT intent, verified_by FROM verified_labels").fetchall()
    assert len(rows) <= 1
    return rows[0] if rows else None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, None),
        ({"ana": "graduation"}, None),
        ({"ana": "graduation", "ben": "graduation"}, ("graduation", "agreement")),
        ({"ana": "graduation", "ben": "housing"}, None),
        (
            {"ana": "graduation", "ben": "housing", "cleo": "graduation"},
            ("graduation", "agreement"),
        ),
        ({"ana": "dining", "ben": "dining", "cleo": "housing", "dan": "housing"}, None),
        ({"ana": "out_of_scope", "ben": "out_of_scope"}, ("out_of_scope", "agreement")),
        ({"ana": "unclear", "ben": "unclear"}, None),
        ({"ana": "unclear", "ben": "unclear", "cleo": "dining", "dan": "dining"}, None),
        ({"ana": "graduation", "lea": "graduation"}, ("graduation", "lead")),
        ({"lea": "graduation", "ana": "graduation"}, ("graduation", "lead")),
        ({"ana": "dining", "ben": "dining", "lea": "housing"}, ("housing", "lead")),
        ({"ana": "dining", "ben": "housing", "lea": "housing"}, ("housing", "lead")),
        ({"ana": "dining", "ben": "dining", "lea": "unclear"}, None),
        ({"ana": "dining", "lea": "dining", "lou": "dining"}, ("dining", "lead")),
        ({"lea": "dining", "lou": "dining"}, ("dining", "lead")),
        ({"ana": "dining", "ben": "dining", "lea": "dining", "lou": "housing"}, None),
        ({"lea": "dining"}, None),
    ],
)
def test_it_takes_two_people_and_a_lead_decides(
    connection: Connection, said: dict[str, str], expected: tuple[str, str] | None
) -> None:
    say(connection, **said)
    assert verified(connection) == expected


def test_one_person_cannot_label_an_item_twice(connection: Connection) -> None:
    say(connection, ana="graduation")
    with pytest.raises(psycopg.errors.UniqueViolation, match="labels_one_active"):
        say(connection, ana="graduation")
    assert verified(connection) is None


def test_one_person_cannot_verify_by_undoing_and_labelling_again(connection: Connection) -> None:
    say(connection, ana="graduation")
    undo(connection, "ana")
    say(connection, ana="graduation")
    assert verified(connection) is None


def test_one_person_cannot_verify_by_becoming_a_lead(connection: Connection) -> None:
    say(connection, ana="graduation")
    promote(connection, "ana")
    assert verified(connection) is None
    undo(connection, "ana")
    say(connection, ana="graduation")
    assert verified(connection) is None


def test_a_label_keeps_the_weight_it_had_when_its_reviewer_becomes_a_lead(
    connection: Connection,
) -> None:
    say(connection, ana="graduation", ben="housing")
    promote(connection, "ana")
    assert verified(connection) is None


def test_undo_takes_back_what_it_had_verified(connection: Connection) -> None:
    say(connection, ana="graduation", ben="graduation")
    undo(connection, "ben")
    assert verified(connection) is None


def test_a_label_is_verified_when_the_second_person_agrees_or_the_third_gives_way(
    connection: Connection,
) -> None:
    say(connection, ana="dining", ben="dining", cleo="housing", dan="housing")
    undo(connection, "dan")
    row = connection.execute(
        "SELECT v.intent, v.verified_at = (SELECT max(retracted_at) FROM labels), v.members,"
        " v.source, v.model_version, v.query_text FROM verified_labels v"
    ).fetchone()
    assert row == ("dining", True, 2, "real", "v1", "how do i get a gown")


def test_an_item_that_goes_takes_its_labels_and_members_along(connection: Connection) -> None:
    say(connection, ana="graduation", ben="graduation")
    connection.execute("DELETE FROM review_items")
    for table in ("labels", "review_members", "verified_labels"):
        assert connection.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)
