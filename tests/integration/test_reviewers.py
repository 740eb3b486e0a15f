"""Accounts of reviewers: added, changed, disabled; passwords hashed, and guessing braked."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from argon2 import PasswordHasher

from contracts.errors import AccountError, SignInDelayed, SignInRefused
from store import reviewers
from store.database import Connection, connect
from store.reviewers import (
    FREE_FAILURES,
    add_reviewer,
    disable_reviewer,
    enable_reviewer,
    find_reviewer,
    list_reviewers,
    set_password,
    set_role,
    sign_in,
)

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def quick_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a hash costs is the library's business, and a tenth of a second each time."""
    quick = PasswordHasher(time_cost=1, memory_cost=64)
    monkeypatch.setattr(reviewers, "_hasher", lambda: quick)


@pytest.fixture(autouse=True)
def ana(quick_hashes: None, connection: Connection) -> None:
    add_reviewer(connection, name=" Ana ", role="reviewer", password=PASSWORD)


def guess(connection: Connection, name: str = "ana", *, times: int = 1) -> None:
    for _ in range(times):
        with pytest.raises(SignInRefused):
            sign_in(connection, name=name, password="a wrong password")


def pass_time(connection: Connection, seconds: float) -> None:
    connection.execute(
        "UPDATE sign_in_failures SET last_failed_at = last_failed_at - make_interval(secs => %s)",
        (seconds,),
    )


def test_the_right_password_lets_in_whatever_the_case_of_the_name(connection: Connection) -> None:
    reviewer = sign_in(connection, name="ANA", password=PASSWORD)
    assert (reviewer.name, reviewer.role, reviewer.has_password) == ("ana", "reviewer", True)


def test_the_password_is_nowhere_in_the_database(connection: Connection) -> None:
    (kept,) = connection.execute("SELECT password_hash FROM reviewers").fetchone() or ("",)
    assert kept.startswith("$argon2id$v=19$")
    assert PASSWORD not in kept


@pytest.mark.parametrize("name", ["ana", "nobody", ""])
def test_a_wrong_password_and_a_name_that_is_not_there_are_told_the_same(
    connection: Connection, name: str
) -> None:
    with pytest.raises(SignInRefused) as refused:
        sign_in(connection, name=name, password="a wrong password")
    assert refused.value.detail == ""


def test_an_account_without_a_password_cannot_sign_in_with_one(connection: Connection) -> None:
    add_reviewer(connection, name="ben@example.org", role="lead", password=None)
    for password in ("", "the password of no account"):
        with pytest.raises(SignInRefused):
            sign_in(connection, name="ben@example.org", password=password)
    assert find_reviewer(connection, "Ben@Example.org") is not None


def test_a_disabled_account_is_refused_until_it_is_enabled(connection: Connection) -> None:
    disable_reviewer(connection, name="ana")
    assert find_reviewer(connection, "ana") is None
    with pytest.raises(SignInRefused):
        sign_in(connection, name="ana", password=PASSWORD)
    enable_reviewer(connection, name="ana")
    assert sign_in(connection, name="ana", password=PASSWORD).disabled_at is None


@pytest.mark.parametrize("name", ["ana", "nobody"])
def test_after_five_wrong_passwords_one_waits_longer_and_longer(
    connection: Connection, name: str
) -> None:
    guess(connection, name, times=FREE_FAILURES)
    with pytest.raises(SignInDelayed, match="Try again in 5 s"):
        sign_in(connection, name=name, password=PASSWORD)
    pass_time(connection, 5)
    guess(connection, name)
    with pytest.raises(SignInDelayed, match="Try again in 10 s"):
        sign_in(connection, name=name, password=PASSWORD)


def test_the_longest_wait_is_five_minutes(connection: Connection) -> None:
    guess(connection)
    connection.execute("UPDATE sign_in_failures SET failures = 2000000000")
    with pytest.raises(SignInDelayed, match="Try again in 300 s"):
        sign_in(connection, name="ana", password=PASSWORD)


