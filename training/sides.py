"""What a version keeps of its examples: the split, each side's queries, their vectors."""

import json
from pathlib import Path

from training.examples import write_examples
from training.split import SIDES, Split
from training.vectors import FILE, KnownVectors


def write_sides(folder: Path, parts: Split, *, vectors: KnownVectors) -> None:
    """Write split.json, a file of examples for each side, and the vectors of them all."""
    (folder / "split.json").write_text(json.dumps(parts.artifact(), indent=1) + "\n")
    examples = [example for side in SIDES for example in parts.side(side)]
    for side in SIDES:
        write_examples(folder / f"{side}.jsonl", parts.side(side))
    vectors.write(folder / FILE, digests=[example.digest for example in examples])
