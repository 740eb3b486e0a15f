"""scripts/provision_gcp.sh: all the first time, nothing the second, and what it prints runs."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from contracts.settings import PROJECT
from tests.stand_ins import gcloud
from tests.stand_ins.gcloud import ACCOUNT, CHANGES

SCRIPT = "scripts/provision_gcp.sh"
GIVEN = ("--project=hub-test-1", "--ssh-from=198.51.100.7/32", "--redis")
NEEDED = (
    *("scripts/ensure_gcloud.sh", "cluster.yaml", "deploy/storage-lifecycle.json"),
    *("deploy/sql/roles.sql", "deploy/kuberay/rayservice.yaml"),
    "deploy/kuberay/nightly.yaml",
)


class Machine:
    """A machine with a checkout, in a folder whose name needs quotes, and our gcloud."""

    def __init__(self, folder: Path, *, has_gcloud: bool = True) -> None:
        self.checkout = folder / 'a student\'s $HOME & "hub"'
        self.cloud = folder / "cloud"
        self.path = folder / "bin"
        self.made: list[list[str]] = []
        self.cloud.mkdir()
        self.path.mkdir()
        for name in (SCRIPT, *NEEDED):
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(PROJECT / name, self.checkout / name)
        if has_gcloud:
            (self.path / "gcloud").write_text(
                f'#!/bin/sh\nexec {sys.executable} -I -S {gcloud.__file__} "$@"\n'
            )
            (self.path / "gcloud").chmod(0o755)

    def run(
        self, *given: str, script: str = SCRIPT, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a script of the checkout, or commands from standard input."""
        return subprocess.run(
            ["bash", *([self.checkout / script] if stdin is None else ["-eu"]), *given],
            input=stdin,
            cwd=self.path,
            env={"PATH": f"{self.path}:{_plain_tools(self.path)}", "FAKE_GCLOUD": str(self.cloud)},
            capture_output=True,
            text=True,
            check=False,
        )

    def calls(self) -> list[list[str]]:
        """Return the calls of gcloud since the last time."""
        log = self.cloud / "calls"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [line.split("\x1f") for line in lines]


def _plain_tools(folder: Path) -> Path:
    """A PATH without the gcloud that this machine may have."""
    tools = folder / "tools"
    if not tools.exists():
        tools.mkdir()
        for name in (
            "bash",
            "cat",
            "cmp",
            "cut",
            "dirname",
            "grep",
            "mkdir",
            "openssl",
            "sed",
            "sh",
        ):
            (tools / name).symlink_to(shutil.which(name) or name)
        for name in ("sha256sum", "tr", "env"):
            (tools / name).symlink_to(shutil.which(name) or name)
    return tools


