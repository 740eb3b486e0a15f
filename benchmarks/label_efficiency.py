"""What a label is worth: `python -m benchmarks.label_efficiency --clinc DIR`.

Replays CLINC150 as a stream whose intents are as skewed as real traffic (Zipf), labels some of it,
trains a linear head on frozen embeddings with those labels, and prints the balanced test accuracy:
labels at random, by the review queue, and by plain ways to choose. The queue is the production
one, `annotation.queue.rank`: label a batch, train the head, rank again with its confidences.
Exit status 1 when 500 labels by the queue are worth less than 800 random ones.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.cluster import KMeans

from annotation.questions import Candidate
from annotation.queue import rank
from benchmarks.label_stream import Collection, Labelled, LinearHead, Rows, read_clinc, replay
from contracts.errors import HubError
from contracts.settings import Settings

LABELS: Final = 500
RANDOM_LABELS: Final = (500, 700, 800, 1000)
BAR: Final = 800
"""So many random labels the queue's 500 must be worth."""

BATCH: Final = 50
INTERACTIONS: Final = 10_000
SEEDS: Final = (0, 1, 2)
SKEWS: Final = (1.0, 0.7, 0.5)

_START: Final = datetime(2026, 1, 1, tzinfo=UTC)

Way = Callable[[Labelled, Rows, int], Sequence[int]]
"""Chooses, from a stream and with a seed, the rows to label."""


def choose_randomly(texts: Labelled, stream: Rows, seed: int, *, labels: int) -> list[int]:
    """Choose interactions by chance; a text that was labelled already is not labelled again."""
    drawn = np.random.default_rng(seed).permutation(stream)
    return list(dict.fromkeys(int(row) for row in drawn))[:labels]


def choose_by_queue(texts: Labelled, stream: Rows, seed: int) -> list[int]:
    """Choose what the review queue puts first, a batch at a time, while the stream comes in."""
    labelled: list[int] = []
    for seen, head in _batches(texts, stream, labelled):
        sure = {} if head is None else _sure(texts, seen, head)
        done = set(labelled)
        candidates = [
            Candidate(
                interaction_id=f"{number:06d}",
                asked_at=_START + timedelta(seconds=number),
                session_id=f"session {number}",
                text=texts.texts[row],
                confidence=sure.get(int(row)),
                vector=texts.vectors[row],
            )
            for number, row in enumerate(seen)
            if int(row) not in done
        ]
        room = LABELS * len(seen) // len(stream) - len(labelled)
        items = rank(candidates, limit=room, seed=seed, known=texts.vectors[labelled])
        labelled += [int(seen[int(item.interaction_id)]) for item in items]
    return labelled


def choose_by_margin(texts: Labelled, stream: Rows, seed: int) -> list[int]:
    """Choose where the two likeliest intents are closest; the first batch by chance."""
    labelled: list[int] = []
    for seen, head in _batches(texts, stream, labelled):
        rows = np.setdiff1d(seen, labelled)
        if head is None:
            labelled += choose_randomly(texts, seen, seed, labels=BATCH)
        else:
            order = np.argsort(head.margins(texts.vectors[rows]), kind="stable")
            labelled += [int(row) for row in rows[order[:BATCH]]]
    return labelled


def choose_by_clusters(texts: Labelled, stream: Rows, seed: int) -> list[int]:
    """Choose of each of 500 k-means clusters the text nearest to its centre."""
    rows = np.unique(stream)
    clusters = KMeans(LABELS, n_init=1, random_state=seed).fit(texts.vectors[rows])
    distances = clusters.transform(texts.vectors[rows])
    return [int(row) for row in rows[np.unique(distances.argmin(axis=0))]]


