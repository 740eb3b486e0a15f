"""What folders here keep of one person's texts, and taking it out: retrainings', and copies."""

import os
from collections.abc import Collection
from pathlib import Path

from store.erased_examples import EXAMPLES, SPLIT, VECTORS, without_texts


def erase_from_folders(
    root: Path, digests: Collection[str], *, dry_run: bool = False
) -> dict[str, int]:
    """Take these texts out of every folder under `root`; return the entries that went, by file.

    A retraining under way may still write what it holds in memory: do it again when it has ended.
    """
    gone: dict[str, int] = {}
    for folder in sorted(one for one in root.glob("*") if one.is_dir()):
        for file in sorted(one for one in folder.rglob("*") if _may_hold(one.name)):
            left, entries = without_texts(file.name, file.read_bytes(), digests=digests)
            if not entries:
                continue
            gone[str(file.relative_to(root))] = entries
            if not dry_run:
                draft = file.with_name(f".draft-{file.name}")
                draft.write_bytes(left)
                os.replace(draft, file)
    return gone


def _may_hold(name: str) -> bool:
    return name in (SPLIT, VECTORS) or name.endswith(EXAMPLES)
