"""The wheel that nodes install: every file of ours, and it works where there is no checkout."""

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from contracts.settings import PROJECT

NOT_SHIPPED = ("tests/", "docs/", "deploy/")
"""What a node does not need, but for the golden queries, which gate what is trained, and the few
files of deploy/ that it reads."""

SEES_ITS_FILES = """
import runpy, sys
from scripts.cluster import SERVE_CONFIG
from scripts.local_cluster import RAY_ENVIRONMENT, ray_environment
from contracts.settings import DATA, PROJECT
from store.migrate import migrations
deploy = PROJECT / "deploy"
for file in (SERVE_CONFIG, RAY_ENVIRONMENT, deploy / "on_cluster.yaml", deploy / "node.sh",
             PROJECT / "tests" / "golden_queries.json", PROJECT / "graph" / "web" / "index.html",
             PROJECT / "training" / "stages" / "run.py", DATA / "crisis.yaml"):
    assert file.is_file(), file
assert len(migrations()) >= 3
assert ray_environment()["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
print(PROJECT)
sys.argv[1:] = ["--help"]
runpy.run_module("scripts.migrate_vectors", run_name="__main__")
"""


def _tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return [name for name in listed.stdout.splitlines() if (PROJECT / name).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a build leaves folders beside the sources."""
    source, into = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in _tracked():
        if not name.startswith("docs/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(PROJECT / name, source / name)
    build = ["wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run(
        [sys.executable, "-m", "pip", *build, "--wheel-dir", str(into), str(source)], check=True
    )
    (built,) = into.glob("*.whl")
    return built


def test_the_wheel_carries_every_module_and_every_file_beside_them(wheel: Path) -> None:
    packages = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["setuptools"][
        "packages"
    ]
    folders = {package.split(".")[0] for package in packages}
    ours = {
        name
        for name in _tracked()
        if name.split("/")[0] in folders and not name.startswith(NOT_SHIPPED) and "/" in name
    }
    apart = {name for name in ours if name.endswith((".md", ".sh"))}
    with zipfile.ZipFile(wheel) as archive:
        carried = set(archive.namelist())
    assert ours - apart - carried == set()
    assert {"serve_config.yaml", "tests/golden_queries.json"} <= carried
    read_by_nodes = {"deploy/node.sh", "deploy/on_cluster.yaml", "deploy/ray.env"}
    assert {name for name in carried if name.startswith("deploy/")} == read_by_nodes
    # The only thing of the tests: their modules would stand in everybody's way.
    assert [name for name in carried if name.startswith("tests/")] == ["tests/golden_queries.json"]


def test_an_installed_wheel_works_without_the_checkout(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:  # of a pure wheel that is all that pip does
        archive.extractall(target)
    ran = subprocess.run(
        [sys.executable, "-c", SEES_ITS_FILES],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    where, *help_text = ran.stdout.splitlines()
    assert where == str(target)
    assert any("--from" in line for line in help_text)
