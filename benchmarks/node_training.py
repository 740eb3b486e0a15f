"""A retraining submitted from elsewhere: with a cluster's address and token, and nothing else."""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from benchmarks.node_verdict import TRAINING
from benchmarks.timeline import Timeline
from scripts.run import Hub
from training.examples import QUERIES_FILE

console = Console(highlight=False, soft_wrap=True)


def train_from_elsewhere(hub: Hub, timeline: Timeline) -> tuple[int, int, tuple[str, ...]]:
    """Submit a retraining as the ML team does, from elsewhere; return statuses and its nodes."""
    timeline.say("a retraining is submitted")
    seen: set[str] = set()
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(1.0):
            seen.update(training_nodes(hub, timeline))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    with tempfile.TemporaryDirectory(prefix="hub-client-") as folder:
        _write_dataset(Path(folder) / "labels.jsonl")
        token = hub.cluster.token_file.read_text().strip()
        status = _submit(hub, Path(folder), token=token)
        without = _submit(hub, Path(folder), token=None)
    ended.set()
    watcher.join()
    timeline.say("the retraining has ended")
    return status, without, tuple(sorted(seen))


def training_nodes(hub: Hub, timeline: Timeline) -> set[str]:
    """Return the names of the nodes where a training worker lives now."""
    try:
        listed = hub.cluster.api("GET", "/api/v0/actors?detail=true").json()
        nodes = timeline.name_by_id()
    except httpx.HTTPError:
        return set()
    return {
        nodes.get(str(row["node_id"]), "unknown")
        for row in listed["data"]["result"]["result"]
        if row["state"] == "ALIVE" and "TrainWorker" in row["class_name"]
    }


def _write_dataset(file: Path) -> None:
    lines = QUERIES_FILE.read_text(encoding="utf-8").splitlines()[::6]
    rows = (json.loads(line) for line in lines)
    file.write_text(
        "".join(json.dumps({"text": r["text"], "intent": r["intent"]}) + "\n" for r in rows)
    )


def _submit(hub: Hub, folder: Path, *, token: str | None) -> int:
    """`ray job submit` with the address and, if any, the token: nothing else of the cluster."""
    ours = ("RAY_", "HUB_")
    environment = {name: v for name, v in os.environ.items() if not name.startswith(ours)}
    environment |= (
        {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token}
        if token
        else {"RAY_AUTH_MODE": "disabled"}
    )
    runtime: Mapping[str, Any] = {
        # No working_dir: nodes of one machine unpack it in one place, and the first to be done with
        # it takes it from the others. What runs is installed on every node anyway.
        "env_vars": {"HUB_TRAIN_RESOURCE": TRAINING, "HUB_LABELS_NEEDED": "100"},
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "ray.scripts.scripts", "job", "submit"),
            *("--address", hub.cluster.dashboard_url, "--runtime-env-json", json.dumps(runtime)),
            *(
                "--",
                sys.executable,
                "-m",
                "training.retrain",
                "--dataset",
                str(folder / "labels.jsonl"),
            ),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if token:
        console.print(f"[dim]{done.stdout[-1500:]}{done.stderr[-500:]}[/]")
    # The client says 1 whatever the job's own status was, and names that in words.
    named = re.search(r"exit code (\d+)", done.stdout + done.stderr)
    return int(named[1]) if named else done.returncode
