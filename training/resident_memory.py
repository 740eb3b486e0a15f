"""What a served model costs in memory: `python -m training.resident_memory FOLDER`.

A process of its own loads the model and nothing else, asks it, and says what is resident then.
"""

import json
import sys
from pathlib import Path

import psutil

from models.classifier import IntentClassifier
from training.child import run_stage

_QUERY = "how do i appeal a grade that i think is wrong"


def measure_resident_bytes(folder: Path) -> int:
    """Return the resident bytes of a fresh process that holds the version in `folder`.

    Raises StageFailed when the version cannot be loaded.
    """
    lines: list[str] = []
    run_stage("training.resident_memory", [str(folder.resolve())], report=lines.append)
    return int(json.loads(lines[-1])["resident_bytes"])


def main() -> None:
    """Load the model in FOLDER, run single queries and a full batch, and print what is resident."""
    classifier = IntentClassifier(Path(sys.argv[1]))
    classifier.predict([_QUERY])
    classifier.predict([_QUERY] * 32)
    print(json.dumps({"resident_bytes": psutil.Process().memory_info().rss}))


if __name__ == "__main__":
    main()
