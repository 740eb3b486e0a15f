"""Labelled queries as training reads them, and the intents that they may carry."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import yaml

from contracts.errors import DataError
from contracts.settings import DATA
from contracts.text import digest, is_blank

INTENTS_FILE: Final = DATA / "intents.yaml"
QUERIES_FILE: Final = DATA / "synthetic_queries.jsonl"
_SHOWN: Final = 10
"""How many bad rows an error names before it only counts them."""


@dataclass(frozen=True, slots=True)
class Example:
    """One query and the intent that a careful person gives it."""

    text: str
    intent: str

    @property
    def digest(self) -> str:
        """What makes two examples the same: the hash of the normalised text."""
        return digest(self.text)


def read_labels(file: Path = INTENTS_FILE) -> tuple[str, ...]:
    """Return the intents' names in the file's order: the order of a model's outputs."""
    labels = tuple(intent["name"] for intent in yaml.safe_load(file.read_text())["intents"])
    if len(set(labels)) != len(labels):
        raise DataError(f"{file.name} names an intent twice.")
    return labels


def read_examples(file: Path, *, labels: Sequence[str]) -> list[Example]:
    """Read JSON lines of `{"text", "intent"}`, in order.

    Raises DataError that names the bad lines: not JSON, blank, an unknown intent, or a text that
    was there before.
    """
    examples: list[Example] = []
    bad: list[str] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(file.read_text().splitlines(), start=1):
        try:
            row = json.loads(line)
            example = Example(text=row["text"], intent=row["intent"])
        except (ValueError, KeyError, TypeError):
            bad.append(f'line {number} is no JSON object with "text" and "intent"')
            continue
        if is_blank(example.text):
            bad.append(f"line {number} has no text")
        elif example.intent not in labels:
            bad.append(f"line {number} has the unknown intent {example.intent!r}")
        elif example.digest in seen:
            bad.append(f"line {number} repeats line {seen[example.digest]}")
        else:
            seen[example.digest] = number
            examples.append(example)
    if bad:
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        raise DataError(f"{file.name}: {'; '.join(bad[:_SHOWN])}{more}. Nothing was trained.")
    return examples


def write_examples(file: Path, examples: Iterable[Example]) -> None:
    """Write JSON lines of `{"text", "intent"}`."""
    with file.open("w") as target:
        for example in examples:
            row = {"text": example.text, "intent": example.intent}
            target.write(json.dumps(row, ensure_ascii=False) + "\n")


def examples_digest(examples: Iterable[Example]) -> str:
    """Return a short hash over every text and intent, in order."""
    total = hashlib.sha256()
    for example in examples:
        total.update(json.dumps([example.text, example.intent]).encode())
    return total.hexdigest()[:16]
