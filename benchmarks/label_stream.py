"""CLINC150 replayed as traffic, and the linear head that learns from what was labelled of it."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from contracts.errors import DataError
from contracts.records import Vectors
from contracts.text import normalise
from models.encoder import Encoder

Rows = NDArray[np.intp]

_FOLDS: Final = 3
_TEMPERATURES: Final = np.geomspace(0.1, 5.0, 30)


@dataclass(frozen=True, slots=True)
class Labelled:
    """Texts with their vectors, shape (texts, dims), and intents as numbers from 0."""

    texts: tuple[str, ...]
    vectors: Vectors
    intents: Rows


@dataclass(frozen=True, slots=True)
class Collection:
    """The texts that traffic is drawn from, and the balanced test set."""

    train: Labelled
    test: Labelled


def read_clinc(folder: Path, *, encoder_dir: Path, cache: Path) -> Collection:
    """Read `data_full.json`'s 150 intents; embed them, or take the vectors from `cache`.

    Raises FileNotFoundError, and DataError for a cache of another collection.
    """
    document = json.loads((folder / "data_full.json").read_text())
    names = {name: number for number, name in enumerate(sorted({i for _, i in document["train"]}))}
    sides = {
        side: (tuple(normalise(text) for text, _ in document[side]), [i for _, i in document[side]])
        for side in ("train", "test")
    }
    if not cache.is_file():
        encoder = Encoder(encoder_dir, threads=2)
        train, test = (encoder.encode(list(texts)) for texts, _ in sides.values())
        np.savez(cache, train=train, test=test)
    with np.load(cache) as kept:
        vectors = {side: kept[side] for side in sides}
    for side, (texts, _) in sides.items():
        if len(vectors[side]) != len(texts):
            raise DataError(f"{cache} holds the vectors of other texts: remove it.")
    return Collection(
        *(
            Labelled(
                texts, vectors[side], np.array([names[name] for name in intents], dtype=np.intp)
            )
            for side, (texts, intents) in sides.items()
        )
    )


def replay(labelled: Labelled, *, interactions: int, skew: float, seed: int) -> Rows:
    """Return a stream of rows: intents by Zipf's law with exponent `skew`, texts of one by chance.

    Which intents are common is the seed's choice; a text may come again, as in real traffic.
    """
    random = np.random.default_rng(seed)
    intents = int(labelled.intents.max()) + 1
    shares = 1 / np.arange(1, intents + 1) ** skew
    asked = random.permutation(intents)[
        random.choice(intents, interactions, p=shares / shares.sum())
    ]
    texts = [np.flatnonzero(labelled.intents == intent) for intent in range(intents)]
    return np.array([random.choice(texts[intent]) for intent in asked], dtype=np.intp)


class LinearHead:
    """Logistic regression on frozen vectors, with a temperature fitted on labels held out."""

    def __init__(self, labelled: Labelled, rows: Sequence[int] | Rows) -> None:
        """Learn from the labels of `rows`. Raises ValueError when they are all of one intent."""
        vectors, intents = labelled.vectors[rows], labelled.intents[rows]
        self._model = _fit(vectors, intents)
        self._temperature = _fit_temperature(vectors, intents)

    def confidences(self, vectors: Vectors) -> NDArray[np.float64]:
        """Return the calibrated probability of each row's likeliest intent."""
        return _likeliest(self._model.decision_function(vectors), self._temperature)

    def margins(self, vectors: Vectors) -> NDArray[np.float64]:
        """Return how much likelier the likeliest intent is than the second."""
        ordered = np.sort(self._model.predict_proba(vectors), axis=1)
        return np.asarray(ordered[:, -1] - ordered[:, -2])

    def accuracy(self, labelled: Labelled) -> float:
        """Return the share of rows whose intent is the likeliest; balanced when the rows are."""
        return float(np.mean(self._model.predict(labelled.vectors) == labelled.intents))


def _fit(vectors: Vectors, intents: Rows) -> LogisticRegression:
    with warnings.catch_warnings():
        # Few labels and many intents: that is what is measured here.
        warnings.filterwarnings("ignore", message="The number of unique classes")
        return LogisticRegression(C=20.0, max_iter=500, tol=1e-3).fit(vectors, intents)


def _fit_temperature(vectors: Vectors, intents: Rows) -> float:
    """Return the temperature at which held-out confidences are likeliest; 1 where none can be."""
    fold_of = np.random.default_rng(0).permutation(len(intents)) % _FOLDS
    held_out = []
    for fold in range(_FOLDS):
        train, test = fold_of != fold, fold_of == fold
        if len(np.unique(intents[train])) > 2:
            model = _fit(vectors[train], intents[train])
            scores = model.decision_function(vectors[test])
            held_out.append((scores, model.predict(vectors[test]) == intents[test]))

    def surprise(temperature: float) -> float:
        total = 0.0
        for scores, is_right in held_out:
            top = _likeliest(scores, temperature)
            total -= np.log(np.clip(np.where(is_right, top, 1 - top), 1e-6, 1)).sum()
        return total

    return float(min(_TEMPERATURES, key=surprise)) if held_out else 1.0


def _likeliest(scores: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    if scores.ndim == 1:  # two intents: scikit-learn gives one column
        scores = np.stack((np.zeros_like(scores), scores), axis=1)
    odds = np.exp((scores - scores.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(1 / odds.sum(axis=1))
