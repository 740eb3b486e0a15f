"""What model versions keep of one person's texts: their test sets and splits, and taking it out.

A version's weights cannot be made to forget; which versions were trained on the texts is said, so
that people can decide to train anew. Versions of the project's own queries hold nobody's texts.
"""

import hashlib
import io
import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from contracts.settings import DATA
from contracts.text import digest
from store.artifacts import ArtifactMissing, ArtifactStore
from store.registry import ErasureRecord, Manifest, Registry
from store.version_files import FileRecord

OWN_QUERIES: Final = "synthetic_queries.jsonl"
SPLIT: Final = "split.json"
EXAMPLES: Final = ".jsonl"
VECTORS: Final = "vectors.npz"
"""A text's vector leads back to it, so it goes, too."""


@dataclass(frozen=True, slots=True)
class VersionUse:
    """How many of a person's texts a version was trained on, chosen by, and judged by."""

    version: str
    is_champion: bool
    train: int
    validation: int
    test: int


def own_digests() -> frozenset[str]:
    """Return the digests of the project's own queries: to type one of these tells of nobody."""
    lines = (DATA / OWN_QUERIES).read_text().splitlines()
    return frozenset(digest(json.loads(line)["text"]) for line in lines)


def versions_with(
    registry: Registry, store: ArtifactStore, digests: Collection[str]
) -> list[VersionUse]:
    """Return the versions whose split places any of these texts, oldest first."""
    champion = registry.champion()
    found = []
    for version in registry.versions():
        split = _split(store, version)
        sides = [split.get("assignment", {}).get(one) for one in digests]
        if any(sides):
            found.append(
                VersionUse(
                    version=version,
                    is_champion=champion is not None and champion.version == version,
                    train=sides.count("train"),
                    validation=sides.count("validation"),
                    test=sides.count("test"),
                )
            )
    return found


def erase_examples(
    registry: Registry, store: ArtifactStore, digests: Collection[str], *, dry_run: bool = False
) -> dict[str, int]:
    """Take these texts out of every version's sets and splits; return the entries that went.

    The manifest goes first, with the new files' checksums and a note of what went: should this be
    killed in between, doing it again finds the same entries and writes the same files. Metrics
    stay those of the day on which they were measured. Raises ArtifactError.
    """
    gone: dict[str, int] = {}
    for version in registry.versions():
        manifest = registry.manifest(version)
        changed = dict(_without(store, version, manifest=manifest, digests=frozenset(digests)))
        if not changed:
            continue
        for name, (_, entries) in changed.items():
            gone[f"models/{version}/{name}"] = entries
        if not dry_run:
            _rewrite(store, version, manifest=manifest, changed=changed)
    return gone


def _without(
    store: ArtifactStore, version: str, *, manifest: Manifest, digests: frozenset[str]
) -> Iterator[tuple[str, tuple[bytes, int]]]:
    """Yield each file that holds any of the texts, its new content, and the entries it lost."""
    for name in manifest.files:
        if name in (SPLIT, VECTORS) or name.endswith(EXAMPLES):
            content = store.read(f"models/{version}/{name}").content
            left, entries = without_texts(name, content, digests=digests)
            if entries:
                yield name, (left, entries)


def without_texts(name: str, content: bytes, *, digests: Collection[str]) -> tuple[bytes, int]:
    """Return a file of examples, vectors, or a split, without these texts, and how many went."""
    if name == VECTORS:
        return _without_vectors(content, digests=digests)
    if name == SPLIT:
        split = json.loads(content)
        assignment = split.get("assignment", {})
        kept = {key: side for key, side in assignment.items() if key not in digests}
        left = json.dumps({**split, "assignment": kept}, indent=1) + "\n"
        return left.encode(), len(assignment) - len(kept)
    lines = content.splitlines(keepends=True)
    stay = [line for line in lines if digest(_text(line)) not in digests]
    return b"".join(stay), len(lines) - len(stay)


def _without_vectors(content: bytes, *, digests: Collection[str]) -> tuple[bytes, int]:
    with np.load(io.BytesIO(content), allow_pickle=False) as kept:
        arrays = dict(kept)
    stays = ~np.isin(arrays["digests"], list(digests))
    gone = int(len(stays) - stays.sum())
    if not gone:
        return content, 0
    file = io.BytesIO()
    rows = {name: arrays[name][stays] for name in ("digests", "vectors")}
    np.savez(file, **(arrays | rows))
    return file.getvalue(), gone


def _rewrite(
    store: ArtifactStore,
    version: str,
    *,
    manifest: Manifest,
    changed: dict[str, tuple[bytes, int]],
) -> None:
    records = {
        name: FileRecord(sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
        for name, (content, _) in changed.items()
    }
    if any(manifest.files[name] != record for name, record in records.items()):
        note = ErasureRecord(
            at=datetime.now(UTC), files={name: entries for name, (_, entries) in changed.items()}
        )
        after = manifest.model_copy(
            update={
                "files": {**manifest.files, **records},
                "erasures": (*manifest.erasures, note),
            }
        )
        _replace(
            store,
            f"models/{version}/manifest.json",
            after.model_dump_json(indent=2).encode() + b"\n",
        )
    for name, (content, _) in changed.items():
        _replace(store, f"models/{version}/{name}", content)


def _replace(store: ArtifactStore, key: str, content: bytes) -> None:
    store.replace(key, content, expected=store.read(key).generation)


def _split(store: ArtifactStore, version: str) -> dict[str, Any]:
    try:
        split: dict[str, Any] = json.loads(store.read(f"models/{version}/{SPLIT}").content)
    except ArtifactMissing:
        return {}
    return split


def _text(line: bytes) -> str:
    return str(json.loads(line).get("text", "")) if line.strip() else ""
