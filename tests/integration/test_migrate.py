"""Migrations: once each, in order, one hub at a time, and never edited."""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from contracts.errors import DatabaseTooOld, SchemaMismatch
from store.database import Connection, connect
from store.migrate import Migration, migrate, migrations

ONE = Migration(1, "0001_one", "CREATE TABLE one (x integer)")
TWO = Migration(2, "0002_two", "CREATE TABLE two (x integer); INSERT INTO two VALUES (1)")


@pytest.fixture
def empty(empty_database_url: str) -> Iterator[Connection]:
    with connect(empty_database_url, vectors=False) as connection:
        yield connection


def tables(connection: Connection) -> set[str]:
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name for (name,) in rows.fetchall()}


def test_the_projects_migrations_are_numbered_without_a_gap() -> None:
    steps = migrations()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert all(re.fullmatch(r"\d{4}_[a-z_]+", step.name) for step in steps)


def test_an_empty_database_gets_everything_and_the_second_time_is_nothing(
    empty: Connection,
) -> None:
    assert migrate(empty) == [step.name for step in migrations()]
    assert {"interaction_log", "knowledge_nodes", "request_claims"} <= tables(empty)
    assert migrate(empty) == []
    recorded = empty.execute("SELECT number, name, digest FROM schema_migrations ORDER BY 1")
    assert recorded.fetchall() == [(s.number, s.name, s.digest) for s in migrations()]


def test_only_what_is_missing_is_applied(empty: Connection) -> None:
    assert migrate(empty, steps=[ONE]) == ["0001_one"]
    assert migrate(empty, steps=[ONE, TWO]) == ["0002_two"]
    assert tables(empty) == {"schema_migrations", "one", "two"}


def test_an_edited_migration_is_refused_before_anything_is_applied(empty: Connection) -> None:
    migrate(empty, steps=[TWO])
    edited = replace(TWO, sql=TWO.sql + " ")
    with pytest.raises(SchemaMismatch, match="0002_two was edited"):
        migrate(empty, steps=[ONE, edited])
    assert "one" not in tables(empty)


def test_a_database_newer_than_the_code_is_refused(empty: Connection) -> None:
    migrate(empty, steps=[ONE, TWO])
    with pytest.raises(SchemaMismatch, match="at migration 2, this code knows 1"):
        migrate(empty, steps=[ONE])


def test_a_migration_that_fails_leaves_nothing_of_itself_and_what_came_before(
    empty: Connection,
) -> None:
    broken = replace(TWO, sql=TWO.sql + "; SELECT 1 / 0")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, steps=[ONE, broken])
    assert tables(empty) == {"schema_migrations", "one"}
    assert migrate(empty, steps=[ONE, TWO]) == ["0002_two"]


def test_of_two_hubs_that_start_at_once_one_migrates_and_the_other_waits(
    empty_database_url: str,
) -> None:
    slow = replace(TWO, sql="SELECT pg_sleep(0.2); " + TWO.sql)

    def start() -> list[str]:
        with connect(empty_database_url, vectors=False) as connection:
            return migrate(connection, steps=[ONE, slow])

    with ThreadPoolExecutor(3) as hubs:
        applied = [hub.result() for hub in [hubs.submit(start) for _ in range(3)]]
    assert sorted(applied) == [[], [], ["0001_one", "0002_two"]]


def test_a_server_that_is_too_old_is_left_as_it_is(
    empty: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("store.server.OLDEST_PGVECTOR", "99.0")
    with pytest.raises(DatabaseTooOld, match=r"Its pgvector is 0\.\d\.\d, the hub needs 99"):
        migrate(empty)
    monkeypatch.setattr("store.server.OLDEST_POSTGRES", "99")
    with pytest.raises(DatabaseTooOld, match=r"It is Postgres 1\d\.\d, the hub needs 99"):
        migrate(empty)
    assert tables(empty) == set()


def test_the_lock_is_given_back_also_after_an_error(empty_database_url: str) -> None:
    with connect(empty_database_url, vectors=False) as first:
        with pytest.raises(psycopg.errors.SyntaxError):
            migrate(first, steps=[replace(ONE, sql="no sql")])
        with connect(empty_database_url, vectors=False) as second:
            second.execute("SET lock_timeout = '2s'")
            assert migrate(second, steps=[ONE]) == ["0001_one"]


def test_files_are_read_as_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    (tmp_path / "0001_first.sql").write_bytes("SELECT 'é'".encode())
    (tmp_path / "notes.txt").write_text("no migration")
    (step,) = migrations(tmp_path)
    assert (step.number, step.name, step.sql) == (1, "0001_first", "SELECT 'é'")
