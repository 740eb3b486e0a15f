"""The whole promise of the hot swap, by the benchmark itself. Run by `make prove`."""

from pathlib import Path

import pytest

from benchmarks.hot_swap import console, run
from benchmarks.swap_verdict import table_of

pytestmark = pytest.mark.prove


@pytest.mark.parametrize("replicas", [1, 2])
def test_ten_swaps_and_three_corrupt_artifacts_in_a_minute_go_unnoticed(
    replicas: int, hub_home: Path
) -> None:
    verdict = run(hub_home, replicas=replicas, duration_s=60)
    console.print(table_of([verdict]))
    assert verdict.missed == []
