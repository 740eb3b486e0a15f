"""Search over what the university wrote: by meaning and by words, many searches in a round trip."""

import logging
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final
from weakref import WeakSet

from psycopg import sql

from contracts.errors import MixedSpaces
from contracts.outcome import OUT_OF_SCOPE
from contracts.records import RetrievedNode, Search
from contracts.text import normalise
from store.database import AsyncConnection, Pool
from store.knowledge import StoredSpace
from store.server import Server, verify_options
from store.snippets import Passages, stems
from store.sql import statement

log = logging.getLogger(__name__)

SERVER_OPTIONS: Final[Mapping[str, str]] = {
    # Planning takes longer than searching, and every search has the same best plan.
    "plan_cache_mode": "force_generic_plan",
    "jit": "off",
    # pgvector filters after it scans: it must go on scanning until there are enough rows.
    "hnsw.iterative_scan": "strict_order",
    "hnsw.ef_search": "100",
    "hnsw.max_scan_tuples": "2147483647",
    "hnsw.scan_mem_multiplier": "4",
    "statement_timeout": "10s",
}
"""Settings of every connection that searches. They are read back: a server may ignore them."""

MEANING_WEIGHT: Final = 1.0
WORDS_WEIGHT: Final = 1.0
INTENT_WEIGHT: Final = 0.25
"""What the first rank of each half is worth, and being of an intent predicted for certain."""

SMOOTHING: Final = 10
"""The k of reciprocal rank fusion: the larger, the less the first ranks stand out."""

DEPTH: Final = 30
"""Nodes taken from each half: at least the largest `top_k`."""

FEW_NODES: Final = 2_000
"""Up to so many tagged nodes are compared one by one, which is exact."""

MOST_POSTINGS: Final = 10_000
"""Entries of the inverted index that one search reads."""

_CACHED_NODES: Final = 4_000
_SPACES_FRESH_S: Final = 5.0
_SEPARATOR: Final = "\x1f"


@dataclass(frozen=True, slots=True)
class _CachedNode:
    """A node as the answers need it, as of one row version."""

    revision: object
    id: str
    title: str
    url: str
    intent: str
    passages: Passages


