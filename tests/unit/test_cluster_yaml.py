"""cluster.yaml: what Ray's launcher and Compute Engine understand, and room for what serves."""

import copy
import logging
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.gcp.node import GCPCompute
from ray.autoscaler._private.util import prepare_config, validate_config

from contracts.settings import PROJECT, Settings
from scripts.cluster import serve_config
from scripts.connections import Room, connections_needed, require_room
from scripts.deploy import cluster_overrides
from tests.google_api import faults
from training.scaling import Scaling

TEXT = (PROJECT / "cluster.yaml").read_text()
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]


@pytest.fixture
def cluster() -> dict[str, Any]:
    return yaml.safe_load(TEXT)  # type: ignore[no-any-return]


def test_rays_launcher_takes_it(cluster: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        prepared = prepare_config(copy.deepcopy(cluster))
        validate_config(prepared)
    assert caplog.messages == []
    assert prepared["available_node_types"]["head"]["max_workers"] == 0
    wrong = copy.deepcopy(cluster) | {"max_worker": 3}
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config(wrong))
    few = copy.deepcopy(cluster) | {"max_workers": 1}
    with pytest.raises(ValueError, match="max_workers"):
        validate_config(prepare_config(few))


def test_compute_engine_understands_every_machine(cluster: dict[str, Any]) -> None:
    for name, node_type in cluster["available_node_types"].items():
        config = node_type["node_config"]
        assert faults(config, api="compute.v1", schema="Instance") == [], name
        assert config["labels"]["cost-center"]
        assert config["labels"]["part"] == name
        for key, value in config["labels"].items():
            assert re.fullmatch(r"[a-z0-9_-]{1,63}", key + value), "a label of Google Cloud"
    wrong = {"machineTyp": "n2", "disks": {"boot": True}, "scheduling": {"provisioningModel": "X"}}
    assert len(faults(wrong, api="compute.v1", schema="Instance")) == 3


def test_the_variant_with_a_gpu_needs_only_its_comment_signs_removed() -> None:
    commented = re.search(r"  # training-gpu:\n(?:  # .*\n)+", TEXT)
    assert commented
    text = TEXT.replace(commented[0], re.sub(r"(?m)^  # ", "  ", commented[0]))
    cluster = yaml.safe_load(text)
    gpu = cluster["available_node_types"]["training-gpu"]
    validate_config(prepare_config(copy.deepcopy(cluster)))
    assert faults(gpu["node_config"], api="compute.v1", schema="Instance") == []
    asked = Scaling(resource="training").per_worker(on_gpu=True)
    assert all(gpu["resources"][kind] >= much for kind, much in asked.items())


def test_what_it_names_is_what_provisioning_makes(cluster: dict[str, Any]) -> None:
    provisions = (PROJECT / "scripts" / "provision_gcp.sh").read_text()
    types = cluster["available_node_types"]
    accounts = {
        t["node_config"]["serviceAccounts"][0]["email"].split("@")[0] for t in types.values()
    }
    assert accounts == {"hub-head", "hub-worker"}
    assert "for who in head worker build" in provisions
    assert "name=hub\n" in provisions
    for node_type in types.values():
        (network,) = node_type["node_config"]["networkInterfaces"]
        assert network["subnetwork"].endswith("/regions/europe-west1/subnetworks/hub")
        assert node_type["node_config"]["tags"]["items"] == ["hub"]
    for written in ("europe-west1-b", "europe-west1", "my-project"):
        assert f"s/{written}/" in provisions
        assert written in TEXT


def test_the_smallest_and_the_largest_graph_have_room(cluster: dict[str, Any]) -> None:
    serving = cluster["available_node_types"]["serving"]
    config = serve_config(http_host="", http_port=1, overrides=cluster_overrides())
    least, most = [], []
    for one in config["applications"][0]["deployments"]:
        share = one["ray_actor_options"]["num_cpus"]
        scaling = one.get("autoscaling_config")
        low = scaling["min_replicas"] if scaling else one["num_replicas"]
        high = scaling["max_replicas"] if scaling else one["num_replicas"]
        surge = high * one.get("max_surge_percent", 0) // 100
        least += [share] * low
        most += [share] * (high + surge)
        assert one.get("max_replicas_per_node", low) * serving["min_workers"] >= low
    assert nodes_for(least, cpus=serving["resources"]["CPU"]) <= serving["min_workers"]
    assert nodes_for(most, cpus=serving["resources"]["CPU"]) <= serving["max_workers"]
    types = cluster["available_node_types"].values()
    assert sum(node_type.get("max_workers", 0) for node_type in types) == cluster["max_workers"]
    assert nodes_for([1.0, 4.0, 3.0], cpus=4) == 2


