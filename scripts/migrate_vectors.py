"""Load what the university wrote: `python scripts/migrate_vectors.py [--from SOURCE]`.

Validates every row, stores the good ones by id, embeds those whose text is new or changed, and
builds the index. SOURCE is a file, or firestore://PROJECT/COLLECTION of the legacy system. It can
be killed and started again: what is done is not done twice. Exit status: 0 all rows are loaded, 3
the good ones are and the bad ones are listed, 1 it failed.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from contracts.errors import HubError, SettingsError
from contracts.settings import DATA, Settings
from models.text_encoder import TextEncoder
from scripts.embedding import Advance, Embed, alone, embed, encoder_of, require_same_encoder
from scripts.reembed import change_embedder
from store.database import connect
from store.embedded import database_url
from store.knowledge import (
    SpaceCount,
    count_by_space,
    drop_space,
    find_space,
    make_index,
    register_space,
    tidy,
)
from store.knowledge_file import KnowledgeFile
from store.knowledge_firestore import SCHEME, FirestoreCollection
from store.knowledge_load import Loaded, end_load, load_nodes
from store.knowledge_source import BadRow, KnowledgeSource, Page
from store.migrate import migrate
from store.unembedded import without_vector
from training.examples import read_labels


@dataclass(frozen=True, slots=True)
class Report:
    """What a load did. `embedded` counts vectors; `spaces` is newest first.

    `too_long` says, by id, why a node is stored without a vector.
    """

    loaded: Loaded
    embedded: int
    too_long: Mapping[str, str]
    space: str
    spaces: tuple[SpaceCount, ...]


def migrate_vectors(
    source: KnowledgeSource,
    *,
    database_url: str,
    encoder: TextEncoder,
    prune: bool = False,
    replace: bool = False,
    embed: Embed = embed,
    advance: Advance = lambda what, done, of: None,
    list_bad: Callable[[BadRow], None] = lambda row: None,
) -> Report:
    """Load a source's nodes into a database, and give every node that is stored its vector.

    `prune` also removes the nodes that the source lacks (unless a row is bad); `replace` makes
    every vector of the encoder's space anew; `embed` is who embeds. Raises DatabaseUnavailable,
    MixedSpaces when the stored vectors of the encoder's fingerprint are not what it makes, and what
    the source raises.
    """
    with connect(database_url, vectors=False) as connection:
        migrate(connection)

    def listen(page: Page, loaded: Loaded) -> None:
        advance("reading", loaded.good + loaded.bad, None)
        for row in page.bad:
            list_bad(row)

    with connect(database_url) as connection, alone(connection):
        loaded = load_nodes(connection, source, prune=prune, listen=listen)
        if replace and (old := find_space(connection, encoder.space.fingerprint)):
            drop_space(connection, old)
        space = register_space(connection, encoder.space.fingerprint, dims=encoder.space.dims)
        require_same_encoder(connection, encoder, space=space)
        missing = without_vector(
            connection, space=space, listen=lambda seen: advance("looking at", seen, None)
        )
        too_long = embed(connection, missing, encoder=encoder, space=space, advance=advance)
        made = make_index(connection, space)
        if loaded.changed or loaded.removed or len(missing) or made:
            tidy(connection, rebuild=loaded.removed > 0 or not made)
        end_load(connection, source)
        spaces = tuple(count_by_space(connection))
    embedded = len(missing) - len(too_long)
    return Report(loaded, embedded, too_long, space.fingerprint, spaces)


def show_too_long(too_long: Mapping[str, str], *, console: Console) -> None:
    """Name the nodes that are found by their words alone, and say what to do."""
    for node, why in sorted(too_long.items()):
        console.print(
            f"node {node} has no vector: {why}; make several nodes of it", markup=False, style="red"
        )


def _show(report: Report, *, console: Console, since_s: float) -> None:
    loaded = report.loaded
    show_too_long(report.too_long, console=console)
    console.print(
        f"{loaded.good} nodes: {loaded.changed} new or changed, {report.embedded} embedded"
        f" in space {report.space}, {loaded.removed} removed; {loaded.bad} bad rows;"
        f" {time.monotonic() - since_s:.1f} s"
    )
    if loaded.begun:
        console.print(
            f"{loaded.begun} of the rows were read by the load that this one went on with, which"
            " listed the bad ones among them."
        )
    for space in report.spaces:
        note = ""
        if space.vectors < space.nodes:
            note = f", {space.nodes - space.vectors} nodes have none"
        elif space.fingerprint != report.space:
            note = f"; when every replica reports {report.space}: --drop-space {space.fingerprint}"
        console.print(f"  space {space.fingerprint}: {space.vectors} vectors{note}")


@contextmanager
def _progress(console: Console) -> Iterator[Advance]:
    """Show what is being done and how far it is."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("nodes", total=None)

        def advance(what: str, done: int, of: int | None) -> None:
            progress.update(task, description=f"{what} nodes", completed=done, total=of)

        yield advance


