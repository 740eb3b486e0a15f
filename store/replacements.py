"""What was done about a classifier's memory, one entry a replacement, never changed.

models/replacements/N.json   in the artifact store, beside the versions and their promotions
"""

from datetime import datetime
from typing import Final

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import ArtifactError
from store.artifacts import ArtifactExists, ArtifactStore

_PREFIX: Final = "models/replacements/"


class Replacement(BaseModel):
    """Replicas gave way to new ones that hold `version`. Memory in bytes, by replica."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    previous: str
    who: str
    when: datetime
    why: str
    limit_bytes: int
    before_bytes: dict[str, int]
    after_bytes: dict[str, int]
    error: str | None = None
    """Why it failed: then the replicas of before serve still."""


class Replacements:
    """The entries of one artifact store, oldest first."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def add(self, entry: Replacement) -> None:
        """Write one more entry; of two writers at once, both are kept."""
        number = len(self._store.keys(_PREFIX)) + 1
        while True:
            try:
                self._store.create(f"{_PREFIX}{number:06d}.json", entry.model_dump_json().encode())
            except ArtifactExists:
                number += 1
            else:
                return

    def all(self) -> list[Replacement]:
        """Return every entry, oldest first. Raises ArtifactError for one that cannot be read."""
        return [self._read(key) for key in self._store.keys(_PREFIX)]

    def _read(self, key: str) -> Replacement:
        try:
            return Replacement.model_validate_json(self._store.read(key).content)
        except ValidationError as error:
            raise ArtifactError(f"{key} cannot be read: {error}") from error
