"""A file of labelled queries instead of the hub's own: JSON lines, or CLINC150's JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from contracts.errors import DataError
from contracts.text import is_blank
from training.clinc150_json import read_clinc150
from training.examples import Example
from training.split import SIDES, Side

_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class DatasetRow:
    """One labelled query, and the side that the file itself puts it on, if it does."""

    example: Example
    side: Side | None = None


def read_dataset(file: Path) -> list[DatasetRow]:
    """Read `{"text", "intent"}` a line (any intents, optionally `"side"`), or CLINC150's JSON.

    Raises DataError: the file is not there, is neither of them, or holds bad rows, which are named.
    """
    try:
        content = file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read: {error}.") from error
    if _is_clinc150(content):
        parts = read_clinc150(file)
        return [
            *(DatasetRow(example, "train") for example in parts.train),
            *(DatasetRow(example, "validation") for example in parts.validation),
            *(DatasetRow(example, "test") for example in parts.test),
        ]
    return _read_lines(content, name=file.name)


def _is_clinc150(content: str) -> bool:
    try:
        document = json.loads(content)
    except ValueError:
        return False
    return isinstance(document, dict) and "text" not in document


def _read_lines(content: str, *, name: str) -> list[DatasetRow]:
    rows: list[DatasetRow] = []
    bad: list[str] = []
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            row = json.loads(line)
            text, intent, side = row["text"], row["intent"], row.get("side")
        except (ValueError, KeyError, TypeError, AttributeError):
            bad.append(f'line {number} is no JSON object with "text" and "intent"')
            continue
        if not isinstance(text, str) or is_blank(text):
            bad.append(f"line {number} has no text")
        elif not isinstance(intent, str) or is_blank(intent):
            bad.append(f"line {number} has no intent")
        elif side is not None and side not in SIDES:
            bad.append(f"line {number} has the side {side!r}; there are {', '.join(SIDES)}")
        else:
            rows.append(DatasetRow(Example(text, intent), cast(Side | None, side)))
    if bad or not rows:
        more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
        said = "; ".join(bad[:_SHOWN]) + more if bad else "it has no rows"
        raise DataError(f"{name}: {said}. Nothing was trained.")
    return rows
