"""A hub on several nodes, by the benchmark itself. Run by `make prove`."""

from pathlib import Path

import pytest

from benchmarks.many_nodes import measure
from tests.conftest import DEFAULT_HOME

pytestmark = pytest.mark.prove


def test_it_grows_survives_a_dead_node_and_trains_where_it_should(hub_home: Path) -> None:
    found = measure(encoder=hub_home / "encoder", cache=DEFAULT_HOME / "cache", plot=None)
    assert found.broken() == []
