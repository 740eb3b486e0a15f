"""What operations and security rely on, seen on the running cluster."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from scripts.run import Hub
from tests.live_hub import client_of

DEPLOYMENTS = ("Ingress", "Classifier", "Embedder", "Retriever")


def pids_of(hub: Hub) -> dict[str, int]:
    deployments = hub.cluster.application()["deployments"]
    return {name: deployments[name]["replicas"][0]["pid"] for name in DEPLOYMENTS}


@pytest.mark.parametrize("path", ["/api/serve/applications/", "/api/jobs/", "/api/version"])
def test_the_dashboard_answers_nobody_without_the_token(hub: Hub, path: str) -> None:
    assert httpx.get(hub.cluster.dashboard_url + path).status_code == 401
    wrong = {"Authorization": "Bearer " + "0" * 64}
    assert httpx.get(hub.cluster.dashboard_url + path, headers=wrong).status_code in {401, 403}
    assert hub.cluster.api("GET", path).status_code == 200


def test_the_token_is_readable_by_its_owner_alone(hub: Hub) -> None:
    assert hub.cluster.token_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_no_replica_has_torch_or_transformers_in_memory(hub: Hub, deployment: str) -> None:
    maps = Path(f"/proc/{pids_of(hub)[deployment]}/maps").read_text()
    assert "onnxruntime" in maps or deployment in {"Ingress", "Retriever"}
    assert "/torch/" not in maps
    assert "/transformers/" not in maps


def test_the_metrics_have_the_names_that_dashboards_use(hub: Hub) -> None:
    with client_of(hub) as client:
        for _ in range(3):
            client.post("/v1/query", json={"text": "how do i get a locker"})
    wanted = {
        "hub_requests_total",
        "hub_outcomes_total",
        "hub_stage_latency_ms",
        "hub_confidence",
        "hub_batch_size",
        "hub_embedding_cache_total",
        "hub_queries_waiting",
        "hub_spool_depth",
        "hub_spool_stored_total",
        "hub_model_version",
        "hub_memory_bytes",
    }
    deadline = time.monotonic() + 30
    missing = wanted
    while missing and time.monotonic() < deadline:
        page = httpx.get(f"http://127.0.0.1:{hub.cluster.ports.metrics_export}/metrics").text
        exported = set(re.findall(r"^# TYPE ray_(\w+)", page, flags=re.MULTILINE))
        missing = {name for name in wanted if not any(one.startswith(name) for one in exported)}
        time.sleep(0.5)
    assert not missing


def test_logs_are_json_with_a_request_id_and_without_the_query(hub: Hub) -> None:
    marker = "xylophonequestion"
    with client_of(hub) as client:
        client.post("/v1/query", json={"text": f"where is my {marker}"})
        client.post("/v1/query", json={"text": marker * 200})
    folder = hub.cluster.temp_dir / "session_latest" / "logs" / "serve"
    files = sorted(folder.glob("replica_hub_*.log"))
    assert len(files) >= len(DEPLOYMENTS)
    for file in files:
        text = file.read_text()
        assert marker not in text
        for line in text.splitlines():
            assert "message" in json.loads(line)


def test_a_second_hub_on_the_same_port_says_so_in_one_sentence(hub: Hub, tmp_path: Path) -> None:
    ports = hub.cluster.ports
    environment = {
        "HUB_HOME": str(tmp_path),
        "HUB_HTTP_PORT": str(ports.http),
        "HUB_DASHBOARD_PORT": str(ports.dashboard),
    }
    command = [sys.executable, "-m", "scripts.run"]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "HUB_HTTP_PORT=" in run.stdout
    assert "Traceback" not in run.stdout + run.stderr


def test_the_architecture_holds() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    run = subprocess.run([linter, "--no-cache"], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
