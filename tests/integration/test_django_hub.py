"""The Django app against the hub's own Postgres, as a role that may only read."""

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import psycopg
import pytest

from contracts.settings import DATA
from store.database import connect
from store.knowledge_file import read_knowledge
from tests.deployed_database import REPORT
from tests.django_log import INTERACTIONS, NODES, ODD, ROWS, signed_in

pytestmark = pytest.mark.usefixtures("django_hub")


def test_each_field_is_a_column_and_each_column_a_field(django_database: str) -> None:
    from django.apps import apps
    from django.db import connections

    with connect(django_database) as owner:
        for model in apps.get_app_config("django_hub").get_models():
            columns = owner.execute(
                "SELECT attname, format_type(atttypid, NULL), attnotnull FROM pg_attribute"
                " WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                (model._meta.db_table,),
            ).fetchall()
            fields = [
                (field.column, field.db_type(connections["hub"]), not field.null)
                for field in model._meta.get_fields()
            ]
            assert sorted(fields) == sorted(columns), model.__name__


def test_no_migration_is_ever_made_for_the_hubs_tables(django_database: str) -> None:
    from django.core.management import call_command

    for labels in ((), ("django_hub",)):
        call_command("makemigrations", *labels, check=True, dry_run=True, verbosity=0)
    said = io.StringIO()
    call_command("sqlmigrate", "django_hub", "0001", database="hub", stdout=said)
    assert re.search(r"CREATE|ALTER|DROP", said.getvalue()) is None
    call_command("check", verbosity=0, databases=["default", "hub"])
    with connect(django_database) as owner:
        assert owner.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,)


@pytest.mark.parametrize("address", [INTERACTIONS, NODES])
def test_nobody_adds_changes_or_deletes_not_even_a_superuser(
    superuser: Any, address: str, django_database: str
) -> None:
    row = f"{address}{ODD.interaction_id}/"
    for refused in (f"{row}change/", f"{row}delete/", f"{address}add/", address):
        assert superuser.post(refused, {"query_text": "other"}).status_code == 403, refused
    chosen = {"action": "delete_selected", "_selected_action": ODD.interaction_id, "post": "yes"}
    assert superuser.post(address, chosen).status_code == 403
    assert superuser.get(f"{address}add/").status_code == 403
    with connect(django_database) as owner:
        count = owner.execute("SELECT count(*) FROM interaction_log").fetchone()
    assert count == (ROWS + 1,)


def test_the_role_itself_may_not_write() -> None:
    from django.db import DatabaseError

    from contrib.django_hub.models import InteractionLog, KnowledgeNode

    found = InteractionLog.objects.filter(interaction_id=ODD.interaction_id)
    for write in (
        lambda: found.update(query_text="other"),
        found.delete,
        lambda: KnowledgeNode.objects.update(title="other"),
    ):
        with pytest.raises(DatabaseError, match="read-only transaction"):
            write()


def test_the_role_of_a_deployed_hub_may_read_all_that_the_readmes_may(django_database: str) -> None:
    with connect(django_database) as owner:
        granted = owner.execute(
            "SELECT table_name, has_table_privilege(%s, table_name, 'SELECT')"
            " FROM information_schema.role_table_grants WHERE grantee = 'hub_reader'",
            (REPORT,),
        ).fetchall()
    assert len(granted) == 7
    assert [table for table, may in granted if not may] == []


def test_staff_without_the_permission_and_strangers_see_nothing() -> None:
    from django.contrib.auth.models import User
    from django.test import Client

    plain = signed_in(Client(), User.objects.create_user("ben", is_staff=True))
    for client, status in ((plain, 403), (Client(), 302)):
        for address in (INTERACTIONS, NODES, f"{INTERACTIONS}{ODD.interaction_id}/change/"):
            assert client.get(address).status_code == status


def run_check(*arguments: str) -> tuple[int, str]:
    from django.core.management import call_command

    said = io.StringIO()
    with redirect_stdout(said):
        try:
            call_command("check_rag_health", *arguments)
        except SystemExit as ended:
            return int(str(ended.code)), " ".join(said.getvalue().split())
    return 0, " ".join(said.getvalue().split())


def test_the_health_check_is_the_scripts_own_over_the_sites_connection(
    knowledge_encoder: Path, tmp_path: Path
) -> None:
    node = read_knowledge(DATA / "knowledge_nodes.json").nodes[0]
    queries = tmp_path / "queries.json"
    asked = '[{"text": "%s", "intent": "x", "expected_node": "%s"}]'
    text = re.sub(r"[^\w ]", " ", node.body)[:300]
    queries.write_text(asked % (text, node.id))
    options = ("--encoder", str(knowledge_encoder), "--queries", str(queries))
    status, said = run_check(*options)
    assert (status, "(100.0%) have their node" in said) == (0, True), said
    assert "expected node" in said
    queries.write_text(asked % (text, "no-such-node"))
    status, said = run_check(*options)
    assert (status, "no-such-node is not among" in said) == (1, True)
    status, said = run_check(*options[:2], "--queries", str(tmp_path / "none.json"))
    assert (status, "cannot be read" in said) == (1, True)


def test_the_connection_is_djangos_own() -> None:
    from contrib.django_hub.management.commands.check_rag_health import address_of

    settings = {"NAME": "hub", "USER": "reader", "PASSWORD": "p w'", "HOST": "db", "PORT": 5433}
    options = {"sslmode": "require", "pool": True, "assume_role": "x"}
    address = psycopg.conninfo.conninfo_to_dict(address_of({**settings, "OPTIONS": options}))
    assert address == {
        "dbname": "hub",
        "user": "reader",
        "password": "p w'",
        "host": "db",
        "port": "5433",
        "sslmode": "require",
    }
