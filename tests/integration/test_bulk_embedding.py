"""Embedding by workers of a Ray of its own: the same vectors, and only those that are missing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from contracts.records import KnowledgeNode
from contracts.settings import PROJECT
from models.encoder import Encoder
from scripts.bulk_embedding import (
    CHUNK,
    BulkEmbedding,
    _embed_chunk,
    _opened,
)
from scripts.embedding import embed
from store.database import Connection
from store.knowledge import register_space, source_text, upsert_nodes
from store.unembedded import read_nodes, without_vector
from tests.tiny_encoder import make_tiny_encoder

WORDS = ("grade", "appeal", "form", "registrar", "parking", "permit", "gown", "wifi", "dining")
COUNT = 2 * CHUNK + 60


def _nodes(count: int) -> list[KnowledgeNode]:
    drawn = np.random.default_rng(0).choice(WORDS, size=(count, 12))
    return [
        KnowledgeNode(
            id=f"node-{number:05}",
            title=" ".join(words[:2]),
            body=" ".join(words[: 3 + number % 10]),
            url=f"/{number}",
            intent="library",
        )
        for number, words in enumerate(drawn)
    ]


def test_workers_make_the_missing_vectors_as_one_process_does(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    nodes = _nodes(COUNT)
    file = tmp_path / "nodes.jsonl"
    rows = [{name: getattr(node, name) for name in KnowledgeNode.__slots__} for node in nodes]
    file.write_text("\n".join(map(json.dumps, rows)))
    encoder_dir = make_tiny_encoder(tmp_path / "encoder", texts=WORDS)
    encoder = Encoder(encoder_dir)
    space = register_space(connection, encoder.space.fingerprint, dims=encoder.space.dims)
    upsert_nodes(connection, nodes[:50])
    done_before = without_vector(connection, space=space)
    embed(connection, done_before, encoder=encoder, space=space)
    command = [sys.executable, str(PROJECT / "scripts" / "migrate_vectors.py"), "--workers", "2"]
    load = subprocess.run(
        [
            *(*command, "--from", str(file)),
            *("--database-url", database_url, "--encoder", str(encoder_dir)),
        ],
        # Ray starts workers at niceness 15: beside others that work, minutes.
        env={**os.environ, "COLUMNS": "200", "RAY_worker_niceness": "0"},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert load.returncode == 0, load.stdout + load.stderr
    assert f"{COUNT} nodes: {COUNT - 50} new or changed, {COUNT - 50} embedded" in load.stdout
    assert load.stderr == ""
    stored = dict(
        connection.execute(
            "SELECT node.id, vector.embedding FROM knowledge_vectors AS vector"
            " JOIN knowledge_nodes AS node ON node.number = vector.node"
        ).fetchall()
    )
    assert len(stored) == COUNT
    made = encoder.encode([source_text(node) for node in nodes], task="document")
    kept = np.array([stored[node.id].to_numpy() for node in nodes])
    np.testing.assert_allclose(kept, made, atol=1e-6)


@pytest.mark.parametrize(
    ("folder", "database", "problem"),
    [
        ("none", None, "FileNotFoundError: "),
        ("other", None, "MixedSpaces: Vectors of one embedding space were offered to another"),
        ("encoder", "postgresql://nobody@127.0.0.1:1/x", "DatabaseUnavailable: "),
    ],
)
def test_a_worker_says_what_it_cannot_do(
    connection: Connection,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    folder: str,
    database: str | None,
    problem: str,
) -> None:
    for name in ("encoder", "other"):
        make_tiny_encoder(tmp_path / name, texts=WORDS, fingerprint=name)
    upsert_nodes(connection, _nodes(3))
    space = register_space(connection, "encoder", dims=32)
    numbers = without_vector(connection, space=space)
    assert len(read_nodes(connection, numbers.tolist())) == 3
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "true")  # put back afterwards
    bulk = BulkEmbedding(database or database_url, 1, tmp_path / folder)
    said = _embed_chunk(bulk, numbers, space=space)["problem"]
    if folder == "other":
        _opened(bulk)[1].close()
    _opened.cache_clear()
    assert said.startswith(problem)
    assert len(without_vector(connection, space=space)) == 3