def _source(where: str, *, console: Console) -> KnowledgeSource:
    if where.startswith(f"{SCHEME}://"):
        return FirestoreCollection(
            where, intents=read_labels(), report=lambda line: console.print(line, markup=False)
        )
    return KnowledgeFile(Path(where), intents=read_labels())


def _embed(arguments: argparse.Namespace, settings: Settings, *, database_url: str) -> Embed:
    if arguments.workers is None:
        return embed
    if settings.embedder != "local" and arguments.encoder is None:
        raise SettingsError("--workers share the work of an encoder of this machine, not Vertex's.")
    # Ray takes seconds to import.
    from scripts.bulk_embedding import BulkEmbedding

    folder = (arguments.encoder or settings.encoder_dir).resolve()
    return BulkEmbedding(database_url, arguments.workers, folder)


def _drop(url: str, fingerprint: str, *, console: Console) -> int:
    with connect(url) as connection:
        space = find_space(connection, fingerprint)
        if space is None:
            console.print(f"The database knows no space {fingerprint}; nothing was removed.")
            return 1
        drop_space(connection, space)
    console.print(f"Space {fingerprint} is gone.")
    return 0


def _positive(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"a number from 1, not {text!r}")
    return int(text)


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument(
        "--from", dest="source", default=str(DATA / "knowledge_nodes.json"), metavar="SOURCE",
        help="JSON array or JSON lines of nodes, or firestore://PROJECT/COLLECTION"
        " (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--database-url", help="default: HUB_DATABASE_URL, or the running hub's")
    parser.add_argument(
        "--encoder", type=Path, metavar="DIR", help="default: the one that HUB_EMBEDDER names"
    )
    parser.add_argument("--prune", action="store_true", help="remove nodes that SOURCE lacks")
    parser.add_argument(
        "--workers", type=_positive, metavar="N",
        help="embed with N processes of one core each, on the cluster of RAY_ADDRESS or on a Ray of"
        " this command's own (default: with two threads of this process)",
    )  # fmt: skip
    parser.add_argument("--replace", action="store_true", help="make all vectors anew")
    parser.add_argument(
        "--reembed",
        action="store_true",
        help="change over to the embedder that HUB_EMBEDDER names, while the hub serves; no SOURCE",
    )
    parser.add_argument("--hub", metavar="URL", help="with --reembed; default: the one beside")
    parser.add_argument("--keep-old", action="store_true", help="with --reembed: drop no space")
    parser.add_argument("--drop-space", metavar="FINGERPRINT", help="remove an old space, and end")
    arguments = parser.parse_args(given)
    if arguments.reembed and arguments.workers:
        parser.error("--reembed embeds by itself: it takes no --workers")
    return arguments


def main(given: Sequence[str] | None = None) -> int:
    """Load, say what was done, and return the exit status."""
    arguments, console, since_s = _arguments(given), Console(highlight=False), time.monotonic()
    try:
        settings = Settings()
        url = arguments.database_url or database_url(settings)
        if arguments.drop_space:
            return _drop(url, arguments.drop_space, console=console)
        if arguments.reembed:
            with _progress(console) as advance:
                return change_embedder(
                    settings,
                    database_url=arguments.database_url,
                    encoder_dir=arguments.encoder,
                    hub_url=arguments.hub,
                    keep_old=arguments.keep_old,
                    advance=advance,
                    console=console,
                )
        with _progress(console) as advance:
            report = migrate_vectors(
                _source(arguments.source, console=console),
                database_url=url,
                encoder=encoder_of(settings, arguments.encoder),
                prune=arguments.prune,
                replace=arguments.replace,
                embed=_embed(arguments, settings, database_url=url),
                advance=advance,
                list_bad=lambda row: console.print(
                    f"{row.place} left out: {row.reason}", markup=False, style="red"
                ),
            )
    except FileNotFoundError as error:
        console.print(
            f"No encoder: {error}. `make run` makes one, or name it with --encoder.", markup=False
        )
        return 1
    except HubError as error:
        console.print(f"{error} What was loaded before is kept.", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped. What was done is kept; run it again to go on.")
        return 130
    _show(report, console=console, since_s=since_s)
    if arguments.prune and report.loaded.bad:
        console.print("No node was pruned, since a bad row may be a node that is stored.")
    return 3 if report.loaded.bad or report.too_long else 0


if __name__ == "__main__":
    sys.exit(main())
