"""The Django app against the hub's own Postgres, as a role that may only read."""

import asyncio
import io
import re
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from contracts.records import Interaction
from contracts.settings import DATA, PROJECT
from models.encoder import Encoder
from scripts.migrate_vectors import migrate_vectors
from store.database import Connection, connect
from store.knowledge_file import KnowledgeFile, read_knowledge
from store.partitions import keep_partitions
from tests.deployed_database import REPORT, with_database
from tests.django_site import django_site, hub_in_django
from tests.oldest_postgres import Server
from tests.samples import asked_on
from tests.tiny_encoder import make_tiny_encoder

README = PROJECT / "contrib" / "django_hub" / "README.md"
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
SESSION = "0123456789abcdef" * 2
ROWS = 60
INTERACTIONS = "/admin/django_hub/interactionlog/"
NODES = "/admin/django_hub/knowledgenode/"


def add(connection: Connection, one: Interaction, **more: Any) -> None:
    row = {**asdict(one), **more}
    row |= {name: Jsonb(row[name]) for name in ("alternatives", "timings_ms")}
    row |= {name: list(row[name]) for name in ("result_ids", "degraded")}
    names, places = ", ".join(row), ", ".join(f"%({name})s" for name in row)
    connection.execute(f"INSERT INTO interaction_log ({names}) VALUES ({places})", row)


async def make_days(url: str) -> None:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await keep_partitions(connection, today=NOON, retention_days=30)


ODD = asked_on(
    NOON - timedelta(hours=1),
    session_id=SESSION,
    query_text="<script>alert(1)</script> write to [email]",
    outcome="confused",
    confused_because="degraded",
    intent=None,
    confidence=None,
    alternatives=(),
    result_ids=("library-hours", "a/b c"),
    degraded=("classifier",),
    model_version=None,
    is_crisis=True,
)


@pytest.fixture(scope="module")
def hub_url(postgres: Server, template_database: str) -> Iterator[str]:
    """A hub's database with interactions of two days, and the role that the README makes."""
    name, template = "django_hub", urlsplit(template_database).path.lstrip("/")
    (role,) = re.findall(r"```sql\n(.*?)```", README.read_text(), re.DOTALL)
    url = with_database(postgres.url, name)
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        asyncio.run(make_days(url))
        with connect(url) as owner:
            owner.execute(role)
            for number in range(ROWS):
                moment = NOON - timedelta(days=number % 2, minutes=number)
                add(owner, asked_on(moment, query_text=f"question {number}", session_id=SESSION))
            add(owner, ODD, feedback_score=-1, feedback_comment="no", feedback_at=NOON)
        yield url
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute("DROP ROLE hub_reader")


@pytest.fixture(scope="module", autouse=True)
def site(hub_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    with django_site(folder, hub=hub_in_django(hub_url, user="hub_reader")):
        yield folder


@pytest.fixture(scope="module")
def staff(site: Path) -> Any:
    """A browser of somebody who is staff and may view both."""
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    user = User.objects.create_user("ada", is_staff=True)
    names = ("view_interactionlog", "view_knowledgenode")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return signed_in(Client(), user)


@pytest.fixture(scope="module")
def superuser(site: Path) -> Any:
    from django.contrib.auth.models import User
    from django.test import Client

    return signed_in(Client(), User.objects.create_superuser("root"))


def signed_in(client: Any, user: Any) -> Any:
    client.force_login(user)
    return client


def shown(client: Any, address: str) -> str:
    response = client.get(address)
    assert response.status_code == 200, (response.status_code, response.headers)
    page: str = response.content.decode()
    return page


def listed(page: str) -> int:
    return len(re.findall(r'<th class="field-(?:question|title)', page))


def test_each_field_is_a_column_and_each_column_a_field(hub_url: str) -> None:
    from django.apps import apps
    from django.db import connections

    with connect(hub_url) as owner:
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


def test_no_migration_is_ever_made_for_the_hubs_tables(hub_url: str) -> None:
    from django.core.management import call_command

    for labels in ((), ("django_hub",)):
        call_command("makemigrations", *labels, check=True, dry_run=True, verbosity=0)
    said = io.StringIO()
    call_command("sqlmigrate", "django_hub", "0001", database="hub", stdout=said)
    assert re.search(r"CREATE|ALTER|DROP", said.getvalue()) is None
    call_command("check", verbosity=0, databases=["default", "hub"])
    with connect(hub_url) as owner:
        assert owner.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,)


