"""YAML that people write, read strictly: every error names the file and the place in it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import yaml

Read = TypeVar("Read")


def read_yaml(path: Path | str, build: Callable[[Mapping[object, object]], Read]) -> Read:
    """Return what `build` makes of the mapping in a file.

    Raises ``OSError`` if the file cannot be read, and ``ValueError`` that begins with its path if
    it is not YAML in UTF-8, is no mapping, or `build` raises one.
    """
    try:
        document: object = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: not valid YAML: {error}") from error
    try:
        return build(mapping_of(document, "the file"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def mapping_of(value: object, name: str) -> Mapping[object, object]:
    """Return a mapping; ``ValueError`` names the place where there is none."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name}: expected a mapping, found {type(value).__name__}")
    return value


def mappings_of(value: object, name: str) -> tuple[Mapping[object, object], ...]:
    """Return a list's mappings, of which there is at least one; ``ValueError`` otherwise."""
    if not isinstance(value, list) or not value:
        raise ValueError(f"{name}: expected a list that is not empty, found {value!r:.80}")
    return tuple(mapping_of(item, f"{name}[{position}]") for position, item in enumerate(value))


def text_of(value: object, name: str) -> str:
    """Return a text without the whitespace around it; ``ValueError`` if there is none."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name}: expected text, found {value!r}")
    return value.strip()


def texts_of(value: object, name: str) -> tuple[str, ...]:
    """Return a list's texts, perhaps none; ``ValueError`` names the item that is no text."""
    if not isinstance(value, list):
        raise ValueError(f"{name}: expected a list, found {type(value).__name__}")
    return tuple(text_of(item, f"{name}[{position}]") for position, item in enumerate(value))
