"""Load what the university wrote: `python scripts/migrate_vectors.py [--from FILE]`.

Validates every row, stores the good ones by id, embeds those whose text is new or changed, and
builds the index. It can be killed and started again: what is done is not done twice. Exit status:
0 all rows are loaded, 3 the good ones are and the bad ones are listed, 1 it failed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.errors import HubError
from contracts.records import KnowledgeNode
from contracts.settings import DATA, Settings
from models.encoder import Encoder
from models.text_encoder import TextEncoder
from scripts.embedding import Advance, alone, embed, require_same_encoder
from store.database import Connection, connect
from store.embedded import database_url
from store.knowledge import (
    SpaceCount,
    count_by_space,
    drop_space,
    find_space,
    make_index,
    register_space,
    tidy,
    upsert_nodes,
    without_vector,
)
from store.knowledge_file import BadRow, read_knowledge
from store.migrate import migrate
from training.examples import read_labels


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
    encoder: TextEncoder,
    prune: bool = False,
    replace: bool = False,
    advance: Advance = lambda done, of: None,
) -> Report:
    """Load a file of nodes into a database, with vectors of `encoder`.

    `prune` also removes the nodes that are not in the file (refused when a row is bad); `replace`
    makes every vector of the encoder's space anew. Raises DataError, DatabaseUnavailable,
    and MixedSpaces when the stored vectors of the encoder's fingerprint are not what it makes.
    """
    read = read_knowledge(file, intents=read_labels())
    with connect(database_url, vectors=False) as connection:
        migrate(connection)
    with connect(database_url) as connection, alone(connection):
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
                encoder=Encoder(arguments.encoder or settings.encoder_dir, threads=2),
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