def test_interactions_are_listed_by_pages_newest_first(staff: Any) -> None:
    page = shown(staff, INTERACTIONS)
    assert listed(page) == 50
    assert page.index("question 0<") < page.index("question 2<") < page.index("question 4<")
    assert f"{ROWS + 1} interactions" in page
    second = shown(staff, INTERACTIONS + "?p=2")
    assert listed(second) == ROWS + 1 - 50
    assert "Add interaction" not in page
    assert "delete_selected" not in page


def test_one_interaction_shows_all_that_was_answered_and_not_whose_it_was(staff: Any) -> None:
    page = shown(staff, f"{INTERACTIONS}{ODD.interaction_id}/change/")
    assert "&lt;script&gt;alert(1)&lt;/script&gt; write to [email]" in page
    assert "<script>alert" not in page
    assert '<a href="/admin/django_hub/knowledgenode/library-hours/change/">' in page
    assert "knowledgenode/a_2Fb%20c/change/" in page
    assert "down" in page
    assert "classify 4.1 ms, total 11 ms" in page
    assert SESSION[:6] in page
    assert SESSION[:7] not in page
    assert 'name="_save"' not in page
    assert "Delete" not in page


def test_the_row_is_looked_for_in_its_own_partition_only(staff: Any) -> None:
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    hub = connections["hub"]
    with CaptureQueriesContext(hub) as captured:
        shown(staff, f"{INTERACTIONS}{ODD.interaction_id}/change/")
    (query,) = [one["sql"] for one in captured if "query_text" in one["sql"]]
    with hub.cursor() as cursor:
        cursor.execute("EXPLAIN " + query)
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert set(re.findall(r"interaction_log_\w+", plan)) >= {f"interaction_log_{NOON:%Y%m%d}_pkey"}
    assert "default" not in plan
    assert f"{NOON - timedelta(days=1):%Y%m%d}" not in plan


@pytest.mark.parametrize("wrong", ["nonsense", "0" * 44, "f" * 44, "-1", ODD.interaction_id[:-1]])
def test_an_id_that_is_none_is_not_found(staff: Any, wrong: str) -> None:
    assert staff.get(f"{INTERACTIONS}{wrong}/change/").status_code == 302
    assert listed(shown(staff, f"{INTERACTIONS}?q={wrong}")) == 0


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (f"q={ODD.interaction_id}", 1),
        ("outcome__exact=confused", 1),
        ("feedback_score__exact=-1", 1),
        ("is_crisis__exact=1", 1),
        ("answer=degraded", 1),
        ("answer=whole", 50),
        ("intent=exams_and_grades", 50),
        ("intent=dining", 0),
        (f"asked_at__year={NOON:%Y}&asked_at__month={NOON.month}&asked_at__day={NOON.day}", 31),
        ("outcome__exact=rephrase", 0),
    ],
)
def test_interactions_are_found_by_id_date_and_filters(staff: Any, asked: str, rows: int) -> None:
    assert listed(shown(staff, f"{INTERACTIONS}?{asked}")) == rows


def test_a_page_asks_the_same_queries_for_any_number_of_rows_and_never_counts_the_table(
    staff: Any,
) -> None:
    from django.db import connections
    from django.test.utils import CaptureQueriesContext

    asked = []
    for address in (INTERACTIONS, INTERACTIONS + "?outcome__exact=confused"):
        with CaptureQueriesContext(connections["hub"]) as captured:
            shown(staff, address)
        asked.append([one["sql"] for one in captured])
    many, one = asked
    assert len(many) == len(one) <= 5
    assert not [query for query in many if "DISTINCT" in query]
    counts = [query for query in many if "COUNT(*)" in query]
    assert counts
    assert all("LIMIT 10001" in query for query in counts)


def test_the_date_hierarchy_goes_down_to_the_days_of_the_log_whatever_else_is_filtered(
    staff: Any,
) -> None:
    day = f"asked_at__year={NOON.year}&asked_at__month={NOON.month}"
    days = {f"{one:%B} {one.day}" for one in (NOON, NOON - timedelta(days=1))}
    for filtered in ("", "&is_crisis__exact=1", "&outcome__exact=rephrase"):
        page = shown(staff, f"{INTERACTIONS}?{day}{filtered}")
        found = set(re.findall(rf"asked_at__day=\d+[^>]*>\s*({NOON:%B} \d+)<", page))
        assert found == {one for one in days if one.startswith(f"{NOON:%B}")}


