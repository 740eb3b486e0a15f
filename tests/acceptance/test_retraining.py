"""The whole chain on the cluster that serves, while it serves: from labels to a version, or not."""

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from rich.console import Console

from benchmarks.drifted_queries import draw, read_drift
from benchmarks.review_desk import People, label_everything
from contracts.settings import PROJECT
from models.classifier import IntentClassifier
from scripts.run import Hub
from store.artifacts import open_store
from store.database import connect
from store.embedded import database_url
from store.registry import Registry
from tests.live_hub import SECRET
from tests.swaps import asked_meanwhile
from training.beside import Hub as Address
from training.ray_job import submit
from training.registry import promote
from training.stages.run import Exit

LABELS = 150
NEEDED = 120
CHAIN = {
    "HUB_DEMO": "true",
    "HUB_LABELS_NEEDED": str(NEEDED),
    # Enough against forgetting, and quick.
    "HUB_REPLAY_SHARE": "0.15",
}


@pytest.fixture(scope="module")
def registry(hub: Hub) -> Registry:
    return Registry(open_store(hub.settings.artifacts_root))


@pytest.fixture(scope="module", autouse=True)
def reviewed(hub: Hub, classifier: IntentClassifier) -> Iterator[None]:
    """Drifted queries that were asked, queued, and labelled by two people each."""
    url = database_url(hub.settings)
    with connect(url, vectors=False) as connection:
        asked, _ = label_everything(
            connection,
            draw(read_drift("label"), count=LABELS, seed=0),
            database_url=url,
            classifier=classifier,
            secret=SECRET.encode(),
            people=People(reviewers=("ash", "beech"), lead="oak", error=0.0, lead_error=0.0),
            seed=0,
        )
        yield
        ours = [one.interaction_id for one in asked]
        connection.execute("DELETE FROM review_items WHERE item_id = ANY (%s)", (ours,))
        connection.execute("DELETE FROM interaction_log WHERE interaction_id = ANY (%s)", (ours,))


def retrain(hub: Hub, *given: str, **environment: str) -> tuple[int, str]:
    """Submit the job as the ML team does; return its exit status and all that it said."""
    said = io.StringIO()
    status = submit(
        "training.retrain",
        given,
        dashboard=hub.cluster.dashboard_url,
        token=hub.cluster.token_file.read_text().strip(),
        console=Console(file=said, width=200),
        env_vars={**CHAIN, **environment},
    )
    return status, said.getvalue()


def test_one_label_too_few_stops_it_with_the_count_and_a_status_of_its_own(
    hub: Hub, registry: Registry
) -> None:
    before = registry.versions()
    status, said = retrain(hub, HUB_LABELS_NEEDED=str(LABELS))
    assert status == Exit.NOT_ENOUGH_LABELS, said
    assert f"not yet: {LABELS} of {LABELS + 1} verified labels" in said
    assert registry.versions() == before


def test_labels_become_a_version_that_serves_and_nobody_waits(
    hub: Hub, registry: Registry, request: pytest.FixtureRequest
) -> None:
    before = registry.champion()
    assert before is not None
    token = hub.cluster.token_file.read_text().strip()
    address = Address(hub.cluster.http_url, hub.cluster.dashboard_url, token)

    def go_back() -> None:
        champion = registry.champion()
        if champion is not None and champion.version != before.version:
            promote(registry, before.version, settings=hub.settings, hub=address, why="a test")

    request.addfinalizer(go_back)  # the other tests share this hub
    with asked_meanwhile(hub, clients=1, pause_s=0.2) as load:  # the long proof asks harder
        status, said = retrain(hub)
    assert status == Exit.DONE, said
    champion = registry.champion()
    assert champion is not None
    version = champion.version
    assert version != before.version
    assert load.statuses == {200}
    assert set(load.versions) == {before.version, version}
    assert load.versions[-1] == version

    manifest = registry.manifest(version)
    assert manifest.kind == "distilbert-real"
    assert manifest.gate is not None
    assert manifest.gate["passed"]
    assert {"metrics.json", "model_card.html", "train.jsonl", "test.jsonl"} <= set(manifest.files)
    assert champion.promotion.previous == before.version
    assert champion.promotion.why.startswith("retraining ")
    (run,) = [
        one.parent
        for one in hub.settings.runs_dir.glob("*/publish.json")
        if json.loads(one.read_text())["version"] == version
    ]
    verified = json.loads((run / "verify.json").read_text())
    assert verified["passed"]
    assert {one.stem for one in run.glob("*.json")} == {
        *("run", "snapshot", "label_gate", "consistency", "split", "train", "evaluate", "gate"),
        *("publish", "swap", "verify"),
    }
    # The same labels again are no reason for another version.
    status, said = retrain(hub)
    assert status == Exit.NOT_ENOUGH_LABELS, said
    assert "labels that the champion does not know" in said


def test_without_the_token_nobody_trains(hub: Hub) -> None:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RAY_")},
        "RAY_AUTH_MODE": "disabled",
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit"),
            *("--address", hub.cluster.dashboard_url, "--", "python", "-m", "training.retrain"),
        ],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "401" in done.stdout + done.stderr or "token" in (done.stdout + done.stderr).lower()
