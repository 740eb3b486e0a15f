"""The whole learning loop, as `python -m benchmarks.learning_loop` runs it: by `make prove`."""

import subprocess
import sys
from pathlib import Path

import pytest

from contracts.settings import PROJECT

pytestmark = pytest.mark.prove


def test_drift_is_learned_from_labels_and_poison_is_stopped(hub_home: Path) -> None:
    assert hub_home.is_dir(), "the first version is in the cache that the benchmark looks into"
    command = [sys.executable, "-u", "-m", "benchmarks.learning_loop"]
    assert subprocess.run(command, cwd=PROJECT, check=False, timeout=3600).returncode == 0
