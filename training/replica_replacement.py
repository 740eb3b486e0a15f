"""New classifier replicas for old ones, under load: each new one serves before an old one stops.

It is Serve's own rolling restart, asked for over its REST API: one environment variable of the
replicas changes, and `max_surge_percent` lets the new ones start beside the old ones. What
operators changed in the live config stays.
"""

import time
from collections.abc import Callable
from typing import Any, Final

import httpx

from contracts.errors import HubError
from training.hot_swap import APPLICATION, CLASSIFIER, Patience, live_config

STARTED_FOR: Final = "HUB_STARTED_FOR"
"""The variable that the replicas are started with: for the sake of which version they came."""

_APPLICATIONS: Final = "/api/serve/applications/"
_POLL_S: Final = 0.25

Report = Callable[[str], None]
Config = dict[str, Any]


class ReplacementFailed(HubError):
    """The new replicas did not come up; those of before serve still."""


def started_for(config: Config) -> str | None:
    """Return the version for which the live replicas were started, or None: an ordinary start."""
    options = _classifier(config).get("ray_actor_options") or {}
    version = ((options.get("runtime_env") or {}).get("env_vars") or {}).get(STARTED_FOR)
    return version if isinstance(version, str) else None


def with_started_for(config: Config, version: str | None) -> Config:
    """Return the config under which the classifier's replicas are started for `version`.

    None takes the variable away. Nothing else changes, but for `max_surge_percent` where there is
    none: without it Serve stops the old replica first.
    """
    changed = dict(_classifier(config))
    options = dict(changed.get("ray_actor_options") or {})
    environment = dict(options.get("runtime_env") or {})
    variables = {
        name: value
        for name, value in (environment.get("env_vars") or {}).items()
        if name != STARTED_FOR
    }
    if version is not None:
        variables[STARTED_FOR] = version
    if variables:
        environment["env_vars"] = variables
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
    version: str | None,
    *,
    dashboard: httpx.Client,
    patience: Patience | None = None,
    report: Report = print,
) -> frozenset[str]:
    """Start the classifier's replicas anew for `version`, and return the new ones' names.

    Returns when they serve and the old ones are gone. Raises ReplacementFailed when the new ones
    do not come up in time: Serve keeps the old ones until they do, and is told to leave it at that.
    """
    patience = patience or Patience()
    details = _details(dashboard)
    before = live_config(details)
    if started_for(before) == version:
        return frozenset(_states(details))
    old = frozenset(_states(details))
    dashboard.put(_APPLICATIONS, json=with_started_for(before, version)).raise_for_status()
    try:
        return _wait_until_exchanged(dashboard, old, timeout_s=patience.load_s, report=report)
    except (HubError, httpx.HTTPError) as error:
        # Read anew: an operator may have changed other things meanwhile.
        config = live_config(_details(dashboard))
        back = with_started_for(config, started_for(before))
        dashboard.put(_APPLICATIONS, json=back).raise_for_status()
        raise ReplacementFailed(str(error)) from error


def _wait_until_exchanged(
    dashboard: httpx.Client, old: frozenset[str], *, timeout_s: float, report: Report
) -> frozenset[str]:
    deadline = time.monotonic() + timeout_s
    said = ""
    while time.monotonic() < deadline:
        details = _details(dashboard)
        states = _states(details)
        new = {name: state for name, state in states.items() if name not in old}
        running = sum(state == "RUNNING" for state in new.values())
        left = sum(name in old for name in states)
        line = f"replicas: {running} of {max(1, len(new))} new ones serve, {left} old ones are left"
        if line != said:
            report(line)
            said = line
        if new and running == len(states):
            return frozenset(new)
        deployment = _deployment(details)
        if deployment.get("status") in {"DEPLOY_FAILED", "UNHEALTHY"}:
            raise ReplacementFailed(str(deployment.get("message", "")))
        time.sleep(_POLL_S)
    raise ReplacementFailed(f"Not exchanged within {timeout_s:.0f} s; {said}.")


def _details(dashboard: httpx.Client) -> dict[str, Any]:
    response = dashboard.get(_APPLICATIONS)
    response.raise_for_status()
    details: dict[str, Any] = response.json()
    return details


def _deployment(details: dict[str, Any]) -> dict[str, Any]:
    deployments = details["applications"].get(APPLICATION, {}).get("deployments", {})
    return dict(deployments.get(CLASSIFIER, {}))


def _states(details: dict[str, Any]) -> dict[str, str]:
    """Return the state of each classifier replica by its name; those that stop are among them."""
    replicas = _deployment(details).get("replicas", [])
    return {one["replica_id"]: one["state"] for one in replicas}


def _classifier(config: Config) -> Config:
    found = [
        deployment
        for application in config["applications"]
        if application["name"] == APPLICATION
        for deployment in application.get("deployments", [])
        if deployment["name"] == CLASSIFIER
    ]
    return found[0] if found else {"name": CLASSIFIER}


def _exchanged(deployments: list[Config], changed: Config) -> list[Config]:
    others = [one for one in deployments if one["name"] != changed["name"]]
    if len(others) == len(deployments):
        return [*deployments, changed]
    return [changed if one["name"] == changed["name"] else one for one in deployments]
