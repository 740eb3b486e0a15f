"""Make the first version from the project's own queries: `python -m training.first_version`.

split → train → export → calibrate → evaluate → publish → champion. Cached by its recipe, a hash
of the data and of the code that decides: the same recipe is trained once in a home.
"""

import ast
import hashlib
import importlib.metadata
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Final

from contracts.errors import ChampionMoved
from contracts.settings import PROJECT, Settings
from models.session import MAX_TOKENS
from store.artifacts import open_store
from store.file_lock import held
from store.redaction import redact
from store.registry import Champion, Registry
from training.child import run_stage
from training.config import TrainingConfig
from training.encoder_start import start_revision
from training.examples import INTENTS_FILE, QUERIES_FILE, read_examples, read_labels
from training.export_encoder import export_encoder
from training.who import who_acts

KIND: Final = "distilbert-synthetic"
Report = Callable[[str], None]

_DECIDING_CODE: Final = (
    "contracts/text.py",
    "training/batches.py",
    "training/calibration.py",
    "training/candidate.py",
    "training/config.py",
    "training/course.py",
    "training/encoder_start.py",
    "training/evaluate.py",
    "training/examples.py",
    "training/export.py",
    "training/intent_model.py",
    "training/split.py",
    "training/train.py",
)
_DECIDING_PACKAGES: Final = ("torch", "transformers", "onnx", "onnxruntime", "tokenizers")
_RECIPES_KEPT: Final = 3


def first_recipe(*, queries: Path = QUERIES_FILE, config: TrainingConfig | None = None) -> str:
    """Return the short hash of everything that decides what the first version becomes.

    Comments and formatting of the code do not count. Raises DataError for bad rows.
    """
    total = hashlib.sha256()
    for name in _DECIDING_CODE:
        total.update(ast.dump(ast.parse((PROJECT / name).read_text())).encode())
    for package in _DECIDING_PACKAGES:
        total.update(f"{package}=={importlib.metadata.version(package)}".encode())
    total.update(INTENTS_FILE.read_bytes() + queries.read_bytes() + start_revision().encode())
    # Of the redaction seam only what it makes of these queries counts.
    for example in read_examples(queries, labels=read_labels()):
        total.update(redact(example.text).encode())
    total.update(json.dumps([MAX_TOKENS, asdict(config or TrainingConfig())]).encode())
    return total.hexdigest()[:16]


def make_first_version(
    settings: Settings,
    *,
    cache_dir: Path | None = None,
    queries: Path = QUERIES_FILE,
    config: TrainingConfig | None = None,
    report: Report = print,
) -> str:
    """See that the registry has a champion, and return it.

    Trains when there is none (`v3` in an empty registry), or when the champion is a first
    version of other data or code: then the next number is made and takes over. A champion that
    came from anywhere else is left alone. `cache_dir` (default HOME/cache) keeps trained
    candidates, so that two homes may share one. Raises DataError for bad rows.
    """
    registry = Registry(open_store(settings.artifacts_root))
    config = config or TrainingConfig()
    recipe = first_recipe(queries=queries, config=config)
    cache = (cache_dir or settings.cache_dir) / "first_version"
    cache.mkdir(parents=True, exist_ok=True)
    # A second one that would train waits, and finds what the first one made.
    with held(cache / ".lock"):
        champion = registry.champion()
        if champion is not None and not _is_outdated(registry, champion, recipe=recipe):
            report(f"classifier: {champion.version} is the champion already")
            return champion.version
        export_encoder(settings.encoder_dir)
        candidate = cache / recipe
        if not (candidate / "manifest.json").is_file():
            with _appearing(candidate) as draft:
                given = {
                    "queries": str(queries.resolve()),
                    "encoder_dir": str(settings.encoder_dir),
                    "config": asdict(config),
                    "recipe": recipe,
                    "kind": KIND,
                }
                run_stage("training.candidate", [str(draft), json.dumps(given)], report=report)
            _forget_old(cache)
        version = registry.publish(candidate)
        try:
            registry.move_champion(
                version,
                expected=champion,
                who=who_acts(),
                why="first version" if champion is None else "first version of new data or code",
            )
        except ChampionMoved:  # on another machine, over the same bucket
            now = registry.champion()
            if now is None or _is_outdated(registry, now, recipe=recipe):
                raise
            report(f"classifier: {now.version} became the champion meanwhile; {version} is kept")
            return now.version
    report(f"classifier: {version}-{KIND} is the champion")
    return version


def _is_outdated(registry: Registry, champion: Champion, *, recipe: str) -> bool:
    manifest = registry.manifest(champion.version)
    return manifest.kind == KIND and manifest.recipe != recipe


@contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Give a draft folder that becomes `folder` when the block ends well, and goes if not."""
    draft = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".draft-"))
    try:
        yield draft
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(draft, folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _forget_old(cache: Path) -> None:
    made = [folder for folder in cache.iterdir() if (folder / "manifest.json").is_file()]
    made.sort(key=lambda folder: (folder / "manifest.json").stat().st_mtime)
    for folder in made[:-_RECIPES_KEPT]:
        shutil.rmtree(folder)


def main() -> None:
    """Make the first version of the hub's home, with progress on standard output."""
    make_first_version(Settings(), report=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
