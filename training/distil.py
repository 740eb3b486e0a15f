"""`python -m training.distil`: a MobileBERT that answers as the champion does, and is half of it.

Taught with all text there is, labelled or not: the champion's training queries, the knowledge
nodes, the logged queries of the snapshots. Then it goes the way of every candidate: evaluated as it
would be served, measured against the champion by the regression gate, published with its verdict.
It serves only when `training.registry promote` or the memory watch says so.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from itertools import chain, islice
from typing import Final

from safetensors.torch import save_file

from contracts.errors import ArtifactError
from contracts.settings import DATA, Settings
from contracts.text import digest
from store.artifacts import open_store
from store.database import connect
from store.dataset_kinds import INTERACTIONS
from store.dataset_rows import read_erased
from store.datasets import Datasets
from store.knowledge_file import read_knowledge
from store.registry import Registry
from store.running import running_database
from training.candidate import GOLDEN_FILE
from training.config import TrainingConfig
from training.distillation import Lesson, distil
from training.evaluate import read_golden
from training.examples import examples_digest
from training.intent_model import DistilBertIntents, read_model
from training.lineage import examples_of, judging_texts
from training.mobilebert import cut_from
from training.split import SIDES
from training.stages.evaluate import evaluate
from training.stages.gate import gate
from training.stages.publish import publish
from training.stages.run import Report, RunFolder, begin_run, end_of, say
from training.unlabelled import sentences_of, teaching_texts
from training.vectors import FILE

NICENESS: Final = 10
MOST_LOGGED: Final = 50_000
HANDED_ON: Final = ("split.json", *(f"{side}.jsonl" for side in SIDES), FILE)
"""What a version keeps of its examples: the small one's are the champion's."""

MOBILEBERT: Final = TrainingConfig(backbone="mobilebert")


def teach(run: RunFolder, settings: Settings, report: Report, *, lesson: Lesson) -> None:
    """Write what the stages before `evaluate` would: the sides, the weights, and their records.

    Raises ArtifactError when the champion is no DistilBERT, or brings no examples along.
    """
    champion = run.order.champion
    assert champion is not None
    registry = Registry(open_store(settings.artifacts_root))
    cache = settings.cache_dir
    manifest = registry.manifest(champion)
    handed_on = [name for name in HANDED_ON if name in manifest.files]
    folder = registry.fetch(champion, cache_dir=cache, only=["model.safetensors", *handed_on])
    sides = examples_of(registry, champion, cache_dir=cache)
    teacher = read_model(
        folder / "model.safetensors", labels=len(manifest.labels), config=TrainingConfig()
    )
    if not isinstance(teacher, DistilBertIntents):
        raise ArtifactError(f"{champion} is no DistilBERT: there is nothing to be made smaller.")
    run.candidate.mkdir()
    for name in handed_on:
        shutil.copyfile(folder / name, run.candidate / name)
    judges = chain(
        judging_texts(registry, cache_dir=cache),
        (example.text for example in sides["validation"]),
        (example.text for example in read_golden(GOLDEN_FILE)),
    )
    logged = _logged(settings, report=report)
    texts = teaching_texts(
        (example.text for example in sides["train"]),
        sentences_of(read_knowledge(DATA / "knowledge_nodes.json").nodes),
        logged,
        judging={digest(text) for text in judges},
    )
    report(
        f"distil: {len(texts):,} texts, of {len(sides['train']):,} training queries, the knowledge"
        f" nodes and {len(logged):,} logged queries; {champion} teaches"
    )
    taught = distil(
        cut_from(teacher),
        teacher=teacher,
        texts=texts,
        validation=sides["validation"],
        lesson=lesson,
        report=report,
    )
    save_file(taught.model.state_dict(), run.candidate / "model.safetensors")
    now = datetime.now(UTC).isoformat(timespec="seconds")
    examples = [example for side in SIDES for example in sides[side]]
    run.write(
        "snapshot",
        {"taken_at": now, "dataset": f"{champion}'s", "digest": examples_digest(examples)},
    )
    run.write("label_gate", {"counted": None})
    run.write(
        "split",
        {
            "digest": manifest.split["digest"],
            "counts": {side: len(sides[side]) for side in SIDES},
            "labels": list(manifest.labels),
        },
    )
    run.write(
        "train",
        {
            "start": f"distilled from {champion}",
            "texts": len(texts),
            "config": asdict(replace(MOBILEBERT, seed=lesson.seed)),
            "lesson": asdict(lesson),
            **taught.record,
        },
    )


def _logged(settings: Settings, *, report: Report) -> list[str]:
    """Return the queries of the snapshots, without those of erased sessions."""
    datasets = Datasets(open_store(settings.artifacts_root))
    if not datasets.days(INTERACTIONS):
        return []
    with running_database(settings, say=report) as url, connect(url, vectors=False) as database:
        erased = read_erased(database)
    tables = datasets.read_tables(INTERACTIONS, first=date.min, last=date.max, erased=erased)
    texts = (text for table in tables for text in table["query_text"].to_pylist())
    return list(islice(texts, MOST_LOGGED))


def distil_champion(settings: Settings, *, lesson: Lesson) -> int:
    """Distil, evaluate, gate and publish; return the exit status of a retraining."""
    os.setpriority(os.PRIO_PROCESS, 0, NICENESS)

    def work() -> None:
        champion = Registry(open_store(settings.artifacts_root)).champion()
        if champion is None:
            raise ArtifactError("There is no champion to learn from; `make run` makes the first.")
        run = begin_run(
            settings.runs_dir,
            champion=champion.version,
            who="training.distil",
            dataset=None,
            is_promoted=False,
        )
        say(f"run {run.order.run} in {run.path}")
        teach(run, settings, say, lesson=lesson)
        for stage in (evaluate, gate, publish):
            stage(run, settings, say)

    return end_of(work).status


def main(given: Sequence[str] | None = None) -> int:
    """Distil the champion of HUB_HOME."""
    parser = argparse.ArgumentParser(
        prog="python -m training.distil",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Lesson()
    parser.add_argument(
        "--steps", type=int, default=default.steps, help=f"default: {default.steps}"
    )
    parser.add_argument("--threads", type=int, default=default.threads)
    arguments = parser.parse_args(given)
    lesson = replace(default, steps=arguments.steps, threads=arguments.threads)
    return distil_champion(Settings(), lesson=lesson)


if __name__ == "__main__":
    sys.exit(main())
