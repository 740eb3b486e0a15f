"""Search over a real Postgres: by meaning and by words, with preferences, filters and ties."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest

from contracts.errors import MixedSpaces
from contracts.records import KnowledgeNode, RetrievedNode, Search, Vector
from store.database import Connection, Pool, connect, open_pool
from store.embedded import EmbeddedPostgres
from store.knowledge import make_index, register_space, tidy, upsert_nodes, upsert_vectors
from store.migrate import migrate
from store.retrieval import DEPTH, SERVER_OPTIONS, KnowledgeSearch

SPACE, DIMS = "space", 8


def _along(*weights: float) -> Vector:
    """A unit vector with these first coordinates."""
    vector = np.zeros(DIMS, np.float32)
    vector[: len(weights)] = weights
    return vector / np.linalg.norm(vector)


NODES = {
    "appeal": (
        KnowledgeNode(
            "appeal",
            "Grade appeals",
            "Write to the instructor first. Then file the appeal form with the registrar.",
            "/appeal",
            "exams_and_grades",
            ("grades", "appeal", "form"),
        ),
        _along(1, 0, 0),
    ),
    "gpa": (
        KnowledgeNode(
            "gpa",
            "How your GPA is calculated",
            "Grade points are multiplied by credits.",
            "/gpa",
            "exams_and_grades",
            ("grades", "GPA"),
        ),
        _along(1, 0.5, 0),
    ),
    "parking": (
        KnowledgeNode(
            "parking",
            "Appealing a parking ticket",
            "You have ten days. The form is online.",
            "/parking",
            "parking_and_transport",
            ("appeal", "form"),
        ),
        _along(0.5, 1, 0),
    ),
    "twin-b": (
        KnowledgeNode("twin-b", "Lost keys", "Ask.", "/b", "campus_safety"),
        _along(0, 0, 1),
    ),
    "twin-a": (
        KnowledgeNode("twin-a", "Lost keys", "Ask.", "/a", "campus_safety"),
        _along(0, 0, 1),
    ),
}


@pytest.fixture
def stored(connection: Connection) -> Connection:
    """The nodes above, with their vectors and index."""
    nodes = [node for node, _ in NODES.values()]
    upsert_nodes(connection, nodes)
    space = register_space(connection, SPACE, dims=DIMS)
    vectors = np.stack([vector for _, vector in NODES.values()])
    upsert_vectors(connection, nodes, vectors, fingerprint=SPACE, space=space)
    make_index(connection, space)
    tidy(connection)
    return connection


@pytest.fixture
def search(stored: Connection, pool: Pool) -> KnowledgeSearch:
    return KnowledgeSearch(pool)


def _ids(nodes: Sequence[RetrievedNode]) -> list[str]:
    return [node.id for node in nodes]


async def _one(search: KnowledgeSearch, asked: Search) -> list[str]:
    (nodes,) = await search.search([asked])
    return _ids(nodes)


async def test_a_node_says_what_it_is_and_why_it_matched(search: KnowledgeSearch) -> None:
    (found,) = await search.search([Search("where is the appeal form", _along(1), SPACE)])
    assert found[0].id == "appeal"
    assert found[0].title == "Grade appeals"
    assert "file the appeal form" in found[0].snippet
    assert (found[0].url, found[0].intent) == ("/appeal", "exams_and_grades")
    scores = [node.score for node in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


async def test_both_halves_count(search: KnowledgeSearch) -> None:
    by_words = await _one(search, Search("parking ticket", None, None))
    assert by_words == ["parking"]
    # The vector points at the grades, the words at the ticket: both are there.
    both = await _one(search, Search("parking ticket", _along(1), SPACE, top_k=2))
    assert set(both) == {"appeal", "parking"}


async def test_without_a_vector_the_words_alone_decide(search: KnowledgeSearch) -> None:
    assert await _one(search, Search("how is my gpa calculated", None, None)) == ["gpa"]
    assert await _one(search, Search("zebra", None, None)) == []
    assert await _one(search, Search("is it", None, SPACE)) == []


async def test_a_space_that_is_not_stored_means_words_alone_and_is_said_once(
    search: KnowledgeSearch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = Search("how is my gpa calculated", _along(1), "space of tomorrow")
    assert await _one(search, asked) == ["gpa"]
    assert await _one(search, asked) == ["gpa"]
    said = [record for record in caplog.records if "space of tomorrow" in record.getMessage()]
    assert len(said) == 1


async def test_a_vector_of_another_width_than_its_space_is_an_error(
    search: KnowledgeSearch,
) -> None:
    with pytest.raises(MixedSpaces, match="8 dims"):
        await search.search([Search("gpa", np.ones(9, np.float32) / 3, SPACE)])


async def test_only_the_asked_space_is_searched(
    search: KnowledgeSearch, stored: Connection
) -> None:
    other = register_space(stored, "other", dims=4)
    node, _ = NODES["parking"]
    vector = np.array([[1, 0, 0, 0]], np.float32)
    upsert_vectors(stored, [node], vector, fingerprint="other", space=other)
    found = await search.search(
        [Search("zebra", vector[0], "other"), Search("zebra", _along(1), SPACE, top_k=1)]
    )
    assert [_ids(nodes) for nodes in found] == [["parking"], ["appeal"]]


async def test_all_given_tags_must_be_there(search: KnowledgeSearch) -> None:
    vector = _along(0, 0, 1)
    assert set(await _one(search, Search("form", vector, SPACE, tags=("appeal",)))) == {
        "appeal",
        "parking",
    }
    assert await _one(search, Search("form", vector, SPACE, tags=("appeal", "grades"))) == [
        "appeal"
    ]
    assert await _one(search, Search("form", None, None, tags=("grades", "form"))) == ["appeal"]
    assert await _one(search, Search("zebra", vector, SPACE, tags=("GPA",))) == ["gpa"]
    assert await _one(search, Search("form", vector, SPACE, tags=("appeal", "zebra"))) == []


async def test_ties_go_by_id(search: KnowledgeSearch) -> None:
    (found,) = await search.search([Search("lost keys", _along(0, 0, 1), SPACE, top_k=2)])
    assert _ids(found) == ["twin-a", "twin-b"]
    assert found[0].score == found[1].score
    assert await _one(search, Search("lost keys", None, None)) == ["twin-a", "twin-b"]


async def test_the_predicted_intent_is_a_preference_and_never_a_filter(
    search: KnowledgeSearch,
) -> None:
    asked: dict[str, Any] = {"text": "appeal", "vector": _along(1, 0.6), "space": SPACE}
    plain = await _one(search, Search(**asked))
    assert plain.index("appeal") < plain.index("parking")
    sure = await _one(search, Search(**asked, intent="parking_and_transport", confidence=1.0))
    assert sure.index("parking") < sure.index("gpa")
    assert set(sure) == set(plain)
    # One that is right in meaning and words stays first, whatever the classifier thinks.
    wrong = Search("gpa calculated", _along(1, 0.5), SPACE, intent="campus_safety", confidence=1.0)
    assert (await _one(search, wrong))[0] == "gpa"
    unsure = await search.search(
        [
            Search(**asked, intent="parking_and_transport", confidence=0.0),
            Search(**asked, intent="out_of_scope", confidence=1.0),
            Search(**asked),
        ]
    )
    assert [_ids(nodes) for nodes in unsure] == [plain] * 3


async def test_many_searches_of_all_kinds_share_a_call_and_keep_their_order(
    search: KnowledgeSearch,
) -> None:
    asked = [
        Search("gpa calculated", None, None),
        Search("form", _along(1), SPACE, tags=("appeal",), top_k=1),
        Search("parking ticket", _along(0.5, 1), SPACE, top_k=1),
        Search("zebra", None, None),
        Search("lost keys", _along(0, 0, 1), SPACE, top_k=2),
    ] * 8
    alone = [(await search.search([one]))[0] for one in asked[:5]]
    together = await search.search(asked)
    assert together == alone * 8
    assert [_ids(nodes) for nodes in together[:5]] == [
        ["gpa"],
        ["appeal"],
        ["parking"],
        [],
        ["twin-a", "twin-b"],
    ]
    assert await search.search([]) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\x00",
        "half \ud83d of a pair",
        "🎓🎓🎓",
        "كيف أستأنف درجتي",
        "'; DROP TABLE knowledge_nodes; --",
        "<script>alert(1)</script>",
        "%s %(texts)s {vectors} $1",
        "a & b | !c <-> (d:*",
        "word " * 400,
        "".join(chr(0x4E00 + i) for i in range(2_000)),
    ],
)
async def test_no_text_breaks_the_search_or_its_neighbours(
    search: KnowledgeSearch, text: str
) -> None:
    neighbour = Search("gpa calculated", None, None)
    first, odd, last = await search.search(
        [neighbour, Search(text, _along(1), SPACE, tags=()), neighbour]
    )
    assert _ids(first) == _ids(last) == ["gpa"]
    assert odd[0].id == "appeal"
    await search.search([Search(text, None, None, tags=(text or "x",), intent=text)])


async def test_an_edited_node_is_shown_as_it_is_now_and_a_deleted_one_not_at_all(
    search: KnowledgeSearch, stored: Connection
) -> None:
    asked = Search("gpa calculated", _along(1, 0.5), SPACE)
    before = (await search.search([asked]))[0][0]
    assert before.title == "How your GPA is calculated"
    stored.execute("UPDATE knowledge_nodes SET title = 'GPA', body = 'New.' WHERE id = 'gpa'")
    after = (await search.search([asked]))[0][0]
    assert (after.id, after.title, after.snippet) == ("gpa", "GPA", "New.")
    stored.execute("DELETE FROM knowledge_nodes WHERE id = 'gpa'")
    assert "gpa" not in await _one(search, asked)


async def test_more_is_never_returned_than_asked_and_the_most_can_be_asked(
    connection: Connection, pool: Pool
) -> None:
    nodes = [KnowledgeNode(f"n{i:02}", "Same", "Same.", "/", "library") for i in range(60)]
    upsert_nodes(connection, nodes)
    space = register_space(connection, SPACE, dims=DIMS)
    drawn = np.random.default_rng(3).normal(size=(60, DIMS)).astype(np.float32)
    drawn /= np.linalg.norm(drawn, axis=1, keepdims=True)
    upsert_vectors(connection, nodes, drawn, fingerprint=SPACE, space=space)
    found = await KnowledgeSearch(pool).search(
        [Search("zebra", drawn[0], SPACE, top_k=k) for k in (1, 5, 20)]
    )
    assert [len(nodes) for nodes in found] == [1, 5, 20]
    assert DEPTH >= 20
    exact = np.argsort(-(drawn @ drawn[0]))[:20]
    assert _ids(found[2]) == [nodes[row].id for row in exact]


async def test_the_check_asks_the_real_tables(search: KnowledgeSearch, stored: Connection) -> None:
    await search.check()
    stored.execute("ALTER TABLE knowledge_terms RENAME TO elsewhere")
    with pytest.raises(psycopg.errors.UndefinedTable):
        await search.check()


async def test_a_space_that_was_loaded_again_is_found_within_seconds(
    search: KnowledgeSearch, stored: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Search("zebra", _along(1), SPACE, top_k=1)
    assert await _one(search, asked) == ["appeal"]
    stored.execute("DELETE FROM vector_spaces")
    space = register_space(stored, SPACE, dims=DIMS)
    node, vector = NODES["gpa"]
    upsert_vectors(stored, [node], vector[np.newaxis], fingerprint=SPACE, space=space)
    monkeypatch.setattr("store.retrieval._SPACES_FRESH_S", 0.0)
    assert await _one(search, asked) == ["gpa"]


async def test_a_database_that_went_away_is_an_error_and_one_that_came_back_is_none(
    server_home: Path,
) -> None:
    with EmbeddedPostgres(server_home, options={"fsync": "off"}) as server:
        with connect(server.url, vectors=False) as connection:
            migrate(connection)
            upsert_nodes(connection, [NODES["gpa"][0]])
        pool = open_pool(server.url, size=1, options=SERVER_OPTIONS)
        await pool.open(wait=True)
        search = KnowledgeSearch(pool)
        asked = Search("gpa calculated", None, None)
        assert await _one(search, asked) == ["gpa"]
        server.kill()
        with pytest.raises(psycopg.Error):
            await search.search([asked])
        server.start()
        assert await _one(search, asked) == ["gpa"]
        await pool.close()
