"""What one version hands on to the next: its examples, who is on which side, retired intents.

An intent that is gone from data/intents.yaml is named there under `retired`, with the intent that
takes its queries, or null when the hub has none for them any more. Manifests carry it on.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeVar

import yaml

from contracts.errors import DataError
from contracts.records import VerifiedLabel
from store.registry import Registry
from training.examples import INTENTS_FILE, Example
from training.split import SIDES, Side, read_assignment

VERIFIED: Final = "verified labels"
"""What a version says that it was made of, when it was the reviewers' labels."""

_SPLIT: Final = "split.json"

Retired = Mapping[str, str | None]
_Labelled = TypeVar("_Labelled", Example, VerifiedLabel)


def read_retired(file: Path = INTENTS_FILE) -> dict[str, str | None]:
    """Return the intents that are gone, and what took their place.

    Raises DataError: one that is in use still, or a successor that is not.
    """
    document = yaml.safe_load(file.read_text())
    retired: dict[str, str | None] = document.get("retired") or {}
    names = {intent["name"] for intent in document["intents"]}
    for old, new in retired.items():
        if old in names:
            raise DataError(f"{file.name}: {old} is retired, and in use.")
        if new is not None and new not in names:
            raise DataError(f"{file.name}: {old} is retired for {new}, which is no intent.")
    return retired


def renamed(one: _Labelled, *, retired: Retired) -> _Labelled:
    """Return a labelled query with its intent's successor, if its intent has one."""
    return replace(one, intent=retired.get(one.intent) or one.intent)


def carried_over(
    examples: Iterable[Example], *, labels: Iterable[str], retired: Retired
) -> list[Example]:
    """Return earlier examples in the words of today; those of an intent without successor go.

    Raises DataError for an intent that is neither in use nor retired.
    """
    known = set(labels)
    kept = []
    for example in examples:
        if example.intent in retired and retired[example.intent] is None:
            continue
        example = renamed(example, retired=retired)
        if example.intent not in known:
            raise DataError(
                f"The champion knows the intent {example.intent}, and {INTENTS_FILE.name} does"
                " not: say under `retired` which intent took its place, or null."
            )
        kept.append(example)
    return kept


def used_by(registry: Registry, version: str | None, *, cache_dir: Path) -> set[str]:
    """Return the digests of all texts that a version was made of; of None: nothing."""
    return set() if version is None else set(_assignment(registry, version, cache_dir=cache_dir))


def made_of_labels(registry: Registry) -> list[str]:
    """Return the versions that were made of verified labels, whatever the gate said of them."""
    return [
        version
        for version in registry.versions()
        if registry.manifest(version).dataset.get("source") == VERIFIED
    ]


def assigned(registry: Registry, *, cache_dir: Path) -> dict[str, Side]:
    """Return where every version put its texts. What judges one of them is on the test side."""
    sides: dict[str, Side] = {}
    for version in registry.versions():
        for key, side in _assignment(registry, version, cache_dir=cache_dir).items():
            if side == "test" or sides.get(key) != "test":
                sides[key] = side
    return sides


def examples_of(registry: Registry, version: str, *, cache_dir: Path) -> dict[Side, list[Example]]:
    """Return what a version was trained on, chosen by and judged by. Raises ArtifactError."""
    names = [f"{side}.jsonl" for side in SIDES]
    folder = registry.fetch(version, cache_dir=cache_dir, only=names)
    return {side: _read(folder / f"{side}.jsonl") for side in SIDES}


def judging_texts(registry: Registry, *, cache_dir: Path) -> list[str]:
    """Return the texts of every version's test set, each once."""
    texts: dict[str, None] = {}
    for version in registry.versions():
        if "test.jsonl" in registry.manifest(version).files:
            folder = registry.fetch(version, cache_dir=cache_dir, only=["test.jsonl"])
            texts |= dict.fromkeys(one.text for one in _read(folder / "test.jsonl"))
    return list(texts)


def _assignment(registry: Registry, version: str, *, cache_dir: Path) -> dict[str, Side]:
    if _SPLIT not in registry.manifest(version).files:
        return {}
    folder = registry.fetch(version, cache_dir=cache_dir, only=[_SPLIT])
    return read_assignment(json.loads((folder / _SPLIT).read_text()))


def _read(file: Path) -> list[Example]:
    rows = (json.loads(line) for line in file.read_text().splitlines())
    return [Example(row["text"], row["intent"]) for row in rows]
