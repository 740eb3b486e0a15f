"""Load what the university wrote: `python scripts/migrate_vectors.py [--from FILE]`.

Validates every row, stores the good ones by id, embeds those whose text is new or changed, and
builds the index. It can be killed and started again: what is done is not done twice. Exit status:
0 all rows are loaded, 3 the good ones are and the bad ones are listed, 1 it failed.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.errors import HubError, MixedSpaces
from contracts.records import KnowledgeNode, Vectors
from contracts.settings import DATA, Settings
from models.encoder import Encoder, VectorSpace
from store.database import Connection, connect
from store.embedded import database_url
from store.knowledge import (
    SpaceCount,
    StoredSpace,
    count_by_space,
    drop_space,
    find_space,
    make_index,
    register_space,
    sample_vectors,
    source_text,
    tidy,
    upsert_nodes,
    upsert_vectors,
    without_vector,
)
from store.knowledge_file import BadRow, read_knowledge
from store.migrate import migrate
from training.examples import read_labels

BATCH = 32
"""Nodes that are embedded and stored together: what a kill can cost."""

SAME_VECTOR = 0.999
"""Cosine from which on an encoder is held to have made a stored vector."""

_LOCK = 7_402_711_385_216

Advance = Callable[[int, int], None]
"""Called with (nodes embedded, nodes to embed) after each batch."""


class TextEncoder(Protocol):
    """What turns texts into unit vectors of one space: models.encoder.Encoder."""

    space: VectorSpace

    def encode(self, texts: list[str]) -> Vectors: ...


@dataclass(frozen=True, slots=True)
class Report:
    """What a load did. `changed` counts nodes, `embedded` vectors; `spaces` is newest first."""

    good: int
    bad: tuple[BadRow, ...]
    changed: int
    embedded: int
    removed: int
    space: str
    spaces: tuple[SpaceCount, ...]


def migrate_vectors(
    file: Path,
    *,
    database_url: str,
    encoder_dir: Path,
    prune: bool = False,
    replace: bool = False,
    advance: Advance = lambda done, of: None,
) -> Report:
    """Load a file of nodes into a database, with vectors of the encoder in `encoder_dir`.

    `prune` also removes the nodes that are not in the file (refused when a row is bad); `replace`
    makes every vector of the encoder's space anew. Raises DataError, DatabaseUnavailable,
    FileNotFoundError when there is no encoder, and MixedSpaces when the stored vectors of the
    encoder's fingerprint are not what this encoder makes.
    """
    read = read_knowledge(file, intents=read_labels())
    with connect(database_url, vectors=False) as connection:
        migrate(connection)
    encoder = Encoder(encoder_dir, threads=2)
    with connect(database_url) as connection, _alone(connection):
        changed = upsert_nodes(connection, read.nodes)
        removed = _prune(connection, read.nodes) if prune and not read.bad else 0
        if replace and (old := find_space(connection, encoder.space.fingerprint)):
            drop_space(connection, old)
        space = register_space(connection, encoder.space.fingerprint, dims=encoder.space.dims)
        require_same_encoder(connection, read.nodes, encoder=encoder, space=space)
        missing = without_vector(connection, read.nodes, space=space)
        embed(connection, missing, encoder=encoder, space=space, advance=advance)
        made = make_index(connection, space)
        if changed or removed or missing or made:
            tidy(connection, rebuild=removed > 0 or not made)
        spaces = tuple(count_by_space(connection))
    return Report(
        len(read.nodes), read.bad, changed, len(missing), removed, space.fingerprint, spaces
    )


def require_same_encoder(
    connection: Connection,
    nodes: Sequence[KnowledgeNode],
    *,
    encoder: TextEncoder,
    space: StoredSpace,
) -> None:
    """Raise MixedSpaces when the encoder does not make the vectors that its space holds already."""
    known, stored = sample_vectors(connection, nodes, space=space)
    if not known:
        return
    made = encoder.encode([source_text(node) for node in known])
    worst = float(np.min(np.sum(made * stored, axis=1)))
    if worst < SAME_VECTOR:
        raise MixedSpaces(
            f"The stored vectors of {space.fingerprint} are not what this encoder makes (cosine"
            f" {worst:.3f}). Use the encoder that made them, or run this with --replace."
        )


def embed(
    connection: Connection,
    nodes: Sequence[KnowledgeNode],
    *,
    encoder: TextEncoder,
    space: StoredSpace,
    advance: Advance,
) -> None:
    """Make and store the nodes' vectors, batch by batch; a batch is kept whatever comes after."""
    # Texts of like length share a batch, so that little is computed on padding.
    ordered = sorted(nodes, key=lambda node: (len(node.body), node.id))
    for start in range(0, len(ordered), BATCH):
        batch = ordered[start : start + BATCH]
        vectors = encoder.encode([source_text(node) for node in batch])
        upsert_vectors(
            connection, batch, vectors, fingerprint=encoder.space.fingerprint, space=space
        )
        advance(start + len(batch), len(ordered))


