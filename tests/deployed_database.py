"""A hub's database as it is deployed: an administrator makes the roles, the owner the tables."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from contracts.settings import PROJECT
from store.database import connect
from store.migrate import migrate

OWNER, APP, REPORT = "hub_owner", "hub_app", "hub_report"
ROLES_FILE: Final[Path] = PROJECT / "deploy" / "sql" / "roles.sql"

_ADMINISTRATOR = "administrator"


def with_database(url: str, name: str) -> str:
    """Return the URL of another database on the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


def as_user(url: str, user: str) -> str:
    """Return the URL for another role; the servers of the tests ask for no password."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))


def make_empty_database(server_url: str, name: str) -> None:
    """Make a database with the hub's roles and no table, as roles.sql leaves it on Cloud SQL.

    There the administrator is no superuser, but may make roles and pgvector: the latter is done
    beforehand here. Doing it for another database of the same server is harmless.
    """
    with psycopg.connect(server_url, autocommit=True) as superuser:
        superuser.execute(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{_ADMINISTRATOR}')"
            f" THEN CREATE ROLE {_ADMINISTRATOR} LOGIN CREATEROLE CREATEDB;"
            f" GRANT pg_monitor TO {_ADMINISTRATOR} WITH ADMIN OPTION; END IF; END $$"
        )
        superuser.execute(
            sql.SQL("CREATE DATABASE {} OWNER {}").format(
                sql.Identifier(name), sql.Identifier(_ADMINISTRATOR)
            )
        )
    url = with_database(server_url, name)
    with psycopg.connect(url, autocommit=True) as superuser:
        superuser.execute("CREATE EXTENSION vector")
    with psycopg.connect(as_user(url, _ADMINISTRATOR), autocommit=True) as administrator:
        for _ in range(2):  # it may be run again
            administrator.execute(ROLES_FILE.read_bytes())


def make_deployed_database(server_url: str, name: str) -> None:
    """Make a database with the hub's roles, and its tables by the owner's migrations."""
    make_empty_database(server_url, name)
    with connect(as_user(with_database(server_url, name), OWNER), vectors=False) as owner:
        migrate(owner)