class KnowledgeSearch:
    """Hybrid search over a pool whose connections were opened with SERVER_OPTIONS."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._nodes: OrderedDict[int, _CachedNode] = OrderedDict()
        self._spaces: dict[str, StoredSpace] = {}
        self._spaces_read_s = float("-inf")
        self._verified: WeakSet[AsyncConnection] = WeakSet()
        self.server: Server | None = None
        """What the database runs on; None before the first search or check."""
        self._unknown: set[str] = set()

    async def search(self, searches: list[Search]) -> list[list[RetrievedNode]]:
        """Return each search's nodes, best first, in the order of the searches.

        A search without a vector, or whose space this database does not hold, goes by words alone.
        Raises MixedSpaces for a vector whose width is not its space's, SettingsError when the
        server ignores a setting, and psycopg's errors or PoolTimeout when it is away.
        """
        if not searches:
            return []
        async with self._pool.connection() as connection:
            await self._verify(connection)
            await self._refresh_spaces(connection, {s.space for s in searches if s.space})
            groups: dict[tuple[StoredSpace | None, bool], list[int]] = defaultdict(list)
            for place, search in enumerate(searches):
                groups[self._space_of(search), bool(search.tags)].append(place)
            found: list[list[tuple[int, float]]] = [[] for _ in searches]
            for (space, has_tags), places in groups.items():
                asked = [searches[place] for place in places]
                rows = await self._ask(connection, asked, space=space, has_tags=has_tags)
                await self._read_nodes(connection, rows)
                for place, number, _, score in rows:
                    found[places[place - 1]].append((number, score))
        return [self._answer(s, f) for s, f in zip(searches, found, strict=True)]

    async def check(self) -> None:
        """Run a real query over every table that a search reads; raise when that fails."""
        async with self._pool.connection() as connection:
            await self._verify(connection)
            await connection.execute(statement("check_knowledge"), prepare=True)

    async def _verify(self, connection: AsyncConnection) -> None:
        """Read the settings back, once a connection, and say once what the search runs on."""
        if connection in self._verified:
            return
        server = await verify_options(connection, wanted=SERVER_OPTIONS)
        if server != self.server:
            log.log(logging.INFO if server.scans_on else logging.WARNING, "%s", server)
            self.server = server
        self._verified.add(connection)

    async def _refresh_spaces(self, connection: AsyncConnection, wanted: set[str]) -> None:
        age_s = time.monotonic() - self._spaces_read_s
        if age_s < _SPACES_FRESH_S and (wanted <= self._spaces.keys() or age_s < 1.0):
            return
        cursor = await connection.execute("SELECT id, fingerprint, dims FROM vector_spaces")
        self._spaces = {row[1]: StoredSpace(*row) for row in await cursor.fetchall()}
        self._spaces_read_s = time.monotonic()

    def _space_of(self, search: Search) -> StoredSpace | None:
        if search.vector is None or search.space is None:
            return None
        space = self._spaces.get(search.space)
        if space is None:
            if search.space not in self._unknown:
                self._unknown.add(search.space)
                log.warning(
                    "No vectors of space %s are stored; searching by words alone until"
                    " scripts/migrate_vectors.py has loaded them",
                    search.space,
                )
            return None
        if search.vector.shape != (space.dims,):
            raise MixedSpaces(
                f"{space.fingerprint} has {space.dims} dims, the query's vector has the shape"
                f" {search.vector.shape}."
            )
        self._unknown.discard(search.space)
        return space

    async def _ask(
        self,
        connection: AsyncConnection,
        searches: Sequence[Search],
        *,
        space: StoredSpace | None,
        has_tags: bool,
    ) -> list[tuple[int, int, object, float]]:
        """Return (place from 1, node number, revision, score), each place's best first."""
        query = _search_sql(space and space.id, space and space.dims, has_tags)
        values: dict[str, Any] = {
            "texts": [_storable(normalise(search.text)) for search in searches],
            "intents": [_storable(search.intent or "") for search in searches],
            "preferences": [_preference(search) / (SMOOTHING + 1) for search in searches],
            "tags": [_SEPARATOR.join(map(_storable, search.tags)) for search in searches],
            "limits": [search.top_k for search in searches],
        }
        if space is not None:
            values["vectors"] = [search.vector for search in searches]
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(query, values, prepare=True)
            return await cursor.fetchall()

    async def _read_nodes(
        self, connection: AsyncConnection, rows: Iterable[tuple[int, int, object, float]]
    ) -> None:
        """Have every found node, as it is now, in memory."""
        missing = set()
        for _, number, revision, _ in rows:
            held = self._nodes.get(number)
            if held is None or held.revision != revision:
                missing.add(number)
            else:
                self._nodes.move_to_end(number)
        if not missing:
            return
        async with connection.cursor(binary=True) as cursor:
            await cursor.execute(statement("read_nodes"), {"numbers": list(missing)}, prepare=True)
            for number, revision, id_, title, body, url, intent in await cursor.fetchall():
                passages = Passages.of(body)
                self._nodes[number] = _CachedNode(revision, id_, title, url, intent, passages)
                missing.discard(number)
        for number in missing:  # deleted since
            self._nodes.pop(number, None)
        while len(self._nodes) > _CACHED_NODES:
            self._nodes.popitem(last=False)

    def _answer(self, search: Search, found: list[tuple[int, float]]) -> list[RetrievedNode]:
        asked = stems(search.text)
        most = (
            (MEANING_WEIGHT if search.vector is not None else 0.0)
            + WORDS_WEIGHT
            + _preference(search)
        ) / (SMOOTHING + 1)
        return [
            RetrievedNode(
                id=node.id,
                title=node.title,
                snippet=node.passages.snippet(asked),
                url=node.url,
                intent=node.intent,
                score=min(1.0, score / most),
            )
            for number, score in found
            if (node := self._nodes.get(number)) is not None
        ]


def _preference(search: Search) -> float:
    """How much more a node of the predicted intent counts: a preference, never a filter."""
    if search.intent is None or search.intent == OUT_OF_SCOPE:
        return 0.0
    return INTENT_WEIGHT * min(1.0, max(0.0, search.confidence))


def _storable(text: str) -> str:
    """Return a text that Postgres takes: without NUL and lone surrogates."""
    return text.replace("\x00", " ").encode(errors="replace").decode()


@cache
def _search_sql(space_id: int | None, dims: int | None, has_tags: bool) -> str:
    """Return the statement for one kind of search.

    Space and width are written into it: a partial index is used for a constant only.
    """
    common = {"smoothing": sql.Literal(SMOOTHING), "depth": sql.Literal(DEPTH)}
    tagged = sql.SQL(
        "AND (SELECT node.tags @> string_to_array(asked.tags, {})"
        " FROM knowledge_nodes AS node WHERE node.number = term.node)"
    ).format(sql.Literal(_SEPARATOR))
    halves: list[sql.Composable] = [
        sql.SQL(statement("search_matching")).format(
            weight=sql.Literal(WORDS_WEIGHT),
            postings=sql.Literal(MOST_POSTINGS),
            filter=tagged if has_tags else sql.SQL(""),
            **common,
        )
    ]
    if space_id is not None:
        name = "search_nearest_tagged" if has_tags else "search_nearest"
        halves.append(
            sql.SQL(statement(name)).format(
                weight=sql.Literal(MEANING_WEIGHT),
                space=sql.Literal(space_id),
                dims=sql.Literal(dims),
                few=sql.Literal(FEW_NODES),
                separator=sql.Literal(_SEPARATOR),
                **common,
            )
        )
    vectors = sql.SQL("NULL" if space_id is None else "%(vectors)b")
    composed = sql.SQL(statement("search")).format(
        vectors=vectors, halves=sql.SQL("\nUNION ALL\n").join(halves)
    )
    return composed.as_string(None)
