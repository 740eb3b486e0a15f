"""deploy/kuberay/rayservice.yaml: the shape of cluster.yaml, and what `make run` sends."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from contracts.settings import PROJECT
from scripts.cluster import serve_config
from scripts.deploy import cluster_overrides

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
FILE = PROJECT / "deploy" / "kuberay" / "rayservice.yaml"
Json = dict[str, Any]


@pytest.fixture(scope="module")
def objects() -> dict[str, Json]:
    """All objects of the file, by kind."""
    found = [one for one in yaml.safe_load_all(FILE.read_text()) if one]
    assert len({one["kind"] for one in found}) == len(found)
    assert {one["metadata"]["namespace"] for one in found} == {"hub"}
    return {one["kind"]: one for one in found}


@pytest.fixture(scope="module")
def ray(objects: dict[str, Json]) -> Json:
    return objects["RayService"]["spec"]["rayClusterConfig"]  # type: ignore[no-any-return]


@pytest.fixture(scope="module")
def groups(ray: Json) -> dict[str, Json]:
    """The head and the worker groups, by name."""
    return {
        "head": ray["headGroupSpec"],
        **{one["groupName"]: one for one in ray["workerGroupSpecs"]},
    }


def pods(objects: dict[str, Json], groups: dict[str, Json]) -> Iterator[Json]:
    """Every pod that comes of the file."""
    for group in groups.values():
        yield group["template"]["spec"]
    yield objects["Job"]["spec"]["template"]["spec"]


def test_the_graph_is_the_one_that_deploy_sends(objects: dict[str, Json]) -> None:
    sent = serve_config(http_host="0.0.0.0", http_port=8000, overrides=cluster_overrides())
    assert yaml.safe_load(objects["RayService"]["spec"]["serveConfigV2"]) == sent, (
        "paste what `HUB_HTTP_HOST=0.0.0.0 ... python -m scripts.deploy --dry-run` prints"
    )


def test_the_groups_are_those_of_the_other_cluster(groups: dict[str, Json]) -> None:
    types = yaml.safe_load((PROJECT / "cluster.yaml").read_text())["available_node_types"]
    assert set(groups) == set(types)
    for name, group in groups.items():
        resources = types[name]["resources"]
        assert group["rayStartParams"]["num-cpus"] == str(resources["CPU"])
        custom = yaml.safe_load(yaml.safe_load(group["rayStartParams"].get("resources", "'{}'")))
        assert custom == {kind: much for kind, much in resources.items() if kind != "CPU"}
        if name != "head":
            assert (group["minReplicas"], group["maxReplicas"]) == (
                types[name]["min_workers"],
                types[name]["max_workers"],
            )
            assert group["replicas"] == group["minReplicas"]
    assert groups["training"]["template"]["spec"]["nodeSelector"] == {
        "cloud.google.com/gke-spot": "true"
    }


def test_versions_are_those_of_the_project(
    objects: dict[str, Json], groups: dict[str, Json], ray: Json
) -> None:
    assert f"ray[serve,data,train]=={ray['rayVersion']}" in PYPROJECT["dependencies"]
    image = f"europe-west1-docker.pkg.dev/my-project/hub/hub:{PYPROJECT['version']}"
    for pod in pods(objects, groups):
        assert [container["image"] for container in pod["containers"]] == [image]
    proxies = {pod["initContainers"][0]["image"].split(":")[1] for pod in pods(objects, groups)}
    downloaded = re.findall(r"cloud-sql-proxy/v([0-9.]+)/", (PROJECT / "cluster.yaml").read_text())
    assert proxies == set(downloaded)


def test_every_pod_has_the_flags_the_settings_and_the_way_to_the_database(
    objects: dict[str, Json], groups: dict[str, Json]
) -> None:
    for pod in pods(objects, groups):
        (container,) = pod["containers"]
        maps = [one["configMapRef"]["name"] for one in container["envFrom"]]
        assert maps == (
            ["hub-settings"] if container["name"] == "prepare" else ["hub-ray", "hub-settings"]
        )
        given = {one["name"]: one for one in container["env"]}
        assert given["HUB_ARTIFACTS"]["value"] == "gs://my-project-hub"
        assert given["HUB_VERTEX_PROJECT"]["value"] == "my-project"
        for secret in ("HUB_SECRET", "HUB_DATABASE_URL"):
            assert given[secret]["valueFrom"]["secretKeyRef"]["name"] == "hub"
        (proxy,) = pod["initContainers"]
        assert proxy["restartPolicy"] == "Always", "beside the others, not before them"
        assert proxy["args"][-1] == "my-project:europe-west1:hub"
        assert "startupProbe" in proxy
    for name, group in groups.items():
        (container,) = group["template"]["spec"]["containers"]
        assert {"readinessProbe", "livenessProbe", "resources"} <= set(container), name
    (owner,) = [
        one["valueFrom"]["secretKeyRef"]["key"]
        for one in objects["Job"]["spec"]["template"]["spec"]["containers"][0]["env"]
        if one["name"] == "HUB_DATABASE_URL"
    ]
    assert owner == "owner-database-url"
    assert "owner-database-url" not in yaml.safe_dump(objects["RayService"])


def test_nobody_is_root_or_may_become_it(objects: dict[str, Json], groups: dict[str, Json]) -> None:
    for pod in pods(objects, groups):
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["serviceAccountName"] == "hub"
        for container in (*pod["initContainers"], *pod["containers"]):
            locked = container["securityContext"]
            assert locked == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
            assert "memory" in container["resources"]["limits"]


def test_the_loss_of_the_head_is_survived_with_a_token(ray: Json, groups: dict[str, Json]) -> None:
    assert ray["authOptions"] == {"mode": "token", "secretName": "hub-ray-token"}
    redis = ray["gcsFaultToleranceOptions"]["redisAddress"]
    for group in groups.values():
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        given = {one["name"]: one.get("value") for one in container["env"]}
        assert given["HUB_TRAIN_STORAGE"] == f"{given['HUB_ARTIFACTS']}/training"
        assert given["HUB_REDIS_URL"] == f"redis://{redis}/1"
        # Jobs on the head find the token where those beside `make run` find it.
        (mount,) = container["volumeMounts"]
        assert mount == {"name": "token", "mountPath": "/home/hub/.hub/ray", "readOnly": True}
        assert pod["volumes"][0]["secret"]["secretName"] == "hub-ray-token"
    assert groups["serving"]["minReplicas"] >= 2


def test_students_come_by_https_to_haproxy_and_to_nothing_else(objects: dict[str, Json]) -> None:
    service = objects["RayService"]["spec"]["serveService"]
    backend = objects["Ingress"]["spec"]["defaultBackend"]["service"]
    assert backend == {"name": service["metadata"]["name"], "port": {"number": 8000}}
    said = objects["Ingress"]["metadata"]["annotations"]
    assert said["networking.gke.io/managed-certificates"] == "hub"
    assert said["networking.gke.io/v1beta1.FrontendConfig"] == "hub"
    assert objects["FrontendConfig"]["spec"]["redirectToHttps"]["enabled"] is True
    config = service["metadata"]["annotations"]["cloud.google.com/backend-config"]
    assert yaml.safe_load(config) == {"default": objects["BackendConfig"]["metadata"]["name"]}
    outside = [
        rule for rule in objects["NetworkPolicy"]["spec"]["ingress"] if "ipBlock" in rule["from"][0]
    ]
    assert [rule["ports"] for rule in outside] == [[{"port": 8000}]]
