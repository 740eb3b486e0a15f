"""The intents as a reviewer reads them: titles and descriptions of data/intents.yaml."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from contracts.errors import DataError
from contracts.settings import DATA
from store.labels import UNCLEAR

INTENTS_FILE = DATA / "intents.yaml"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a label may say: its name in every dataset, its title, and what belongs there."""

    name: str
    title: str
    description: str


Intents = Mapping[str, Intent]
"""By name, in the file's order."""


def read_intents(file: Path = INTENTS_FILE) -> dict[str, Intent]:
    """Return the intents of the file, by name. Raises DataError that says what is wrong with it."""
    try:
        rows = yaml.safe_load(file.read_text(encoding="utf-8"))["intents"]
        intents = [
            Intent(row["name"], row["title"], " ".join(row["description"].split())) for row in rows
        ]
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{file} cannot be read: {error!r}. No label can be given.") from error
    return {intent.name: intent for intent in intents}


def title_of(name: str | None, intents: Intents) -> str:
    """Return what a person reads for a label; a name that is no longer in the file as it is."""
    if name is None:
        return "no intent"
    if name == UNCLEAR:
        return "Unclear"
    return intents[name].title if name in intents else name
