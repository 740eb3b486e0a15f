"""The classifier: queries to calibrated intents, and a swap that no query notices."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

from ray import serve

from contracts.errors import ArtifactError, HubError
from contracts.records import Prediction
from contracts.settings import Settings
from deployments.metrics import metrics
from deployments.replica import LimitedMemory, log_as_serve, replica_name
from models.classifier import IntentClassifier
from store.artifacts import open_store
from store.registry import Registry

SWAP_NICENESS = 10

log = logging.getLogger("ray.serve")


class VersionHolder:
    """Holds one model version, and changes it in the background.

    `current` is one reference: a query takes it once and sees weights, labels and temperature of
    one version. A version that cannot be loaded leaves the old one in place, and `error` says why.
    """

    def __init__(self, registry: Registry, *, cache_dir: Path) -> None:
        """Load the champion. Raises ArtifactError without one: no replica without a model."""
        self._registry = registry
        self._cache_dir = cache_dir
        self._changed = threading.Condition()
        self.error: str | None = None
        self.wanted: str = self._champion()
        self.current = self._load(self.wanted)
        self._thread = threading.Thread(target=self._follow, name="swap", daemon=True)
        self._thread.start()

    def want(self, version: str | None) -> None:
        """Note the wanted version (None: the champion) and return; the thread does the rest."""
        with self._changed:
            try:
                self.wanted = version or self._champion()
                self.error = None
            except (HubError, OSError) as error:
                self.error = f"the champion cannot be read: {error}"
            self._changed.notify()

    def _champion(self) -> str:
        champion = self._registry.champion()
        if champion is None:
            raise ArtifactError("The registry names no champion; `make run` makes the first one.")
        return champion.version

    def _load(self, version: str) -> IntentClassifier:
        folder = self._registry.fetch(version, cache_dir=self._cache_dir)
        return IntentClassifier(folder)

    def _follow(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SWAP_NICENESS)
        while True:
            with self._changed:
                self._changed.wait_for(
                    lambda: self.wanted != self.current.version and not self.error
                )
                version = self.wanted
            try:
                loaded = self._load(version)
            except Exception as error:  # any reason keeps the old model and is reported
                log.exception("swap to %s failed; %s stays", version, self.current.version)
                metrics().swaps.inc(1, {"result": "failed"})
                with self._changed:
                    if self.wanted == version:
                        self.error = f"{type(error).__name__}: {error}"
                continue
            metrics().model_version.set(0, {"version": self.current.version})
            metrics().model_version.set(1, {"version": version})
            self.current = loaded
            metrics().swaps.inc(1, {"result": "swapped"})
            log.info("now serving %s", version)


@serve.deployment
class Classifier:
    """One replica: the version it holds, and what it reports of itself."""

    def __init__(self) -> None:
        log_as_serve()
        settings = Settings()
        registry = Registry(open_store(settings.artifacts_root))
        self._holder = VersionHolder(registry, cache_dir=settings.home_dir / "cache")
        self._name = replica_name()
        self._memory = LimitedMemory("classifier", limit_bytes=settings.memory_limit_bytes)
        if settings.started_for:
            metrics().memory_replacements.inc(1, {"version": settings.started_for})
        metrics().model_version.set(1, {"version": self._holder.current.version})
        log.info("classifier ready with %s", self._holder.current.version)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        """Note `user_config["version"]` (null: the champion). Never raises: that would kill it."""
        version = user_config.get("version")
        self._holder.want(version if isinstance(version, str) else None)

    async def classify(self, texts: list[str]) -> tuple[str, list[Prediction]]:
        """Return this replica and one prediction a query, in order, all of one version."""
        return self._name, self._holder.current.predict(texts)

    async def report(self) -> dict[str, Any]:
        """Say what this replica really holds; a ReplicaModel of the contract."""
        return {
            "replica": self._name,
            "version": self._holder.current.version,
            "wanted": self._holder.wanted,
            "error": self._holder.error,
            "memory_bytes": self._memory.report(),
        }

    async def check_health(self) -> None:
        """One real forward pass."""
        self._memory.report()
        self._holder.current.predict(["health"])
