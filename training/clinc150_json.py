"""Read CLINC150 as its authors publish it: one JSON object of six sides, each `[text, intent]`."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from contracts.errors import DataError
from contracts.outcome import OUT_OF_SCOPE
from contracts.text import is_blank
from training.examples import Example

_SIDES: Final = {
    "train": ("train", "oos_train"),
    "validation": ("val", "oos_val"),
    "test": ("test", "oos_test"),
}
_OUTSIDE: Final = "oos"
"""CLINC150's word for `out_of_scope`."""


@dataclass(frozen=True, slots=True)
class Clinc150:
    """The published sides, out-of-scope queries last in each. `labels` ends with `out_of_scope`."""

    train: tuple[Example, ...]
    validation: tuple[Example, ...]
    test: tuple[Example, ...]
    labels: tuple[str, ...]


def read_clinc150(file: Path) -> Clinc150:
    """Read the six sides. Any label set will do, as long as every side keeps to that of `train`.

    Raises DataError that names the side and the row: no JSON, a side that is missing, a row that
    is not two texts, a blank text, or an intent that `train` does not have; and FileNotFoundError.
    """
    try:
        document = json.loads(file.read_text())
    except ValueError as error:
        raise DataError(f"{file.name} is no JSON: {error}. Nothing was trained.") from error
    sides = {
        side: tuple(e for name in names for e in _read_side(document, name, file=file))
        for side, names in _SIDES.items()
    }
    labels = sorted({e.intent for e in sides["train"]} - {OUT_OF_SCOPE})
    for side, examples in sides.items():
        if unknown := sorted({e.intent for e in examples} - {*labels, OUT_OF_SCOPE}):
            raise DataError(
                f"{file.name}: {side} has intents that train lacks: {', '.join(unknown[:10])}."
                " Nothing was trained."
            )
    return Clinc150(**sides, labels=(*labels, OUT_OF_SCOPE))


def _read_side(document: object, name: str, *, file: Path) -> list[Example]:
    rows = document.get(name) if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows:
        raise DataError(f'{file.name} has no rows under "{name}". Nothing was trained.')
    examples = []
    for number, row in enumerate(rows, start=1):
        match row:
            case [str(text), str(intent)] if not is_blank(text):
                examples.append(Example(text, OUT_OF_SCOPE if intent == _OUTSIDE else intent))
            case _:
                raise DataError(
                    f'{file.name}: row {number} of "{name}" is not a text and its intent.'
                    " Nothing was trained."
                )
    return examples
