"""The database for a script: the one that runs is used, and none is started beside it."""

from pathlib import Path
from threading import Thread

import psycopg
import pytest

from contracts.errors import DatabaseHeld, DatabaseUnavailable
from contracts.settings import Settings
from store.embedded import EmbeddedPostgres, database_url
from store.running import running_database


def settings_of(home: Path, url: str | None = None) -> Settings:
    return Settings(home=home, database_url=url)


def has_items_table(url: str) -> bool:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT to_regclass('review_items') IS NOT NULL").fetchone()
    return row == (True,)


def test_without_any_the_embedded_one_is_started_migrated_and_stopped(server_home: Path) -> None:
    said: list[str] = []
    with running_database(settings_of(server_home), say=said.append) as url:
        assert has_items_table(url)
        assert database_url(settings_of(server_home)) == url, "others of this hub find it"
    assert said == [f"started the embedded Postgres in {server_home}"]
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_one_that_runs_is_used_and_left_running(server_home: Path) -> None:
    said: list[str] = []
    with EmbeddedPostgres(server_home) as server:
        with running_database(settings_of(server_home), say=said.append) as url:
            assert url == server.url
            assert has_items_table(url)
        assert has_items_table(url)
    assert said == [f"using the Postgres that runs in {server_home}"]


def test_a_given_url_is_used_and_nothing_is_started(
    server_home: Path, empty_database_url: str
) -> None:
    with running_database(settings_of(server_home, empty_database_url)) as url:
        assert url == empty_database_url
        assert has_items_table(url)
    assert list(server_home.iterdir()) == []


def test_one_that_is_just_starting_is_waited_for(server_home: Path) -> None:
    said: list[str] = []
    starting = EmbeddedPostgres(server_home)
    starting._take_lock()

    def come_up(line: str) -> None:
        if not said:
            Thread(target=starting.start).start()
        said.append(line)

    try:
        with running_database(settings_of(server_home), say=come_up, wait_s=30) as url:
            assert url == starting.url
    finally:
        starting.stop()
    assert "waiting up to 30 s" in said[0]
    assert said[1] == f"using the Postgres that runs in {server_home}"


def test_one_that_lets_nobody_in_is_told_with_its_owner(server_home: Path) -> None:
    hanging = EmbeddedPostgres(server_home)
    hanging._take_lock()
    try:
        with (
            pytest.raises(DatabaseHeld, match=r"Process \d+ already runs this hub's Postgres"),
            running_database(settings_of(server_home), wait_s=0.5),
        ):
            pass
    finally:
        hanging.stop()


def test_one_that_cannot_start_is_told_at_once(server_home: Path) -> None:
    (server_home / "postgres").mkdir()
    (server_home / "postgres" / "PG_VERSION").write_text("14\n")
    with (
        pytest.raises(DatabaseUnavailable, match="made by Postgres 14"),
        running_database(settings_of(server_home)),
    ):
        pass


def test_the_address_that_a_killed_hub_left_is_not_believed(server_home: Path) -> None:
    with EmbeddedPostgres(server_home) as server:
        url = server.url
    (server_home / "database_url").write_text(f"{url}\n")
    with running_database(settings_of(server_home)) as started:
        assert has_items_table(started)
