"""One window's work: what it holds, and what happens when the world changes meanwhile."""

import pytest

from annotation.desk import Desk
from store.database import Connection
from store.labels import claim_next, read_labels
from tests.review_samples import add_item, add_people


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def desk(connection: Connection, clock: Clock) -> Desk:
    """Ana's desk over three items, a before b before c."""
    add_people(connection, ana="reviewer", ben="reviewer")
    for priority, item_id in enumerate("cba"):
        add_item(connection, item_id, priority=priority)
    opened = Desk(reviewer="ana", lease_s=300, clock=clock)
    opened.fetch_ahead(connection)
    clock.now_s += 1
    return opened


def on_screen(desk: Desk) -> str | None:
    return desk.current.item_id if desk.current else None


def test_the_next_item_is_there_before_it_is_asked_for(connection: Connection, desk: Desk) -> None:
    connection.execute("DELETE FROM review_items WHERE item_id = 'c'")
    desk.label(connection, item_id="a", intent="housing")
    assert on_screen(desk) == "b", "without another look into the queue"


def test_a_click_for_an_item_that_is_no_longer_on_screen_does_nothing(
    connection: Connection, desk: Desk, clock: Clock
) -> None:
    desk.label(connection, item_id="a", intent="housing")
    clock.now_s += 1
    desk.label(connection, item_id="a", intent="housing")
    assert on_screen(desk) == "b"
    assert len(read_labels(connection)) == 1


def test_a_key_held_down_labels_one_item(connection: Connection, desk: Desk, clock: Clock) -> None:
    for _ in range(8):
        clock.now_s += 0.03
        desk.label(connection, item_id=on_screen(desk) or "", intent="housing")
    assert [label.item_id for label in read_labels(connection)] == ["a"]
    assert desk.said is not None
    assert "too soon" in desk.said


def test_what_expired_and_went_to_another_is_not_shown(connection: Connection, desk: Desk) -> None:
    connection.execute("UPDATE review_items SET leased_until = now() WHERE leased_by = 'ana'")
    taken = claim_next(connection, reviewer="ben", lease_s=300, holding=["a"])
    assert taken is not None
    assert taken.item_id == "b"
    desk.label(connection, item_id="a", intent="housing")
    desk.fetch_ahead(connection)
    assert on_screen(desk) == "c"


def test_each_label_extends_the_lease_of_what_follows(connection: Connection, desk: Desk) -> None:
    connection.execute(
        "UPDATE review_items SET leased_until = now() + interval '1 s' WHERE leased_by = 'ana'"
    )
    desk.label(connection, item_id="a", intent="housing")
    row = connection.execute(
        "SELECT leased_by, leased_until > now() + interval '4 min' FROM review_items"
        " WHERE item_id = 'b'"
    ).fetchone()
    assert row == ("ana", True)


def test_undo_goes_back_step_by_step(connection: Connection, desk: Desk, clock: Clock) -> None:
    for item_id in "ab":
        desk.label(connection, item_id=item_id, intent="housing")
        desk.fetch_ahead(connection)
        clock.now_s += 1
    desk.undo(connection)
    assert on_screen(desk) == "b"
    desk.undo(connection)
    assert on_screen(desk) == "a"
    desk.undo(connection)
    assert desk.said == "There is nothing to take back."
    assert read_labels(connection) == []


def test_closing_gives_everything_back(connection: Connection, desk: Desk) -> None:
    desk.close(connection)
    rows = connection.execute("SELECT count(leased_by) FROM review_items").fetchone()
    assert rows == (0,)
