"""The retriever: what the university wrote, found by meaning and by words."""

import logging

from ray import serve

from contracts.records import RetrievedNode, Search
from contracts.settings import Settings
from deployments.metrics import begin_at_zero, metrics
from deployments.replica import log_as_serve, replica_name, report_memory, report_pool
from store.database import open_pool
from store.embedded import database_url
from store.retrieval import SERVER_OPTIONS, KnowledgeSearch

log = logging.getLogger("ray.serve")


@serve.deployment
class Retriever:
    """One replica: a pool of connections and the searches that run over it."""

    def __init__(self) -> None:
        log_as_serve()
        settings = Settings()
        self._pool = open_pool(
            database_url(settings), size=settings.database_pool_size, options=SERVER_OPTIONS
        )
        self._search = KnowledgeSearch(self._pool)
        self._name = replica_name()
        self._is_open = False
        begin_at_zero(metrics().database_wait, {"deployment": ("retriever",)})

    async def _open(self) -> None:
        # A pool belongs to the loop that uses it, and __init__ has none.
        if not self._is_open:
            self._is_open = True
            await self._pool.open(wait=False)

    async def retrieve(self, searches: list[Search]) -> tuple[str, list[list[RetrievedNode]]]:
        """Return this replica and each search's nodes, best first, in the order of the searches.

        Raises psycopg's errors or PoolTimeout when the database is away.
        """
        await self._open()
        return self._name, await self._search.search(searches)

    async def check(self) -> None:
        """A real SQL query over the real tables; raises when it fails. The ingress asks this."""
        await self._open()
        await self._search.check()

    async def check_health(self) -> None:
        """The replica's own health only: a database that is away is no reason to restart it."""
        report_memory("retriever")
        if (server := self._search.server) is not None:
            versions = {"postgres": server.postgres, "pgvector": server.pgvector or ""}
            metrics().scans_on.set(int(server.scans_on), versions)
        await self._open()
        report_pool(self._pool, "retriever")
