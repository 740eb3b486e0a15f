"""Snapshots written and read by Ray Data, in a Ray of their own."""

import json
import subprocess
import sys

import pytest

from contracts.settings import PROJECT
from store.artifacts import open_store
from store.database import Connection
from store.dataset_kinds import INTERACTIONS
from store.datasets import Datasets
from tests.integration.test_snapshot import DAY, ask
from tests.samples import utc


@pytest.mark.parametrize("where", ["folder", pytest.param("bucket", marks=pytest.mark.prove)])
def test_parts_are_written_by_tasks_and_read_by_tasks(
    connection: Connection, database_url: str, where: str, request: pytest.FixtureRequest
) -> None:
    for number in range(5):
        ask(connection, f"question {number}", at=utc(2026, 3, 1, 12), session_id=f"s{number}")
    store_url = request.getfixturevalue(where).url
    command = [sys.executable, "-m", "tests.integration.ray_round_trip"]
    program = subprocess.run(
        [*command, database_url, store_url, DAY.isoformat()],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert program.returncode == 0, program.stderr
    found = json.loads(program.stdout.splitlines()[-1])
    everything = [f"question {number}" for number in range(5)]
    assert found["all"] == everything
    assert found["without s2"] == [text for text in everything if text != "question 2"]
    assert found["columns of nothing"] == INTERACTIONS.schema.names
    manifest = Datasets(open_store(store_url)).manifest(INTERACTIONS, DAY)
    assert manifest is not None
    assert [(file.number, file.rows) for file in manifest.files] == [(0, 2), (1, 2), (2, 1)]
