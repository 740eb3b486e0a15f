"""A hub's database behind a Django site: interactions of two days, and who looks at them."""

import asyncio
import re
from collections.abc import Iterator
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
from tests.deployed_database import with_database
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
def django_database(postgres: Server, template_database: str) -> Iterator[str]:
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


@pytest.fixture(scope="module")
def django_hub(django_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("site")
    with django_site(folder, hub=hub_in_django(django_database, user="hub_reader")):
        yield folder


@pytest.fixture(scope="module")
def staff(django_hub: Path) -> Any:
    """A browser of somebody who is staff and may view both."""
    from django.contrib.auth.models import Permission, User
    from django.test import Client

    user = User.objects.create_user("ada", is_staff=True)
    names = ("view_interactionlog", "view_knowledgenode")
    user.user_permissions.set(Permission.objects.filter(codename__in=names))
    return signed_in(Client(), user)


@pytest.fixture(scope="module")
def superuser(django_hub: Path) -> Any:
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


@pytest.fixture(scope="module")
def knowledge_encoder(django_database: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small encoder, by which the project's own knowledge is in the hub's database."""
    nodes = read_knowledge(DATA / "knowledge_nodes.json").nodes
    folder = tmp_path_factory.mktemp("encoder") / "encoder"
    encoder = make_tiny_encoder(folder, texts=[node.body for node in nodes])
    migrate_vectors(
        KnowledgeFile(DATA / "knowledge_nodes.json"),
        database_url=django_database,
        encoder=Encoder(encoder),
    )
    return encoder
