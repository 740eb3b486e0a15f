"""What a cluster looked like from moment to moment: where replicas ran, which nodes lived."""

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import httpx

from scripts.cluster import Cluster

EVERY_S = 0.5
HEAD = "head"


@dataclass(frozen=True, slots=True)
class Moment:
    """One look: seconds since the beginning, nodes that live, and running replicas by place.

    `replicas` counts by (deployment, name of the node).
    """

    at_s: float
    nodes: tuple[str, ...]
    replicas: Mapping[tuple[str, str], int]

    def running(self, deployment: str) -> int:
        """Return how many replicas of a deployment run, wherever they are."""
        return sum(count for (name, _), count in self.replicas.items() if name == deployment)


@dataclass(slots=True)
class Timeline:
    """Looks twice a second, in a thread of its own, until the `with` block is left."""

    cluster: Cluster
    names: tuple[str, ...]
    """Of the nodes beside the head; each offers a resource of its name."""
    moments: list[Moment] = field(default_factory=list)
    phases: list[tuple[float, str]] = field(default_factory=list)
    """When something began (seconds), and what."""
    _began_s: float = field(default_factory=time.monotonic)
    _ended: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def say(self, what: str) -> None:
        """Note that something begins now."""
        self.phases.append((time.monotonic() - self._began_s, what))

    def look(self) -> Moment:
        """Ask the cluster now. Raises httpx.HTTPError."""
        name_of = self.name_by_id()
        replicas: Counter[tuple[str, str]] = Counter()
        for deployment, one in self.cluster.application().get("deployments", {}).items():
            for replica in one["replicas"]:
                if replica["state"] == "RUNNING" and replica["node_id"] in name_of:
                    replicas[deployment, name_of[replica["node_id"]]] += 1
        at_s = time.monotonic() - self._began_s
        return Moment(at_s, tuple(sorted(name_of.values())), replicas)

    def name_by_id(self) -> dict[str, str]:
        """Return the living nodes: the name of each by Ray's id. Raises httpx.HTTPError."""
        listed = self.cluster.api("GET", "/api/v0/nodes?detail=true").json()
        rows = [row for row in listed["data"]["result"]["result"] if row["state"] == "ALIVE"]
        return {str(row["node_id"]): self._name(row) for row in rows}

    def _name(self, node: Mapping[str, Any]) -> str:
        offered = node.get("resources_total") or {}
        return next((name for name in self.names if name in offered), HEAD)

    def _watch(self) -> None:
        while not self._ended.wait(EVERY_S):
            try:
                self.moments.append(self.look())
            except httpx.HTTPError:
                continue  # it is busy: the next look tells

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._ended.set()
        if self._thread is not None:
            self._thread.join()
