"""Knowledge nodes in a file: JSON array or JSON lines; good rows are read, bad ones are named."""

import json
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from contracts.errors import DataError
from contracts.messages import field_problems
from contracts.records import KnowledgeNode
from contracts.text import is_blank

_Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=300)]


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


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was left out: its number from 1 (the line, or the place in the array), and why."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class KnowledgeFile:
    """What a file holds: the nodes that can be used, in its order, and the rows that cannot."""

    nodes: tuple[KnowledgeNode, ...]
    bad: tuple[BadRow, ...]


def read_knowledge(file: Path, *, intents: Collection[str] | None = None) -> KnowledgeFile:
    """Read a JSON array or JSON lines of nodes. `intents`, when given, are the only ones allowed.

    Raises DataError when the file cannot be read, is no text, or is an array that is no JSON.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise DataError(f"{file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{file} is not UTF-8 at byte {error.start}.") from error
    nodes: list[KnowledgeNode] = []
    bad: list[BadRow] = []
    first_row: dict[str, int] = {}
    for number, row in _rows(text, name=file.name):
        node = row if isinstance(row, str) else _node(row, intents=intents)
        if isinstance(node, str):
            bad.append(BadRow(number, node))
        elif node.id in first_row:
            bad.append(BadRow(number, f"id: {node.id} is in row {first_row[node.id]} already"))
        else:
            first_row[node.id] = number
            nodes.append(node)
    return KnowledgeFile(tuple(nodes), tuple(bad))


def _rows(text: str, *, name: str) -> Iterator[tuple[int, Any]]:
    """Yield (number, parsed row), or (number, reason) for a line that is no JSON object."""
    if text.lstrip().startswith("["):
        try:
            array = json.loads(text)
        except ValueError as error:
            raise DataError(f"{name} is no JSON array: {error}.") from error
        for number, row in enumerate(array, start=1):
            yield number, row if isinstance(row, dict) else "no JSON object"
        return
    # Not splitlines(): a line separator of Unicode may stand inside a JSON string.
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                row = json.loads(line)
            except ValueError as error:
                yield number, f"no JSON: {error}"
                continue
            yield number, row if isinstance(row, dict) else "no JSON object"


def _node(row: dict[str, Any], *, intents: Collection[str] | None) -> KnowledgeNode | str:
    """Return the row's node, or what is wrong with it."""
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
