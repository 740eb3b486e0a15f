"""The image, its build and the scripts: linted, and true to the project; a test builds neither."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from contracts.settings import PROJECT
from tests.google_api import faults

PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
VERSION = PYPROJECT["project"]["version"]
DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text()
BUILD = yaml.safe_load((PROJECT / "deploy" / "cloudbuild.yaml").read_text())


def lint(file: Path) -> list[str]:
    """Return what hadolint has against a Dockerfile."""
    hadolint = Path(sys.executable).with_name("hadolint")
    found = subprocess.run(
        [hadolint, "--format=json", str(file)], stdout=subprocess.PIPE, text=True, check=False
    )
    return [f"{one['line']}: {one['code']} {one['message']}" for one in json.loads(found.stdout)]


def test_every_shell_script_passes_shellcheck() -> None:
    scripts = sorted(
        path.relative_to(PROJECT).as_posix()
        for folder in ("scripts", "deploy")
        for path in (PROJECT / folder).rglob("*.sh")
    )
    assert len(scripts) >= 3
    shellcheck = Path(sys.executable).with_name("shellcheck")
    found = subprocess.run(
        [shellcheck, "--external-sources", "--format=json", *scripts],
        cwd=PROJECT,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert [
        f"{one['file']}:{one['line']}: {one['message']}" for one in json.loads(found.stdout)
    ] == []


def copied() -> set[str]:
    """Return what the Dockerfile copies from the checkout."""
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, flags=re.MULTILINE)
    return {name for line in lines for name in line.split()}


def test_the_linter_has_nothing_against_it(tmp_path: Path) -> None:
    assert lint(PROJECT / "deploy" / "Dockerfile") == []
    wrong = tmp_path / "Dockerfile"
    wrong.write_text("FROM python\nRUN cd /tmp\n")
    assert len(lint(wrong)) >= 2


def test_everything_that_the_wheel_is_made_of_is_copied_and_there() -> None:
    packages = {name.split(".")[0] for name in PYPROJECT["tool"]["setuptools"]["packages"]}
    rest = {"pyproject.toml", "setup.py", "README.md", "serve_config.yaml", "constraints.txt"}
    assert copied() == packages | rest | {"tests/golden_queries.json"}
    ignored = (PROJECT / "deploy" / "Dockerfile.dockerignore").read_text().split()
    for name in copied():
        assert (PROJECT / name).exists(), name
        assert name.split("/")[0] not in ignored, name


def test_versions_are_those_of_the_project() -> None:
    (torch,) = [pin for pin in PYPROJECT["project"]["dependencies"] if pin.startswith("torch==")]
    assert f" {torch} " in DOCKERFILE
    assert set(re.findall(r"student_resource_hub-([0-9.]+)-py3", DOCKERFILE)) == {VERSION}
    (python,) = set(re.findall(r"^FROM python:([0-9.]+)-", DOCKERFILE, flags=re.MULTILINE))
    assert PYPROJECT["project"]["requires-python"].startswith(f">={python},")
    assert (
        BUILD["steps"][0]["name"] == re.findall(r"^FROM (\S+)", DOCKERFILE, flags=re.MULTILINE)[1]
    )
    assert BUILD["substitutions"]["_VERSION"] == VERSION


def test_what_runs_is_not_root_and_models_are_baked_in_only_when_asked() -> None:
    final = DOCKERFILE[DOCKERFILE.rindex("\nFROM ") :]
    assert "\nUSER 1000\n" in final
    assert "useradd --uid 1000" in final
    assert "ARG BAKE_MODELS=false" in final
    assert final.index("USER 1000") < final.index("BAKE_MODELS")
    for module in re.findall(r"python -m ([\w.]+)", final):
        assert (PROJECT / f"{module.replace('.', '/')}.py").is_file(), module


def test_cloud_build_understands_the_build() -> None:
    assert faults(BUILD, api="cloudbuild.v1", schema="Build") == []
    assert len(faults({"step": [], "timeout": 5}, api="cloudbuild.v1", schema="Build")) == 2
    said = yaml.safe_dump(BUILD)
    used = set(re.findall(r"\$\{(\w+)\}", said))
    assert used == {*BUILD["substitutions"], "PROJECT_ID"}
    for word in re.findall(r"--file=(\S+)", said):
        assert (PROJECT / word).is_file()
    ids = [step["id"] for step in BUILD["steps"]]
    assert len(set(ids)) == len(ids)


def test_a_release_lies_where_the_nodes_look_for_it() -> None:
    (release,) = [step for step in BUILD["steps"] if step["id"] == "release"]
    *files, where = [
        word.replace("${_VERSION}", VERSION).replace("${PROJECT_ID}", "my-project")
        for word in release["args"][2:]
    ]
    cluster = (PROJECT / "cluster.yaml").read_text()
    assert f"rsync {where.rstrip('/')} ~/release" in cluster
    for file in files:
        assert f"/release/{Path(file).name}" in cluster
    image = (
        BUILD["images"][0].replace("${_VERSION}", VERSION).replace("${PROJECT_ID}", "my-project")
    )
    image = image.replace("${_REGION}", BUILD["substitutions"]["_REGION"])
    assert image in (PROJECT / "deploy" / "kuberay" / "rayservice.yaml").read_text()
    account = BUILD["serviceAccount"].split("/")[-1].split("@")[0]
    assert account == "hub-build"
