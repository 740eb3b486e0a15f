"""The contract, version 1: what travels over HTTP. Pydantic at the edge, records inside."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from contracts.outcome import ConfusedBecause, Outcome
from contracts.text import is_blank

MAX_TEXT_CHARS = 2_000
MAX_COMMENT_CHARS = 1_000
MAX_BODY_BYTES = 64 * 1024


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Answer(BaseModel):
    model_config = ConfigDict(frozen=True, protected_namespaces=())


def _without_nul(text: str | None) -> str | None:
    if text is not None and "\x00" in text:
        raise ValueError("must not contain the NUL character")
    return text


Text = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=MAX_TEXT_CHARS)
]


class QueryRequest(_Closed):
    """A question in plain words."""

    text: Text
    request_id: UUID | None = Field(
        default=None,
        strict=False,
        description="Repeat it within 24 h to get the first answer again, without a second row.",
    )
    top_k: int = Field(default=5, ge=1, le=20)
    deadline_ms: int = Field(
        default=2_000,
        ge=100,
        le=10_000,
        description="What is not there by then is left out and named in `degraded`.",
    )
    tags: tuple[str, ...] = Field(
        default=(),
        strict=False,
        max_length=8,
        description="Only knowledge nodes that carry all of these tags.",
    )

    @field_validator("text")
    @classmethod
    def _visible(cls, text: str) -> str:
        if is_blank(text):
            raise ValueError("must contain something that can be read")
        _without_nul(text)
        return text

    @field_validator("tags")
    @classmethod
    def _clean_tags(cls, tags: tuple[str, ...]) -> tuple[str, ...]:
        for tag in tags:
            if not 1 <= len(tag) <= 64:
                raise ValueError("each tag has 1 to 64 characters")
            _without_nul(tag)
        return tags


class Alternative(_Answer):
    """An intent and its calibrated probability."""

    intent: str
    confidence: float = Field(ge=0, le=1)


class Result(_Answer):
    """Something the university wrote. `score` falls with rank; never compare it between queries."""

    id: str
    title: str
    snippet: str
    url: str
    intent: str
    score: float = Field(ge=0, le=1)


class Crisis(_Answer):
    """Whom to call now, whatever the classifier thinks."""

    title: str
    text: str
    phone: str
    url: str


class QueryAnswer(_Answer):
    """What the hub says, and how sure it is."""

    interaction_id: str
    outcome: Outcome
    message: str | None
    crisis: Crisis | None
    intent: str | None
    confidence: float | None
    is_confused: bool
    confused_because: ConfusedBecause | None
    alternatives: list[Alternative]
    results: list[Result]
    degraded: list[str]
    model_version: str | None
    embedding_space: str | None
    timings_ms: dict[str, float]


class FeedbackRequest(_Closed):
    """A thumb up (1) or down (-1) for an answer; the last one wins."""

    interaction_id: str = Field(min_length=1, max_length=128)
    score: Literal[1, -1]
    comment: str | None = Field(default=None, max_length=MAX_COMMENT_CHARS)

    @field_validator("score", mode="before")
    @classmethod
    def _whole(cls, score: object) -> object:
        # To Literal, `true` and 1.0 equal 1.
        if type(score) is not int:
            raise ValueError("must be 1 or -1")
        return score

    @field_validator("comment")
    @classmethod
    def _clean_comment(cls, comment: str | None) -> str | None:
        return _without_nul(comment)


class FeedbackAnswer(_Answer):
    """`stored`: in the database. `pending`: its interaction is still on its way there."""

    interaction_id: str
    status: Literal["stored", "pending"]


class Health(_Answer):
    """The process lives."""

    status: Literal["alive"] = "alive"


class Readiness(_Answer):
    """`ready` while any answer is possible; `degraded` names what is away."""

    ready: bool
    degraded: list[str]


class ReplicaModel(_Answer):
    """What one classifier replica really holds."""

    replica: str
    version: str | None
    wanted: str | None
    error: str | None
    memory_bytes: int


class ReplicaSpace(_Answer):
    """In which vector space one embedder replica really embeds, and who computes for it."""

    replica: str
    space: str
    embedder: str


class Models(_Answer):
    """The champion of the registry, and what every replica really holds.

    `replicas` are the classifier's; `embedders` the embedder's, none while they do not answer.
    """

    champion: str | None
    replicas: list[ReplicaModel]
    embedders: list[ReplicaSpace]


class Contact(_Answer):
    """Whom a student can always call, and when."""

    name: str
    text: str
    phone: str


class Hints(_Answer):
    """What a frontend shows besides answers. It needs neither database nor model."""

    crisis: Crisis
    contacts: list[Contact] = Field(description="To show while the hub is away; urgent ones first.")
    examples: list[str] = Field(description="Questions to begin with, of different intents.")
    intents: dict[str, str] = Field(description="What a person reads for each intent.")


class FieldProblem(_Answer):
    """One field that cannot be used, and why."""

    field: str
    message: str


class Problem(_Answer):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str
    request_id: str
    errors: list[FieldProblem] | None = None


def field_problems(errors: list[Any]) -> list[FieldProblem]:
    """Turn pydantic's error list into the contract's: a dotted field name and a sentence each."""
    return [
        FieldProblem(
            field=".".join(str(part) for part in error["loc"]) or "body",
            message=str(error["msg"]).removeprefix("Value error, "),
        )
        for error in errors
    ]
