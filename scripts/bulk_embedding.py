"""Embedding by many: tasks of a Ray cluster read nodes, embed them and store their vectors.

Through Ray go numbers of nodes and what became of them, and nothing else: a worker reads its texts
from the database and writes its vectors there by COPY, so neither Ray nor the driver ever holds
them. A chunk is stored whole or not at all; who is killed leaves the others stored.
"""

import json
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import psycopg
import ray
import ray.data
from ray.data import DataContext, TaskPoolStrategy
from ray.exceptions import GetTimeoutError

from contracts.errors import HubError, Unschedulable
from models.encoder import Encoder
from models.text_encoder import TextEncoder
from scripts.embedding import Advance, embed_batch
from store.database import Connection, connect
from store.knowledge import StoredSpace
from store.unembedded import NodeNumbers
from training.ray_job import connected
from training.snapshot import peak_rss_bytes

CHUNK: Final = 256
"""Nodes of one task: seconds of work, so that what Ray costs a task is little beside it."""

START_TIMEOUT_S: Final = 60


class EmbeddingFailed(HubError):
    """A worker could not embed or store its nodes."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """What became of a chunk: its nodes, how long they took, and how large their process was.

    `too_long` says, by id, why some have no vector.
    """

    nodes: int
    too_long: dict[str, str]
    seconds: float
    cpu_s: float
    peak_rss_bytes: int


@dataclass(frozen=True, slots=True)
class BulkEmbedding:
    """Embeds as `scripts.embedding.embed` does, with `workers` instead of this process."""

    database_url: str
    workers: int
    encoder_dir: Path
    """The encoder's folder, which every node of the cluster has."""

    def __call__(
        self,
        connection: Connection,
        numbers: NodeNumbers,
        *,
        encoder: TextEncoder,
        space: StoredSpace,
        advance: Advance = lambda what, done, of: None,
    ) -> dict[str, str]:
        """Make and store these nodes' vectors on the cluster of RAY_ADDRESS, or a Ray of our own.

        Return why some got none, by id. Raises Unschedulable when there is no room for a worker,
        and EmbeddingFailed with a worker's reason; the chunks before are kept.
        """
        too_long: dict[str, str] = {}
        if not len(numbers):
            return too_long
        advance(f"starting {self.workers} workers for", 0, len(numbers))
        done = 0
        with connected():
            for chunk in self.run(numbers, space=space):
                done += chunk.nodes
                too_long |= chunk.too_long
                advance("embedding", done, len(numbers))
        return too_long

    def run(self, numbers: NodeNumbers, *, space: StoredSpace) -> Iterator[Embedded]:
        """Yield each chunk when it is stored. This process is connected to a Ray."""
        _require_room()
        DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)  # we say ourselves how far it is

        def embed_chunk(row: dict[str, Any]) -> dict[str, Any]:
            return _embed_chunk(self, np.frombuffer(row["numbers"], np.int32), space=space)

        chunks = [
            {"numbers": numbers[start : start + CHUNK].tobytes()}
            for start in range(0, len(numbers), CHUNK)
        ]
        embedded = ray.data.from_items(chunks, override_num_blocks=len(chunks)).map(
            embed_chunk, compute=TaskPoolStrategy(size=min(self.workers, len(chunks))), num_cpus=1
        )
        for row in embedded.iter_rows():
            if problem := row.pop("problem"):
                raise EmbeddingFailed(problem)
            yield Embedded(**row | {"too_long": json.loads(row["too_long"])})


def _require_room() -> None:
    """Raise Unschedulable unless the cluster has a CPU for a worker, or gets one in time."""
    try:
        ray.get(_answer.options(num_cpus=1).remote(), timeout=START_TIMEOUT_S)
    except GetTimeoutError as error:
        has = ray.cluster_resources()  # type: ignore[no-untyped-call]
        raise Unschedulable(
            f"No CPU was free for {START_TIMEOUT_S} s, and a worker takes one whole; the cluster"
            f" has {has.get('CPU', 0):g} in all."
        ) from error


@ray.remote
def _answer() -> None:
    """Take a CPU, and give it back."""


def _embed_chunk(
    bulk: BulkEmbedding, numbers: NodeNumbers, *, space: StoredSpace
) -> dict[str, Any]:
    """Embed a chunk in this process, one of the workers; `problem` says why it could not."""
    problem, too_long = "", dict[str, str]()
    since_s, since_cpu_s = time.perf_counter(), time.process_time()
    try:
        encoder, connection = _opened(bulk)
        since_s, since_cpu_s = time.perf_counter(), time.process_time()
        too_long = embed_batch(connection, numbers.tolist(), encoder=encoder, space=space)
    except (HubError, psycopg.Error, OSError) as error:
        # As a value: an exception that has travelled through Ray is a page of text.
        problem = f"{type(error).__name__}: {error}"
    return {
        "nodes": len(numbers),
        "too_long": json.dumps(too_long),
        "seconds": time.perf_counter() - since_s,
        "cpu_s": time.process_time() - since_cpu_s,
        "peak_rss_bytes": peak_rss_bytes(),
        "problem": problem,
    }


@lru_cache(maxsize=1)
def _opened(bulk: BulkEmbedding) -> tuple[TextEncoder, Connection]:
    """Open a worker's model and connection once: Ray gives a process one task after the other."""
    # A worker is one core: the tokenizer would take them all.
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    return Encoder(bulk.encoder_dir, threads=1), connect(bulk.database_url)
