"""`make run`: the whole hub on this machine, from nothing to a first answer."""

import json
import os
import secrets
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from pydantic import SecretStr, ValidationError
from rich.console import Console

from contracts.errors import HubError, SettingsError
from contracts.settings import Settings
from scripts.ask import ask, show
from scripts.local_cluster import LocalCluster, only_cluster
from scripts.ports import require_free
from scripts.prepare import Step, prepare_knowledge, prepare_models, prepare_schema
from store.embedded import EmbeddedPostgres

FIRST_QUESTION = "how do i appeal a grade"
NEEDED_BYTES = 2 * 1024**3

console = Console(highlight=False)


def with_secret(settings: Settings) -> Settings:
    """Return the settings with a secret: the given one, or one made once and kept in HOME."""
    file = settings.secret_file
    if not settings.secret.get_secret_value() and not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32))
    secret = settings.require_secret().decode()
    return settings.model_copy(update={"secret": SecretStr(secret)})


@contextmanager
def step(what: str) -> Iterator[Callable[[str], None]]:
    """Say what is going on and how long it took; yields what says how far it is."""
    since = time.monotonic()
    console.print(f"[dim]·[/] {what}")
    yield lambda line: console.print(f"    [dim]{line}[/]")
    console.print(f"  [green]done[/] in {time.monotonic() - since:.1f} s")


def require_room(home: Path) -> None:
    """Raise SettingsError when HOME cannot be written or its disk is nearly full."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(home).free
    except OSError as error:
        raise SettingsError(f"HUB_HOME={home} cannot be used: {error.strerror}.") from error
    if not os.access(home, os.W_OK):
        raise SettingsError(f"HUB_HOME={home} cannot be written. Set HUB_HOME to another folder.")
    if free < NEEDED_BYTES:
        raise SettingsError(
            f"The disk of HUB_HOME={home} has {free / 1024**3:.1f} GiB free;"
            f" {NEEDED_BYTES / 1024**3:.0f} GiB are needed. Make room or set HUB_HOME elsewhere."
        )


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub that runs: its settings, its cluster, and its own Postgres unless one was given."""

    settings: Settings
    cluster: LocalCluster
    postgres: EmbeddedPostgres | None


def bring_up(
    settings: Settings,
    stack: ExitStack,
    *,
    step: Step,
    overrides: Mapping[str, Mapping[str, Any]] | None = None,
) -> Hub:
    """Bring the hub up; `stack` takes what has to be stopped, in order.

    `overrides` changes deployments' options, as in LocalCluster.deploy.
    """
    require_room(settings.home_dir)
    stack.enter_context(only_cluster(settings))
    require_free(settings.http_port, host=settings.http_host, setting="HUB_HTTP_PORT")
    require_free(settings.dashboard_port, host="127.0.0.1", setting="HUB_DASHBOARD_PORT")
    settings = with_secret(settings)
    postgres = None
    if settings.database_url is None:
        with step("starting the embedded Postgres"):
            postgres = stack.enter_context(EmbeddedPostgres(settings.home_dir))
            settings = settings.model_copy(update={"database_url": postgres.url})
    prepare_schema(settings, step=step, overrides=overrides)
    cluster = LocalCluster(settings)
    stack.callback(_stop, cluster, step)
    cluster.launch()  # it comes up while the rest is prepared
    prepare_models(settings, step=step)
    prepare_knowledge(settings, step=step)
    with step("waiting for Ray: one head, token authentication, HAProxy"):
        cluster.wait_for_dashboard()
    with step("deploying the graph (serve_config.yaml)") as say:
        cluster.deploy(overrides=overrides, progress=say)
        cluster.wait_until_ready()
    hub = Hub(settings, cluster, postgres)
    _say_where(hub, stack)
    return hub


def _say_where(hub: Hub, stack: ExitStack) -> None:
    """Let scripts and jobs beside find it (training.beside), for as long as it runs."""
    file = hub.settings.home_dir / "hub.json"
    stack.callback(file.unlink, missing_ok=True)
    said = {"http": hub.cluster.http_url, "dashboard": hub.cluster.dashboard_url}
    file.write_text(json.dumps({**said, "pid": os.getpid()}))


def setting_errors(error: ValidationError) -> str:
    """Say which settings cannot be used, by their names, and why."""
    return ", ".join(f"HUB_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())


def _stop(cluster: LocalCluster, step: Step) -> None:
    try:
        with step("stopping Ray"):
            cluster.stop()
    finally:  # also when nobody listens any more: `make run | tee log` loses tee to Ctrl-C first
        cluster.stop()


def _announce(hub: Hub) -> None:
    cluster, url = hub.cluster, hub.cluster.http_url
    show(ask(FIRST_QUESTION, url=url), console=console)
    console.print(
        f"\n[bold]The hub is up.[/] Ctrl-C stops exactly what this started.\n"
        f"  page       {url}/\n"
        f"  API docs   {url}/docs\n"
        f"  dashboard  {cluster.dashboard_url}  (token: {cluster.token_file})\n"
        f'  ask        make ask Q="where can i get a flu shot"\n'
        f"  logs       {cluster.temp_dir}/session_latest/logs/serve\n"
    )


def main() -> int:
    """Run until Ctrl-C or SIGTERM. Exit status 1 with one sentence when it cannot come up."""
    since = time.monotonic()
    # A terminal that closes is a Ctrl-C as well; and a shell starts what it puts in the background
    # with SIGINT ignored.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    try:
        settings = Settings()
        with ExitStack() as stack:
            hub = bring_up(settings, stack, step=step)
            console.print(f"[green]answering after {time.monotonic() - since:.1f} s[/]\n")
            _announce(hub)
            with hub.cluster.beside("training.memory_watch"):
                hub.cluster.watch()
    except KeyboardInterrupt:
        console.print("\nstopped; what was asked and made is kept in HUB_HOME.")
        return 0
    except ValidationError as error:
        console.print(f"[red]A setting cannot be used:[/] {setting_errors(error)}")
        return 1
    except (HubError, psycopg.Error, OSError) as error:
        console.print(f"[red]The hub did not come up.[/] {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
