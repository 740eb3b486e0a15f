"""scripts/check_rag_health.py, and that what the project ships passes it."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from contracts.settings import DATA
from models.encoder import Encoder
from scripts.check_rag_health import check_rag_health, main, read_health_queries
from scripts.migrate_vectors import main as migrate_main
from scripts.migrate_vectors import migrate_vectors
from store.knowledge_file import KnowledgeFile, read_knowledge
from tests.deployed_database import with_database
from tests.oldest_postgres import Server
from tests.stand_ins.vertex import VertexStandIn
from tests.tiny_encoder import make_tiny_encoder


@pytest.fixture(scope="module")
def shipped_url(postgres: Server, template_database: str, encoder: Encoder) -> Iterator[str]:
    """A database with the project's own nodes, embedded by the encoder as served."""
    name, template = "shipped", urlsplit(template_database).path.lstrip("/")
    with psycopg.connect(postgres.url, autocommit=True) as admin:
        admin.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
        url = with_database(postgres.url, name)
        migrate_vectors(
            KnowledgeFile(DATA / "knowledge_nodes.json"), database_url=url, encoder=encoder
        )
        yield url
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def test_every_seeded_question_finds_its_node_among_the_first_five(
    shipped_url: str, encoder: Encoder
) -> None:
    queries = read_health_queries(DATA / "health_queries.json")
    checked = await check_rag_health(
        queries, database_url=shipped_url, encoder=encoder, classifier=None
    )
    assert [check.query.text for check in checked if not check.passed] == []


def test_the_script_prints_a_table_and_ends_with_0_when_all_passed(
    shipped_url: str, hub_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["--database-url", shipped_url, "--encoder", str(hub_home / "encoder")])
    said = capsys.readouterr().out
    assert status == 0
    assert "expected node" in said
    assert "(100.0%) have their node among the first 5" in said


@pytest.fixture
def tiny_encoder(tmp_path: Path) -> Path:
    nodes = read_knowledge(DATA / "knowledge_nodes.json").nodes
    return make_tiny_encoder(tmp_path / "encoder", texts=[node.body for node in nodes])


def test_a_miss_is_named_and_ends_with_1(
    database_url: str, tiny_encoder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    node = read_knowledge(DATA / "knowledge_nodes.json").nodes[0]
    arguments = ["--database-url", database_url, "--encoder", str(tiny_encoder)]
    queries = tmp_path / "queries.json"

    def check(text: str, expected: str) -> tuple[int, str]:
        query = {"text": text, "intent": node.intent, "expected_node": expected}
        queries.write_text(json.dumps([query]))
        return main([*arguments, "--queries", str(queries)]), capsys.readouterr().out

    status, said = check(node.body[:300], node.id)
    assert (status, "no results" in said) == (1, True)
    migrate_vectors(
        KnowledgeFile(DATA / "knowledge_nodes.json"),
        database_url=database_url,
        encoder=Encoder(tiny_encoder),
    )
    assert check(node.body[:300], node.id)[0] == 0
    status, said = check(node.body[:300], "no-such-node")
    assert (status, "no-such-node is not among" in said) == (1, True)


def test_what_keeps_it_from_running_is_said_in_a_sentence(
    empty_database_url: str,
    tiny_encoder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HUB_DATABASE_URL", raising=False)
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "home"))
    encoder = ["--encoder", str(tiny_encoder)]

    def outcome(*arguments: str) -> str:
        assert main(arguments) == 1
        return " ".join(capsys.readouterr().out.split())

    assert "HUB_DATABASE_URL is unset" in outcome(*encoder)
    assert "No encoder" in outcome("--database-url", empty_database_url)
    assert "migrate_vectors.py" in outcome("--database-url", empty_database_url, *encoder)
    (tmp_path / "none.json").write_text("[]")
    asked = ("--queries", str(tmp_path / "none.json"), "--database-url", empty_database_url)
    assert "holds no question" in outcome(*asked, *encoder)
    assert "no champion" in outcome(
        "--database-url", empty_database_url, *encoder, "--with-intents"
    )


def test_it_asks_by_the_embedder_that_the_settings_name(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with VertexStandIn() as vertex:
        monkeypatch.setenv("HUB_EMBEDDER", "vertex")
        monkeypatch.setenv("HUB_VERTEX_PROJECT", "campus")
        monkeypatch.setenv("HUB_VERTEX_ENDPOINT", vertex.endpoint)
        assert migrate_main(["--database-url", database_url]) == 0
        assert {call.task_types for call in vertex.calls} == {frozenset({"RETRIEVAL_DOCUMENT"})}
        vertex.calls.clear()
        main(["--database-url", database_url])
        assert {call.task_types for call in vertex.calls} == {frozenset({"RETRIEVAL_QUERY"})}
    # The stand-in knows no synonyms, and these questions were written without their node's words;
    # by chance three of them would pass.
    (passed,) = re.findall(r"(\d+) of 109 questions", capsys.readouterr().out)
    assert int(passed) >= 25
