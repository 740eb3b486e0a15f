"""How fast many embed: `python -m benchmarks.bulk_embedding [--nodes 20000] [--rounds 2]`.

Loads generated nodes (sentences of data/knowledge_nodes.json, shuffled) into a Postgres of its own
and embeds them with the hub's encoder, each round a part of them, in turn by the bare encoder in
one process and in two (one core each, texts in memory, no database) and by Ray Data's workers from
the database into it. Prints nodes per second, per core, against as many bare encoders, and peak
resident sets. Exit status 1 when workers do less than 80 % of what as many bare encoders do.
"""

import argparse
import json
import multiprocessing
import os
import random
import re
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contracts.records import KnowledgeNode
from contracts.settings import DATA, Settings
from models.encoder import Encoder, VectorSpace
from scripts.bulk_embedding import BulkEmbedding
from store.database import Connection, connect
from store.embedded import EmbeddedPostgres
from store.knowledge import StoredSpace, drop_space, register_space, source_text
from store.knowledge_load import load_nodes
from store.knowledge_source import Page
from store.migrate import migrate
from store.unembedded import NodeNumbers, read_nodes, without_vector
from training.ray_job import connected
from training.snapshot import peak_rss_bytes

BAR = 0.8
COUNTS = (1, 2)
PAGE_ROWS = 1_000
WORKER_NICENESS = 15
"""Ray's own for its workers."""


class GeneratedNodes:
    """A source of nodes of two to six sentences that the project's own nodes hold."""

    name = "generated"

    def __init__(self, count: int) -> None:
        self._count = count

    def pages(self, *, after: str | None = None) -> Iterator[Page]:
        rows = json.loads((DATA / "knowledge_nodes.json").read_text())
        sentences = [one for row in rows for one in re.split(r"(?<=[.?!])\s+", row["body"])]
        draw = random.Random(0)
        for start in range(0, self._count, PAGE_ROWS):
            numbers = range(start, min(start + PAGE_ROWS, self._count))
            yield Page(tuple(self._node(number, rows, sentences, draw) for number in numbers))

    def _node(
        self, number: int, rows: Sequence[dict[str, str]], sentences: list[str], draw: random.Random
    ) -> KnowledgeNode:
        row = draw.choice(rows)
        body = " ".join(draw.sample(sentences, draw.randint(2, 6)))
        return KnowledgeNode(f"n{number}", row["title"], body, row["url"], row["intent"])


@dataclass(frozen=True, slots=True)
class Pace:
    """What some did of a part: nodes, the seconds from their readiness on, and what they took."""

    nodes: int
    seconds: float
    cpu_s: float
    start_s: float
    peak_rss_bytes: int

    @property
    def nodes_per_s(self) -> float:
        return self.nodes / self.seconds

    @property
    def nodes_per_cpu_s(self) -> float:
        return self.nodes / self.cpu_s


def bare(numbers: NodeNumbers, *, url: str, encoder_dir: Path, processes: int) -> Pace:
    """Embed with as many bare encoders, each on a core of its own."""
    cores = sorted(os.sched_getaffinity(0))[:processes]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager, ProcessPoolExecutor(processes, context) as pool:
        barrier = manager.Barrier(len(cores))
        runs = [
            pool.submit(_bare, numbers[place :: len(cores)], url, encoder_dir, core, barrier)
            for place, core in enumerate(cores)
        ]
        ended = [run.result() for run in runs]
    seconds, cpu_s, peaks = zip(*ended, strict=True)
    return Pace(len(numbers), max(seconds), sum(cpu_s), 0.0, max(peaks))


def _bare(
    numbers: NodeNumbers, url: str, encoder_dir: Path, core: int, barrier: threading.Barrier
) -> tuple[float, float, int]:
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.sched_setaffinity(0, {core})
    os.setpriority(os.PRIO_PROCESS, 0, max(WORKER_NICENESS, os.getpriority(os.PRIO_PROCESS, 0)))
    encoder = Encoder(encoder_dir, threads=1)
    with connect(url) as connection:
        found = {node.id: source_text(node) for node in read_nodes(connection, numbers.tolist())}
    texts = sorted(found.values(), key=len, reverse=True)
    barrier.wait()
    since_s, since_cpu_s = time.perf_counter(), time.process_time()
    for start in range(0, len(texts), encoder.texts_at_once):
        encoder.encode(texts[start : start + encoder.texts_at_once], task="document")
    took_s, cpu_s = time.perf_counter() - since_s, time.process_time() - since_cpu_s
    return took_s, cpu_s, peak_rss_bytes()


def bulk(numbers: NodeNumbers, *, url: str, encoder_dir: Path, workers: int) -> Pace:
    """Embed with workers of the Ray that this process is connected to."""
    with connect(url) as connection:
        space = _space(connection, encoder_dir)
    embedding = BulkEmbedding(url, workers, encoder_dir)
    began_s = time.perf_counter()
    ready_s, cpu_s, peak, done = 0.0, 0.0, 0, 0
    for chunk in embedding.run(numbers, space=space):
        ready_s = ready_s or time.perf_counter() - chunk.seconds
        peak, done = max(peak, chunk.peak_rss_bytes), done + chunk.nodes
        cpu_s += chunk.cpu_s
    seconds = time.perf_counter() - ready_s
    with connect(url) as connection:
        (stored,) = connection.execute("SELECT count(*) FROM knowledge_vectors").fetchone() or (0,)
    if not len(numbers) == done == stored:
        raise AssertionError(f"{len(numbers)} nodes, {done} embedded, {stored} stored")
    return Pace(len(numbers), seconds, cpu_s, ready_s - began_s, peak)


