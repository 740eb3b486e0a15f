"""The embedder's replicas of a hub: what they use, and how they come to use something else."""

from collections.abc import Callable
from typing import Final

import httpx
from pydantic import ValidationError

from contracts.messages import Models, ReplicaSpace
from contracts.settings import Settings
from scripts.local_cluster import hub_environment
from training.beside import Hub
from training.replica_replacement import ReplacementFailed, replace_replicas

EMBEDDER: Final = "Embedder"
_VARIABLES: Final = (
    "HUB_EMBEDDER",
    "HUB_VERTEX_PROJECT",
    "HUB_VERTEX_LOCATION",
    "HUB_VERTEX_MODEL",
    "HUB_VERTEX_ENDPOINT",
)


def ask_hub(url: str) -> list[ReplicaSpace]:
    """Return what the embedder's replicas report of themselves.

    Nothing when no hub answers there, or one that does not say so yet.
    """
    try:
        response = httpx.get(f"{url}/v1/models", timeout=5)
        response.raise_for_status()
        return Models.model_validate_json(response.content).embedders
    except (httpx.HTTPError, ValidationError):
        return []


def change_over(hub: Hub, settings: Settings, *, say: Callable[[str], None]) -> None:
    """Start the embedder's replicas anew with our settings, under load, over Serve's REST API.

    Raises ReplacementFailed when they do not come up: those of before serve on.
    """
    environment = hub_environment(settings)
    authorization = {"Authorization": f"Bearer {hub.token}"}
    try:
        with httpx.Client(
            base_url=hub.dashboard_url, headers=authorization, timeout=30
        ) as dashboard:
            replace_replicas(
                {name: environment.get(name) for name in _VARIABLES},
                dashboard=dashboard,
                deployment=EMBEDDER,
                report=say,
            )
    except httpx.HTTPError as error:
        raise ReplacementFailed(f"Serve's API: {error}") from error


def how_to_change(settings: Settings) -> str:
    """Say to a hub's operator how its replicas come to embed with these settings."""
    environment = hub_environment(settings)
    said = [f"{name}: {environment[name]}" for name in _VARIABLES if name in environment]
    return (
        "Now change the replicas over: under Embedder in serve_config.yaml set\n"
        f"  ray_actor_options: {{runtime_env: {{env_vars: {{{', '.join(said)}}}}}}}\n"
        "and `serve deploy` it, or start the hub anew with these settings. This waits, and drops"
        " the old space then; Ctrl-C keeps both, and running it again goes on."
    )
