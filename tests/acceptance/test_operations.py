"""What operations and security rely on, seen on the running cluster."""

import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from scripts.run import Hub
from tests.live_hub import client_of
from tests.monitoring import MADE_BY_PROMETHEUS, expressions, wanted_by

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


def scraped(hub: Hub) -> dict[str, list[dict[str, str]]]:
    """What Prometheus gets of the hub's node and its HAProxy: the labels of each name's series."""
    found: dict[str, list[dict[str, str]]] = {}
    for port in (hub.cluster.ports.metrics_export, hub.cluster.ports.haproxy_metrics):
        page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found.setdefault(sample.name, []).append(sample.labels)
    return found


def missing_in(series: dict[str, list[dict[str, str]]]) -> list[str]:
    """Return what panels and alerts name, and nothing that was scraped has."""
    missing = []
    for where, expression, shown in expressions():
        needed = [one for one in wanted_by(expression) if one.name not in MADE_BY_PROMETHEUS]
        is_grouped = any(wanted.groups for wanted in needed)
        for wanted in needed:
            found = [one for one in series.get(wanted.name, []) if wanted.fits(wanted.name, one)]
            if not found or not (is_grouped or all(shown <= one.keys() for one in found)):
                missing.append(f"{where}: {wanted}")
    return missing


def test_all_that_panels_and_alerts_name_is_there_once_somebody_asked(hub: Hub) -> None:
    with client_of(hub) as client:
        for _ in range(3):
            answer = client.post("/v1/query", json={"text": "how do i get a locker"}).json()
        client.post("/v1/feedback", json={"interaction_id": answer["interaction_id"], "score": 1})
    deadline = time.monotonic() + 45
    while (missing := missing_in(scraped(hub))) and time.monotonic() < deadline:
        time.sleep(1)
    assert missing == []


def test_prometheus_finds_each_node_and_needs_the_token_for_it(hub: Hub) -> None:
    path = "/api/prometheus/sd"  # as deploy/prometheus/prometheus.yaml asks
    assert httpx.get(hub.cluster.dashboard_url + path).status_code == 401
    groups = hub.cluster.api("GET", path).json()
    ports = {target.rpartition(":")[2] for group in groups for target in group["targets"]}
    assert str(hub.cluster.ports.metrics_export) in ports


def test_a_gauge_that_nobody_touches_stays(hub: Hub) -> None:
    """Ray forgets what is not told again, within 25 s (docs/decisions/0031-what-ray-forgets.md)."""
    up_for_s = time.time() - psutil.Process(pids_of(hub)["Classifier"]).create_time()
    time.sleep(max(0.0, 40 - up_for_s))
    (held,) = scraped(hub)["ray_hub_model_version"]
    assert held["version"] == "v3"
    with client_of(hub) as client:
        (replica,) = client.get("/v1/models").json()["replicas"]
    assert held["replica"] == replica["replica"]


def test_logs_are_json_with_a_request_id_and_without_the_query(hub: Hub) -> None:
    marker = "xylophonequestion"
    with client_of(hub) as client:
        client.post("/v1/query", json={"text": f"where is my {marker}"})
        client.post("/v1/query", json={"text": marker * 200})
        refusal = client.post("/v1/query", json={"text": marker, marker: 1}).json()
        headers = {"X-Request-ID": "operations-asked-this"}
        client.post("/v1/query", json={"text": marker, marker: 1}, headers=headers)
        client.post("/v1/query", content=marker)
    folder = hub.cluster.temp_dir / "session_latest" / "logs"
    files = sorted((folder / "serve").glob("replica_hub_*.log"))
    assert len(files) >= len(DEPLOYMENTS)
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert all("message" in line for line in lines)
    refused = {
        line["request_id"] for line in lines if line["message"] == "refused with 422: invalid"
    }
    assert {refusal["request_id"], "operations-asked-this"} <= refused
    written = [file for file in folder.rglob("*") if file.is_file() and not file.is_symlink()]
    assert [file for file in written if marker.encode() in file.read_bytes()] == []


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
