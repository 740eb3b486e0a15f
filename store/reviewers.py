"""Who may review: named accounts with a role, hashed passwords, and a brake on guessing them."""

import math
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Literal, LiteralString, get_args

import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from contracts.errors import AccountError, SignInDelayed, SignInRefused
from store.database import Connection
from store.sql import statement

Role = Literal["reviewer", "lead"]
ROLES: tuple[Role, ...] = get_args(Role)
PASSWORD_MIN = 10
PASSWORD_MAX = 200
"""Characters. Longer ones would let anybody keep the hasher busy."""
NAME_MAX = 200

FREE_FAILURES = 5
FIRST_DELAY_S = 5
LONGEST_DELAY_S = 300
"""After so many wrong passwords in a row each further one doubles the wait, up to this."""


@dataclass(frozen=True, slots=True)
class Reviewer:
    """One account. Without a password it signs in by single sign-on only."""

    name: str
    role: Role
    has_password: bool
    added_at: datetime
    disabled_at: datetime | None


def canonical(name: str) -> str:
    """Return the form in which a name is kept: trimmed, in lower case."""
    return name.strip().lower()


def add_reviewer(
    connection: Connection, *, name: str, role: Role, password: str | None
) -> Reviewer:
    """Add an account. Raises AccountError for a name that is taken or empty, or a weak password."""
    name = canonical(name)
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise AccountError(f"A name has 1 to {NAME_MAX} printable characters.")
    hashed = None if password is None else _hash(password, name=name)
    try:
        connection.execute(
            "INSERT INTO reviewers (name, role, password_hash) VALUES (%s, %s, %s)",
            (name, role, hashed),
        )
    except psycopg.errors.UniqueViolation:
        raise AccountError(f"There is an account {name!r} already.") from None
    return _require(connection, name)


def list_reviewers(connection: Connection) -> list[Reviewer]:
    """Return every account, disabled ones too, by name."""
    return [Reviewer(*row) for row in connection.execute(f"{_SELECT} ORDER BY name").fetchall()]


def find_reviewer(connection: Connection, name: str) -> Reviewer | None:
    """Return the account of that name if it exists and is not disabled."""
    found = _find(connection, canonical(name))
    return found if found is not None and found.disabled_at is None else None


def set_password(connection: Connection, *, name: str, password: str) -> None:
    """Give an account another password; waits for wrong ones end. Raises AccountError."""
    name = canonical(name)
    hashed = _hash(password, name=name)
    _change(connection, name, "password_hash = %(value)s", hashed)
    connection.execute("DELETE FROM sign_in_failures WHERE name = %s", (name,))


def set_role(connection: Connection, *, name: str, role: Role) -> None:
    """Change a role from now on: labels keep the one they were given with. Raises AccountError."""
    _change(connection, canonical(name), "role = %(value)s", role)


def disable_reviewer(connection: Connection, *, name: str) -> None:
    """Refuse an account from the next click on, and give back what it leased. Its labels stay.

    Raises AccountError when there is no such account.
    """
    name = canonical(name)
    _change(connection, name, "disabled_at = coalesce(disabled_at, now())", None)
    connection.execute(
        "UPDATE review_items SET leased_by = NULL, leased_until = NULL WHERE leased_by = %s",
        (name,),
    )


def enable_reviewer(connection: Connection, *, name: str) -> None:
    """Let a disabled account in again. Raises AccountError when there is no such account."""
    _change(connection, canonical(name), "disabled_at = NULL", None)


def sign_in(connection: Connection, *, name: str, password: str) -> Reviewer:
    """Return the account if the password is its own and it is not disabled.

    Raises SignInRefused, which never says which of the two is wrong, and SignInDelayed with the
    seconds to wait. An account that is not there costs as much time and is delayed as much as one
    that is. A try is counted before it is looked at: many at once gain nothing.
    """
    name, password = canonical(name)[:NAME_MAX], password[: PASSWORD_MAX + 1]
    _count_try(connection, name)
    row = connection.execute(
        "SELECT password_hash FROM reviewers WHERE name = %s AND disabled_at IS NULL", (name,)
    ).fetchone()
    hashed: str | None = row[0] if row else None
    try:
        _hasher().verify(hashed or _hash_of_nobody(), password)
    except VerifyMismatchError:
        raise SignInRefused from None
    if hashed is None:
        raise SignInRefused
    if _hasher().check_needs_rehash(hashed):
        _change(connection, name, "password_hash = %(value)s", _hasher().hash(password))
    connection.execute("DELETE FROM sign_in_failures WHERE name = %s", (name,))
    return _require(connection, name)


_SELECT = "SELECT name, role, password_hash IS NOT NULL, added_at, disabled_at FROM reviewers"


def _find(connection: Connection, name: str) -> Reviewer | None:
    row = connection.execute(f"{_SELECT} WHERE name = %s", (name,)).fetchone()
    return Reviewer(*row) if row else None


def _require(connection: Connection, name: str) -> Reviewer:
    found = _find(connection, name)
    if found is None:
        raise AccountError(f"There is no account {name!r}.")
    return found


def _change(connection: Connection, name: str, change: LiteralString, value: str | None) -> None:
    cursor = connection.execute(
        f"UPDATE reviewers SET {change} WHERE name = %(name)s", {"name": name, "value": value}
    )
    if cursor.rowcount == 0:
        raise AccountError(f"There is no account {name!r}.")


def _count_try(connection: Connection, name: str) -> None:
    """Count one more failure, until proved otherwise. Raises SignInDelayed while one must wait."""
    values = {
        "name": name,
        "free": FREE_FAILURES,
        "first_s": FIRST_DELAY_S,
        "longest_s": LONGEST_DELAY_S,
    }
    row = connection.execute(statement("count_sign_in_try"), values).fetchone()
    # No row: tries that began before the first failure was stored, and found five on their turn.
    wait_s = math.ceil(row[0]) if row else FIRST_DELAY_S
    if wait_s > 0:
        raise SignInDelayed(f"Try again in {wait_s} s.")


def _hash(password: str, *, name: str) -> str:
    if not PASSWORD_MIN <= len(password) <= PASSWORD_MAX:
        raise AccountError(f"A password has {PASSWORD_MIN} to {PASSWORD_MAX} characters.")
    if canonical(password) == name:
        raise AccountError("A password is not the name itself.")
    return _hasher().hash(password)


@cache
def _hasher() -> PasswordHasher:
    """Argon2id with the library's parameters (RFC 9106, the one for little memory)."""
    return PasswordHasher()


@cache
def _hash_of_nobody() -> str:
    return _hasher().hash("the password of no account")
