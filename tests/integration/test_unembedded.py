"""Which nodes lack a vector of their present text, and in what order they get one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from contracts.records import KnowledgeNode
from models.encoder import Encoder
from scripts.embedding import embed
from store.database import Connection
from store.knowledge import StoredSpace, register_space, upsert_nodes
from store.unembedded import read_nodes, sample_vectors, without_vector
from tests.tiny_encoder import make_tiny_encoder

GOWN = KnowledgeNode("gown", "Cap and gown", "Order by week 6.", "/gown", "graduation", ("cap",))
WIFI = KnowledgeNode("wifi", "Campus wifi", "Choose RidgeNet.", "/wifi", "it_support", ("wifi",))
MEALS = KnowledgeNode("meals", "Meal plans", "Pick a plan by week 2.", "/meals", "dining")
NODES = [GOWN, WIFI, MEALS]


@pytest.fixture
def encoder(tmp_path: Path) -> Encoder:
    folder = make_tiny_encoder(tmp_path / "encoder", texts=[node.body for node in NODES])
    return Encoder(folder)


@pytest.fixture
def space(connection: Connection, encoder: Encoder) -> StoredSpace:
    """A space in which all three nodes have their vectors."""
    upsert_nodes(connection, NODES)
    made = register_space(connection, encoder.space.fingerprint, dims=encoder.space.dims)
    embed(connection, without_vector(connection, space=made), encoder=encoder, space=made)
    return made


def _lacking(connection: Connection, space: StoredSpace) -> list[str]:
    numbers = without_vector(connection, space=space)
    return [read_nodes(connection, [number])[0].id for number in numbers.tolist()]


def test_a_node_lacks_its_vector_until_it_has_one_of_its_present_text(
    connection: Connection, space: StoredSpace
) -> None:
    assert _lacking(connection, space) == []
    # Upper case and white space are not another text: queries are normalised as well.
    upsert_nodes(
        connection, [replace(GOWN, body="Order by week 8."), replace(WIFI, title="CAMPUS  wifi")]
    )
    assert _lacking(connection, space) == ["gown"]


def test_the_longest_are_embedded_first(connection: Connection, encoder: Encoder) -> None:
    upsert_nodes(connection, NODES)
    other = register_space(connection, "other", dims=8)
    assert _lacking(connection, other) == ["meals", "gown", "wifi"]


def test_samples_are_of_the_present_text(
    connection: Connection, encoder: Encoder, space: StoredSpace
) -> None:
    upsert_nodes(connection, [replace(GOWN, body="Order by week 8.")])
    known, vectors = sample_vectors(connection, space=space)
    assert known == [WIFI, MEALS]
    texts = [f"{node.title} {node.body}".lower() for node in known]
    np.testing.assert_allclose(vectors, encoder.encode(texts, task="document"), atol=1e-6)


def test_a_node_that_went_meanwhile_is_left_out(
    connection: Connection, encoder: Encoder, space: StoredSpace
) -> None:
    other = register_space(connection, "other", dims=8)
    numbers = without_vector(connection, space=other)
    connection.execute("DELETE FROM knowledge_nodes WHERE id = 'meals'")
    assert [node.id for node in read_nodes(connection, numbers.tolist())] == ["gown", "wifi"]
    embed(connection, numbers, encoder=encoder, space=space)
    assert _lacking(connection, space) == []
