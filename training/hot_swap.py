"""The hot swap: a candidate takes over under load, is proven live, and only then is the champion.

Serve is reached over its REST API alone. The live config is read, one field of it is changed, and
what operators changed meanwhile stays. Replicas load in the background (deployments/classifier),
so no query waits. Whatever goes wrong, the version before comes back by itself.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

import httpx

from contracts.errors import ChampionMoved, HubError
from store.artifacts import StoreUnavailable
from store.registry import Champion, Registry
from training.beside import Hub
from training.examples import Example

APPLICATION: Final = "hub"
CLASSIFIER: Final = "Classifier"
_KEPT: Final = ("proxy_location", "http_options", "grpc_options", "target_capacity")
"""What Serve is told beside the applications."""
_POLL_S: Final = 0.25
GOLDEN_ASKED_AT_MOST: Final = 3
"""An int8 answer changes a little with what shares its batch: one of the first version's golden
queries was missed in 4 of 100 batches. A version that is wrong is wrong each time."""

Report = Callable[[str], None]


class SwapFailed(HubError):
    """The candidate does not serve; the version before does."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a swap waits: for replicas to hold a version, and for one answer of the APIs."""

    load_s: float = 120.0
    api_s: float = 30.0


def hot_swap(
    version: str,
    *,
    hub: Hub,
    registry: Registry,
    golden: Sequence[Example],
    session_token: str,
    who: str,
    why: str,
    patience: Patience | None = None,
    report: Report = print,
) -> Champion:
    """Put `version` to work, prove it live, and make it the champion.

    Every replica must report it; then the golden set is asked through the live ingress: each answer
    must come from `version`, and one of GOLDEN_ASKED_AT_MOST have its mandatory intent.
    `session_token` is the session that asks, so that its queries count as nobody's. Raises
    SwapFailed with the reason when anything is missing, or the regression gate stopped it: then
    neither champion nor answers have changed.
    """
    patience = patience or Patience()
    _require_passed(registry, version)
    expected = registry.champion()
    with _clients(hub, patience=patience) as (ingress, dashboard):
        try:
            report(f"swap: every replica is to hold {version}")
            _want(dashboard, version)
            replicas = _wait_until_held(
                ingress, dashboard, version, timeout_s=patience.load_s, report=report
            )
            report(f"swap: {replicas} replicas hold it; asking the golden set")
            _ask_golden(ingress, golden, version=version, session_token=session_token)
            champion = registry.move_champion(version, expected=expected, who=who, why=why)
        except (HubError, httpx.HTTPError, KeyboardInterrupt) as error:
            _go_back(ingress, dashboard, registry, patience=patience, report=report)
            if isinstance(error, KeyboardInterrupt):
                raise
            raise SwapFailed(_reason(error)) from error
        report(f"swap: {version} is the champion")
        # From here on null means the same version: a replica that starts later finds it by itself.
        try:
            _want(dashboard, None)
            _wait_until_held(ingress, dashboard, version, timeout_s=patience.load_s, report=report)
        except (HubError, httpx.HTTPError) as error:
            report(
                f"swap: Serve could not be told to follow the champion from now on ({error}). It"
                f" serves {version} all the same, until the next promotion or start tells it."
            )
    return champion


def _reason(error: BaseException) -> str:
    return error.detail if isinstance(error, SwapFailed) else str(error) or repr(error)


def _require_passed(registry: Registry, version: str) -> None:
    try:
        stopped_because = registry.manifest(version).stopped_because
    except HubError as error:
        raise SwapFailed(str(error)) from error
    if stopped_because is not None:
        raise SwapFailed(f"The regression gate stopped {version}: {stopped_because}.")


@contextmanager
def _clients(hub: Hub, *, patience: Patience) -> Iterator[tuple[httpx.Client, httpx.Client]]:
    authorization = {"Authorization": f"Bearer {hub.token}"}
    with (
        httpx.Client(base_url=hub.url, timeout=patience.api_s) as ingress,
        httpx.Client(
            base_url=hub.dashboard_url, headers=authorization, timeout=patience.api_s
        ) as dashboard,
    ):
        yield ingress, dashboard


def live_config(details: dict[str, Any]) -> dict[str, Any]:
    """Return what Serve was told last, as it takes it again, from what it says of itself.

    Raises SwapFailed when the hub's application is not among it.
    """
    applications = [
        one["deployed_app_config"]
        for one in details["applications"].values()
        if one.get("deployed_app_config")
    ]
    if all(one["name"] != APPLICATION for one in applications):
        raise SwapFailed(f"Serve runs no application {APPLICATION!r}; start the hub first.")
    kept = {key: details[key] for key in _KEPT if details.get(key) is not None}
    return {**kept, "applications": applications}


