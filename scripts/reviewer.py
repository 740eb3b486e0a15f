"""Accounts of the annotation view: add, list, disable, enable, and change them."""

import argparse
import getpass
import sys
from collections.abc import Callable, Sequence

import psycopg
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from contracts.errors import AccountError, HubError
from contracts.settings import Settings
from store.database import Connection, connect
from store.reviewers import (
    PASSWORD_MIN,
    ROLES,
    add_reviewer,
    disable_reviewer,
    enable_reviewer,
    list_reviewers,
    set_password,
    set_role,
)
from store.running import running_database

console = Console(highlight=False, markup=False)


def read_password() -> str:
    """Return a password: typed twice on a terminal, else the first line of standard input.

    It is never an argument: those are seen by everybody on the machine. Raises AccountError.
    """
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\r\n")
    password = getpass.getpass(f"Password (at least {PASSWORD_MIN} characters): ")
    if getpass.getpass("The same again: ") != password:
        raise AccountError("The two passwords differ.")
    return password


def _add(connection: Connection, given: argparse.Namespace) -> str:
    password = None if given.single_sign_on else read_password()
    added = add_reviewer(connection, name=given.name, role=given.role, password=password)
    how = "single sign-on only" if password is None else "name and password"
    return f"Added {added.name} as {added.role}; signs in with {how}."


def _set_password(connection: Connection, given: argparse.Namespace) -> str:
    set_password(connection, name=given.name, password=read_password())
    return f"{given.name} has a new password; windows that are open stay signed in."


def _set_role(connection: Connection, given: argparse.Namespace) -> str:
    set_role(connection, name=given.name, role=given.role)
    return f"{given.name} is {given.role} from now on; labels given before keep their weight."


def _disable(connection: Connection, given: argparse.Namespace) -> str:
    disable_reviewer(connection, name=given.name)
    return f"{given.name} is out at the next click; the labels stay, what was leased is free again."


def _enable(connection: Connection, given: argparse.Namespace) -> str:
    enable_reviewer(connection, name=given.name)
    return f"{given.name} may sign in again."


def _list(connection: Connection, given: argparse.Namespace) -> str:
    reviewers = list_reviewers(connection)
    table = Table("name", "role", "signs in with", "added", "state")
    for one in reviewers:
        table.add_row(
            one.name,
            one.role,
            "password" if one.has_password else "single sign-on",
            f"{one.added_at:%Y-%m-%d}",
            "in force" if one.disabled_at is None else f"disabled {one.disabled_at:%Y-%m-%d}",
        )
    console.print(table)
    return f"{len(reviewers)} accounts."


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m scripts.reviewer", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(
        word: str, what: str, act: Callable[[Connection, argparse.Namespace], str]
    ) -> argparse.ArgumentParser:
        added = commands.add_parser(word, help=what, description=what)
        added.set_defaults(act=act)
        return added

    add = command("add", "Add an account; the password is asked for, or read from stdin.", _add)
    add.add_argument("name", help="what is signed in with; for single sign-on the e-mail address")
    add.add_argument("--role", choices=ROLES, required=True)
    add.add_argument("--single-sign-on", action="store_true", help="without a password")
    command("list", "List all accounts.", _list)
    for word, what, act in (
        ("disable", "Let an account in no longer; its labels stay.", _disable),
        ("enable", "Let a disabled account in again.", _enable),
        ("password", "Give an account another password.", _set_password),
    ):
        command(word, what, act).add_argument("name")
    role = command("role", "Change an account's role from now on.", _set_role)
    role.add_argument("name")
    role.add_argument("role", choices=ROLES)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one thing to the accounts. Exit status 1 with one sentence when it cannot be done."""
    given = _parser().parse_args(arguments)
    try:
        with running_database(Settings()) as url, connect(url, vectors=False) as connection:
            console.print(given.act(connection, given))
    except KeyboardInterrupt:
        console.print("\nStopped; nothing was changed.")
        return 1
    except (HubError, ValidationError, psycopg.Error, OSError) as error:
        console.print(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
