"""The roles of a deployed database: each may do its work, and nothing beside it.

That hub_app may do all that serving, labelling, reports, snapshots and erasure need is what the
other files here show: they work as hub_app, on a database that hub_owner migrated. Here is what it
may not.
"""

from collections.abc import Iterator
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.errors import InsufficientPrivilege

from contracts.errors import SchemaMismatch
from scripts.connections import Room, read_room
from store.database import Connection, connect, open_pool
from store.migrate import Migration, migrate, migrations
from store.report import read_report
from tests.deployed_database import (
    APP,
    OWNER,
    REPORT,
    ROLES_FILE,
    as_user,
    make_empty_database,
    with_database,
)
from tests.oldest_postgres import Server
from tests.samples import utc


@pytest.fixture
def reporter(database_url: str) -> Iterator[Connection]:
    with connect(as_user(database_url, REPORT)) as opened:
        yield opened


def _tables(connection: Connection) -> set[str]:
    rows = connection.execute(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
        " AND relkind IN ('r', 'p', 'v') AND relname !~ '_[0-9]{8}$'"
    )
    return {name for (name,) in rows}


def _may(connection: Connection, role: str, privilege: str) -> set[str]:
    return {
        table
        for table in _tables(connection)
        for row in connection.execute(
            "SELECT has_table_privilege(%s, %s, %s)", (role, table, privilege)
        )
        if row[0]
    }


