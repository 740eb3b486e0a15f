"""Train: Ray Train on the new labels and a share of what the champion learned.

Reads the split; writes the candidate's model.safetensors and train.json. It begins with the
champion's weights, or with the pretrained encoder (HUB_TRAIN_START).
"""

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Registry
from training.config import TrainingConfig
from training.examples import Example
from training.lineage import read_retired
from training.scaling import Scaling
from training.stages.label_gate import read_counted
from training.stages.run import Report, RunFolder, run_alone
from training.stages.split import read_split
from training.warm_start import WarmStart

GO_ON: Final = TrainingConfig(
    epochs=3, learning_rate=2e-4, head_learning_rate=1e-3, class_balance=0.5
)
"""How a version is made that goes on from another."""

BEGIN: Final = TrainingConfig(class_balance=0.5)
"""How one is made that begins with the pretrained encoder."""


@dataclass(frozen=True, slots=True)
class Curriculum:
    """What is trained on: the new labels, and what is replayed so that the old is not forgotten."""

    new: tuple[Example, ...]
    replayed: tuple[Example, ...]


def choose(
    train: Sequence[Example], *, new: Sequence[Example], share: float, after: str | None
) -> Curriculum:
    """Take all that is new, and a share of the rest.

    Which rest is decided by a hash, the same for the same examples, and another one after another
    version: what one retraining leaves out, the next may rehearse.
    """
    fresh = {example.digest for example in new}
    rest = sorted(
        (e for e in train if e.digest not in fresh),
        key=lambda e: hashlib.sha256(f"{after} {e.digest}".encode()).digest(),
    )
    replayed = rest[: round(share * len(rest))]
    return Curriculum(tuple(e for e in train if e.digest in fresh), tuple(replayed))


def train(run: RunFolder, settings: Settings, report: Report) -> None:
    """Train on the cluster. Raises Unschedulable, DataError, TrainingFailed."""
    sides, labels = read_split(run)
    start = None if run.order.dataset else _champion_start(run, settings)
    if start is None:
        chosen, config = Curriculum(tuple(sides["train"]), ()), BEGIN
    else:
        chosen = choose(
            sides["train"],
            new=read_counted(run),
            share=settings.replay_share,
            after=run.order.champion,
        )
        config = GO_ON
    config = replace(
        config,
        backbone=settings.backbone,
        pretrained=settings.mobilebert if settings.backbone == "mobilebert" else None,
        seed=settings.train_seed,
    )
    scaling = Scaling.of(settings)
    report(
        f"train: {len(chosen.new):,} new and {len(chosen.replayed):,} replayed queries,"
        f" from {'the champion' if start else 'the pretrained encoder'},"
        f" {scaling.workers} worker(s) of {scaling.threads} thread(s)"
    )
    from training.ray_job import connected  # seconds of imports, for this stage alone
    from training.ray_train import train_on_ray

    with connected():
        trained = train_on_ray(
            [*chosen.new, *chosen.replayed],
            validation=sides["validation"],
            labels=labels,
            config=config,
            start=start,
            scaling=scaling,
            storage=settings.train_storage or str(run.path / "ray_train"),
            name=run.order.run,
            into=run.candidate,
            report=report,
        )
    blended = None
    if start is not None:
        from training.blending import blend  # torch

        blended = blend(
            trained.weights,
            start=start,
            validation=sides["validation"],
            labels=labels,
            config=replace(config, threads=scaling.threads),
            report=report,
        )
    run.write(
        "train",
        {
            "new": len(chosen.new),
            "replayed": len(chosen.replayed),
            "start": run.order.champion if start else "pretrained",
            "blend": asdict(blended) if blended else None,
            **trained.record,
        },
    )


def _champion_start(run: RunFolder, settings: Settings) -> WarmStart | None:
    """Return the champion's weights, if the run is to begin with them and they are of its kind."""
    champion = run.order.champion
    if champion is None or settings.train_start == "pretrained":
        return None
    registry = Registry(open_store(settings.artifacts_root))
    manifest = registry.manifest(champion)
    trained_with = manifest.metrics.get("training", {}).get("config", {})
    if trained_with.get("backbone", settings.backbone) != settings.backbone:
        return None
    folder = registry.fetch(champion, cache_dir=settings.cache_dir, only=["model.safetensors"])
    return WarmStart(folder / "model.safetensors", manifest.labels, read_retired())


if __name__ == "__main__":
    sys.exit(run_alone(train))
