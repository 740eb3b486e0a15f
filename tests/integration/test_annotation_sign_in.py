"""The door of the annotation view: named accounts, single sign-on, nobody else."""

import pytest

from store.database import Connection
from store.labels import read_labels
from store.reviewers import add_reviewer, disable_reviewer
from tests.annotation_window import Window
from tests.annotation_window import view as view
from tests.review_samples import add_item

pytestmark = pytest.mark.usefixtures("view")


def test_nothing_is_shown_before_somebody_signs_in(connection: Connection) -> None:
    add_item(connection, "a", query_text="a secret question")
    window = Window()
    assert "Sign in" in window.said
    assert "a secret question" not in window.said
    assert [tab.label for tab in window.app.tabs] == []


@pytest.mark.parametrize("name", ["ana", "nobody", ""])
def test_a_wrong_password_shows_nothing_and_says_little(connection: Connection, name: str) -> None:
    add_item(connection, "a", query_text="a secret question")
    window = Window().sign_in(name, "a wrong password")
    assert "do not belong together" in window.said
    assert "a secret question" not in window.said


def test_guessing_is_braked(connection: Connection) -> None:
    window = Window()
    for _ in range(6):
        window.sign_in("ana", "a wrong password")
    assert "Too many wrong passwords" in window.said
    assert "Try again in" in window.said
    window.sign_in("ana")
    assert "Too many wrong passwords" in window.said, "the right one has to wait too"


def test_signing_out_gives_back_what_was_held_and_shows_the_form(connection: Connection) -> None:
    add_item(connection, "a", query_text="a secret question")
    window = Window().sign_in("ana")
    window.click("Sign out")
    assert "a secret question" not in window.said
    assert "Sign in" in window.said
    assert Window().sign_in("ben").item_id == "a"


def test_an_account_that_is_disabled_is_out_at_the_next_click(connection: Connection) -> None:
    add_item(connection, "a")
    add_item(connection, "b")
    window = Window().sign_in("ana")
    disable_reviewer(connection, name="ana")
    window.press("1")
    assert window.item_id is None
    assert "not in force" in window.said
    assert read_labels(connection) == []


@pytest.mark.parametrize(
    ("claims", "expected"),
    [
        ({"email": "Mia@Example.org", "email_verified": True}, "Signed in as **mia@example.org**"),
        ({"email": "mia@example.org", "email_verified": False}, "calls verified"),
        ({"email": "else@example.org", "email_verified": True}, "not in force here"),
    ],
)
def test_single_sign_on_lets_in_whose_address_was_added_and_nobody_else(
    connection: Connection, claims: dict[str, object], expected: str
) -> None:
    add_reviewer(connection, name="mia@example.org", role="reviewer", password=None)
    add_item(connection, "a", query_text="a secret question")
    window = Window(
        secrets={"auth": {"client_id": "hub", "cookie_secret": "x" * 32}},
        user={"is_logged_in": True, **claims},
    )
    assert expected in window.said
    assert ("a secret question" in window.said) == expected.startswith("Signed in")


def test_single_sign_on_is_offered_where_it_is_configured() -> None:
    offered = "Sign in with your university account"
    assert offered not in [button.label for button in Window().app.button]
    window = Window(secrets={"auth": {"client_id": "hub", "cookie_secret": "x" * 32}})
    assert offered in [button.label for button in window.app.button]
    window = Window(secrets={"auth": {"cookie_secret": "x" * 32, "okta": {"client_id": "hub"}}})
    assert "Sign in with okta" in [button.label for button in window.app.button]