def test_what_takes_too_long_is_said_and_leads_back_to_the_list(staff: Any) -> None:
    from django.db import connections

    hub = connections["hub"]
    with hub.cursor() as cursor:
        cursor.execute("SET statement_timeout = '1ms'")

    def slowly(execute: Any, query: str, parameters: Any, many: bool, context: Any) -> Any:
        return execute(
            query.replace("SELECT ", "SELECT pg_sleep(0.1), ", 1), parameters, many, context
        )

    try:
        with hub.execute_wrapper(slowly):
            response = staff.get(f"{INTERACTIONS}?is_crisis__exact=1")
        assert (response.status_code, response.headers["Location"]) == (302, INTERACTIONS)
    finally:
        with hub.cursor() as cursor:
            cursor.execute("RESET statement_timeout")
    assert "Choose a day first" in shown(staff, INTERACTIONS)


def test_a_large_log_is_estimated_and_paged_only_so_far(
    staff: Any, monkeypatch: pytest.MonkeyPatch, hub_url: str
) -> None:
    from contrib.django_hub import paginator

    with connect(hub_url) as owner:
        owner.execute("ANALYZE interaction_log")
    monkeypatch.setattr(paginator, "COUNTED", 20)
    monkeypatch.setattr(paginator, "MOST_PAGES", 1)
    page = shown(staff, INTERACTIONS)
    (said,) = set(re.findall(r"(\d+) interactions", page))
    assert 21 <= int(said) <= 2 * ROWS
    assert "?p=2" not in page
    assert staff.get(INTERACTIONS + "?p=2").status_code == 302


@pytest.mark.parametrize("address", [INTERACTIONS, NODES])
def test_nobody_adds_changes_or_deletes_not_even_a_superuser(
    superuser: Any, address: str, hub_url: str
) -> None:
    row = f"{address}{ODD.interaction_id}/"
    for refused in (f"{row}change/", f"{row}delete/", f"{address}add/", address):
        assert superuser.post(refused, {"query_text": "other"}).status_code == 403, refused
    chosen = {"action": "delete_selected", "_selected_action": ODD.interaction_id, "post": "yes"}
    assert superuser.post(address, chosen).status_code == 403
    assert superuser.get(f"{address}add/").status_code == 403
    with connect(hub_url) as owner:
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


def test_the_role_of_a_deployed_hub_may_read_all_that_the_readmes_may(hub_url: str) -> None:
    with connect(hub_url) as owner:
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


@pytest.fixture(scope="module")
def tiny_encoder(hub_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder, by which the project's own knowledge is in the hub's database."""
    nodes = read_knowledge(DATA / "knowledge_nodes.json").nodes
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    encoder = make_tiny_encoder(folder, texts=[node.body for node in nodes])
    migrate_vectors(
        KnowledgeFile(DATA / "knowledge_nodes.json"),
        database_url=hub_url,
        encoder=Encoder(encoder),
    )
    return encoder


def test_knowledge_is_found_by_words_as_the_hub_does(staff: Any, tiny_encoder: Path) -> None:
    node = read_knowledge(DATA / "knowledge_nodes.json").nodes[0]
    assert listed(shown(staff, NODES)) == 50
    words = " ".join(node.title.split())
    page = shown(staff, f"{NODES}?q={words}")
    assert f"{NODES}{node.id}/change/" in page.replace("_2D", "-")
    assert 1 <= listed(page) < 50
    assert listed(shown(staff, f"{NODES}?q={node.id}")) >= 1
    assert listed(shown(staff, f"{NODES}?q={words}+xylophone")) == 0
    assert listed(shown(staff, f"{NODES}?q=the")) == 0
    assert 1 <= listed(shown(staff, f"{NODES}?intent={node.intent}")) < 50
    shown_node = shown(staff, f"{NODES}{node.id}/change/")
    assert node.url in shown_node
    assert 'name="_save"' not in shown_node


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
    tiny_encoder: Path, tmp_path: Path
) -> None:
    node = read_knowledge(DATA / "knowledge_nodes.json").nodes[0]
    queries = tmp_path / "queries.json"
    asked = '[{"text": "%s", "intent": "x", "expected_node": "%s"}]'
    text = re.sub(r"[^\w ]", " ", node.body)[:300]
    queries.write_text(asked % (text, node.id))
    options = ("--encoder", str(tiny_encoder), "--queries", str(queries))
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
