"""A real hub for tests: its own ports, folder, Postgres, Ray cluster and token."""

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from contracts.settings import Settings
from scripts.ports import free_ports
from scripts.run import Hub, bring_up, step

QUICK_SCALING = {"upscale_delay_s": 1, "downscale_delay_s": 5}
"""serve_config.yaml's scaling with shorter delays, so that a test need not wait half a minute."""

SECRET = "a secret of the tests, and of nothing else"


@contextlib.contextmanager
def live_hub(
    models_home: Path, *, overrides: Mapping[str, Mapping[str, Any]] | None = None, **settings: Any
) -> Iterator[Hub]:
    """Bring up a hub in a new folder with the encoder and artifacts of `models_home`; stop it."""
    http, dashboard = free_ports(2)
    with tempfile.TemporaryDirectory(prefix="hub-test-") as folder, ExitStack() as stack:
        home = Path(folder)
        (home / "encoder").symlink_to(models_home / "encoder")
        # A registry of its own, so that a test may publish.
        shutil.copytree(models_home / "artifacts", home / "artifacts")
        given = {"quota_per_minute": 0, **settings}
        hub = bring_up(
            Settings(
                home=home,
                http_port=http,
                dashboard_port=dashboard,
                secret=SecretStr(SECRET),
                **given,
            ),
            stack,
            step=step,
            overrides=overrides,
        )
        yield hub
        stack.close()
        shutil.rmtree(hub.cluster.temp_dir)


def client_of(hub: Hub) -> httpx.Client:
    """Return an HTTP client of a hub; it keeps its session's cookie."""
    return httpx.Client(base_url=hub.cluster.http_url, timeout=15)


@pytest.fixture(scope="session")
def hub(hub_home: Path) -> Iterator[Hub]:
    """One hub for the whole test session: it takes half a minute to start."""
    with live_hub(
        hub_home, overrides={"Embedder": {"autoscaling_config": QUICK_SCALING}}
    ) as running:
        yield running
