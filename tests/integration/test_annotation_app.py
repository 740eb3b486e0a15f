"""The annotation view as its people use it, run by Streamlit's own AppTest against Postgres."""

import pytest
import streamlit as st

from annotation import desk
from store.database import Connection
from store.labels import read_labels, read_verified
from tests.annotation_window import Window
from tests.annotation_window import view as view
from tests.review_samples import add_item

pytestmark = pytest.mark.usefixtures("view")


def test_the_query_is_shown_with_what_the_hub_answered(
    connection: Connection, owner: Connection
) -> None:
    owner.execute(
        "INSERT INTO knowledge_nodes (id, title, body, url, intent)"
        " VALUES ('exams-1', 'Finding your *final* grade', 'b', 'u', 'exams_and_grades')"
    )
    add_item(connection, "a", members=12, query_text="<b>where</b> is my _grade_ $x$")
    window = Window().sign_in("Ana")
    assert "&lt;b&gt;where&lt;/b&gt; is my _grade_ $x$" in window.said
    assert "The hub was not sure: **Exams and grades**, 52% sure." in window.said
    assert r"Finding your \*final\* grade" in window.said
    assert r"exams\-2 \(no longer there\)" in window.said
    assert "labels these 12 alike" in window.said
    labels = [button.label for button in window.app.button]
    assert labels[:3] == [
        "Exams and grades · 52%",
        "Transcripts and records · 21%",
        "Housing · 4%",
    ]


@pytest.mark.parametrize(
    ("key", "intent"),
    [
        ("1", "exams_and_grades"),
        ("2", "transcripts_and_records"),
        ("3", "housing"),
        ("o", "out_of_scope"),
        ("u", "unclear"),
    ],
)
def test_one_key_labels_and_brings_the_next_query(
    connection: Connection, key: str, intent: str
) -> None:
    add_item(connection, "a", priority=2)
    add_item(connection, "b", priority=1)
    window = Window().sign_in("ana")
    assert window.item_id == "a"
    window.press(key)
    assert window.item_id == "b"
    (label,) = read_labels(connection)
    assert (label.item_id, label.reviewer, label.intent) == ("a", "ana", intent)
    assert (label.model_intent, label.model_confidence) == ("exams_and_grades", 0.52)
    assert "z takes it back" in window.said


def test_any_intent_can_be_chosen_and_labels_at_once(connection: Connection) -> None:
    add_item(connection, "a", priority=2)
    add_item(connection, "b", priority=1)
    window = Window().sign_in("ana")
    window.choose("dining")
    assert [label.intent for label in read_labels(connection)] == ["dining"]
    assert window.item_id == "b"
    assert window.app.selectbox(key="intent-b").value is None


def test_undo_brings_the_query_back_also_after_a_reload(connection: Connection) -> None:
    add_item(connection, "a", priority=2)
    add_item(connection, "b", priority=1)
    window = Window().sign_in("ana")
    window.press("1")
    window.press("z")
    assert (window.item_id, read_labels(connection)) == ("a", [])
    assert "Taken back" in window.said
    window.press("2")
    assert [label.intent for label in read_labels(connection)] == ["transcripts_and_records"]
    reloaded = Window().sign_in("ana")
    reloaded.press("z")
    assert (reloaded.item_id, read_labels(connection)) == ("a", [])
    reloaded.press("z")
    assert "nothing to take back" in reloaded.said


def test_two_reviewers_verify_what_neither_could_alone(connection: Connection) -> None:
    add_item(connection, "a")
    ana = Window().sign_in("ana")
    ana.press("1")
    assert read_verified(connection) == []
    assert ana.item_id is None, "nobody sees their own query again"
    assert "**0 of 500** verified" in _progress(ana)
    ben = Window().sign_in("ben")
    ben.press("1")
    (verified,) = read_verified(connection)
    assert (verified.intent, verified.verified_by) == ("exams_and_grades", "agreement")
    assert "**1 of 500** verified" in _progress(ben)
    assert "1 from students" in ben.said


def test_one_person_with_two_windows_verifies_nothing(connection: Connection) -> None:
    add_item(connection, "a")
    first, second = Window().sign_in("ana"), Window().sign_in("ana")
    assert first.item_id == second.item_id == "a", "there is no other: the same, and one say"
    first.press("1")
    second.press("1")
    assert "in another window" in second.said
    assert len(read_labels(connection)) == 1
    assert read_verified(connection) == []


