"""`python -m scripts.reviewer`: accounts from the terminal."""

import io
from collections.abc import Callable

import pytest

from contracts.errors import AccountError, SignInRefused
from scripts import reviewer as script
from store.database import Connection
from store.reviewers import list_reviewers, sign_in

Run = Callable[..., tuple[int, str]]


class Terminal(io.StringIO):
    """Standard input that is a person."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def run(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run the script with a line of input; return its exit status and what it said."""
    monkeypatch.setenv("HUB_DATABASE_URL", database_url)
    monkeypatch.setattr(script.console, "file", None)

    def run_it(*arguments: str, typed: str = "") -> tuple[int, str]:
        monkeypatch.setattr("sys.stdin", io.StringIO(typed))
        status = script.main(arguments)
        return status, capsys.readouterr().out

    return run_it


def test_an_account_is_added_with_the_password_of_standard_input(
    run: Run, connection: Connection
) -> None:
    status, said = run("add", "Ana", "--role", "lead", typed="correct horse battery\n")
    assert (status, said) == (0, "Added ana as lead; signs in with name and password.\n")
    assert sign_in(connection, name="ana", password="correct horse battery").role == "lead"


def test_a_password_is_asked_for_twice_on_a_terminal(
    run: Run, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = iter(["correct horse battery", "correct horse battery", "one of them", "the other one"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(typed))
    monkeypatch.setattr("sys.stdin", Terminal())
    assert script.read_password() == "correct horse battery"
    with pytest.raises(AccountError, match="differ"):
        script.read_password()


def test_an_account_for_single_sign_on_has_no_password(run: Run, connection: Connection) -> None:
    status, said = run("add", "ben@example.org", "--role", "reviewer", "--single-sign-on")
    assert status == 0
    assert "single sign-on only" in said
    assert not list_reviewers(connection)[0].has_password


def test_accounts_are_listed_disabled_enabled_and_changed(run: Run, connection: Connection) -> None:
    run("add", "ana", "--role", "reviewer", typed="correct horse battery\n")
    assert run("disable", "ana")[0] == 0
    assert "disabled" in run("list")[1]
    with pytest.raises(SignInRefused):
        sign_in(connection, name="ana", password="correct horse battery")
    assert run("enable", "ana")[0] == 0
    assert run("password", "ana", typed="another good one\n")[0] == 0
    assert run("role", "ana", "lead")[0] == 0
    assert sign_in(connection, name="ana", password="another good one").role == "lead"


@pytest.mark.parametrize(
    ("arguments", "typed", "expected"),
    [
        (("add", "ana", "--role", "lead"), "short\n", "10 to 200 characters"),
        (("add", "ana", "--role", "lead"), "", "10 to 200 characters"),
        (("disable", "nobody"), "", "There is no account 'nobody'"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_sentence(
    run: Run, connection: Connection, arguments: tuple[str, ...], typed: str, expected: str
) -> None:
    status, said = run(*arguments, typed=typed)
    assert status == 1
    assert expected in " ".join(said.split())
    assert list_reviewers(connection) == []


def test_a_role_that_is_none_is_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("add", "ana", "--role", "owner")
