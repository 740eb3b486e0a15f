"""Where knowledge comes from: pages of rows, each a node or the reason why it is none."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contracts.messages import field_problems
from contracts.records import KnowledgeNode
from contracts.text import is_blank

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: where it stands ("row 3", "document gown"), and why."""

    place: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a source, in its order.

    `hidden` are ids that the source no longer shows to anybody. `upto` names the last row of a
    page after which reading can begin; None in a source that is cheap to read again.
    """

    nodes: tuple[KnowledgeNode, ...]
    bad: tuple[BadRow, ...] = ()
    hidden: tuple[str, ...] = ()
    upto: str | None = None


class KnowledgeSource(Protocol):
    """A file, or a collection of documents elsewhere. No id is in two pages."""

    @property
    def name(self) -> str:
        """What the source is called, the same in every run."""
        ...

    def pages(self, *, after: str | None = None) -> Iterator[Page]:
        """Yield the rows, from the first or from behind the row that an earlier page ended with.

        Raises DataError or SourceUnavailable when they cannot be read.
        """
        ...


class _Row(BaseModel):
    """One row as people write it. An unknown field is refused: it is a known one misspelt."""

    model_config = ConfigDict(extra="forbid", strict=True)

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,199}$")]
    title: _Line
    body: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50_000)]
    url: Annotated[str, StringConstraints(pattern=r"^(https?://|/)\S+$", max_length=2_000)]
    intent: _Line
    tags: list[Annotated[str, StringConstraints(min_length=1, max_length=64)]] = Field(
        default_factory=list, max_length=32
    )
    updated: date | None = Field(default=None, strict=False)


def read_node(row: dict[str, Any], *, intents: Collection[str] | None) -> KnowledgeNode | str:
    """Return the row's node, or what is wrong with it. `intents`, when given, are the only ones."""
    try:
        checked = _Row.model_validate(row)
    except ValidationError as error:
        problems = field_problems(list(error.errors()))
        return "; ".join(f"{problem.field}: {problem.message}" for problem in problems)
    for field, text in (("title", checked.title), ("body", checked.body)):
        if is_blank(text):
            return f"{field}: nothing in it can be seen"
    whole = "\n".join([checked.title, checked.body, checked.url, checked.intent, *checked.tags])
    if any(ord(ch) < 32 and ch not in "\t\n\r" for ch in whole):
        return "holds a control character, which a database or a page cannot show"
    if any(0xD800 <= ord(ch) <= 0xDFFF for ch in whole):
        return "holds half of a surrogate pair"
    if intents is not None and checked.intent not in intents:
        return f"intent: {checked.intent} is none of data/intents.yaml"
    return KnowledgeNode(
        id=checked.id,
        title=checked.title,
        body=checked.body,
        url=checked.url,
        intent=checked.intent,
        tags=tuple(dict.fromkeys(checked.tags)),
    )
