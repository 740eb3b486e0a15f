"""How far the loop from questions to a new version is: what waits, and how old the newest is."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from store.artifacts import ArtifactStore
from store.database import Pool, within
from store.registry import Registry
from store.sql import statement

_SNAPSHOTS: Final = "datasets/interactions/"
_MANIFEST: Final = re.compile(re.escape(_SNAPSHOTS) + r"dt=\d{4}-\d\d-\d\d/manifest\.json")
"""As store/dataset_files.py writes it. That one reads Parquet, which the ingress need not load."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """Queries that wait for labels, and those whose label is verified."""

    items_open: int
    labels_verified: int


@dataclass(frozen=True, slots=True)
class Newest:
    """When the newest snapshot and the newest version were made, and since when who is champion."""

    snapshot_at: datetime | None
    version_at: datetime | None
    champion: str | None
    champion_at: datetime | None


async def read_backlog(pool: Pool, *, timeout_s: float = 2.0) -> Backlog:
    """Count. Raises psycopg.Error, PoolTimeout or TimeoutError when the database is away."""

    async def count() -> Backlog:
        async with pool.connection(timeout=timeout_s) as connection:
            cursor = await connection.execute(statement("count_backlog"))
            items_open, labels_verified = await cursor.fetchone() or (0, 0)
            return Backlog(items_open, labels_verified)

    return await within(timeout_s, count())


def read_newest(store: ArtifactStore) -> Newest:
    """Look into the artifact store: three reads and two listings.

    Raises ArtifactError, OSError or what the store's client raises when it cannot be read.
    """
    registry = Registry(store)
    versions, champion = registry.versions(), registry.champion()
    return Newest(
        snapshot_at=_newest_snapshot(store),
        version_at=registry.manifest(versions[-1]).created_at if versions else None,
        champion=champion.version if champion else None,
        champion_at=champion.promotion.when if champion else None,
    )


def _newest_snapshot(store: ArtifactStore) -> datetime | None:
    days = [key for key in store.keys(_SNAPSHOTS) if _MANIFEST.fullmatch(key)]
    if not days:
        return None
    return datetime.fromisoformat(json.loads(store.read(max(days)).content)["made_at"])