def choose_by_centres(texts: Labelled, stream: Rows, seed: int) -> list[int]:
    """Choose again and again the text that is farthest from all chosen ones (k-center)."""
    rows = np.unique(stream)
    vectors = texts.vectors[rows]
    chosen = [int(np.random.default_rng(seed).integers(len(rows)))]
    like = vectors @ vectors[chosen[0]]
    while len(chosen) < LABELS:
        chosen.append(int(like.argmin()))
        like = np.maximum(like, vectors @ vectors[chosen[-1]])
    return [int(row) for row in rows[chosen]]


def _batches(
    texts: Labelled, stream: Rows, labelled: list[int]
) -> Iterator[tuple[Rows, LinearHead | None]]:
    """Give, batch by batch, the stream so far and a head trained on what was labelled until now."""
    batches = LABELS // BATCH
    for batch in range(1, batches + 1):
        head = LinearHead(texts, labelled) if labelled else None
        yield stream[: len(stream) * batch // batches], head


def _sure(texts: Labelled, seen: Rows, head: LinearHead) -> dict[int, float]:
    rows = np.unique(seen)
    return dict(zip(rows.tolist(), head.confidences(texts.vectors[rows]).tolist(), strict=True))


WAYS: Final[dict[str, Way]] = {
    **{f"{n} at random": partial(choose_randomly, labels=n) for n in RANDOM_LABELS},
    f"{LABELS} by the review queue": choose_by_queue,
    f"{LABELS} by k-means": choose_by_clusters,
    f"{LABELS} by margin": choose_by_margin,
    f"{LABELS} by k-center": choose_by_centres,
}


def measure(
    collection: Collection, *, skew: float, seeds: Sequence[int], advance: Callable[[], None]
) -> dict[str, list[float]]:
    """Return the balanced test accuracy of each way, a value a seed."""
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for seed in seeds:
        stream = replay(collection.train, interactions=INTERACTIONS, skew=skew, seed=seed)
        for name, choose in WAYS.items():
            rows = choose(collection.train, stream, seed)
            found[name].append(LinearHead(collection.train, rows).accuracy(collection.test))
            advance()
    return found


def main(given: Sequence[str] | None = None) -> int:
    """Replay, label, measure, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--clinc", type=Path, required=True, metavar="DIR")
    parser.add_argument("--encoder", type=Path, metavar="DIR", help="default: HUB_HOME/encoder")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep the embeddings there")
    arguments, console = parser.parse_args(given), Console(highlight=False)
    try:
        with tempfile.TemporaryDirectory(prefix="hub-labels-") as folder:
            console.print("embedding CLINC150, some minutes unless --keep has it ...")
            collection = read_clinc(
                arguments.clinc,
                encoder_dir=arguments.encoder or Settings().encoder_dir,
                cache=(arguments.keep or Path(folder)) / "clinc150.npz",
            )
    except FileNotFoundError as error:
        console.print(f"{error}. An encoder is made by `make run`.", markup=False)
        return 1
    except HubError as error:
        console.print(str(error), markup=False)
        return 1
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("labelling", total=len(SKEWS) * len(SEEDS) * len(WAYS))
        found = {
            skew: measure(
                collection, skew=skew, seeds=SEEDS, advance=partial(progress.advance, task)
            )
            for skew in SKEWS
        }
    table = Table("labels", *(f"Zipf {skew}" for skew in SKEWS), title="balanced test accuracy")
    for name in WAYS:
        table.add_row(name, *(_cell(found[skew][name]) for skew in SKEWS))
    console.print(table)
    passed = all(
        np.mean(by_way[f"{LABELS} by the review queue"]) >= np.mean(by_way[f"{BAR} at random"])
        for by_way in found.values()
    )
    console.print(
        f"{len(SEEDS)} seeds, {INTERACTIONS} interactions each, mean ± standard deviation;"
        f" {LABELS} labels by the queue {'ARE' if passed else 'ARE NOT'} worth {BAR} random ones."
    )
    return 0 if passed else 1


def _cell(values: Sequence[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


if __name__ == "__main__":
    sys.exit(main())
