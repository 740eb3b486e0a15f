"""What a training asks of the cluster, by settings: workers, threads, GPUs, how long to wait."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.settings import Settings


@dataclass(frozen=True, slots=True)
class Scaling:
    """How much of the cluster a training takes. The defaults fit beside a hub on two cores."""

    workers: int = 1
    use_gpu: bool | None = None
    """None: when the cluster has one for each worker."""
    threads: int = 1
    """That each worker computes with; the machine's other cores stay with the answers."""
    start_timeout_s: float = 60.0
    """How long the cluster may take to find room."""
    resource: str = "CPU"
    """What each worker asks for, by Ray's name: CPU, or what only the nodes for training offer."""
    cpus_per_worker: float = 1.0
    """A share for Ray's scheduler, as in serve_config.yaml: the default replicas leave one free."""
    restarts: int = 3
    """How often workers that died are started again."""

    @classmethod
    def of(cls, settings: Settings) -> "Scaling":
        """Return what the environment asks for."""
        return cls(
            workers=settings.train_workers,
            use_gpu=settings.train_use_gpu,
            threads=settings.train_threads,
            start_timeout_s=settings.train_start_timeout_s,
            resource=settings.train_resource,
        )

    def on_gpu(self, cluster: Mapping[str, float]) -> bool:
        """Say whether to train on GPUs, given the cluster's resources by Ray's names."""
        if self.use_gpu is None:
            return cluster.get("GPU", 0) >= self.workers
        return self.use_gpu

    def per_worker(self, *, on_gpu: bool) -> dict[str, float]:
        """Return what each worker asks for, by Ray's names."""
        return {self.resource: self.cpus_per_worker} | ({"GPU": 1.0} if on_gpu else {})

    def asked(self, *, on_gpu: bool) -> str:
        """Say it in words: `2 workers with 1 CPU each`."""
        each = " and ".join(
            f"{amount:g} {name}" for name, amount in self.per_worker(on_gpu=on_gpu).items()
        )
        return (
            f"1 worker with {each}"
            if self.workers == 1
            else f"{self.workers} workers with {each} each"
        )

    def refusal(
        self, *, on_gpu: bool, cluster: Mapping[str, float], free: Mapping[str, float]
    ) -> str:
        """Say what was asked, what the cluster has, and what to do."""
        has = ", ".join(
            f"{cluster.get(name, 0):g} {name} ({max(free.get(name, 0), 0):g} free)"
            for name in self.per_worker(on_gpu=on_gpu)
        )
        return (
            f"Asked for was {self.asked(on_gpu=on_gpu)}; the cluster has {has}, and not enough"
            f" became free within {self.start_timeout_s:g} s. Nothing was trained and what serves"
            " is as before. Ask for less (HUB_TRAIN_WORKERS, HUB_TRAIN_USE_GPU), add a node, or"
            " wait until other jobs are done (HUB_TRAIN_START_TIMEOUT_S)."
        )
