"""Texts to unit vectors by Vertex AI: as many requests as its limits ask for, several at once."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any, Final, Protocol

import numpy as np

from contracts.errors import EmbedderAway, TextTooLong
from contracts.records import Vectors
from models.encoder import VectorSpace
from models.request_limits import into_requests, is_over_limit, too_long_because
from models.text_encoder import Task

DIMS: Final = 768

TASK_TYPES: Final[Mapping[Task, str]] = {
    "document": "RETRIEVAL_DOCUMENT",
    "query": "RETRIEVAL_QUERY",
}

_REQUESTS_AT_ONCE: Final = 4

log = logging.getLogger(__name__)


class Refused(Exception):
    """The service answered that it does not take this request; its words are the message."""


class Predictor(Protocol):
    """One request to the service: models.vertex_service.VertexService."""

    def predict(self, instances: Sequence[Mapping[str, str]], parameters: Mapping[str, Any]) -> Any:
        """Return (vectors, how many texts were cut). Raises Refused and EmbedderAway."""


def vertex_space(model: str) -> VectorSpace:
    """Return the vector space of a model of Vertex AI, as `text-embedding-005`."""
    name, _, version = model.replace("@", "-").rpartition("-")
    space = VectorSpace(
        fingerprint="",
        model=f"vertex/{name}",
        revision=version,
        quantisation="none",
        dims=DIMS,
        normalised=True,
    )
    named = json.dumps(asdict(space), sort_keys=True)
    return replace(space, fingerprint=hashlib.sha256(named.encode()).hexdigest()[:16])


class VertexEncoder:
    """A TextEncoder over Vertex AI's prediction API."""

    texts_at_once = 1_000

    def __init__(self, service: Predictor, *, model: str) -> None:
        """Nothing is asked yet: the space follows from the model's name."""
        self.space = vertex_space(model)
        self._service = service

    def encode(self, texts: list[str], *, task: Task) -> Vectors:
        """Return one unit vector a text, in their order: shape (texts, dims), float32.

        A document that is too long is refused: TextTooLong names each, after the others were
        tried. A query is cut instead: it is asked by its beginning, which is better than by words
        alone. Raises EmbedderAway when the service gives no vectors.
        """
        vectors = np.empty((len(texts), DIMS), dtype=np.float32)
        too_long: dict[int, str] = {}

        def fill(rows: list[int]) -> None:
            try:
                vectors[rows] = self._ask([texts[row] for row in rows], task=task)
            except Refused as refused:
                if not is_over_limit(str(refused)):
                    log.error("Vertex AI refused a request: %s", refused)
                    raise EmbedderAway(f"Vertex AI refused the request: {refused}") from refused
                if len(rows) == 1:
                    too_long[rows[0]] = too_long_because(str(refused))
                    return
                # It does not say which text is too long, or by how much all are.
                middle = len(rows) // 2
                fill(rows[:middle])
                fill(rows[middle:])

        requests = into_requests(texts)
        if len(requests) <= 1:
            for rows in requests:
                fill(rows)
        else:
            with ThreadPoolExecutor(_REQUESTS_AT_ONCE) as threads:
                for _ in threads.map(fill, requests):
                    pass
        if too_long:
            raise TextTooLong(too_long)
        return vectors

    def _ask(self, texts: Sequence[str], *, task: Task) -> Vectors:
        instances = [{"content": text, "task_type": TASK_TYPES[task]} for text in texts]
        parameters = {"autoTruncate": task == "query", "outputDimensionality": DIMS}
        made, cut = self._service.predict(instances, parameters)
        if cut:
            log.info("%d of %d queries were cut to what the model takes", cut, len(texts))
        vectors = np.asarray(made, dtype=np.float32)
        if vectors.shape != (len(texts), DIMS):
            raise EmbedderAway(
                f"Vertex AI gave {vectors.shape} numbers for {len(texts)} texts of {DIMS} dims."
            )
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        # Written so that NaN fails too.
        if not np.all(norms > 0):
            raise EmbedderAway("Vertex AI gave a vector without a direction.")
        return np.asarray(vectors / norms)
