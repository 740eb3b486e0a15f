"""Texts to calibrated intents: DistilBERT, int8, with its labels and its fitted calibration."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from contracts.errors import ArtifactError
from contracts.records import IntentProbability, Prediction
from models.confidence import read_calibration
from models.finite import require_finite_weights
from models.session import Batch, Feeds, open_session, open_tokenizer, prepare

CONFIDENCE_DECIMALS = 4


class IntentClassifier:
    """One model version, open and ready. Immutable: a swap assigns another object."""

    def __init__(self, folder: Path, *, threads: int = 1, max_batch: int = 32) -> None:
        """Open `model.onnx`, `tokenizer.json` and `manifest.json` of a version's folder.

        Raises ArtifactError when the graph's outputs do not match the manifest's labels, the
        calibration does not fit them, or a weight, or what a forward pass gives, is something else
        than a finite number.
        """
        manifest = json.loads((folder / "manifest.json").read_text())
        self.version: str = manifest["version"]
        self.labels: tuple[str, ...] = tuple(manifest["labels"])
        self.calibration = read_calibration(manifest)
        self._max_batch = max_batch
        self._tokenizer = open_tokenizer(folder / "tokenizer.json")
        require_finite_weights(folder / "model.onnx")
        self._session = open_session(folder / "model.onnx", threads=threads)
        self._prove_one_pass()

    def prepare(self, texts: list[str]) -> list[Batch]:
        return prepare(self._tokenizer, texts, max_batch=self._max_batch)

    def run(self, feeds: Feeds) -> NDArray[np.float32]:
        """Return logits: shape (texts, labels)."""
        (logits,) = self._session.run(["logits"], feeds)
        return np.asarray(logits, dtype=np.float32)

    def finish(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return calibrated probabilities: shape (texts, labels)."""
        return self.calibration.probabilities(logits)

    def logits(self, texts: list[str]) -> NDArray[np.float32]:
        """Return logits in the order of the texts: shape (texts, labels)."""
        rows_out = np.empty((len(texts), len(self.labels)), dtype=np.float32)
        for batch in self.prepare(texts):
            rows_out[batch.rows] = self.run(batch.feeds)
        return rows_out

    def predict(self, texts: list[str], *, top: int = 3) -> list[Prediction]:
        """Return the `top` likeliest intents of each text, best first; ties go by label order."""
        if not texts:
            return []
        probabilities = self.finish(self.logits(texts))
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
        return [
            Prediction(
                alternatives=tuple(
                    IntentProbability(
                        self.labels[column], round(float(row[column]), CONFIDENCE_DECIMALS)
                    )
                    for column in columns
                ),
                model_version=self.version,
            )
            for row, columns in zip(probabilities, best, strict=True)
        ]

    def _prove_one_pass(self) -> None:
        logits = self.run(self.prepare(["where is the library"])[0].feeds)
        if logits.shape != (1, len(self.labels)):
            raise ArtifactError(
                f"{self.version} gives {logits.shape[1]} scores for {len(self.labels)} labels."
            )
        if not np.isfinite(logits).all():
            raise ArtifactError(f"{self.version} gives scores that are not numbers.")
        if not np.allclose(self.finish(logits).sum(axis=1), 1):
            raise ArtifactError(f"{self.version} gives confidences that do not add up to one.")