def with_version(config: dict[str, Any], version: str | None) -> dict[str, Any]:
    """Return the config with the classifier's version changed, and nothing else."""
    applications = []
    for application in config["applications"]:
        if application["name"] == APPLICATION:
            deployments = [dict(one) for one in application.get("deployments", [])]
            if all(one["name"] != CLASSIFIER for one in deployments):
                deployments.append({"name": CLASSIFIER})
            for one in deployments:
                if one["name"] == CLASSIFIER:
                    one["user_config"] = {**(one.get("user_config") or {}), "version": version}
            application = {**application, "deployments": deployments}
        applications.append(application)
    return {**config, "applications": applications}


def _want(dashboard: httpx.Client, version: str | None) -> None:
    """Change the one field. Read each time anew: an operator may have changed others meanwhile."""
    config = with_version(live_config(_details(dashboard)), version)
    dashboard.put("/api/serve/applications/", json=config).raise_for_status()


def _details(dashboard: httpx.Client) -> dict[str, Any]:
    details = dashboard.get("/api/serve/applications/").raise_for_status()
    return dict(details.json())


def _wait_until_held(
    ingress: httpx.Client,
    dashboard: httpx.Client,
    version: str,
    *,
    timeout_s: float,
    report: Report,
) -> int:
    """Wait until every replica holds `version`, and return how many there are.

    Every one that Serve lists, those that start or take no traffic just now among them. Raises
    SwapFailed as soon as a replica says that it cannot load it, or in `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    said = ""
    while time.monotonic() < deadline:
        response = ingress.get("/v1/models")
        # 503: a replica does not answer just now.
        is_answer = response.status_code == httpx.codes.OK
        replicas: list[dict[str, Any]] = response.json()["replicas"] if is_answer else []
        for one in replicas:
            if one["error"] and one["wanted"] == version:
                raise SwapFailed(f"A replica cannot load {version}: {one['error']}")
        holding = {one["replica"] for one in replicas if one["version"] == one["wanted"] == version}
        listed = _replicas(dashboard) if holding else set()
        line = f"swap: {len(holding)} of {len(listed) or len(replicas)} replicas hold {version}"
        if line != said:
            report(line)
            said = line
        if listed and listed <= holding:
            return len(listed)
        time.sleep(_POLL_S)
    raise SwapFailed(f"Not all replicas held {version} within {timeout_s:.0f} s: {said}")


def _replicas(dashboard: httpx.Client) -> set[str]:
    """Return the names of the classifier's replicas, but for those that Serve is stopping."""
    deployments = _details(dashboard)["applications"][APPLICATION]["deployments"]
    return {
        one["replica_id"]
        for one in deployments[CLASSIFIER]["replicas"]
        if one["state"] != "STOPPING"
    }


def _ask_golden(
    ingress: httpx.Client, golden: Sequence[Example], *, version: str, session_token: str
) -> None:
    for example in golden:
        for _ in range(GOLDEN_ASKED_AT_MOST):
            response = ingress.post(
                "/v1/query", json={"text": example.text}, headers={"X-Hub-Session": session_token}
            )
            response.raise_for_status()
            answer = response.json()
            if answer["model_version"] != version:
                raise SwapFailed(
                    f'"{example.text}" was answered by {answer["model_version"]}, not by {version}.'
                )
            if answer["intent"] == example.intent:
                break
        else:
            raise SwapFailed(
                f'Live, "{example.text}" is {answer["intent"]}; it must be {example.intent}.'
            )


def _go_back(
    ingress: httpx.Client,
    dashboard: httpx.Client,
    registry: Registry,
    *,
    patience: Patience,
    report: Report,
) -> None:
    """Let every replica hold the champion again, whichever that is by now."""
    try:
        champion = registry.champion()
    except StoreUnavailable as away:
        report(f"swap: failed; replicas go back to the champion that they served last ({away})")
        _want(dashboard, None)
        return
    if champion is None:
        raise ChampionMoved("There is none to go back to.")
    report(f"swap: failed, going back to {champion.version}")
    try:
        _want(dashboard, None)
        _wait_until_held(
            ingress, dashboard, champion.version, timeout_s=patience.load_s, report=report
        )
    except (HubError, httpx.HTTPError) as error:
        report(
            f"swap: Serve could not be told so ({error}). The champion is {champion.version} still;"
            " replicas hold what they held. Once Serve answers, `python -m training.registry"
            f" promote {champion.version}` brings them together."
        )
