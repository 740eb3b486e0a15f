"""Frozen records that travel between the rooms of the house. No behaviour but derived values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
"""One embedding: shape (dims,), float32, unit length."""

Vectors = NDArray[np.float32]
"""Embeddings, one a row: shape (texts, dims), float32, each row of unit length."""


@dataclass(frozen=True, slots=True)
class KnowledgeNode:
    """One thing the university wrote."""

    id: str
    title: str
    body: str
    url: str
    intent: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IntentProbability:
    """An intent and its calibrated probability in [0, 1]."""

    intent: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one model version says of one query: the likeliest intents, best first."""

    alternatives: tuple[IntentProbability, ...]
    model_version: str

    @property
    def intent(self) -> str:
        return self.alternatives[0].intent

    @property
    def confidence(self) -> float:
        return self.alternatives[0].confidence


@dataclass(frozen=True, slots=True)
class Search:
    """What the retriever is asked for one query.

    `vector` is None when no embedder answered (full text alone is searched); `intent` is a
    preference weighted by `confidence`, never a filter; `tags`, when given, are a filter: a node
    must carry all of them.
    """

    text: str
    vector: Vector | None
    space: str | None
    intent: str | None = None
    confidence: float = 0.0
    top_k: int = 5
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RetrievedNode:
    """A knowledge node as an answer to one search. `score` in [0, 1] falls with rank."""

    id: str
    title: str
    snippet: str
    url: str
    intent: str
    score: float


@dataclass(frozen=True, slots=True)
class Interaction:
    """A query with everything the hub answered, as one row of `interaction_log`.

    `query_text` has passed the redaction seam. `asked_at` is the time inside `interaction_id`
    (a UUIDv7), so the pair is unique exactly when the id is.
    """

    interaction_id: str
    asked_at: datetime
    session_id: str
    request_id: str | None
    query_text: str
    outcome: str
    confused_because: str | None
    intent: str | None
    confidence: float | None
    alternatives: tuple[IntentProbability, ...]
    result_ids: tuple[str, ...]
    degraded: tuple[str, ...]
    is_crisis: bool
    model_version: str | None
    embedding_space: str | None
    timings_ms: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Feedback:
    """A thumb: `score` is 1 or -1. The latest `given_at` wins. `session_id` asked, and gave it."""

    interaction_id: str
    asked_at: datetime
    score: int
    comment: str | None
    given_at: datetime
    session_id: str | None = None


@dataclass(frozen=True, slots=True)
class ReviewItem:
    """What a reviewer is asked: a query, what the hub answered, and how many it stands for.

    `item_id` is the interaction_id of the query; `members` counts the near-duplicates folded in,
    the query itself included. `reason` is 'doubtful', 'thumbs_down' or 'audit', `source` 'real' or
    'simulated'; model_version, intent and confidence are None when no classifier answered.
    """

    item_id: str
    query_text: str
    reason: str
    priority: float
    asked_at: datetime
    model_version: str | None
    intent: str | None
    confidence: float | None
    alternatives: tuple[IntentProbability, ...]
    outcome: str
    result_ids: tuple[str, ...]
    source: str
    members: int = 1


@dataclass(frozen=True, slots=True)
class Label:
    """What one reviewer said of one item: an intent's name, 'out_of_scope' or 'unclear'.

    `role` is the one the reviewer held then; model_* is what the hub had answered.
    """

    label_id: int
    item_id: str
    reviewer: str
    role: str
    intent: str
    labelled_at: datetime
    model_version: str | None
    model_intent: str | None
    model_confidence: float | None
    source: str


@dataclass(frozen=True, slots=True)
class VerifiedLabel:
    """An intent that two people stand for: `verified_by` is 'agreement' or 'lead'."""

    item_id: str
    query_text: str
    intent: str
    verified_at: datetime
    verified_by: str
    source: str
    model_version: str | None
    members: int
