"""The vectors of a run: the champion's, and what its own stages added."""

from contracts.settings import Settings
from models.encoder import Encoder
from store.artifacts import open_store
from store.registry import Registry
from training.stages.run import Report, RunFolder
from training.vectors import FILE, KnownVectors


def open_vectors(run: RunFolder, settings: Settings, *, report: Report) -> KnownVectors:
    """Return the encoder with all that it need not compute again."""
    known = KnownVectors(
        Encoder(settings.encoder_dir, threads=settings.train_threads), report=report
    )
    champion = run.order.champion
    if champion is not None:
        registry = Registry(open_store(settings.artifacts_root))
        if FILE in registry.manifest(champion).files:
            cache = settings.cache_dir
            known.read(registry.fetch(champion, cache_dir=cache, only=[FILE]) / FILE)
    known.read(run.path / FILE)
    return known