def forget(url: str, encoder_dir: Path) -> None:
    """Take the vectors out again, so that the next ones find the table as these did."""
    with connect(url) as connection:
        drop_space(connection, _space(connection, encoder_dir))
        connection.execute("VACUUM knowledge_vectors")


def measure(
    url: str, *, encoder_dir: Path, rounds: int, console: Console
) -> dict[tuple[str, int], list[Pace]]:
    """Embed each round's part in every way, one after the other; return the paces by way."""
    with connect(url) as connection:
        everything = without_vector(connection, space=_space(connection, encoder_dir))
    ways = [(name, count) for count in COUNTS for name in ("bare", "workers")]
    paces: dict[tuple[str, int], list[Pace]] = {way: [] for way in ways}
    for part in range(rounds):
        numbers = everything[part::rounds]
        # What comes first in one round comes last in the next.
        for name, count in ways if part % 2 == 0 else reversed(ways):
            with console.status(f"round {part + 1} of {rounds}: {name}, {count}"):
                if name == "bare":
                    pace = bare(numbers, url=url, encoder_dir=encoder_dir, processes=count)
                else:
                    pace = bulk(numbers, url=url, encoder_dir=encoder_dir, workers=count)
                    forget(url, encoder_dir)
            console.print(
                f"[dim]round {part + 1}: {name}, {count}: {pace.nodes_per_s:.1f}/s,"
                f" {pace.nodes_per_cpu_s:.1f} a CPU second[/]"
            )
            paces[name, count].append(pace)
    return paces


def show(paces: dict[tuple[str, int], list[Pace]], *, console: Console) -> float:
    """Print the table; return the worst share of the bare encoders that workers reach."""
    table = Table("", "nodes/s", "per core", "÷ as many bare", show_edge=False)
    for title in ("per CPU second", "÷ as many bare", "start s", "peak MiB of one"):
        table.add_column(title)
    for column in table.columns[1:]:
        column.justify = "right"
    shares = []
    for (name, count), runs in paces.items():
        alone = paces["bare", count]
        per_s = statistics.median(run.nodes_per_s for run in runs)
        share = _share([run.nodes_per_s for run in runs], [run.nodes_per_s for run in alone])
        cpu_share = _share(
            [run.nodes_per_cpu_s for run in runs], [run.nodes_per_cpu_s for run in alone]
        )
        if name == "workers":
            shares.append(share)
        table.add_row(
            f"{name}, {count}",
            f"{per_s:.1f}",
            f"{per_s / count:.1f}",
            f"{share:.2f}",
            f"{statistics.median(run.nodes_per_cpu_s for run in runs):.1f}",
            f"{cpu_share:.2f}",
            f"{statistics.median(run.start_s for run in runs):.1f}",
            f"{max(run.peak_rss_bytes for run in runs) / 2**20:.0f}",
        )
    console.print(table)
    return min(shares)


def _share(paces: Sequence[float], bare_paces: Sequence[float]) -> float:
    """Return the median over the rounds of a pace against the bare one of the same round."""
    return statistics.median(one / other for one, other in zip(paces, bare_paces, strict=True))


def _space(connection: Connection, encoder_dir: Path) -> StoredSpace:
    space = VectorSpace.read(encoder_dir)
    return register_space(connection, space.fingerprint, dims=space.dims)


def main(given: Sequence[str] | None = None) -> int:
    """Generate, load, measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--nodes", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--encoder", type=Path, default=Settings().encoder_dir, metavar="DIR")
    arguments = parser.parse_args(given)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)
    encoder_dir = arguments.encoder.resolve()
    with (
        tempfile.TemporaryDirectory(prefix="hub-bulk-") as folder,
        EmbeddedPostgres(Path(folder)) as server,
        connected(),
    ):
        with connect(server.url, vectors=False) as connection:
            migrate(connection)
        since_s = time.perf_counter()
        with connect(server.url) as connection, console.status("loading") as status:
            loaded = load_nodes(
                connection,
                GeneratedNodes(arguments.nodes),
                listen=lambda page, so_far: status.update(f"loading: {so_far.good:,} nodes"),
            )
        took_s = time.perf_counter() - since_s
        console.print(f"{loaded.good:,} nodes loaded in {took_s:.1f} s")
        paces = measure(
            server.url, encoder_dir=encoder_dir, rounds=arguments.rounds, console=console
        )
        worst = show(paces, console=console)
        console.print(f"peak of this process, the driver: {peak_rss_bytes() / 2**20:.0f} MiB")
    console.print(f"workers reach {worst:.0%} of as many bare encoders ({BAR:.0%} is the bar)")
    return 0 if worst >= BAR else 1


if __name__ == "__main__":
    sys.exit(main())
