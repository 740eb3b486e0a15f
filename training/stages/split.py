"""Split: the champion's examples and the new labels, on sides that never change.

Reads what the gates let pass; writes train.jsonl, validation.jsonl and test.jsonl of the candidate
(all that there is: the next version is measured on it) and split.json.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from contracts.settings import Settings
from contracts.text import digest
from store.artifacts import open_store
from store.redaction import redact
from store.registry import Registry
from training.examples import Example, read_labels
from training.lineage import assigned, carried_over, examples_of, judging_texts, read_retired
from training.sides import write_sides
from training.split import SIDES, Side, Split
from training.split import split as split_examples
from training.stages.label_gate import read_counted
from training.stages.run import Report, RunFolder, run_alone
from training.stages.snapshot import read_dataset_rows
from training.stages.vectors import open_vectors
from training.vectors import KnownVectors


def split(run: RunFolder, settings: Settings, report: Report) -> None:
    """Assign every example to its side for good. Raises DataError and ArtifactError."""
    order = run.order
    run.candidate.mkdir(exist_ok=True)
    vectors = open_vectors(run, settings, report=report)
    if order.dataset is not None:
        parts, new = _split_file(run, vectors=vectors), 0
        labels = _labels_of(parts)
    else:
        parts, new = _split_hub(run, settings=settings, vectors=vectors, report=report)
        labels = list(read_labels())
    write_sides(run.candidate, parts, vectors=vectors)
    for side in SIDES:
        if parts.missing[side]:
            report(f"split: {side} has no example of {', '.join(parts.missing[side])}")
    artifact = parts.artifact()
    run.write(
        "split",
        {key: value for key, value in artifact.items() if key != "assignment"}
        | {"labels": labels, "new": new},
    )
    counts = parts.counts
    report(
        "split: "
        + ", ".join(f"{counts[side]:,} {side}" for side in SIDES)
        + f"; {counts['left_out']} left out, near duplicates of two sides"
    )


def _split_hub(
    run: RunFolder, *, settings: Settings, vectors: KnownVectors, report: Report
) -> tuple[Split, int]:
    registry = Registry(open_store(settings.artifacts_root))
    cache, order = settings.cache_dir, run.order
    labels, retired = read_labels(), read_retired()
    new = read_counted(run)
    earlier: list[Example] = []
    if order.champion is not None:
        sides = examples_of(registry, order.champion, cache_dir=cache)
        earlier = [
            example
            for side in SIDES
            for example in carried_over(sides[side], labels=labels, retired=retired)
        ]
    # What reviewers say of a text today counts more than what was said of it before.
    relabelled = {digest(redact(example.text)) for example in new}
    kept = [example for example in earlier if example.digest not in relabelled]
    report(f"split: {len(kept):,} earlier queries and {len(new):,} verified labels")
    parts = split_examples(
        [*kept, *new],
        labels=labels,
        encode=vectors.encode,
        earlier=assigned(registry, cache_dir=cache),
        judging=judging_texts(registry, cache_dir=cache),
    )
    return parts, len(new)


def _split_file(run: RunFolder, *, vectors: KnownVectors) -> Split:
    """Keep to the sides that the file says; without any, assign them as the hub does."""
    rows = read_dataset_rows(run)
    examples = [row.example for row in rows]
    if any(row.side is None for row in rows):
        return split_examples(
            examples,
            labels=sorted({e.intent for e in examples}),
            encode=vectors.encode,
            earlier={row.example.digest: row.side for row in rows if row.side is not None},
        )
    chosen: dict[Side, tuple[Example, ...]] = {
        side: tuple(row.example for row in rows if row.side == side) for side in SIDES
    }
    labels = {e.intent for e in examples}
    return Split(
        train=chosen["train"],
        validation=chosen["validation"],
        test=chosen["test"],
        left_out=(),
        assignment={row.example.digest: row.side for row in rows if row.side is not None},
        missing={side: tuple(sorted(labels - {e.intent for e in chosen[side]})) for side in SIDES},
    )


def _labels_of(parts: Split) -> list[str]:
    """Return the intents of a file, sorted."""
    return sorted({e.intent for side in SIDES for e in parts.side(side)})


def read_split(run: RunFolder) -> tuple[dict[Side, list[Example]], list[str]]:
    """Return the candidate's examples by side, and its labels in the order of its outputs."""
    labels: Sequence[str] = run.read("split")["labels"]
    sides: dict[Side, list[Example]] = {}
    for side in SIDES:
        lines = (run.candidate / f"{side}.jsonl").read_text().splitlines()
        rows: list[Mapping[str, Any]] = [json.loads(line) for line in lines]
        sides[side] = [Example(row["text"], row["intent"]) for row in rows]
    return sides, list(labels)


if __name__ == "__main__":
    sys.exit(run_alone(split))
