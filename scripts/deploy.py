"""Bring the hub up on a Ray cluster that runs: `python -m scripts.deploy`, on its head node.

The steps of `make run`, without starting Ray or Postgres: migrations, encoder and first version,
knowledge, the graph (serve_config.yaml with deploy/on_cluster.yaml), a first answer. Each does
nothing when it is done already, so it is also how a new release is rolled out. What serves stays
when it fails. --prepare stops before the graph, for a cluster whose operator deploys it; --dry-run
shows what would be used and sent, and touches nothing.
"""

import argparse
import json
import sys
from collections.abc import Sequence

import httpx
import psycopg
import yaml
from psycopg.conninfo import conninfo_to_dict
from pydantic import ValidationError

from contracts.errors import HubError, SettingsError
from contracts.settings import PROJECT, Settings
from scripts.ask import ask, show
from scripts.cluster import Cluster, Overrides, serve_config
from scripts.prepare import prepare_knowledge, prepare_models, prepare_schema
from scripts.run import FIRST_QUESTION, console, require_room, setting_errors, step

ON_CLUSTER = PROJECT / "deploy" / "on_cluster.yaml"
NODES_BOOT_S = 1200.0
"""Replicas wait for nodes, and a node installs what it runs before it comes."""


def cluster_overrides() -> Overrides:
    """Return what a cluster changes in serve_config.yaml."""
    overrides: Overrides = yaml.safe_load(ON_CLUSTER.read_text())
    return overrides


def _require(settings: Settings) -> str:
    """Return the database's address. Raises SettingsError for what no cluster can do without."""
    if settings.database_url is None:
        raise SettingsError(
            "HUB_DATABASE_URL is not set, and the nodes of a cluster share one database."
            " On a node run this by deploy/node.sh, which knows it."
        )
    settings.require_secret()
    return settings.database_url


def _plan(settings: Settings) -> None:
    database = conninfo_to_dict(_require(settings))
    config = serve_config(
        http_host=settings.http_host, http_port=settings.http_port, overrides=cluster_overrides()
    )
    console.print(
        f"database   {database.get('user')}@{database.get('host')}/{database.get('dbname')}\n"
        f"artifacts  {settings.artifacts_root}\n"
        f"home       {settings.home_dir}\n"
        f"dashboard  http://127.0.0.1:{settings.dashboard_port}\n"
        f"would migrate, prepare, and send:\n",
        markup=False,
    )
    print(yaml.safe_dump(config, sort_keys=False), end="")


def _prepare(settings: Settings) -> None:
    require_room(settings.home_dir)
    prepare_schema(settings, step=step, overrides=cluster_overrides())
    prepare_models(settings, step=step)
    prepare_knowledge(settings, step=step)


def _deploy(settings: Settings) -> Cluster:
    cluster = Cluster(
        http_host=settings.http_host,
        http_port=settings.http_port,
        dashboard_port=settings.dashboard_port,
        token_file=settings.home_dir / "ray" / "auth_token",
    )
    with step("deploying the graph (serve_config.yaml, deploy/on_cluster.yaml)") as say:
        cluster.deploy(overrides=cluster_overrides(), timeout_s=NODES_BOOT_S, progress=say)
        cluster.wait_until_ready()
    # Jobs on this node find it (training.beside).
    said = {"http": cluster.http_url, "dashboard": cluster.dashboard_url}
    (settings.home_dir / "hub.json").write_text(json.dumps(said))
    return cluster


def main(given: Sequence[str] | None = None) -> int:
    """Bring it up, and return the exit status: 1 with one sentence when it did not come up."""
    parser = argparse.ArgumentParser(
        prog="python -m scripts.deploy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--prepare", action="store_true", help="stop before the graph is deployed")
    parser.add_argument("--dry-run", action="store_true", help="show it, and touch nothing")
    arguments = parser.parse_args(given)
    try:
        settings = Settings()
        if arguments.dry_run:
            _plan(settings)
            return 0
        _require(settings)
        _prepare(settings)
        if not arguments.prepare:
            cluster = _deploy(settings)
            show(ask(FIRST_QUESTION, url=cluster.http_url), console=console)
    except ValidationError as error:
        console.print(f"[red]A setting cannot be used:[/] {setting_errors(error)}")
        return 1
    except (HubError, psycopg.Error, httpx.HTTPError, OSError) as error:
        console.print(
            f"The hub did not come up; what served before still does. {error}", markup=False
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
