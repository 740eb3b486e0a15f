"""One cluster a home; what a killed one left behind goes; stopping needs nobody to listen."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from contracts.settings import Settings
from scripts import run
from scripts.local_cluster import (
    ClusterFailed,
    LocalCluster,
    hub_environment,
    only_cluster,
    temp_dir_of,
)


def test_what_a_killed_cluster_left_running_is_cleared_away(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
    left = subprocess.Popen([*sleep, f"--temp-dir={temp_dir_of(settings)}"])
    other = subprocess.Popen([*sleep, f"--temp-dir={temp_dir_of(Settings(home=tmp_path / 'b'))}"])
    try:
        with only_cluster(settings):
            assert left.wait(timeout=5) != 0
            assert other.poll() is None
    finally:
        for process in (left, other):
            process.kill()
            process.wait()


def test_a_home_has_one_cluster_at_a_time(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    with (
        only_cluster(settings),
        pytest.raises(ClusterFailed, match="already"),
        only_cluster(settings),
    ):
        pass
    with only_cluster(settings):
        pass


def test_ray_is_stopped_although_nobody_listens_any_more() -> None:
    stopped = []

    class Cluster:
        def stop(self) -> None:
            stopped.append(self)

    @contextmanager
    def deaf(what: str) -> Iterator[None]:
        raise BrokenPipeError(what)
        yield

    with pytest.raises(BrokenPipeError), ExitStack() as stack:
        stack.callback(run._stop, Cluster(), deaf)
    assert len(stopped) == 1


def test_replicas_read_the_very_settings_that_the_cluster_was_made_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    origins = ("https://a.example", "https://b.example")
    made_with = Settings(
        home=tmp_path, secret=SecretStr("s" * 16), cors_origins=origins, redis_url="redis://r"
    )
    for name, value in hub_environment(made_with).items():
        monkeypatch.setenv(name, value)
    assert Settings() == made_with


def test_python_is_the_hubs_own_in_a_submitted_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.defpath)  # nobody activated the virtual environment
    path = LocalCluster(Settings(home=tmp_path)).environment()["PATH"]
    found = shutil.which("python", path=path)
    assert found is not None
    assert Path(found).parent == Path(sys.executable).parent
    assert os.defpath in path


def test_what_runs_beside_a_cluster_ends_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "waiting.py").write_text(
        "import os, pathlib, time\n"
        "pathlib.Path(os.environ['HUB_HOME'], 'pid').write_text(f'{os.getpid()}\\n')\n"
        "time.sleep(60)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    pid_file = tmp_path / "pid"
    with LocalCluster(Settings(home=tmp_path)).beside("waiting"):
        until_s = time.monotonic() + 20
        while not (pid_file.is_file() and pid_file.read_text().endswith("\n")):
            assert time.monotonic() < until_s
            time.sleep(0.02)
        running = Path("/proc", pid_file.read_text().strip())
        assert running.is_dir()
    assert not running.exists()
