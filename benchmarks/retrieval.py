"""How well the search ranks: `python -m benchmarks.retrieval --beir DIR`.

Loads a collection in BEIR's layout (corpus.jsonl, queries.jsonl, qrels.tsv) into a Postgres of its
own with the code that loads knowledge, asks every judged query with the code that serves, and
prints nDCG@10 for the vectors alone, the full text alone, and both. Embedding takes minutes;
`--keep DIR` keeps the database there, so that the next run starts where this one ended. Exit
status 1 when the hybrid is below the bar or below one of its halves.
"""

import argparse
import asyncio
import json
import math
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from contracts.errors import HubError
from contracts.records import KnowledgeNode, Search
from contracts.settings import Settings
from contracts.text import normalise
from models.encoder import Encoder
from scripts.embedding import embed
from store.database import connect, open_pool
from store.embedded import EmbeddedPostgres
from store.knowledge import make_index, register_space, tidy, upsert_nodes
from store.migrate import migrate
from store.retrieval import SERVER_OPTIONS, KnowledgeSearch
from store.unembedded import without_vector

BAR = 0.685
"""The hybrid's least nDCG@10 on SciFact."""

FIRST = 10
BATCH = 32

Judgements = Mapping[str, Mapping[str, int]]
"""Query id → document id → how relevant."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Documents, and queries with their judgements."""

    documents: Sequence[KnowledgeNode]
    queries: Mapping[str, str]
    judgements: Judgements


@dataclass(frozen=True, slots=True)
class Score:
    """One way to search: mean nDCG@10, and milliseconds a query in calls of 32."""

    name: str
    ndcg: float
    query_ms: float


def read_collection(folder: Path) -> Collection:
    """Read a folder in BEIR's layout. Queries without a judgement are left out."""

    def lines(name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (folder / name).read_text().splitlines()]

    judgements: dict[str, dict[str, int]] = {}
    for line in (folder / "qrels.tsv").read_text().splitlines()[1:]:
        query, document, relevance = line.split("\t")
        judgements.setdefault(query, {})[document] = int(relevance)
    return Collection(
        documents=[
            KnowledgeNode(row["_id"], row.get("title", ""), row["text"], "/", "document")
            for row in lines("corpus.jsonl")
        ],
        queries={row["_id"]: row["text"] for row in lines("queries.jsonl")},
        judgements=judgements,
    )


def ndcg(found: Mapping[str, Sequence[str]], *, judgements: Judgements) -> float:
    """Return nDCG@10, the mean over the judged queries, with linear gains as in BEIR."""
    total = 0.0
    for query, relevant in judgements.items():
        gained = (relevant.get(document, 0) for document in found[query][:FIRST])
        best = sorted(relevant.values(), reverse=True)[:FIRST]
        total += _discounted(gained) / _discounted(best)
    return total / len(judgements)


def _discounted(gains: Iterable[int]) -> float:
    return math.fsum(gain / math.log2(place + 2) for place, gain in enumerate(gains))


def load(collection: Collection, *, url: str, encoder: Encoder, console: Console) -> None:
    """Store and embed what is not there yet."""
    with connect(url, vectors=False) as connection:
        migrate(connection)
    with connect(url) as connection:
        upsert_nodes(connection, collection.documents)
        space = register_space(connection, encoder.space.fingerprint, dims=encoder.space.dims)
        missing = without_vector(connection, space=space)
        with Progress(console=console) as progress:
            task = progress.add_task(f"embedding {len(missing)} documents", total=len(missing))
            embed(
                connection,
                missing,
                encoder=encoder,
                space=space,
                advance=lambda what, done, of: progress.update(task, completed=done),
            )
        if make_index(connection, space) or len(missing):
            tidy(connection, rebuild=False)


async def measure(collection: Collection, *, url: str, encoder: Encoder) -> list[Score]:
    """Ask every judged query in each way."""
    queries = [query for query in collection.queries if query in collection.judgements]
    texts = [collection.queries[query] for query in queries]
    vectors = encoder.encode([normalise(text) for text in texts])
    space = encoder.space.fingerprint
    ways = {
        "vectors alone": [Search("", v, space, top_k=FIRST) for v in vectors],
        "full text alone": [Search(t, None, None, top_k=FIRST) for t in texts],
        "hybrid": [Search(t, v, space, top_k=FIRST) for t, v in zip(texts, vectors, strict=True)],
    }
    pool = open_pool(url, size=1, options=SERVER_OPTIONS)
    await pool.open(wait=True)
    search, scores = KnowledgeSearch(pool), []
    for name, searches in ways.items():
        await search.search(searches[:BATCH])  # warm: plans, pages and nodes are in memory
        since, found = time.perf_counter(), []
        for start in range(0, len(searches), BATCH):
            found += await search.search(searches[start : start + BATCH])
        query_ms = (time.perf_counter() - since) * 1000 / len(searches)
        ids = {query: [n.id for n in nodes] for query, nodes in zip(queries, found, strict=True)}
        scores.append(Score(name, ndcg(ids, judgements=collection.judgements), query_ms))
    await pool.close()
    return scores


def main(given: Sequence[str] | None = None) -> int:
    """Load, measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--beir", type=Path, required=True, metavar="DIR")
    parser.add_argument("--encoder", type=Path, metavar="DIR", help="default: HUB_HOME/encoder")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the database there")
    arguments, console = parser.parse_args(given), Console(highlight=False)
    try:
        collection = read_collection(arguments.beir)
        encoder = Encoder(arguments.encoder or Settings().encoder_dir, threads=2)
        with (
            tempfile.TemporaryDirectory(prefix="hub-beir-") as folder,
            EmbeddedPostgres(arguments.keep or Path(folder)) as server,
        ):
            load(collection, url=server.url, encoder=encoder, console=console)
            scores = asyncio.run(measure(collection, url=server.url, encoder=encoder))
    except FileNotFoundError as error:
        console.print(f"{error}. An encoder is made by `make run`.", markup=False)
        return 1
    except HubError as error:
        console.print(str(error), markup=False)
        return 1
    table = Table("", f"nDCG@{FIRST}", "ms a query", title=f"{arguments.beir.name}")
    for score in scores:
        table.add_row(score.name, f"{score.ndcg:.4f}", f"{score.query_ms:.2f}")
    console.print(table)
    *halves, hybrid = scores
    passed = hybrid.ndcg >= BAR and all(hybrid.ndcg > half.ndcg for half in halves)
    console.print(
        f"{len(collection.documents)} documents, {len(collection.judgements)} queries; the hybrid"
        f" {'is' if passed else 'IS NOT'} at {BAR} or more and above each half."
    )
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
