"""The ingress deployment: handles to the stages, the service over them, and its HTTP door."""

import asyncio
import logging
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from contracts.messages import ReplicaModel, ReplicaSpace
from contracts.records import Prediction, RetrievedNode, Search, Vector
from contracts.settings import DATA, Settings
from deployments.metrics import metrics
from deployments.replica import log_as_serve, replica_name, report_memory
from graph.answering import Answerer, Stages
from graph.coalescer import Coalescer, Reply
from graph.counting import begin_counting, count_batch
from graph.crisis import CrisisDetector
from graph.http import build_http
from graph.replay import RequestMemory
from graph.reports import reports_of
from graph.service import PROBE_TIMEOUT_S, Probes, Service
from graph.vitals import Vitals
from store.artifacts import open_store
from store.database import open_pool
from store.embedded import database_url
from store.logbook import Logbook
from store.registry import Registry

CALLS_OF_A_SERVICE = 4
"""What an embedder replica has under way at a service: of eight calls that it takes at most."""

log = logging.getLogger("ray.serve")


def _service() -> Service:
    ingress: Any = serve.get_replica_context().servable_object
    service: Service = ingress.service
    return service


@serve.deployment
@serve.ingress(lambda: build_http(_service, cors_origins=Settings().cors_origins))
class Ingress:
    """One replica: it holds the spool, so that what it answered is written before it is given."""

    def __init__(
        self,
        classifier: DeploymentHandle[Any],
        embedder: DeploymentHandle[Any],
        retriever: DeploymentHandle[Any],
    ) -> None:
        log_as_serve()
        self._classifier, self._embedder, self._retriever = (
            handle.options(request_serialization="pickle", response_serialization="pickle")
            for handle in (classifier, embedder, retriever)
        )
        self._name = replica_name()
        self._settings = Settings()
        self._registry = Registry(
            open_store(self._settings.artifacts_root, deadline_s=PROBE_TIMEOUT_S / 2)
        )
        self._service: Service | None = None

    @property
    def service(self) -> Service:
        """The service, made at the first use: its tasks and pool belong to the running loop."""
        if self._service is None:
            begin_counting()
            self._service = self._start()
            self._vitals = Vitals(
                self._service,
                logbook=self._logbook,
                pool=self._pool,
                store=open_store(self._settings.artifacts_root),
            )
        return self._service

    def _start(self) -> Service:
        self._pool = pool = open_pool(
            database_url(self._settings), size=self._settings.database_pool_size
        )
        self._opening = asyncio.create_task(pool.open(wait=False))
        stages = Stages(
            classify=Coalescer("classifier", self._classify, count=count_batch),
            embed=Coalescer(
                "embedder",
                self._embed,
                count=count_batch,
                calls_a_replica=1 if self._settings.embedder == "local" else CALLS_OF_A_SERVICE,
            ),
            retrieve=Coalescer("retriever", self._retrieve, count=count_batch),
        )
        self._logbook = Logbook(
            pool,
            root=self._settings.spool_dir,
            retention_days=self._settings.retention_days,
            on_commit=self._settings.log_sync == "commit",
            count_stored=lambda kind, rows: metrics().spool_stored.inc(rows, {"kind": kind}),
            count_refused=metrics().spool_refused.inc,
        )
        return Service(
            settings=self._settings,
            answerer=Answerer(
                stages,
                crisis=CrisisDetector.from_yaml(DATA / "crisis.yaml"),
                secret=self._settings.require_secret(),
            ),
            logbook=self._logbook,
            memory=RequestMemory(pool),
            probes=Probes(
                stages={
                    "classifier": lambda: stages.classify.submit("ready"),
                    "embedder": self._check_embedder,
                    "retriever": self._check_retriever,
                },
                replicas=self._replicas,
                spaces=self._spaces,
                champion=self._champion,
            ),
        )

    async def _classify(self, texts: list[str], held: int) -> Reply[Prediction]:
        replica, predictions = await self._classifier.classify.remote(texts)
        return Reply(predictions, replica)

    async def _embed(self, texts: list[str], held: int) -> Reply[tuple[str, Vector] | None]:
        replica, space, vectors = await self._embedder.embed.remote(texts, self._name, held)
        return Reply([None if vector is None else (space, vector) for vector in vectors], replica)

    async def _retrieve(self, searches: list[Search], held: int) -> Reply[list[RetrievedNode]]:
        replica, found = await self._retriever.retrieve.remote(searches)
        return Reply(found, replica)

    async def _check_embedder(self) -> None:
        await self._embedder.check.remote()

    async def _check_retriever(self) -> None:
        await self._retriever.check.remote()

    async def _replicas(self) -> list[ReplicaModel]:
        return [ReplicaModel(**one) for one in await reports_of(self._classifier, "classifier")]

    async def _spaces(self) -> list[ReplicaSpace]:
        return [ReplicaSpace(**one) for one in await reports_of(self._embedder, "embedder")]

    async def _champion(self) -> str | None:
        champion = await asyncio.to_thread(self._registry.champion)
        return champion.version if champion else None

    async def check_health(self) -> None:
        """Alive and able to write its spool; stages that are away are not its own illness."""
        report_memory("ingress")
        _ = self.service  # its vital signs are told from the start, also when nobody asks

    async def __del__(self) -> None:
        if self._service is not None:
            self._vitals.close()
            await self._logbook.close()
            await self._pool.close()
