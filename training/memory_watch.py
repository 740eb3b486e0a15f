"""The memory watch: a classifier that holds too much gives way to a smaller one, or it alerts.

`python -m training.memory_watch [--once] [--every S]` looks at the hub that runs over HUB_HOME;
`make run` runs it beside the hub, and on a cluster it is a Ray job. Above HUB_MEMORY_LIMIT_BYTES
it promotes the newest MobileBERT version that passed its gate, by the ordinary hot swap, and has
the replicas started anew. Exit status of --once: 0 nothing to do or done, 1 failed, 3 alert.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal

import httpx

from contracts.errors import HubError
from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Registry
from store.replacements import Replacement, Replacements
from training.beside import Hub, hub_beside
from training.child import run_stage
from training.hot_swap import Patience, live_config
from training.memory_action import Held, look, smaller_version
from training.replica_replacement import STARTED_FOR, replace_replicas, started_for

WHO: Final = "memory watch"
_STATUS: Final = {"nothing": 0, "replaced": 0, "failed": 1, "alert": 3}
_POLL_S: Final = 0.25

OutcomeKind = Literal["nothing", "alert", "replaced", "failed"]
Report = Callable[[str], None]
Promote = Callable[[str, str], None]
"""Make a version the champion by the hot swap, and say why."""


class WatchBlind(HubError):
    """The memory watch cannot see the hub; nothing was done."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a look came to; memory in bytes, by replica. `asdict` of it is JSON."""

    kind: OutcomeKind
    why: str
    limit_bytes: int
    before_bytes: dict[str, int] = field(default_factory=dict)
    after_bytes: dict[str, int] = field(default_factory=dict)
    version: str | None = None


@dataclass(frozen=True, slots=True)
class MemoryWatch:
    """Looks at one hub, and does what `look` decides."""

    hub: Hub
    registry: Registry
    replacements: Replacements
    limit_bytes: int
    promote: Promote
    report: Report = print
    patience: Patience = field(default_factory=Patience)

    def once(self) -> Outcome:
        """Look once and act. Raises HubError and httpx.HTTPError when it cannot even look."""
        authorization = {"Authorization": f"Bearer {self.hub.token}"}
        timeout_s = self.patience.api_s
        with (
            httpx.Client(base_url=self.hub.url, timeout=timeout_s) as ingress,
            httpx.Client(
                base_url=self.hub.dashboard_url, headers=authorization, timeout=timeout_s
            ) as dashboard,
        ):
            held = self._held(ingress)
            before = {one.replica: one.memory_bytes for one in held}
            if max(before.values()) <= self.limit_bytes:
                return Outcome("nothing", "", self.limit_bytes, before)
            now = datetime.now(UTC)
            smaller = smaller_version(self.registry, done=self.replacements.all(), now=now)
            config = live_config(dashboard.get("/api/serve/applications/").json())
            action = look(
                held,
                limit_bytes=self.limit_bytes,
                smaller=smaller,
                replaced_for=started_for(config),
            )
            if action.version is not None:
                return self._replace(action.version, action.why, before, ingress, dashboard)
            return Outcome("alert", action.why, self.limit_bytes, before)

    def _replace(
        self,
        version: str,
        why: str,
        before: dict[str, int],
        ingress: httpx.Client,
        dashboard: httpx.Client,
    ) -> Outcome:
        champion = self.registry.champion()
        previous = champion.version if champion else version
        self.report(f"memory: {why}; {version} is to replace {previous}")
        after: dict[str, int] = {}
        error = None
        try:
            if previous != version:
                self.promote(version, f"{WHO}: {why}")
            new = replace_replicas(
                {STARTED_FOR: version},
                dashboard=dashboard,
                patience=self.patience,
                report=self.report,
            )
            after = {one.replica: one.memory_bytes for one in self._held(ingress, only=new)}
        except (HubError, httpx.HTTPError, OSError) as failed:
            error = str(failed)
        self.replacements.add(
            Replacement(
                version=version,
                previous=previous,
                who=WHO,
                when=datetime.now(UTC),
                why=why,
                limit_bytes=self.limit_bytes,
                before_bytes=before,
                after_bytes=after,
                error=error,
            )
        )
        if error is not None:
            return Outcome("failed", f"{why}; {error}", self.limit_bytes, before, {}, version)
        return Outcome("replaced", why, self.limit_bytes, before, after, version)

    def _held(self, ingress: httpx.Client, *, only: frozenset[str] | None = None) -> list[Held]:
        """Ask the replicas, until all that answer are among `only`. Raises WatchBlind."""
        deadline = time.monotonic() + self.patience.api_s
        while time.monotonic() < deadline:
            response = ingress.get("/v1/models")
            if response.status_code == httpx.codes.OK:
                found = [
                    Held(one["replica"], one["version"], one["memory_bytes"])
                    for one in response.json()["replicas"]
                ]
                if found and (only is None or only >= {one.replica for one in found}):
                    return found
            time.sleep(_POLL_S)  # 503: none of them takes calls just now
        raise WatchBlind(f"No answer of /v1/models within {self.patience.api_s:.0f} s.")


def sentence_of(outcome: Outcome) -> str:
    """Say an outcome to a person."""
    if outcome.kind == "nothing":
        most = max(outcome.before_bytes.values()) / 1e6
        return f"memory: at most {most:.0f} MB a replica, limit {outcome.limit_bytes / 1e6:.0f} MB"
    if outcome.kind != "replaced":
        return f"memory {outcome.kind}: {outcome.why}"
    before, after = (
        max(held.values()) / 1e6 for held in (outcome.before_bytes, outcome.after_bytes)
    )
    fell = "fell" if after < before else "did NOT fall"
    return f"memory {fell}: {before:.0f} -> {after:.0f} MB, new replicas with {outcome.version}"


def _promote_by_command(version: str, why: str) -> None:
    """Promote as a person would, in a process of its own: what it loads goes when it ends."""
    arguments = ["promote", version, "--why", why]
    run_stage("training.registry", arguments, report=lambda line: print(line, flush=True))


def _watch(settings: Settings) -> MemoryWatch:
    hub = hub_beside(settings.home_dir)
    if hub is None:
        raise WatchBlind(f"No hub runs over HUB_HOME={settings.home_dir}; start `make run`.")
    store = open_store(settings.artifacts_root)
    return MemoryWatch(
        hub,
        Registry(store),
        Replacements(store),
        settings.memory_limit_bytes,
        _promote_by_command,
        report=lambda line: print(line, flush=True),
    )


def main(given: Sequence[str] | None = None) -> int:
    """Look once, or for ever: then a line is printed when something has changed."""
    parser = argparse.ArgumentParser(prog="python -m training.memory_watch")
    parser.add_argument("--once", action="store_true", help="look once; prints JSON")
    parser.add_argument("--every", type=float, default=30.0, metavar="S", help="default: 30")
    arguments = parser.parse_args(given)
    said = ("nothing", "")
    while True:
        try:
            outcome = _watch(Settings()).once()
        except (HubError, httpx.HTTPError, OSError) as error:
            now, line = ("blind", ""), f"memory watch: {error}"
        else:
            now, line = (outcome.kind, outcome.version or ""), sentence_of(outcome)
        if arguments.once:
            if now[0] == "blind":
                print(line, file=sys.stderr)
                return _STATUS["failed"]
            print(json.dumps(asdict(outcome)))
            return _STATUS[outcome.kind]
        if now != said:
            print(line, flush=True)
            said = now
        time.sleep(arguments.every)


if __name__ == "__main__":
    sys.exit(main())
