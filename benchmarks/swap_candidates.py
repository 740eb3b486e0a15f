"""Versions made to be swapped: each gives answers of its own, and some of them are corrupt.

The good ones are a base version with what it says shifted: version number n says, for a query in
scope, the intent that lies n places further in the list of labels. The columns of its graph are
shifted by n and its labels by 2n, so that the weights of one version under the labels of another
say neither's intents: an answer proves its model.
"""

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from benchmarks.questions import read_questions
from contracts.outcome import OUT_OF_SCOPE
from models.classifier import IntentClassifier
from store.registry import SERVED_FILES, Registry
from training.examples import Example

GOOD: Final = 10
TEXTS: Final = 300
GOLDEN: Final = 50
LEAST_CONFIDENCE: Final = 0.8
"""Of the base in a text that is asked, whatever shares its batch."""

_OUTPUT: Final = "logits"

Damage = Callable[[Path], None]
"""Changes a candidate's folder before it is published."""

Said = tuple[str, float]
"""An intent and its confidence."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A published version, and what is wrong with it (empty: nothing)."""

    version: str
    wrong: str = ""


@dataclass(frozen=True, slots=True)
class Field:
    """What is made before a load: candidates in their order, texts, and what each version says."""

    candidates: list[Candidate]
    texts: list[str]
    said: dict[str, dict[str, Said]]
    """By version, the base included, by text."""

    def golden(self, candidate: Candidate) -> list[Example]:
        """Return a golden set that a good candidate passes; a corrupt one is not to come so far."""
        said = self.said.get(candidate.version, {})
        return [Example(text, said[text][0]) for text in self.texts[:GOLDEN] if text in said]


def make_field(
    registry: Registry,
    *,
    artifacts: Path,
    good: int = GOOD,
) -> Field:
    """Publish candidates shifted from the champion; ask each good one offline about every text.

    `artifacts` is the registry's folder. Of three corrupt ones the first comes after three good
    ones, and four good ones lie between.
    """
    champion = registry.champion()
    assert champion is not None, "prepare_models made one"
    base = registry.fetch(champion.version, cache_dir=artifacts, only=SERVED_FILES)
    texts = steady(base, read_questions()[: 2 * TEXTS])[:TEXTS]
    said = {champion.version: says(base, texts)}
    candidates: list[Candidate] = []
    for number in range(1, good + 1):
        version = publish_shifted(registry, base, number=number)
        folder = registry.fetch(version, cache_dir=artifacts, only=SERVED_FILES)
        said[version] = says(folder, texts)
        candidates.append(Candidate(version))
    for place, (wrong, damage) in zip((3, 7, 11), _DAMAGES.items(), strict=True):
        version = publish_shifted(registry, base, number=good + 1, damage=damage)
        if damage is None:
            truncate_published(artifacts, version)
        candidates.insert(place, Candidate(version, wrong))
    return Field(candidates, texts, said)


def publish_shifted(
    registry: Registry,
    base: Path,
    *,
    number: int,
    damage: Damage | None = None,
    stopped_because: Sequence[str] = (),
) -> str:
    """Publish the version in `base` as a new one, its intents shifted by `number`; return its name.

    Two numbers below that of the intents in scope, which must be odd, are told apart, and so are
    mixtures of their versions. With `stopped_because` it is one that the gate stopped.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for name in SERVED_FILES:
            shutil.copyfile(base / name, folder / name)
        manifest = json.loads((base / "manifest.json").read_text())
        labels = manifest["labels"]
        manifest |= {
            "version": "candidate",
            "name": "",
            "kind": f"shifted-{number}",
            "recipe": "",  # never taken for what training made
            "labels": [labels[place] for place in _order(labels, by=2 * number)],
            "gate": {"passed": not stopped_because, "reasons": list(stopped_because)},
            "files": {},
        }
        (folder / "manifest.json").write_text(json.dumps(manifest))
        _reorder_columns(folder / "model.onnx", order=_order(labels, by=number))
        if damage is not None:
            damage(folder)
        return registry.publish(folder)


def says(folder: Path, texts: list[str]) -> dict[str, Said]:
    """Return what the version in `folder` says of each text, asked one by one as by a lone client.

    The int8 graph's confidences change with what shares a batch: ask it about `steady` texts.
    """
    classifier = IntentClassifier(folder)
    predictions = ((text, classifier.predict([text])[0]) for text in texts)
    return {text: (one.intent, one.confidence) for text, one in predictions}


def steady(folder: Path, texts: list[str]) -> list[str]:
    """Return the texts in scope whose intent is sure in every one of several random batches."""
    classifier = IntentClassifier(folder)
    draw = random.Random(0)
    heard: dict[str, set[str]] = {text: set() for text in texts}
    for size in (1, 3, 5):
        order = draw.sample(texts, len(texts))
        for start in range(0, len(order), size):
            batch = order[start : start + size]
            for text, one in zip(batch, classifier.predict(batch), strict=True):
                sure = one.confidence >= LEAST_CONFIDENCE and one.intent != OUT_OF_SCOPE
                heard[text].add(one.intent if sure else "")
    return [text for text, intents in heard.items() if len(intents) == 1 and "" not in intents]


def lose_a_label(folder: Path) -> None:
    """Name one label fewer than the graph has columns."""
    file = folder / "manifest.json"
    manifest: dict[str, Any] = json.loads(file.read_text())
    file.write_text(json.dumps(manifest | {"labels": manifest["labels"][:-1]}))


def make_weights_nan(folder: Path) -> None:
    """Put a NaN into every float weight of the graph, the scales of the int8 ones among them."""
    graph = onnx.load(str(folder / "model.onnx"))
    for weight in graph.graph.initializer:
        if weight.data_type == TensorProto.FLOAT:
            values = np.full_like(numpy_helper.to_array(weight), np.nan)
            weight.CopyFrom(numpy_helper.from_array(values, weight.name))
    onnx.save(graph, str(folder / "model.onnx"))


def truncate_published(artifacts: Path, version: str) -> None:
    """Cut a published version's graph in half, as a disk that was full leaves it."""
    file = artifacts / "models" / version / "model.onnx"
    half = file.read_bytes()[: file.stat().st_size // 2]
    file.unlink()  # it may be a link to another version's
    file.write_bytes(half)


_DAMAGES: Final[dict[str, Damage | None]] = {
    "truncated file": None,  # once it is published
    "wrong label count": lose_a_label,
    "NaN weights": make_weights_nan,
}


def _order(labels: list[str], *, by: int) -> NDArray[np.int64]:
    """Return, for each place, the place whose content it gets; `out_of_scope` stays where it is."""
    order = np.arange(len(labels), dtype=np.int64)
    inside = np.array([place for place, label in enumerate(labels) if label != OUT_OF_SCOPE])
    order[inside] = np.roll(inside, -by)
    return order


def _reorder_columns(file: Path, *, order: NDArray[np.int64]) -> None:
    """Let column j of the graph's output be what column order[j] was."""
    model = onnx.load(str(file))
    graph = model.graph
    (producer,) = (node for node in graph.node if _OUTPUT in node.output)
    producer.output[list(producer.output).index(_OUTPUT)] = "unordered"
    graph.initializer.append(numpy_helper.from_array(order, "order"))
    graph.node.append(helper.make_node("Gather", ["unordered", "order"], [_OUTPUT], axis=1))
    onnx.save(model, str(file))
