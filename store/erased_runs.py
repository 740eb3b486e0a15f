"""What the folders of retrainings keep of one person's texts, and taking it out."""

import os
from collections.abc import Collection
from pathlib import Path
from typing import Final

from store.erased_examples import EXAMPLES, SPLIT, without_texts

VECTORS: Final = "vectors.npz"
"""What a run computed of its texts. It cannot be taken apart, and is soon computed anew."""


def erase_from_runs(
    root: Path, digests: Collection[str], *, dry_run: bool = False
) -> dict[str, int]:
    """Take these texts out of every run under `root`; return the entries that went, by file.

    A run that is under way may still write what it holds in memory: do it again when it has ended.
    """
    gone: dict[str, int] = {}
    for run in sorted(one for one in root.glob("*") if one.is_dir()):
        files = [file for file in run.rglob("*") if file.name.endswith(EXAMPLES)]
        for file in sorted([*files, *run.rglob(SPLIT)]):
            left, entries = without_texts(file.name, file.read_bytes(), digests=digests)
            if not entries:
                continue
            gone[str(file.relative_to(root))] = entries
            if not dry_run:
                draft = file.with_name(f".draft-{file.name}")
                draft.write_bytes(left)
                os.replace(draft, file)
                (run / VECTORS).unlink(missing_ok=True)
    return gone