def test_a_database_is_made_by_an_administrator_and_an_owner_who_are_no_superusers(
    owner: Connection,
) -> None:
    rows = owner.execute(
        "SELECT rolname FROM pg_roles WHERE rolname ~ '^(hub_|administrator)'"
        " AND NOT (rolsuper OR rolbypassrls OR rolreplication) ORDER BY 1"
    ).fetchall()
    assert rows == [("administrator",), (APP,), (OWNER,), (REPORT,)]
    owned = owner.execute(
        "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    ).fetchall()
    assert owned == [(OWNER,)]
    assert migrate(owner) == []


def test_what_serves_reads_every_table_and_writes_none_of_the_knowledge(owner: Connection) -> None:
    tables = _tables(owner)
    assert _may(owner, APP, "SELECT") == tables, "a new table is named in store/grants.sql"
    of_the_owner = {one for one in tables if one.startswith(("knowledge_", "vector_"))}
    of_the_owner |= {"schema_migrations", "verified_labels"}
    for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
        assert not _may(owner, APP, privilege) & of_the_owner, privilege
    assert _may(owner, APP, "TRUNCATE") == set()
    never_deleted = {"labels", "reviewers", "erased_sessions"}
    assert _may(owner, APP, "DELETE") == tables - of_the_owner - never_deleted


def test_what_reports_reads_no_account_and_no_session_s_answer(owner: Connection) -> None:
    readable = _may(owner, REPORT, "SELECT")
    assert {"interaction_log", "knowledge_nodes", "verified_labels", "labels"} <= readable
    private = {"reviewers", "request_claims", "pending_feedback", "sign_in_failures"}
    assert not readable & private
    for privilege in ("INSERT", "UPDATE", "DELETE", "TRUNCATE"):
        assert _may(owner, REPORT, privilege) == set()


@pytest.mark.parametrize(
    "command",
    [
        "CREATE TABLE mine (x integer)",
        "CREATE SCHEMA mine",
        "DROP TABLE interaction_log",
        "TRUNCATE interaction_log",
        "ALTER TABLE interaction_log ADD COLUMN x integer",
        "INSERT INTO vector_spaces (fingerprint, dims) VALUES ('mine', 3)",
        "DELETE FROM knowledge_nodes",
        "DELETE FROM schema_migrations",
        "CREATE FUNCTION f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        "CREATE ROLE mine",
        "SET ROLE hub_owner",
    ],
)
def test_what_serves_makes_and_drops_nothing(connection: Connection, command: str) -> None:
    with pytest.raises((InsufficientPrivilege, psycopg.errors.DependentObjectsStillExist)):
        connection.execute(command)


def test_a_report_is_read_and_nothing_else_is_done(reporter: Connection) -> None:
    report = read_report(reporter, since=utc(2026, 3, 1), until=utc(2026, 3, 4))
    assert set(report.sources) <= {"real", "simulated"}
    for command in ("SELECT FROM reviewers", "SELECT make_interaction_day('2026-03-01')"):
        with pytest.raises(InsufficientPrivilege):
            reporter.execute(command)


def test_days_are_the_owners_and_are_made_and_dropped_by_what_serves(
    connection: Connection, owner: Connection
) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL timezone = 'Pacific/Auckland'")
        connection.execute("SET LOCAL datestyle = 'German'")
        connection.execute("SELECT make_interaction_day('01.03.2026')")
    found = owner.execute(
        "SELECT pg_get_userbyid(relowner), pg_get_expr(relpartbound, oid) FROM pg_class"
        " WHERE relname = 'interaction_log_20260301'"
    ).fetchall()
    owner.execute("SET timezone = 'UTC'")
    ((name, _),) = found
    assert name == OWNER
    ((bound,),) = owner.execute(
        "SELECT pg_get_expr(relpartbound, oid) FROM pg_class"
        " WHERE relname = 'interaction_log_20260301'"
    ).fetchall()
    assert bound == ("FOR VALUES FROM ('2026-03-01 00:00:00+00') TO ('2026-03-02 00:00:00+00')")
    connection.execute("SELECT drop_interaction_day('2026-03-01')")
    ((left,),) = owner.execute("SELECT to_regclass('interaction_log_20260301')").fetchall()
    assert left is None


def test_who_serves_may_see_that_nothing_is_missing_and_is_told_who_migrates(
    connection: Connection,
) -> None:
    assert migrate(connection) == []
    steps = migrations()
    more = Migration(steps[-1].number + 1, "9999_more", "CREATE TABLE more (x integer)")
    with pytest.raises(SchemaMismatch, match=r"deploy --prepare` as the role"):
        migrate(connection, steps=[*steps, more])


def test_a_table_of_a_new_migration_is_the_owners_alone_until_it_is_granted(
    owner: Connection,
) -> None:
    steps = migrations()
    more = Migration(steps[-1].number + 1, "9999_more", "CREATE TABLE more (x integer)")
    migrate(owner, steps=[*steps, more])
    assert _tables(owner) - _may(owner, APP, "SELECT") == {"more"}


def test_nobody_is_left_what_cloud_sql_gives_every_user_that_it_makes(postgres: Server) -> None:
    name = "cloudsqlsuperuser"
    with psycopg.connect(postgres.url, autocommit=True) as superuser:
        make_empty_database(postgres.url, "given_too_much")
        superuser.execute(f"CREATE ROLE {name}")
        superuser.execute(f"GRANT {name} TO administrator WITH ADMIN OPTION")
        url = as_user(with_database(postgres.url, "given_too_much"), "administrator")
        with psycopg.connect(url, autocommit=True) as administrator:
            administrator.execute(f"GRANT {name} TO {APP}")
            administrator.execute(ROLES_FILE.read_bytes())
            ((is_member,),) = administrator.execute(
                f"SELECT pg_has_role('{APP}', '{name}', 'MEMBER')"
            ).fetchall()
        superuser.execute("DROP DATABASE given_too_much WITH (FORCE)")
        superuser.execute(f"DROP ROLE {name}")
    assert not is_member


async def test_what_the_address_sets_stays_beside_what_a_pool_sets(database_url: str) -> None:
    pool = open_pool(f"{database_url}&options=-c%20work_mem%3D7MB", size=1, options={"jit": "off"})
    await pool.open(wait=True)
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT current_setting('work_mem'), current_setting('jit')"
        )
        assert await cursor.fetchone() == ("7MB", "off")
    await pool.close()


def test_the_narrowest_limit_of_server_database_and_role_counts(
    connection: Connection, postgres: Server, database_url: str
) -> None:
    at_most, reserved = (
        int(connection.execute(f"SHOW {name}").fetchall()[0][0])
        for name in ("max_connections", "superuser_reserved_connections")
    )
    room = read_room(connection)
    assert room == Room(
        at_most - reserved, f"max_connections {at_most}, {reserved} of them reserved"
    )
    database = urlsplit(database_url).path.lstrip("/")
    with psycopg.connect(postgres.url, autocommit=True) as superuser:
        superuser.execute(f"ALTER DATABASE {database} CONNECTION LIMIT 40")
        assert read_room(connection) == Room(40, "the database's CONNECTION LIMIT")
        superuser.execute(f"ALTER ROLE {APP} CONNECTION LIMIT 30")
        assert read_room(connection) == Room(30, "the role's CONNECTION LIMIT")
        superuser.execute(f"ALTER ROLE {APP} CONNECTION LIMIT -1")
