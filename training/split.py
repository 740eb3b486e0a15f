"""Who is trained on, who chooses, who judges: assigned once, and never leaking.

A text's side is a hash of its normalised form, so it is the same in every version and in any
order. A near-duplicate would leak by another door, so it joins the side of the earlier one.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, get_args

import numpy as np

from contracts.errors import DataError
from contracts.records import Vectors
from contracts.text import digest
from store.redaction import redact
from training.examples import Example

Side = Literal["train", "validation", "test"]
SIDES: Final[tuple[Side, ...]] = get_args(Side)

NEAR_DUPLICATE: Final = 0.95
"""Cosine above which two queries are one query for a split."""

Encode = Callable[[list[str]], Vectors]


@dataclass(frozen=True, slots=True)
class Split:
    """The examples of each side, and the assignment by which the next version keeps to it.

    `assignment` maps a text's digest to its side. `left_out` are near-duplicates of two earlier
    examples on different sides: anywhere they would leak. `missing` names the intents that a
    side has no example of.
    """

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    left_out: tuple[Example, ...]
    assignment: Mapping[str, Side]
    missing: Mapping[Side, tuple[str, ...]]

    def side(self, name: Side) -> tuple[Example, ...]:
        return {"train": self.train, "validation": self.validation, "test": self.test}[name]

    @property
    def counts(self) -> dict[str, int]:
        return {name: len(self.side(name)) for name in SIDES} | {"left_out": len(self.left_out)}

    @property
    def digest(self) -> str:
        """A short hash over the assignment."""
        text = json.dumps(dict(sorted(self.assignment.items())))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def artifact(self) -> dict[str, Any]:
        """Return the split as JSON: counts, what is missing, and every assignment."""
        return {
            "digest": self.digest,
            "counts": self.counts,
            "near_duplicate_cosine": NEAR_DUPLICATE,
            "intents": {
                name: dict(sorted(Counter(e.intent for e in self.side(name)).items()))
                for name in SIDES
            },
            "missing": {name: list(intents) for name, intents in self.missing.items()},
            "assignment": dict(sorted(self.assignment.items())),
        }


def read_assignment(artifact: Mapping[str, Any]) -> dict[str, Side]:
    """Return the assignment inside a split's JSON. Raises DataError for a side that is none."""
    assignment: dict[str, Side] = {}
    for key, side in artifact["assignment"].items():
        if side not in SIDES:
            raise DataError(f"The split puts {key[:12]} on {side!r}; sides are {', '.join(SIDES)}.")
        assignment[key] = side
    return assignment


def hashed_side(text: str) -> Side:
    """Return where a text belongs by itself: 80 % train, 10 % validation, 10 % test."""
    bucket = int(digest(text)[:8], 16) % 10
    return "test" if bucket == 0 else "validation" if bucket == 1 else "train"


def split(
    examples: Sequence[Example],
    *,
    labels: Sequence[str],
    encode: Encode,
    earlier: Mapping[str, Side] | None = None,
    judging: Sequence[str] = (),
) -> Split:
    """Assign each example to a side; texts pass the redaction seam first.

    `encode` gives unit vectors, by which near-duplicates are found. `earlier` is the assignment
    of the versions before: what they assigned stays. `judging` are texts of test sets, of any
    version, that need not be among the examples: what is near one of them is never trained on.
    Texts that are the same after redaction and normalisation become one. Raises DataError when
    the same text has two intents.
    """
    clean = _without_repeats([replace(e, text=redact(e.text)) for e in examples])
    fixed = dict(earlier or {})
    present = {e.digest for e in clean}
    others = list({key: text for text in judging if (key := digest(text)) not in present}.values())
    keys = [e.digest for e in clean] + [digest(text) for text in others]
    judges: dict[str, Side] = dict.fromkeys((digest(text) for text in judging), "test")
    known_sides = fixed | judges
    groups = _near_duplicates(encode([*(e.text for e in clean), *others]))
    sides: list[Side | None] = [None] * len(keys)
    for members in groups:
        known = {known_sides[keys[row]] for row in members if keys[row] in known_sides}
        first = known.pop() if len(known) == 1 else hashed_side(clean[members[0]].text)
        torn = len(known) > 1
        for row in members:
            sides[row] = known_sides.get(keys[row], None if torn else first)
    placed = list(zip(clean, sides[: len(clean)], strict=True))
    chosen = {name: tuple(e for e, side in placed if side == name) for name in SIDES}
    return Split(
        train=chosen["train"],
        validation=chosen["validation"],
        test=chosen["test"],
        left_out=tuple(e for e, side in placed if side is None),
        assignment=dict(fixed) | {e.digest: side for e, side in placed if side is not None},
        missing={
            name: tuple(sorted(set(labels) - {e.intent for e in chosen[name]})) for name in SIDES
        },
    )


def _without_repeats(examples: Sequence[Example]) -> list[Example]:
    first: dict[str, Example] = {}
    for example in examples:
        known = first.setdefault(example.digest, example)
        if known.intent != example.intent:
            raise DataError(
                f"{example.text!r} is both {known.intent} and {example.intent};"
                " decide for one. Nothing was trained."
            )
    return list(first.values())


def _near_duplicates(vectors: Vectors, *, rows_at_once: int = 1024) -> list[list[int]]:
    """Return groups of row numbers that are connected by near-duplicates; each starts with its
    earliest row."""
    group = list(range(len(vectors)))

    def root(row: int) -> int:
        while group[row] != row:
            group[row] = group[group[row]]
            row = group[row]
        return row

    for start in range(0, len(vectors), rows_at_once):
        close = vectors[start : start + rows_at_once] @ vectors.T > NEAR_DUPLICATE
        for row, other in zip(*np.nonzero(close), strict=True):
            one, two = sorted((root(start + int(row)), root(int(other))))
            group[two] = one
    members: dict[int, list[int]] = {}
    for row in range(len(vectors)):
        members.setdefault(root(row), []).append(row)
    return list(members.values())
