"""`python -m scripts.deploy`: what a cluster is sent, and what it cannot do without."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from contracts.settings import Settings
from scripts import deploy
from scripts.cluster import SERVE_CONFIG, Cluster, DeployFailed, serve_config
from scripts.deploy import cluster_overrides, main
from training.beside import hub_beside

URL = "postgresql://hub_app:a%20secret@127.0.0.1:5432/hub"


@pytest.fixture
def cluster_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a head node, in the environment."""
    monkeypatch.setenv("HUB_HOME", str(tmp_path))
    monkeypatch.setenv("HUB_HTTP_HOST", "0.0.0.0")
    monkeypatch.setenv("HUB_DATABASE_URL", URL)
    monkeypatch.setenv("HUB_SECRET", "s" * 32)
    return tmp_path


def test_a_dry_run_shows_what_would_be_sent_and_no_password(
    cluster_settings: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "hub_app@127.0.0.1/hub" in said
    assert "secret" not in said
    shown = yaml.safe_load(said[said.index("proxy_location:") :])
    assert shown == serve_config(http_host="0.0.0.0", http_port=8000, overrides=cluster_overrides())
    assert list(cluster_settings.iterdir()) == [], "nothing was made"


@pytest.mark.parametrize("given", [[], ["--prepare"], ["--dry-run"]])
@pytest.mark.parametrize(
    ("missing", "said"), [("HUB_DATABASE_URL", "node.sh"), ("HUB_SECRET", "No HUB_SECRET")]
)
def test_what_is_missing_is_named_before_anything_is_done(
    cluster_settings: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    given: list[str],
    missing: str,
    said: str,
) -> None:
    monkeypatch.delenv(missing)
    assert main(given) == 1
    assert said in capsys.readouterr().out.replace("\n", " ")
    assert list(cluster_settings.iterdir()) == []


def test_jobs_on_the_head_find_the_hub_that_was_deployed(
    cluster_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Any] = []

    class Running(Cluster):
        def deploy(self, **options: Any) -> None:
            sent.append(options["overrides"])

        def wait_until_ready(self, **options: Any) -> dict[str, Any]:
            return {}

    monkeypatch.setattr(deploy, "Cluster", Running)
    monkeypatch.setattr(deploy, "ask", lambda text, url: sent.append(url))
    monkeypatch.setattr(deploy, "show", lambda answer, console: None)
    for step in ("prepare_schema", "prepare_models", "prepare_knowledge"):
        monkeypatch.setattr(deploy, step, lambda *given, name=step, **options: sent.append(name))
    (cluster_settings / "ray").mkdir()
    (cluster_settings / "ray" / "auth_token").write_text("token")
    assert main(["--prepare"]) == 0
    assert sent == ["prepare_schema", "prepare_models", "prepare_knowledge"]
    assert hub_beside(cluster_settings) is None
    assert main([]) == 0
    assert sent[6:] == [cluster_overrides(), "http://127.0.0.1:8000"]
    hub = hub_beside(cluster_settings)
    assert hub is not None
    assert (hub.url, hub.dashboard_url, hub.token) == (
        "http://127.0.0.1:8000",
        "http://127.0.0.1:8265",
        "token",
    )


@pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field")  # Ray still reads it
def test_a_cluster_changes_replicas_and_shares_and_nothing_else() -> None:
    plain = yaml.safe_load(SERVE_CONFIG.read_text())
    sent = serve_config(http_host="0.0.0.0", http_port=8000, overrides=cluster_overrides())
    ServeDeploySchema.model_validate(json.loads(json.dumps(sent)))
    sizes = {"num_replicas", "max_replicas_per_node", "autoscaling_config", "ray_actor_options"}
    for before, after in zip(
        plain["applications"][0]["deployments"],
        sent["applications"][0]["deployments"],
        strict=True,
    ):
        assert {k: v for k, v in after.items() if k not in sizes} == {
            k: v for k, v in before.items() if k not in sizes
        }
        for option in ("autoscaling_config", "ray_actor_options"):
            assert set(before.get(option, {})) <= set(after.get(option, {})), "merged, not replaced"
    assert {k: v for k, v in sent.items() if k not in ("applications", "http_options")} == {
        k: v for k, v in plain.items() if k != "applications"
    }


def test_every_deployment_says_how_it_is_checked_stopped_and_bounded() -> None:
    deployments = yaml.safe_load(SERVE_CONFIG.read_text())["applications"][0]["deployments"]
    said = {
        *("graceful_shutdown_wait_loop_s", "graceful_shutdown_timeout_s", "max_ongoing_requests"),
        *("health_check_period_s", "health_check_timeout_s", "ray_actor_options"),
    }
    for one in deployments:
        assert said <= set(one), one["name"]
        assert ("num_replicas" in one) != ("autoscaling_config" in one)
    by_name = {one["name"]: one for one in deployments}
    assert by_name["Ingress"]["max_queued_requests"] > Settings().max_waiting, (
        "it sheds load itself"
    )
    scaling = by_name["Embedder"]["autoscaling_config"]
    assert {"upscale_delay_s", "downscale_delay_s", "min_replicas", "max_replicas"} <= set(scaling)
    assert scaling["policy"]["policy_kwargs"]["target_queries"] > 0


def test_a_deployment_that_is_not_there_cannot_be_changed() -> None:
    with pytest.raises(DeployFailed, match="Embeder"):
        serve_config(http_host="", http_port=1, overrides={"Embeder": {"num_replicas": 2}})
