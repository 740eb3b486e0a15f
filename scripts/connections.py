"""Whether all that the hub may open at once fits into what its database takes.

Too many connections show when it hurts most: under load, when the graph has scaled up, or in the
night, when a job finds none left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from contracts.errors import SettingsError
from store.database import Connection
from store.sql import statement

POOLED: Final = ("Ingress", "Retriever")
"""The deployments whose replicas have a pool of HUB_DATABASE_POOL_SIZE each."""

ANNOTATION_VIEW: Final = 8
JOBS: Final = 12
"""For a snapshot's parts, the night shift, a retraining, a load, and somebody with psql."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Who opens connections, and how many at most."""

    who: str
    connections: int


@dataclass(frozen=True, slots=True)
class Room:
    """How many connections the database has for the hub, and which limit says so."""

    connections: int
    limit: str


def connections_needed(config: Mapping[str, Any], *, pool_size: int) -> list[Demand]:
    """Return what a hub deployed with this Serve config opens at most.

    One replica more than there may be: the new one of a replacement starts before the old ends.
    """
    deployments = {
        one["name"]: one for app in config["applications"] for one in app.get("deployments", ())
    }
    demands = []
    for name in POOLED:
        replicas = _most_replicas(deployments.get(name, {})) + 1
        who = f"{name} ({replicas} replicas × {pool_size})"
        demands.append(Demand(who, replicas * pool_size))
    return [*demands, Demand("the annotation view", ANNOTATION_VIEW), Demand("jobs", JOBS)]


def read_room(connection: Connection) -> Room:
    """Return how many connections the hub may have, by the narrowest limit."""
    row = connection.execute(statement("connection_limits")).fetchone()
    assert row is not None, "it has one row"
    at_most, reserved, of_database, of_role = row
    rooms = [Room(at_most - reserved, f"max_connections {at_most}, {reserved} of them reserved")]
    if of_database is not None:
        rooms.append(Room(of_database, "the database's CONNECTION LIMIT"))
    if of_role is not None:
        rooms.append(Room(of_role, "the role's CONNECTION LIMIT"))
    return min(rooms, key=lambda room: room.connections)


def require_room(needed: Sequence[Demand], room: Room) -> str:
    """Return a line on how much of the room is needed. Raises SettingsError when it is too much."""
    total = sum(one.connections for one in needed)
    told = ", ".join(f"{one.who} {one.connections}" for one in needed)
    if total > room.connections:
        raise SettingsError(
            f"The hub may open {total} connections to its database ({told}), which takes"
            f" {room.connections} ({room.limit}). Lower HUB_DATABASE_POOL_SIZE, or the replicas in"
            " serve_config.yaml, or raise that limit. Nothing was deployed."
        )
    return f"{total} of {room.connections} connections at most: {told}"


def _most_replicas(deployment: Mapping[str, Any]) -> int:
    """Return how many replicas there may be; Serve's defaults are 1, and 100 under `auto`."""
    scaling = deployment.get("autoscaling_config")
    replicas = deployment.get("num_replicas", 1)
    if scaling is None and replicas != "auto":
        return int(replicas)
    return int((scaling or {}).get("max_replicas", 100))