def test_the_database_holds_the_connections_of_the_largest_graph() -> None:
    provisions = (PROJECT / "scripts" / "provision_gcp.sh").read_text()
    (most,) = re.findall(r"max_connections=([0-9]+)", provisions)
    config = serve_config(http_host="", http_port=1, overrides=cluster_overrides())
    needed = connections_needed(config, pool_size=Settings().database_pool_size)
    # Cloud SQL keeps some for itself.
    require_room(needed, Room(int(most) - 20, f"max_connections {most}"))


def nodes_for(shares: list[float], *, cpus: float) -> int:
    """Return how many nodes hold replicas of these shares, the large ones first."""
    free: list[float] = []
    for share in sorted(shares, reverse=True):
        at = next((at for at, left in enumerate(free) if left >= share), None)
        if at is None:
            free.append(cpus)
            at = len(free) - 1
        free[at] -= share
    return len(free)


def test_a_training_lands_where_nothing_serves(
    cluster: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in (PROJECT / "deploy" / "hub.env").read_text().splitlines():
        if line and not line.startswith("#"):
            monkeypatch.setenv(*line.split("=", 1))
    asked = Scaling.of(Settings()).per_worker(on_gpu=False)
    for name, node_type in cluster["available_node_types"].items():
        fits = all(node_type["resources"].get(kind, 0) >= much for kind, much in asked.items())
        assert fits == (name == "training")
    training = cluster["available_node_types"]["training"]
    # Every replica asks for some CPU: a node without any never gets one.
    assert (
        training["resources"]["CPU"]
        == cluster["available_node_types"]["head"]["resources"]["CPU"]
        == 0
    )
    assert training["min_workers"] == 0
    assert training["node_config"]["scheduling"]["provisioningModel"] == "SPOT"
    assert Settings().train_start_timeout_s >= 600, "a machine has to boot first"


def test_versions_are_those_of_the_project() -> None:
    (torch,) = [pin for pin in PYPROJECT["dependencies"] if pin.startswith("torch==")]
    version = PYPROJECT["version"]
    assert f" {torch}\n" in TEXT
    assert f"releases/{version} ~/release" in TEXT
    assert f"student_resource_hub-{version}-py3-none-any.whl" in TEXT
    assert set(re.findall(r"student_resource_hub-([0-9.]+[0-9])", TEXT)) == {version}


def test_every_setup_command_is_of_one_piece_for_a_shell(cluster: dict[str, Any]) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    for part in ("setup", "head_start_ray", "worker_start_ray"):
        for command in cluster[f"{part}_commands"]:
            assert "\n" not in command
            script = f"#!/bin/bash\n{command}\n"
            # Unquoted on purpose: $(...) is a word or two, RAY_HEAD_IP an address.
            given = ["--severity=warning", "--exclude=SC2046,SC2154", "-"]
            ran = subprocess.run(
                [shellcheck, *given], input=script, capture_output=True, text=True, check=False
            )
            assert ran.returncode == 0, ran.stdout


def test_every_node_starts_as_its_wrapper_says(cluster: dict[str, Any]) -> None:
    for part in ("head", "worker"):
        stop, start = cluster[f"{part}_start_ray_commands"]
        assert "ray stop" in stop
        assert "bash ~/node.sh ray start" in start, "flags, settings, token and proxy come with it"
    head = cluster["head_start_ray_commands"][1]
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in head
    assert "--dashboard-host=127.0.0.1" in head


def test_an_instance_is_made_of_what_is_written(cluster: dict[str, Any]) -> None:
    """Ray's own code makes the request; whoever would send it looks at it instead."""
    sent: dict[str, Any] = {}

    class Instances:
        def insert(self, **request: Any) -> "Instances":
            sent.update(request)
            return self

        def execute(self, **how: Any) -> dict[str, Any]:
            return {}

    class Api:
        _http = None

        def instances(self) -> Instances:
            return Instances()

    class Offline(GCPCompute):
        def get_new_authorized_http(self, http: Any) -> None:
            return None

    provider = cluster["provider"]
    compute = Offline(Api(), provider["project_id"], provider["availability_zone"], "hub")
    config = cluster["available_node_types"]["training"]["node_config"]
    compute.create_instance(config, {"ray-node-name": "ray-hub-worker"}, wait_for_operation=False)
    assert sent["zone"] == "europe-west1-b"
    assert sent["body"]["machineType"] == "zones/europe-west1-b/machineTypes/n2-standard-8"
    assert sent["body"]["labels"]["cost-center"] == config["labels"]["cost-center"]
    assert sent["body"]["labels"]["ray-cluster-name"] == "hub"
    assert faults(sent["body"], api="compute.v1", schema="Instance") == []