@contextmanager
def _alone(connection: Connection) -> Iterator[None]:
    """Wait until no other load runs: two would embed the same nodes."""
    connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
    try:
        yield
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))


def _prune(connection: Connection, nodes: Sequence[KnowledgeNode]) -> int:
    return connection.execute(
        "DELETE FROM knowledge_nodes WHERE id <> ALL(%s)", ([node.id for node in nodes],)
    ).rowcount


def _show(report: Report, *, console: Console, since_s: float) -> None:
    for row in report.bad:
        console.print(f"row {row.number} left out: {row.reason}", markup=False, style="red")
    console.print(
        f"{report.good} nodes: {report.changed} new or changed, {report.embedded} embedded"
        f" in space {report.space}, {report.removed} removed; {len(report.bad)} bad rows;"
        f" {time.monotonic() - since_s:.1f} s"
    )
    for space in report.spaces:
        note = ""
        if space.vectors < space.nodes:
            note = f", {space.nodes - space.vectors} nodes have none"
        elif space.fingerprint != report.space:
            note = f"; when every replica reports {report.space}: --drop-space {space.fingerprint}"
        console.print(f"  space {space.fingerprint}: {space.vectors} vectors{note}")


def _drop(url: str, fingerprint: str, *, console: Console) -> int:
    with connect(url) as connection:
        space = find_space(connection, fingerprint)
        if space is None:
            console.print(f"The database knows no space {fingerprint}; nothing was removed.")
            return 1
        drop_space(connection, space)
    console.print(f"Space {fingerprint} is gone.")
    return 0


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--from", dest="file", type=Path, default=DATA / "knowledge_nodes.json", metavar="FILE",
        help="JSON array or JSON lines of nodes (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--database-url", help="default: HUB_DATABASE_URL, or the running hub's")
    parser.add_argument("--encoder", type=Path, metavar="DIR", help="default: HUB_HOME/encoder")
    parser.add_argument("--prune", action="store_true", help="remove nodes that FILE lacks")
    parser.add_argument("--replace", action="store_true", help="make all vectors anew")
    parser.add_argument("--drop-space", metavar="FINGERPRINT", help="remove an old space, and end")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Load, say what was done, and return the exit status."""
    arguments, console, since_s = _arguments(given), Console(highlight=False), time.monotonic()
    try:
        settings = Settings()
        url = arguments.database_url or database_url(settings)
        if arguments.drop_space:
            return _drop(url, arguments.drop_space, console=console)
        columns = (TextColumn("embedding"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=console) as progress:
            task = progress.add_task("embedding", total=None)
            report = migrate_vectors(
                arguments.file,
                database_url=url,
                encoder_dir=arguments.encoder or settings.encoder_dir,
                prune=arguments.prune,
                replace=arguments.replace,
                advance=lambda done, of: progress.update(task, completed=done, total=of),
            )
            progress.update(task, completed=report.embedded, total=report.embedded)
    except FileNotFoundError as error:
        console.print(
            f"No encoder: {error}. `make run` makes one, or name it with --encoder.", markup=False
        )
        return 1
    except HubError as error:
        console.print(f"{error} What was loaded before is kept.", markup=False)
        return 1
    _show(report, console=console, since_s=since_s)
    if arguments.prune and report.bad:
        console.print("Nothing was removed, since a bad row may be a node that is stored.")
    return 3 if report.bad else 0


if __name__ == "__main__":
    sys.exit(main())
