"""deploy/node.sh: what a machine of Google Cloud runs the hub's commands with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from contracts.settings import PROJECT, Settings
from scripts.local_cluster import ray_environment

SECRETS = {
    "hub-secret": "5" * 64,
    "hub-ray-token": "7" * 64,
    "hub-database-app": "a" * 64,
    "hub-database-owner": "0" * 64,
}
TOOLS = {
    # The metadata server, as seen by `curl ... http://metadata.google.internal/.../PATH`.
    "curl": """case "${@: -1}" in
      */project/project-id) echo hub-test-1 ;;
      */instance/zone) echo projects/42/zones/us-east4-c ;;
      *) exit 22 ;;
    esac""",
    "gcloud": """for word; do
      case $word in --secret=*) cat "$FAKE/secrets/${word#*=}" ;; esac
    done""",
    "systemctl": """[[ $1 != is-active || -e $FAKE/running ]]""",
    "sudo": """[[ $1 == systemd-run ]] && touch "$FAKE/running" || true""",
}
SHOW = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:]]))"


class Node:
    """A machine with the tools that node.sh uses, each writing down its words."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir()
        (folder / "secrets").mkdir()
        (folder / "bin").mkdir()
        for name, secret in SECRETS.items():
            (folder / "secrets" / name).write_text(secret)
        for name, does in TOOLS.items():
            tool = folder / "bin" / name
            tool.write_text(f'#!/bin/bash\necho "{name} $*" >>"$FAKE/calls"\n{does}\n')
            tool.chmod(0o755)
        shutil.copy(PROJECT / "deploy" / "hub.env", self.home / "hub.env")

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command by node.sh, linked into the home as on a node."""
        link = self.home / "node.sh"
        if not link.is_symlink():
            link.symlink_to(PROJECT / "deploy" / "node.sh")
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return subprocess.run(
            ["bash", str(link), *command],
            env={"HOME": str(self.home), "PATH": path, "FAKE": str(self.folder), **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def environment(self, **environment: str) -> dict[str, str]:
        """Return what a command sees."""
        ran = self.run(sys.executable, "-c", SHOW, "two words", "$HOME", **environment)
        assert ran.returncode == 0, ran.stderr
        seen, words = json.loads(ran.stdout)
        assert words == ["two words", "$HOME"]
        return dict(seen)

    @property
    def calls(self) -> str:
        return (self.folder / "calls").read_text()


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_ray_starts_with_the_flags_of_make_run(node: Node) -> None:
    seen = node.environment()
    flags = {name: value for name, value in seen.items() if name.startswith("RAY_")}
    token = Path(flags.pop("RAY_AUTH_TOKEN_PATH"))
    assert flags == ray_environment()
    assert flags["RAY_AUTH_MODE"] == "token"
    assert token.read_text().strip() == SECRETS["hub-ray-token"]
    assert token.stat().st_mode & 0o777 == 0o600
    assert seen["PATH"].startswith(f"{node.home}/hub/bin:")


def test_settings_are_those_of_the_project(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in node.environment().items():
        if name.startswith("HUB_"):
            monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.artifacts == "gs://hub-test-1-hub"
    assert settings.train_storage == "gs://hub-test-1-hub/training", "seen by every node"
    assert (settings.vertex_project, settings.vertex_location) == ("hub-test-1", "us-east4")
    assert settings.home_dir == node.home / ".hub"
    assert settings.require_secret().decode() == SECRETS["hub-secret"]
    assert settings.http_host == "0.0.0.0"
    assert settings.log_sync == "commit"
    assert settings.train_resource == "training"
    database = conninfo_to_dict(settings.database_url or "")
    assert (database["host"], database["user"]) == ("127.0.0.1", "hub_app")
    assert database["password"] == SECRETS["hub-database-app"]


def test_migrations_run_as_the_owner_and_nothing_else_does(node: Node) -> None:
    owner = node.environment(NODE_DATABASE_USER="owner")["HUB_DATABASE_URL"]
    assert owner.startswith(f"postgresql://hub_owner:{SECRETS['hub-database-owner']}@")
    assert "database-owner" in node.calls
    (node.folder / "calls").unlink()
    node.environment()
    assert "database-owner" not in node.calls


def test_one_setting_can_be_changed_for_one_command(node: Node) -> None:
    given = {
        "HUB_LOG_SYNC": "spool",
        "HUB_ARTIFACTS": "gs://another",
        "RAY_SERVE_ENABLE_HA_PROXY": "0",
    }
    seen = node.environment(**given)
    assert {name: seen[name] for name in given} == given


def test_the_proxy_to_the_database_is_started_once(node: Node) -> None:
    node.environment()
    node.environment()
    (started,) = [call for call in node.calls.splitlines() if "systemd-run" in call]
    assert started.endswith(
        f"{node.home}/cloud-sql-proxy --port=5432 --structured-logs hub-test-1:us-east4:hub"
    )
    assert "--property=Restart=always" in started
    assert not any(secret in node.calls for secret in SECRETS.values())


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("bin/curl", "no machine of Google Cloud"),
        ("secrets/hub-ray-token", "The secret hub-ray-token cannot be read"),
        ("secrets/hub-secret", "run scripts/provision_gcp.sh --project=hub-test-1"),
    ],
)
def test_what_is_missing_is_named_and_nothing_is_run(node: Node, broken: str, said: str) -> None:
    file = node.folder / broken
    if file.parent.name == "bin":
        file.write_text("#!/bin/sh\nexit 6\n")
    else:
        file.unlink()
    ran = node.run("touch", str(node.home / "ran"))
    assert ran.returncode != 0
    assert said in ran.stderr
    assert not (node.home / "ran").exists()


def test_a_broken_line_of_settings_is_shown(node: Node) -> None:
    (node.home / "hub.env").write_text("# a comment\n\nHUB_LOG_SYNC=commit\nHUB_DEMO true\n")
    ran = node.run("true")
    assert ran.returncode != 0
    assert "no NAME=value: HUB_DEMO true" in ran.stderr
    assert "Which command?" in node.run().stderr
