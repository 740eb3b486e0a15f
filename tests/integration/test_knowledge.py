"""Loading knowledge: by id, by space, and with the inverted index in step."""

from dataclasses import replace

import numpy as np
import pytest

from contracts.errors import DataError, MixedSpaces
from contracts.records import KnowledgeNode, Vectors
from store.database import Connection, connect
from store.knowledge import (
    StoredSpace,
    count_by_space,
    drop_space,
    find_space,
    make_index,
    register_space,
    tidy,
    upsert_nodes,
    upsert_vectors,
)
from tests.deployed_database import as_user

GOWN = KnowledgeNode("gown", "Cap and gown", "Order by week 6.", "/gown", "graduation", ("cap",))
WIFI = KnowledgeNode("wifi", "Campus wifi", "Choose RidgeNet.", "/wifi", "it_support", ("wifi",))
MEALS = KnowledgeNode("meals", "Meal plans", "Pick a plan by week 2.", "/meals", "dining")
NODES = [GOWN, WIFI, MEALS]


def _unit(count: int, *, dims: int = 8, seed: int = 0) -> Vectors:
    drawn = np.random.default_rng(seed).normal(size=(count, dims)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def _store(connection: Connection, *, fingerprint: str = "space", seed: int = 0) -> StoredSpace:
    upsert_nodes(connection, NODES)
    space = register_space(connection, fingerprint, dims=8)
    upsert_vectors(connection, NODES, _unit(3, seed=seed), fingerprint=fingerprint, space=space)
    return space


def _is_in_step(connection: Connection) -> bool:
    """Say whether the inverted index is what the nodes' texts make now."""
    wanted = connection.execute(
        "SELECT term.lexeme, node.number, term.weight FROM knowledge_nodes AS node,"
        " knowledge_weights(node.title, node.body, node.tags) AS term ORDER BY 1, 2"
    ).fetchall()
    held = connection.execute(
        "SELECT lexeme, node, weight FROM knowledge_terms ORDER BY 1, 2"
    ).fetchall()
    counted = connection.execute(
        "SELECT lexeme, count(*) FROM knowledge_terms GROUP BY 1 ORDER BY 1"
    ).fetchall()
    lexemes = connection.execute("SELECT * FROM knowledge_lexemes ORDER BY 1").fetchall()
    totals = connection.execute(
        "SELECT nodes, (SELECT count(*) FROM knowledge_nodes) FROM knowledge_totals"
    ).fetchall()
    return wanted == held and counted == lexemes and totals[0][0] == totals[0][1]


def test_nodes_are_stored_by_id_and_only_what_changed_is_touched(connection: Connection) -> None:
    assert upsert_nodes(connection, NODES) == 3
    before = connection.execute("SELECT id, xmin::text FROM knowledge_nodes").fetchall()
    assert upsert_nodes(connection, NODES) == 0
    assert connection.execute("SELECT id, xmin::text FROM knowledge_nodes").fetchall() == before
    assert upsert_nodes(connection, [replace(WIFI, body="Choose RidgeGuest."), MEALS]) == 1
    row = connection.execute("SELECT body FROM knowledge_nodes WHERE id = 'wifi'").fetchone()
    assert row == ("Choose RidgeGuest.",)


def test_an_id_given_twice_stores_nothing(connection: Connection) -> None:
    with pytest.raises(DataError, match="twice"):
        upsert_nodes(connection, [WIFI, GOWN, replace(WIFI, title="Other")])
    assert connection.execute("SELECT count(*) FROM knowledge_nodes").fetchone() == (0,)


def test_the_inverted_index_follows_whoever_writes_the_nodes(connection: Connection) -> None:
    upsert_nodes(connection, NODES)
    assert _is_in_step(connection)
    upsert_nodes(connection, [replace(GOWN, body="Rent or buy a robe."), replace(WIFI, tags=())])
    assert _is_in_step(connection)
    connection.execute(
        "INSERT INTO knowledge_nodes (id, title, body, url, intent)"
        " VALUES ('new', 'Parking', 'Lots A to C', '/p', 'parking_and_transport')"
    )
    connection.execute("UPDATE knowledge_nodes SET title = title || ' again'")
    assert _is_in_step(connection)
    connection.execute("DELETE FROM knowledge_nodes WHERE id IN ('gown', 'meals')")
    assert _is_in_step(connection)
    connection.execute("TRUNCATE knowledge_nodes CASCADE")
    assert _is_in_step(connection)
    assert connection.execute("SELECT count(*) FROM knowledge_lexemes").fetchone() == (0,)


def test_a_vector_of_another_width_or_fingerprint_is_refused_and_nothing_is_stored(
    connection: Connection,
) -> None:
    upsert_nodes(connection, NODES)
    space = register_space(connection, "space", dims=8)
    with pytest.raises(MixedSpaces, match="shape"):
        upsert_vectors(connection, NODES, _unit(3, dims=9), fingerprint="space", space=space)
    with pytest.raises(MixedSpaces, match="another"):
        upsert_vectors(connection, NODES, _unit(3), fingerprint="another", space=space)
    with pytest.raises(MixedSpaces, match="8 dims in the database, 16 here"):
        register_space(connection, "space", dims=16)
    assert connection.execute("SELECT count(*) FROM knowledge_vectors").fetchone() == (0,)


def test_a_vector_that_is_not_of_unit_length_is_refused(connection: Connection) -> None:
    upsert_nodes(connection, NODES)
    space = register_space(connection, "space", dims=8)
    for broken in (_unit(3) * 2, np.full((3, 8), np.nan, np.float32), np.zeros((3, 8), np.float32)):
        with pytest.raises(DataError, match="unit length"):
            upsert_vectors(connection, NODES, broken, fingerprint="space", space=space)
    assert connection.execute("SELECT count(*) FROM knowledge_vectors").fetchone() == (0,)


def test_a_vector_of_a_node_that_is_not_stored_is_refused_with_its_whole_batch(
    connection: Connection,
) -> None:
    upsert_nodes(connection, [GOWN, WIFI])
    space = register_space(connection, "space", dims=8)
    with pytest.raises(DataError, match="1 of the nodes"):
        upsert_vectors(connection, NODES, _unit(3), fingerprint="space", space=space)
    assert connection.execute("SELECT count(*) FROM knowledge_vectors").fetchone() == (0,)


def test_spaces_stand_side_by_side_until_one_is_dropped(connection: Connection) -> None:
    old = _store(connection, fingerprint="old")
    new = register_space(connection, "new", dims=16)
    upsert_vectors(connection, [WIFI], _unit(1, dims=16), fingerprint="new", space=new)
    assert make_index(connection, old)
    assert make_index(connection, new)
    assert not make_index(connection, new)
    counts = [(s.fingerprint, s.dims, s.vectors, s.nodes) for s in count_by_space(connection)]
    assert counts == [("new", 16, 1, 3), ("old", 8, 3, 3)]
    drop_space(connection, old)
    assert [s.fingerprint for s in count_by_space(connection)] == ["new"]
    assert find_space(connection, "old") is None
    left = connection.execute("SELECT to_regclass(%s)", (f"knowledge_vectors_hnsw_{old.id}",))
    assert left.fetchone() == (None,)


def test_tidying_rebuilds_the_index_and_removes_what_a_killed_rebuild_left(
    connection: Connection, database_url: str
) -> None:
    space = _store(connection)
    make_index(connection, space)
    name = f"knowledge_vectors_hnsw_{space.id}"
    node = "SELECT pg_relation_filenode(%s::regclass)"
    before = connection.execute(node, (name,)).fetchone()
    connection.execute(
        f"CREATE INDEX {name}_ccnew ON knowledge_vectors"  # type: ignore[arg-type]
        f" USING hnsw ((embedding::vector(8)) vector_ip_ops) WHERE space = {space.id}"
    )
    with connect(as_user(database_url, "postgres")) as superuser:
        superuser.execute(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass",
            (f"{name}_ccnew",),
        )
    tidy(connection, rebuild=False)
    assert connection.execute("SELECT to_regclass(%s)", (f"{name}_ccnew",)).fetchone() == (None,)
    assert connection.execute(node, (name,)).fetchone() == before
    tidy(connection)
    assert connection.execute(node, (name,)).fetchone() != before


def test_deleting_a_node_takes_its_vectors_along(connection: Connection) -> None:
    _store(connection)
    connection.execute("DELETE FROM knowledge_nodes WHERE id = 'wifi'")
    assert connection.execute("SELECT count(*) FROM knowledge_vectors").fetchone() == (2,)