def test_who_waits_and_knows_the_password_gets_in_and_starts_anew(connection: Connection) -> None:
    guess(connection, times=FREE_FAILURES)
    pass_time(connection, 5)
    sign_in(connection, name="ana", password=PASSWORD)
    guess(connection, times=FREE_FAILURES)


def test_others_do_not_wait_for_somebodys_wrong_passwords(connection: Connection) -> None:
    guess(connection, "nobody", times=FREE_FAILURES)
    sign_in(connection, name="ana", password=PASSWORD)


def test_failures_are_forgotten_after_a_day(connection: Connection) -> None:
    guess(connection, "nobody")
    guess(connection, times=FREE_FAILURES)
    pass_time(connection, 24 * 3600)
    guess(connection, times=FREE_FAILURES)
    assert connection.execute("SELECT name FROM sign_in_failures").fetchall() == [("ana",)]


def test_many_tries_at_once_gain_nothing(database_url: str) -> None:
    def guess_once(_: int) -> str:
        with connect(database_url, vectors=False) as own:
            try:
                sign_in(own, name="ana", password="a wrong password")
            except (SignInRefused, SignInDelayed) as error:
                return type(error).__name__
        return "let in"

    with ThreadPoolExecutor(12) as threads:
        said = list(threads.map(guess_once, range(24)))
    assert said.count("SignInRefused") <= FREE_FAILURES
    assert "let in" not in said


def test_a_new_password_replaces_the_old_one_and_ends_the_wait(connection: Connection) -> None:
    guess(connection, times=FREE_FAILURES)
    set_password(connection, name="ana", password="another good one")
    guess(connection)
    assert sign_in(connection, name="ana", password="another good one").name == "ana"


def test_a_hash_of_weaker_parameters_is_replaced_at_the_next_sign_in(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    stronger = PasswordHasher(time_cost=2, memory_cost=64)
    monkeypatch.setattr(reviewers, "_hasher", lambda: stronger)
    sign_in(connection, name="ana", password=PASSWORD)
    (kept,) = connection.execute("SELECT password_hash FROM reviewers").fetchone() or ("",)
    assert not stronger.check_needs_rehash(kept)
    sign_in(connection, name="ana", password=PASSWORD)


def test_a_role_can_be_changed(connection: Connection) -> None:
    set_role(connection, name="ana", role="lead")
    assert [(one.name, one.role) for one in list_reviewers(connection)] == [("ana", "lead")]


@pytest.mark.parametrize(
    ("name", "password", "said"),
    [
        ("ana", PASSWORD, "There is an account 'ana' already"),
        ("ANA", PASSWORD, "There is an account 'ana' already"),
        ("  ", PASSWORD, "1 to 200 printable"),
        ("a\nb", PASSWORD, "1 to 200 printable"),
        ("x" * 201, PASSWORD, "1 to 200 printable"),
        ("ben", "short", "10 to 200 characters"),
        ("ben", "x" * 201, "10 to 200 characters"),
        ("benjamin franklin", "Benjamin Franklin", "not the name itself"),
    ],
)
def test_what_cannot_be_an_account_is_refused(
    connection: Connection, name: str, password: str, said: str
) -> None:
    with pytest.raises(AccountError, match=said):
        add_reviewer(connection, name=name, role="reviewer", password=password)
    assert len(list_reviewers(connection)) == 1


def test_what_is_asked_of_an_account_that_is_not_there_is_refused(connection: Connection) -> None:
    with pytest.raises(AccountError, match="no account 'ben'"):
        set_role(connection, name="ben", role="lead")
    with pytest.raises(AccountError, match="no account 'ben'"):
        set_password(connection, name="ben", password=PASSWORD)
    with pytest.raises(AccountError, match="no account 'ben'"):
        disable_reviewer(connection, name="ben")
