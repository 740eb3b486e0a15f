"""The three stages as plain async functions, each of which can be late, missing or wrong."""

import asyncio
from dataclasses import dataclass, field

import numpy as np

from contracts.errors import ArtifactError
from contracts.messages import ReplicaModel, ReplicaSpace
from contracts.records import IntentProbability, Prediction, RetrievedNode, Search, Vector
from contracts.settings import DATA, Settings
from graph.answering import Answerer, Stages
from graph.coalescer import Coalescer, Reply
from graph.crisis import CrisisDetector
from graph.replay import RequestMemory
from graph.service import Probes, Service
from store.database import Pool
from store.logbook import Logbook
from tests.samples import SECRET

CRISIS = CrisisDetector.from_yaml(DATA / "crisis.yaml")


def prediction(*confidences: float, intent: str = "exams_and_grades") -> Prediction:
    """A prediction with these confidences, the first of them the intent's."""
    others = ("academic_advising", "graduation", "library")
    pairs = zip((intent, *others), confidences, strict=False)
    return Prediction(tuple(IntentProbability(i, c) for i, c in pairs), "v3")


@dataclass
class PlainStages:
    """Answers with `says` and `finds`; a stage in `late_s` waits, one in `missing` fails."""

    says: Prediction = field(default_factory=lambda: prediction(0.91, 0.05, 0.01))
    finds: int = 3
    late_s: dict[str, float] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    without_vector: set[str] = field(default_factory=set)
    texts: list[str] = field(default_factory=list)
    searches: list[Search] = field(default_factory=list)

    async def _take_part(self, stage: str) -> None:
        if stage in self.late_s:
            await asyncio.sleep(self.late_s[stage])
        if stage in self.missing:
            raise ConnectionError(f"{stage} is away")

    async def classify(self, texts: list[str], held: int) -> Reply[Prediction]:
        self.texts += texts
        await self._take_part("classifier")
        return Reply([self.says] * len(texts), "c")

    async def embed(self, texts: list[str], held: int) -> Reply[tuple[str, Vector] | None]:
        self.texts += texts
        await self._take_part("embedder")
        vector = np.array([1, 0], dtype=np.float32)
        known = [None if text in self.without_vector else ("space", vector) for text in texts]
        return Reply(known, "e")

    async def retrieve(self, searches: list[Search], held: int) -> Reply[list[RetrievedNode]]:
        self.searches += searches
        await self._take_part("retriever")
        return Reply([[node(n) for n in range(self.finds)] for _ in searches], "r")

    def stages(self) -> Stages:
        return Stages(
            classify=Coalescer("classifier", self.classify),
            embed=Coalescer("embedder", self.embed),
            retrieve=Coalescer("retriever", self.retrieve),
        )

    def answerer(self) -> Answerer:
        return Answerer(self.stages(), crisis=CRISIS, secret=SECRET)

    async def probe(self, stage: str) -> None:
        await self._take_part(stage)

    def service(self, pool: Pool, *, logbook: Logbook, **settings: object) -> Service:
        """A whole service over these stages; `settings` are those of `Settings`."""
        return Service(
            settings=Settings(secret=SECRET.decode(), **settings),  # type: ignore[arg-type]
            answerer=self.answerer(),
            logbook=logbook,
            memory=RequestMemory(pool),
            probes=Probes(
                stages={
                    "classifier": lambda: self.probe("classifier"),
                    "embedder": lambda: self.probe("embedder"),
                    "retriever": lambda: self.probe("retriever"),
                },
                replicas=self._replicas,
                spaces=self._spaces,
                champion=self._champion,
            ),
        )

    async def _replicas(self) -> list[ReplicaModel]:
        await self._take_part("models")
        return [
            ReplicaModel(replica="a", version="v3", wanted="v3", error=None, memory_bytes=1_000)
        ]

    async def _spaces(self) -> list[ReplicaSpace]:
        await self._take_part("spaces")
        return [ReplicaSpace(replica="e", space="space", embedder="local")]

    async def _champion(self) -> str | None:
        if "champion" in self.missing:
            raise ArtifactError("The store is away.")
        return "v3"


def node(number: int) -> RetrievedNode:
    return RetrievedNode(
        id=f"exams-{number}",
        title=f"Appeals {number}",
        snippet="how to <b>appeal</b>",
        url=f"https://example.edu/{number}",
        intent="exams_and_grades",
        score=round(0.9 - number / 10, 2),
    )