def changes(calls: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the calls that change something, without the names of process substitutions."""
    return [
        [
            word if "/dev/fd/" not in word and "/proc/" not in word else "--flags-file"
            for word in call
        ]
        for call in calls
        if any(word in CHANGES for word in call[:3])
    ]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture(scope="module")
def provisioned(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine whose project has been provisioned, by the calls in `made`."""
    machine = Machine(tmp_path_factory.mktemp("machine"))
    ran = machine.run(*GIVEN)
    assert ran.returncode == 0, ran.stderr
    machine.made = machine.calls()
    return machine


def test_a_second_run_changes_nothing_and_a_dry_run_prints_what_the_first_did(
    provisioned: Machine, machine: Machine
) -> None:
    made = changes(provisioned.made)
    assert len(made) > 40
    rendered = provisioned.checkout / ".hub" / "gcp" / "cluster.yaml"
    before = rendered.stat().st_mtime_ns
    second = provisioned.run(*GIVEN)
    assert second.returncode == 0, second.stderr
    assert changes(provisioned.calls()) == []
    assert "making" not in second.stderr
    assert rendered.stat().st_mtime_ns == before

    # An empty project: what is printed is a script, and does the same.
    dry = machine.run(*GIVEN, "--dry-run")
    assert dry.returncode == 0, dry.stderr
    assert machine.calls() == []
    assert not (machine.checkout / ".hub").exists()
    ran = machine.run(stdin=dry.stdout)
    assert ran.returncode == 0, ran.stderr
    here, there = str(machine.checkout), str(provisioned.checkout)
    assert [
        [word.replace(here, there) for word in call] for call in changes(machine.calls())
    ] == made
    assert (machine.checkout / ".hub" / "gcp" / "cluster.yaml").read_text() == rendered.read_text()


def test_secrets_are_random_and_in_nobodys_arguments(provisioned: Machine) -> None:
    secrets = {file.name: file.read_text() for file in provisioned.cloud.glob("secrets_*")}
    assert len(set(secrets.values())) == 5
    assert all(len(secret) == 64 for secret in secrets.values())
    for user in ("owner", "app", "report"):
        password = provisioned.cloud / f"sql-users_hub_{user}"
        assert password.read_text() == f"--password: {secrets[f'secrets_hub-database-{user}']}"
    said = {word for call in provisioned.made for word in call}
    assert not any(secret in word for secret in secrets.values() for word in said)


def test_everything_that_is_needed_is_made(machine: Machine) -> None:
    dry = machine.run(*GIVEN, "--region=us-east4", "--tier=db-custom-4-15360", "--dry-run")
    (instance,) = [line for line in dry.stdout.splitlines() if "sql instances create" in line]
    for part in (
        "POSTGRES_16",
        "cloudsql.iam_authentication=on",
        "max_connections=200",
        "us-east4",
    ):
        assert part in instance
    assert "db-custom-4-15360" in instance
    for part in (
        *("services enable", "sql databases create hub ", "sql users set-password hub_app "),
        *("sql import sql hub ", "storage buckets create gs://hub-test-1-hub "),
        *(
            "--uniform-bucket-level-access",
            "--versioning --lifecycle-file=",
            "redis instances create",
        ),
        *("service-accounts create hub-head ", "service-accounts create hub-worker "),
        *("service-accounts create hub-build ", "secrets create hub-secret "),
        *("secrets create hub-ray-token ", "secrets create hub-database-app "),
        *("artifacts repositories create hub ", "--source-ranges=198.51.100.7/32"),
    ):
        assert dry.stdout.count(part) == 1, part
    assert "europe-west1" not in dry.stdout.replace("s/europe-west1", "")


def test_nobody_may_more_than_needed(provisioned: Machine) -> None:
    held: dict[str, set[str]] = {}
    for policy in provisioned.cloud.glob("policy_*"):
        resource = policy.name.removeprefix("policy_")
        for line in policy.read_text().splitlines():
            role, member = line.split(",")
            who = member.removeprefix("serviceAccount:").split("@")[0]
            held.setdefault(who, set()).add(
                f"{resource.split('_')[0]}: {role.removeprefix('roles/')}"
            )
    assert not any(
        role.endswith((": editor", ": owner", "admin", "Admin"))
        for roles in held.values()
        for role in roles
    )
    both = {
        *("projects: cloudsql.client", "projects: logging.logWriter", "projects: aiplatform.user"),
        *("projects: monitoring.metricWriter", "secrets: secretmanager.secretAccessor"),
        "storage-buckets: storage.objectUser",
    }
    assert held.pop("hub-worker") == {*both, "artifacts-repositories: artifactregistry.reader"}
    assert held.pop("hub-head") == {
        *both,
        "projects: compute.instanceAdmin.v1",
        "projects: datastore.viewer",
        "iam-service-accounts: iam.serviceAccountUser",
    }
    assert held.pop("hub-build") == {
        "artifacts-repositories: artifactregistry.writer",
        "storage-buckets: storage.objectUser",
        "projects: logging.logWriter",
    }
    assert held == {ACCOUNT.split("@")[0]: {"storage-buckets: storage.objectViewer"}}
    owner = (provisioned.cloud / "policy_secrets_hub-database-owner").read_text()
    assert "hub-worker" not in owner


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "Which project?"),
        (["--project=Hub Test"], "is no project id"),
        (["--project=hub-test-1", "--region=Europe"], "is no region"),
        (["--project=hub-test-1", "--zone=us-east4-a"], "is no zone of europe-west1"),
        (["--project=hub-test-1", "--tier=$(reboot)"], "is no tier"),
        (["--project=hub-test-1"], "From where may SSH come?"),
        (["--project=hub-test-1", "--ssh-from=0.0.0.0/0"], "not wider than /8"),
        (["--project=hub-test-1", "--quick"], "does not know --quick"),
        (["--project=not-mine-1", "--ssh-from=198.51.100.7/32"], "cannot be seen"),
        ([*GIVEN[:2], "--region=mars-north7"], "has no region mars-north7"),
    ],
)
def test_bad_input_is_answered_with_one_sentence_and_makes_nothing(
    machine: Machine, given: list[str], said: str
) -> None:
    ran = machine.run(*given)
    assert ran.returncode == 2
    last = ran.stderr.strip().splitlines()[-1]
    assert last.startswith("provision_gcp.sh: ")
    assert said in last
    assert {call[0] for call in changes(machine.calls())} <= {"services"}


def test_without_gcloud_there_is_still_the_dry_run(tmp_path: Path) -> None:
    machine = Machine(tmp_path, has_gcloud=False)
    ran = machine.run(*GIVEN)
    assert (ran.returncode, len(ran.stderr.splitlines())) == (2, 1)
    assert "gcloud is not installed" in ran.stderr
    dry = machine.run(*GIVEN, "--dry-run")
    assert dry.returncode == 0
    assert dry.stdout.count("gcloud ") > 40
