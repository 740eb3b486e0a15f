"""What schedules the night shift asks for what there is; no Kubernetes is needed to see that."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from contracts.settings import PROJECT
from scripts.nightly import main

KUBERAY = PROJECT / "deploy" / "kuberay"
RUNBOOK = PROJECT / "docs" / "runbook.md"

RAY_CRON_JOB_SPEC = {"schedule", "timeZone", "jobTemplate", "suspend"}
"""Of KubeRay 1.7's custom resource definition, ray.io_raycronjobs.yaml."""


def read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((KUBERAY / name).read_text())
    return document


def night_shift() -> str:
    return RUNBOOK.read_text().split("## The night shift")[1].split("\n## ")[0]


def asked_for(command: str) -> list[str]:
    """What a command gives to the night shift."""
    words = shlex.split(command)
    return words[words.index("scripts.nightly") + 1 :]


COMMANDS = {
    "CronJob": shlex.join(
        read("nightly.yaml")["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0][
            "command"
        ]
    ),
    "RayCronJob": read("nightly-raycronjob.yaml")["spec"]["jobTemplate"]["entrypoint"],
    **{
        f"runbook {number}": found
        for number, found in enumerate(
            re.findall(r"python -m scripts\.nightly[^`'\"|\n>]*", night_shift())
        )
    },
}


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_each_schedule_gives_options_that_the_night_shift_knows(
    command: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main([*asked_for(command), "--help"])
    assert ended.value.code == 0


def test_a_cron_job_reaches_the_services_head_with_its_token_and_never_two_at_once() -> None:
    (service,) = (
        one
        for one in yaml.safe_load_all((KUBERAY / "rayservice.yaml").read_text())
        if one and one["kind"] == "RayService"
    )
    cluster = service["spec"]["rayClusterConfig"]
    (head,) = cluster["headGroupSpec"]["template"]["spec"]["containers"]
    document = read("nightly.yaml")
    assert document["metadata"]["namespace"] == service["metadata"]["namespace"]
    spec = document["spec"]
    assert spec["concurrencyPolicy"] == "Forbid"
    (container,) = spec["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    assert container["image"] == head["image"]
    address = f"--address=http://{service['metadata']['name']}-head-svc:8265"
    assert address in container["command"]
    environment = {one["name"]: one for one in container["env"]}
    assert environment["RAY_AUTH_MODE"]["value"] == "token"
    secret = environment["RAY_AUTH_TOKEN"]["valueFrom"]["secretKeyRef"]
    assert secret == {"name": cluster["authOptions"]["secretName"], "key": "auth_token"}


def test_a_ray_cron_job_says_nothing_that_kuberay_does_not_know() -> None:
    document = read("nightly-raycronjob.yaml")
    assert (document["apiVersion"], document["kind"]) == ("ray.io/v1", "RayCronJob")
    assert set(document["spec"]) <= RAY_CRON_JOB_SPEC
    template = document["spec"]["jobTemplate"]
    # KubeRay's own rules for a job on a cluster that is there.
    assert list(template["clusterSelector"]) == ["ray.io/cluster"]
    assert template["backoffLimit"] == 0
    assert "rayClusterSpec" not in template
