"""A version's files on this machine: compared with their records, and kept when they are copies.

CACHE/STORE/vN/...           verified copies, each there whole or not at all; manifest.json last
CACHE/STORE/served.json      the champion that was served here last: for a start without the store
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict

from contracts.errors import ArtifactError
from store.artifacts import ArtifactStore
from store.file_lock import held

MANIFEST: Final = "manifest.json"
_SERVED: Final = "served.json"


class FileRecord(BaseModel):
    """One file of a version: its SHA-256 in hex and its size."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: str
    bytes: int


def describe(file: Path) -> FileRecord:
    """Return what a file's record says of it."""
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
        return FileRecord(sha256=digest, bytes=content.tell())


def require_whole(folder: Path, records: Mapping[str, FileRecord], *, version: str) -> None:
    """Raise ArtifactError for a file that is missing, or not the one that was published."""
    for name, record in records.items():
        _require(folder / name, record, name=name, version=version)


class KeptVersions:
    """What one machine keeps of a store that is elsewhere. Safe for many processes at once."""

    def __init__(self, cache_dir: Path, *, store: ArtifactStore) -> None:
        self._store = store
        # Two stores have versions of the same names, and one HUB_HOME may have seen both.
        self._folder = cache_dir / re.sub(r"[^A-Za-z0-9._-]+", "-", store.url)

    def fetch(self, version: str, records: Mapping[str, FileRecord], *, manifest: bytes) -> Path:
        """Return a folder with the manifest and these files, verified.

        What is there and right stays; the rest is copied, by one process while others wait.
        """
        folder = self._folder / version
        folder.mkdir(parents=True, exist_ok=True)
        with held(self._folder / f".lock-{version}"):
            for name, record in records.items():
                self._copy(version, name, record, into=folder)
            _write(folder / MANIFEST, manifest)
        return folder

    def note_served(self, version: str) -> None:
        """Remember that `version`, the champion, is served from here since now."""
        said = {"version": version, "noted_at": datetime.now(UTC).isoformat()}
        _write(self._folder / _SERVED, json.dumps(said).encode())

    def served(self) -> Path | None:
        """Return the folder of the champion that was served last, or None when none was.

        Raises ArtifactError when the note of it cannot be read.
        """
        note = self._folder / _SERVED
        try:
            version = str(json.loads(note.read_bytes())["version"])
        except FileNotFoundError:
            return None
        except (ValueError, KeyError) as error:
            raise ArtifactError(f"{note} cannot be read: {error}") from error
        return self._folder / version if (self._folder / version / MANIFEST).is_file() else None

    def _copy(self, version: str, name: str, record: FileRecord, *, into: Path) -> None:
        kept = into / name
        if kept.is_file() and describe(kept) == record:
            return
        with _draft(kept) as draft:
            self._store.fetch(f"models/{version}/{name}", draft)
            _require(draft, record, name=name, version=version)


def _require(file: Path, record: FileRecord, *, name: str, version: str) -> None:
    if not file.is_file():
        raise ArtifactError(f"{version} lacks {name}; nothing was loaded.")
    if describe(file) != record:
        raise ArtifactError(
            f"{name} of {version} is not the file that was published;"
            " nothing was loaded. Restore it, or promote another version."
        )


@contextmanager
def _draft(file: Path) -> Iterator[Path]:
    """Give a hidden file that becomes `file` when the block ends well, and goes if not."""
    descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".draft-")
    os.close(descriptor)
    try:
        yield Path(name)
        os.rename(name, file)
    finally:
        Path(name).unlink(missing_ok=True)


def _write(file: Path, content: bytes) -> None:
    with _draft(file) as draft:
        draft.write_bytes(content)
