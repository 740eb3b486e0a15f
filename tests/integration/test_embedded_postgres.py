"""The embedded Postgres: started once, shared by URL, recovered after a kill."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psycopg
import pytest

from contracts.errors import DatabaseUnavailable, SettingsError
from contracts.settings import Settings
from store.embedded import EmbeddedPostgres, database_url

_OWNER = """
import sys, time
from pathlib import Path
from store.embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
server.start()
print(server.pid, flush=True)
time.sleep(60)
"""


def _settings(home: Path, url: str | None = None) -> Settings:
    return Settings(home=home, database_url=url)


def _store_one_row(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (n int)")
        connection.execute("INSERT INTO kept VALUES (7)")


def _rows(url: str) -> list[tuple[int]]:
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute("SELECT n FROM kept").fetchall()


def _is_running(pid: int) -> bool:
    try:  # a dead process that nobody has reaped has no command line any more
        return Path(f"/proc/{pid}/cmdline").read_bytes() != b""
    except FileNotFoundError:
        return False


def test_everyone_of_a_hub_finds_its_server_by_url_until_it_stops(server_home: Path) -> None:
    with EmbeddedPostgres(server_home) as server:
        url = database_url(_settings(server_home))
        assert url == server.url
        with psycopg.connect(url) as connection:
            row = connection.execute(
                "SELECT default_version FROM pg_available_extensions WHERE name = 'vector'"
            ).fetchone()
        assert row is not None
    with pytest.raises(SettingsError, match="make run"):
        database_url(_settings(server_home))


def test_a_given_database_url_wins_over_the_embedded_server(server_home: Path) -> None:
    assert database_url(_settings(server_home, "postgresql://elsewhere/hub")) == (
        "postgresql://elsewhere/hub"
    )


def test_what_was_committed_survives_a_kill_of_the_server_and_its_stale_pid_file(
    server_home: Path,
) -> None:
    with EmbeddedPostgres(server_home) as server:
        _store_one_row(server.url)
        server.kill()
        assert server.pid is None
        assert (server.data / "postmaster.pid").exists()
        # The number belongs to another living program now: no reason not to start.
        stale = (server.data / "postmaster.pid").read_text().splitlines()
        (server.data / "postmaster.pid").write_text(
            "\n".join([str(os.getpid()), *stale[1:]]) + "\n"
        )
        server.start()
        assert _rows(server.url) == [(7,)]


def test_a_server_ends_with_the_process_that_started_it_even_when_that_is_killed(
    server_home: Path,
) -> None:
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER, str(server_home)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert owner.stdout is not None
    server_pid = int(owner.stdout.readline())
    _store_one_row(database_url(_settings(server_home)))
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    with EmbeddedPostgres(server_home) as server:  # at once: it waits for the old one to end
        assert not _is_running(server_pid)
        assert _rows(server.url) == [(7,)]


def test_a_second_owner_is_refused_with_the_number_of_the_first(server_home: Path) -> None:
    with EmbeddedPostgres(server_home) as server:
        with pytest.raises(DatabaseUnavailable, match=f"Process {os.getpid()} already runs"):
            EmbeddedPostgres(server_home).start()
        assert database_url(_settings(server_home)) == server.url
        with psycopg.connect(server.url) as connection:
            connection.execute("SELECT 1")


def test_a_home_whose_path_is_too_long_or_odd_for_a_socket_works_all_the_same(
    server_home: Path,
) -> None:
    home = server_home / ("very-long-" * 12) / "with, comma and ünïcode"
    with EmbeddedPostgres(home) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_a_server_that_cannot_start_says_why(server_home: Path) -> None:
    with EmbeddedPostgres(server_home):
        pass
    started = time.monotonic()
    with pytest.raises(DatabaseUnavailable, match="shared_buffers"):
        EmbeddedPostgres(server_home, options={"shared_buffers": "many"}).start()
    assert time.monotonic() - started < 10


def test_data_of_another_postgres_version_is_refused_and_left_alone(server_home: Path) -> None:
    (server_home / "postgres").mkdir()
    (server_home / "postgres" / "PG_VERSION").write_text("14\n")
    with pytest.raises(DatabaseUnavailable, match="made by Postgres 14"):
        EmbeddedPostgres(server_home).start()
    assert (server_home / "postgres" / "PG_VERSION").read_text() == "14\n"


def test_a_server_outlives_the_thread_that_started_it(server_home: Path) -> None:
    server = EmbeddedPostgres(server_home)
    starting = threading.Thread(target=server.start)
    starting.start()
    starting.join()
    try:
        time.sleep(0.3)
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    finally:
        server.stop()