def test_a_lead_decides_where_reviewers_disagree(connection: Connection) -> None:
    add_item(connection, "a")
    for name, key in (("ana", "1"), ("ben", "2"), ("lea", "2")):
        assert read_verified(connection) == []
        Window().sign_in(name).press(key)
    (verified,) = read_verified(connection)
    assert (verified.intent, verified.verified_by) == ("transcripts_and_records", "lead")


def test_two_reviewers_at_work_have_different_queries(connection: Connection) -> None:
    for item_id in "abcd":
        add_item(connection, item_id)
    ana, ben = Window().sign_in("ana"), Window().sign_in("ben")
    assert (ana.item_id, ben.item_id) == ("a", "c"), "the one on screen and the one that follows"


def test_a_key_that_came_before_the_query_could_be_read_does_nothing(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_item(connection, "a")
    window = Window().sign_in("ana")
    monkeypatch.setattr(desk, "SHORTEST_LOOK_S", 60.0)
    window.press("1")
    assert read_labels(connection) == []
    assert window.item_id == "a"
    assert "too soon" in window.said


def test_a_query_that_was_erased_on_screen_is_told_and_the_next_one_comes(
    connection: Connection,
) -> None:
    add_item(connection, "a", priority=2)
    add_item(connection, "b", priority=1)
    window = Window().sign_in("ana")
    connection.execute("DELETE FROM review_items WHERE item_id = 'a'")
    window.press("1")
    assert "erased" in window.said
    assert window.item_id == "b"


def test_agreement_is_shown_with_kappa_for_each_intent(connection: Connection) -> None:
    for number, (ana, ben) in enumerate([("1", "1"), ("1", "2"), ("2", "2"), ("1", "1")]):
        add_item(connection, f"item {number}", priority=-number)
        for name, key in (("ana", ana), ("ben", ben)):
            Window().sign_in(name).press(key)
    st.cache_data.clear()
    window = Window().sign_in("lea")
    assert "agreed in 75% of 4 cases (Cohen's kappa 0.50)" in window.said
    window.open_tab("Agreement")
    (table,) = window.app.dataframe
    assert list(table.value["Intent"]) == ["Exams and grades", "Transcripts and records"]
    assert list(table.value["Cases"]) == [3, 2]
    assert list(table.value["Cohen's kappa"]) == pytest.approx([0.5, 0.5])


def test_new_intents_are_proposed_from_what_has_no_place(connection: Connection) -> None:
    add_item(connection, "x", query_text="gym gym gym")
    for number in range(3):
        add_item(connection, f"p{number}", members=4, query_text="where do i park my bike *")
    for number in range(3):
        add_item(connection, f"q{number}", query_text="where at night", priority=5)
        Window().sign_in("ana").press("1")
    window = Window().sign_in("ben")
    window.open_tab("New intent?")
    headings = [expander.label for expander in window.app.expander]
    assert headings == [r"**12×** · where do i park my bike \*"]


def test_pace_and_own_labels_are_shown(connection: Connection) -> None:
    for item_id in "abc":
        add_item(connection, item_id)
    window = Window().sign_in("ana")
    assert "Items a minute: –" in window.said
    for _ in range(3):
        window.press("1")
    assert "My labels: 3" in window.said
    assert "Items a minute: –" not in window.said


def test_a_database_that_is_away_is_told_with_what_was_kept(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = Window()
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    st.cache_resource.clear()
    monkeypatch.setattr("store.database.CONNECT_TIMEOUT_S", 1)
    window.sign_in("ana")
    assert "The database cannot be reached" in window.said
    assert "Every label that you saw counted is kept" in window.said
    assert window.item_id is None


def test_an_empty_queue_is_filled_from_the_log_when_somebody_looks(connection: Connection) -> None:
    connection.execute(
        "INSERT INTO interaction_log (interaction_id, asked_at, session_id, query_text, outcome,"
        " intent, confidence, alternatives, model_version) VALUES"
        " ('i1', now(), 's1', 'where do i park my bike', 'confused', 'housing', 0.45,"
        """ '[{"intent": "housing", "confidence": 0.45}]', 'v3')"""
    )
    window = Window().sign_in("ana")
    assert "where do i park my bike" in window.said
    window.press("1")
    assert [label.item_id for label in read_labels(connection)] == ["i1"]


def _progress(window: Window) -> str:
    return "\n".join(str(bar.proto) for bar in window.app.get("progress"))
