"""A Ray cluster that runs: what is sent to it, and what Serve says of it, over its REST API."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from contracts.errors import HubError
from contracts.settings import PROJECT

SERVE_CONFIG = PROJECT / "serve_config.yaml"
DEPLOY_TIMEOUT_S = 180.0

Overrides = Mapping[str, Mapping[str, Any]]
"""Options of deployments, by the deployment's name; a mapping is merged into the option's own."""


class DeployFailed(HubError):
    """The application did not come up."""


def serve_config(
    *, http_host: str, http_port: int, overrides: Overrides | None = None
) -> dict[str, Any]:
    """Return what is sent to a cluster: serve_config.yaml, where to listen, and `overrides`.

    Raises DeployFailed for a deployment that serve_config.yaml does not have.
    """
    config: dict[str, Any] = yaml.safe_load(SERVE_CONFIG.read_text())
    config["http_options"] = {"host": http_host, "port": http_port}
    deployments = {one["name"]: one for one in config["applications"][0]["deployments"]}
    if unknown := sorted(set(overrides or {}) - set(deployments)):
        raise DeployFailed(f"serve_config.yaml has no deployment {', '.join(unknown)}.")
    for name, options in (overrides or {}).items():
        for option, value in options.items():
            if isinstance(value, Mapping):
                value = {**deployments[name].get(option, {}), **value}
            deployments[name][option] = value
    return config


class Cluster:
    """The hub's application on one Ray cluster, seen from its head node."""

    def __init__(self, *, http_host: str, http_port: int, dashboard_port: int, token_file: Path):
        """Nothing is asked yet. The token is read when it is needed."""
        self._http_host = http_host
        self._http_port = http_port
        self.dashboard_url = f"http://127.0.0.1:{dashboard_port}"
        self.http_url = f"http://127.0.0.1:{http_port}"
        self.token_file = token_file

    def deploy(
        self,
        *,
        overrides: Overrides | None = None,
        timeout_s: float = DEPLOY_TIMEOUT_S,
        progress: Callable[[str], None] = lambda line: None,
    ) -> None:
        """Send serve_config.yaml and wait until the application runs.

        `overrides` changes options of deployments by name; a mapping is merged into the option's
        own. Raises DeployFailed with what Serve says of the deployment that failed.
        """
        config = serve_config(
            http_host=self._http_host, http_port=self._http_port, overrides=overrides
        )
        self.api("PUT", "/api/serve/applications/", json=config)
        deadline = time.monotonic() + timeout_s
        said = ""
        while time.monotonic() < deadline:
            self._require_alive()
            application = self.application()
            status = str(application.get("status", "NOT_STARTED"))
            states = ", ".join(
                f"{name} {one['status'].lower()}"
                for name, one in application.get("deployments", {}).items()
                if one["status"] != "HEALTHY"
            )
            line = f"deploying: {states or status.lower()}"
            if line != said:
                progress(line)
                said = line
            if status == "RUNNING":
                return
            if status in {"DEPLOY_FAILED", "UNHEALTHY"}:
                raise DeployFailed(_reasons(application))
            time.sleep(0.25)
        raise DeployFailed(f"Not running after {timeout_s:.0f} s: {said}")

    def application(self) -> dict[str, Any]:
        """Return Serve's view of the hub: status, deployments, replicas."""
        applications = self.api("GET", "/api/serve/applications/").json()["applications"]
        return dict(applications.get("hub", {}))

    def api(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """Call the dashboard's REST API with the token. Raises httpx.HTTPError."""
        response = httpx.request(
            method,
            self.dashboard_url + path,
            headers={"Authorization": f"Bearer {self.token_file.read_text().strip()}"},
            timeout=30,
            **arguments,
        )
        response.raise_for_status()
        return response

    def wait_until_ready(self, *, timeout_s: float = 60.0) -> dict[str, Any]:
        """Wait for /v1/readyz to answer 200 and return what it says. Raises DeployFailed."""
        deadline = time.monotonic() + timeout_s
        last = "no answer"
        while time.monotonic() < deadline:
            self._require_alive()
            try:
                response = httpx.get(self.http_url + "/v1/readyz", timeout=5)
                if response.status_code == httpx.codes.OK:
                    return dict(response.json())
                last = f"{response.status_code} {response.text[:300]}"
            except httpx.HTTPError as error:
                last = repr(error)
            time.sleep(0.1)
        raise DeployFailed(f"/v1/readyz did not become ready within {timeout_s:.0f} s: {last}")

    def _require_alive(self) -> None:
        """Raise when whoever waits waits in vain. Of a cluster that is not ours nobody knows."""


def _reasons(application: Mapping[str, Any]) -> str:
    parts = [str(application.get("message", ""))]
    parts += [
        f"{name}: {one['status']} {one.get('message', '')}"
        for name, one in application.get("deployments", {}).items()
        if one["status"] != "HEALTHY"
    ]
    return "\n".join(part for part in parts if part)
