"""The classifier: queries to calibrated intents, and a swap that no query notices."""

import logging
import os
import threading
from pathlib import Path
from typing import Any

from ray import serve

from contracts.errors import ArtifactError
from contracts.records import Prediction
from contracts.settings import Settings
from deployments.metrics import begin_at_zero, metrics
from deployments.replica import LimitedMemory, give_memory_back, log_as_serve, replica_name
from models.classifier import IntentClassifier
from store.artifacts import StoreUnavailable, open_store
from store.registry import SERVED_FILES, Registry

SWAP_NICENESS = 10
SWAP_RESULTS = ("swapped", "rolled_back", "failed")

STORE_DEADLINE_S = 20.0
"""How long a replica tries to reach the store before it makes do with what its machine keeps."""

ASK_AGAIN_S = 30.0
"""How often it asks then whether the store is back."""

log = logging.getLogger("ray.serve")


class VersionHolder:
    """Holds one model version, and changes it in the background.

    `current` is one reference: a query takes it once and sees weights, labels and temperature of
    one version. A version that cannot be loaded leaves the old one in place, and `error` says why;
    when that is because the store is away, it is asked for again until it comes.
    """

    def __init__(
        self, registry: Registry, *, cache_dir: Path, ask_again_s: float = ASK_AGAIN_S
    ) -> None:
        """Load the champion; while the store is away, the one that this machine served last.

        Raises ArtifactError without either: no replica without a model.
        """
        self._registry = registry
        self._cache_dir = cache_dir
        self._ask_again_s = ask_again_s
        self._told = threading.Condition()
        self._news: list[str | None] = []
        self._last_news: str | None = None
        self._is_store_away = False
        self.error: str | None = None
        try:
            self.current = self._load(self._champion())
            self._registry.note_served(self.current.version, cache_dir=cache_dir)
        except StoreUnavailable as error:
            self.current = self._load_served_before(error)
            self.error, self._is_store_away = str(error), True
        self.wanted: str = self.current.version
        self._is_on_trial = False
        give_memory_back()
        self._thread = threading.Thread(target=self._follow, name="swap", daemon=True)
        self._thread.start()

    def want(self, version: str | None) -> None:
        """Note the wanted version (None: the champion) and return; the thread does the rest."""
        with self._told:
            self.error = None
            if version is not None:
                self.wanted = version
            self._news = [version]
            self._told.notify()

    def _champion(self) -> str:
        champion = self._registry.champion()
        if champion is None:
            raise ArtifactError("The registry names no champion; `make run` makes the first one.")
        return champion.version

    def _load(self, version: str) -> IntentClassifier:
        """Return the version, every file of it verified. Raises for anything that is wrong."""
        stopped_because = self._registry.manifest(version).stopped_because
        if stopped_because is not None:
            raise ArtifactError(f"The regression gate stopped {version}: {stopped_because}")
        folder = self._registry.fetch(version, cache_dir=self._cache_dir, only=SERVED_FILES)
        return IntentClassifier(folder)

    def _load_served_before(self, away: StoreUnavailable) -> IntentClassifier:
        folder = self._registry.served_champion(cache_dir=self._cache_dir)
        if folder is None:
            raise away
        loaded = IntentClassifier(folder)
        log.error("%s Until it can: %s, the champion served here last.", away, loaded.version)
        return loaded

    def _wait_for_news(self) -> str | None:
        """Return the version wanted now (None: the champion); the same again for a retry."""
        with self._told:
            again_s = self._ask_again_s if self._is_store_away else None
            if self._told.wait_for(lambda: self._news, timeout=again_s):
                self._last_news = self._news.pop()
            return self._last_news

    def _follow(self) -> None:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), SWAP_NICENESS)
        while True:
            told = self._wait_for_news()
            reason: str | None = None
            self._is_store_away = False
            try:
                self._take(told)
            except Exception as error:  # any reason keeps the old model and is reported
                self._is_store_away = isinstance(error, StoreUnavailable)
                log.exception(
                    "swap to %s failed; %s stays", told or "the champion", self.current.version
                )
                metrics().swaps.inc(1, {"result": "failed"})
                reason = f"{type(error).__name__}: {error}"
            give_memory_back()
            with self._told:
                if not self._news:  # else this is not what is wanted any more
                    self.wanted, self.error = told or self.current.version, reason

    def _take(self, told: str | None) -> None:
        """Serve the version that is wanted; while nobody says the champion, the one of before."""
        try:
            version = told or self._champion()
            if version != self.current.version:
                self._swap(self._load(version), is_way_back=told is None and self._is_on_trial)
            self._is_on_trial = told is not None
            if told is None:
                self._registry.note_served(version, cache_dir=self._cache_dir)
        except StoreUnavailable:
            if told is None:  # so a candidate goes also when its swap failed for want of the store
                self._go_back()
            raise

    def _go_back(self) -> None:
        try:
            folder = self._registry.served_champion(cache_dir=self._cache_dir)
            if folder is not None and folder.name != self.current.version:
                self._swap(IntentClassifier(folder), is_way_back=self._is_on_trial)
                self._is_on_trial = False
        except ArtifactError:
            log.exception("the champion served here last cannot be; %s stays", self.current.version)

    def _swap(self, loaded: IntentClassifier, *, is_way_back: bool) -> None:
        # A version that was named is on trial until the champion is asked for again (hot_swap);
        # that being another one, the trial was lost.
        self.current = loaded
        metrics().swaps.inc(1, {"result": "rolled_back" if is_way_back else "swapped"})
        log.info("now serving %s%s", loaded.version, " again" if is_way_back else "")


@serve.deployment
class Classifier:
    """One replica: the version it holds, and what it reports of itself."""

    def __init__(self) -> None:
        log_as_serve()
        settings = Settings()
        registry = Registry(open_store(settings.artifacts_root, deadline_s=STORE_DEADLINE_S))
        self._holder = VersionHolder(registry, cache_dir=settings.cache_dir)
        self._name = replica_name()
        self._memory = LimitedMemory("classifier", limit_bytes=settings.memory_limit_bytes)
        begin_at_zero(metrics().swaps, {"result": SWAP_RESULTS})
        begin_at_zero(metrics().memory_crossings, {"deployment": ("classifier",)})
        if settings.started_for:
            metrics().memory_replacements.inc(1, {"version": settings.started_for})
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
        held = {"version": self._holder.current.version, "replica": self._name}
        metrics().model_version.set(1, held)  # again and again: what is not said again is forgotten
        self._holder.current.predict(["health"])
