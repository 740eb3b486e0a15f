"""Knowledge nodes in a file: JSON array or JSON lines; good rows are read, bad ones are named."""

import json
from collections.abc import Collection, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

from contracts.errors import DataError
from contracts.records import KnowledgeNode
from store.knowledge_source import BadRow, Page, read_node

PAGE_ROWS = 1_000

Row = tuple[int, dict[str, Any] | str]
"""A row's number from 1 (the line, or the place in the array), and it or what is wrong with it."""


class KnowledgeFile:
    """A JSON array or JSON lines of nodes.

    Lines are read one by one, an array is read whole. Of the rows before, their ids are kept: some
    hundred megabytes for a million.
    """

    def __init__(
        self, file: Path, *, intents: Collection[str] | None = None, page_rows: int = PAGE_ROWS
    ) -> None:
        """`intents`, when given, are the only ones allowed."""
        self._file = file
        self._intents = intents
        self._page_rows = page_rows

    @property
    def name(self) -> str:
        return str(self._file)

    def pages(self, *, after: str | None = None) -> Iterator[Page]:
        """Yield the rows, always from the first: reading them again costs little.

        Raises DataError when the file cannot be read, is no text, or is an array that is no JSON.
        """
        nodes: list[KnowledgeNode] = []
        bad: list[BadRow] = []
        first_row: dict[str, int] = {}
        for number, row in self._rows():
            node = row if isinstance(row, str) else read_node(row, intents=self._intents)
            if isinstance(node, str):
                bad.append(BadRow(f"row {number}", node))
            elif node.id in first_row:
                again = f"id: {node.id} is in row {first_row[node.id]} already"
                bad.append(BadRow(f"row {number}", again))
            else:
                first_row[node.id] = number
                nodes.append(node)
            if len(nodes) + len(bad) == self._page_rows:
                yield Page(tuple(nodes), tuple(bad))
                nodes, bad = [], []
        if nodes or bad:
            yield Page(tuple(nodes), tuple(bad))

    def _rows(self) -> Iterator[Row]:
        try:
            # Only "\n" ends a line: a line separator of Unicode may stand inside a JSON string.
            with self._file.open(encoding="utf-8-sig", newline="\n") as lines:
                yield from _array_or_lines(lines, name=self._file.name)
        except OSError as error:
            raise DataError(f"{self._file} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{self._file} is not UTF-8: {error.reason}.") from error


def read_knowledge(file: Path, *, intents: Collection[str] | None = None) -> Page:
    """Read a whole file, as `KnowledgeFile.pages` does, into one page."""
    pages = list(KnowledgeFile(file, intents=intents).pages())
    return Page(
        tuple(chain.from_iterable(page.nodes for page in pages)),
        tuple(chain.from_iterable(page.bad for page in pages)),
    )


def _array_or_lines(lines: TextIO, *, name: str) -> Iterator[Row]:
    """Yield the rows of an array, or of JSON lines; a line that is no JSON is named."""
    line, blank = lines.readline(), 0
    while line and not line.strip():
        line, blank = lines.readline(), blank + 1
    if line.lstrip().startswith("["):
        try:
            array = json.loads(line + lines.read())
        except ValueError as error:
            raise DataError(f"{name} is no JSON array: {error}.") from error
        yield from ((place, _object(row)) for place, row in enumerate(array, start=1))
        return
    for place, text in enumerate(chain([line], lines), start=blank + 1):
        if text.strip():
            try:
                row = json.loads(text)
            except ValueError as error:
                yield place, f"no JSON: {error}"
                continue
            yield place, _object(row)


def _object(row: Any) -> dict[str, Any] | str:
    return row if isinstance(row, dict) else "no JSON object"
