"""New replicas for old ones, under load: each new one serves before an old one stops.

It is Serve's own rolling restart, asked for over its REST API: one environment variable of the
replicas changes, and `max_surge_percent` lets the new ones start beside the old ones. What
operators changed in the live config stays.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import httpx

from contracts.errors import HubError
from training.hot_swap import APPLICATION, CLASSIFIER, Patience, live_config

STARTED_FOR: Final = "HUB_STARTED_FOR"
"""The variable that classifiers are started with: for the sake of which version they came."""

_APPLICATIONS: Final = "/api/serve/applications/"
_POLL_S: Final = 0.25

Report = Callable[[str], None]
Config = dict[str, Any]


class ReplacementFailed(HubError):
    """The new replicas did not come up; those of before serve still."""


def started_for(config: Config) -> str | None:
    """Return the version for which live classifiers were started, or None: an ordinary start."""
    version = _variables(_configured(config, CLASSIFIER)).get(STARTED_FOR)
    return version if isinstance(version, str) else None


def with_variables(
    config: Config, variables: Mapping[str, str | None], *, deployment: str = CLASSIFIER
) -> Config:
    """Return the config under which a deployment's replicas are started with these variables.

    None takes a variable away. Nothing else changes, but for `max_surge_percent` where there is
    none: without it Serve stops the old replica first.
    """
    changed = dict(_configured(config, deployment))
    options = dict(changed.get("ray_actor_options") or {})
    environment = dict(options.get("runtime_env") or {})
    merged = {**_variables(changed), **variables}
    if kept := {name: value for name, value in merged.items() if value is not None}:
        environment["env_vars"] = kept
    else:
        environment.pop("env_vars", None)
    if environment:
        options["runtime_env"] = environment
    else:
        options.pop("runtime_env", None)
    changed["ray_actor_options"] = options
    changed["max_surge_percent"] = changed.get("max_surge_percent") or 100
    return {
        **config,
        "applications": [
            {**one, "deployments": _exchanged(one.get("deployments", []), changed)}
            if one["name"] == APPLICATION
            else one
            for one in config["applications"]
        ],
    }


def replace_replicas(
    variables: Mapping[str, str | None],
    *,
    dashboard: httpx.Client,
    deployment: str = CLASSIFIER,
    patience: Patience | None = None,
    report: Report = print,
) -> frozenset[str]:
    """Start a deployment's replicas anew with these variables, and return the new ones' names.

    Returns when they serve and the old ones are gone. Raises ReplacementFailed when the new ones
    do not come up in time: Serve keeps the old ones until they do, and is told to leave it at that.
    """
    patience = patience or Patience()
    details = _details(dashboard)
    before = live_config(details)
    old = frozenset(_states(details, deployment))
    held = _variables(_configured(before, deployment))
    if all(held.get(name) == value for name, value in variables.items()):
        return old
    _put(dashboard, with_variables(before, variables, deployment=deployment))
    try:
        return _wait_until_exchanged(
            dashboard, old, deployment=deployment, timeout_s=patience.load_s, report=report
        )
    except (HubError, httpx.HTTPError) as error:
        # Read anew: an operator may have changed other things meanwhile.
        config = live_config(_details(dashboard))
        back = {name: held.get(name) for name in variables}
        _put(dashboard, with_variables(config, back, deployment=deployment))
        raise ReplacementFailed(str(error)) from error


def _wait_until_exchanged(
    dashboard: httpx.Client,
    old: frozenset[str],
    *,
    deployment: str,
    timeout_s: float,
    report: Report,
) -> frozenset[str]:
    deadline = time.monotonic() + timeout_s
    said = ""
    while time.monotonic() < deadline:
        details = _details(dashboard)
        states = _states(details, deployment)
        new = {name: state for name, state in states.items() if name not in old}
        running = sum(state == "RUNNING" for state in new.values())
        left = sum(name in old for name in states)
        line = f"replicas: {running} of {max(1, len(new))} new ones serve, {left} old ones are left"
        if line != said:
            report(line)
            said = line
        if new and running == len(states):
            return frozenset(new)
        seen = _deployment(details, deployment)
        if seen.get("status") in {"DEPLOY_FAILED", "UNHEALTHY"}:
            raise ReplacementFailed(str(seen.get("message", "")))
        time.sleep(_POLL_S)
    raise ReplacementFailed(f"Not exchanged within {timeout_s:.0f} s; {said}.")


def _details(dashboard: httpx.Client) -> dict[str, Any]:
    response = dashboard.get(_APPLICATIONS)
    response.raise_for_status()
    details: dict[str, Any] = response.json()
    return details


def _put(dashboard: httpx.Client, config: Config) -> None:
    dashboard.put(_APPLICATIONS, json=config).raise_for_status()


def _deployment(details: dict[str, Any], name: str) -> dict[str, Any]:
    deployments = details["applications"].get(APPLICATION, {}).get("deployments", {})
    return dict(deployments.get(name, {}))


def _states(details: dict[str, Any], deployment: str) -> dict[str, str]:
    """Return the state of each of its replicas by its name; those that stop are among them."""
    replicas = _deployment(details, deployment).get("replicas", [])
    return {one["replica_id"]: one["state"] for one in replicas}


def _configured(config: Config, name: str) -> Config:
    found = [
        deployment
        for application in config["applications"]
        if application["name"] == APPLICATION
        for deployment in application.get("deployments", [])
        if deployment["name"] == name
    ]
    return found[0] if found else {"name": name}


def _variables(configured: Config) -> dict[str, Any]:
    options = configured.get("ray_actor_options") or {}
    return dict((options.get("runtime_env") or {}).get("env_vars") or {})


def _exchanged(deployments: list[Config], changed: Config) -> list[Config]:
    others = [one for one in deployments if one["name"] != changed["name"]]
    if len(others) == len(deployments):
        return [*deployments, changed]
    return [changed if one["name"] == changed["name"] else one for one in deployments]
