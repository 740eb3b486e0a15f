"""Named bytes that last: models and datasets, in a folder or (behind the same protocol) a bucket.

A key is a path of plain names joined by `/`. What was written is never half there, and every
object has a generation: a number that changes with each write, by which two writers notice each
other, as in Google Cloud Storage.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from contracts.errors import ArtifactError, SettingsError
from store.file_lock import held

ABSENT: Final = 0
"""The generation of an object that is not there."""

DEADLINE_S: Final = 120.0
"""How long a store that is elsewhere is asked again before it counts as away."""

_KEY: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._=-]*(?:/[A-Za-z0-9_-][A-Za-z0-9._=-]*)*")


class ArtifactMissing(ArtifactError):
    """There is no such artifact in the store."""


class ArtifactExists(ArtifactError):
    """That artifact exists already; nothing was written."""


class ArtifactChanged(ArtifactError):
    """Somebody else wrote that artifact meanwhile; nothing was written."""


class StoreUnavailable(ArtifactError):
    """The artifact store cannot be used now."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """The bytes of one object and the generation at which they were read."""

    content: bytes
    generation: int


class ArtifactStore(Protocol):
    """What a store can do. Each write is seen by others whole or not at all, and lasts.

    All raise StoreUnavailable for a store that is away, or that does not let us in.
    """

    url: str

    def read(self, key: str) -> Artifact:
        """Return an object. Raises ArtifactMissing."""

    def create(self, key: str, content: bytes | Path) -> int:
        """Write an object (bytes, or a file's) that must not be there; return its generation.

        Raises ArtifactExists: of two writers one wins.
        """

    def replace(self, key: str, content: bytes, *, expected: int) -> int:
        """Write an object if its generation is still `expected` (ABSENT: not there).

        Returns the new generation. Raises ArtifactChanged.
        """

    def remove(self, key: str) -> None:
        """Remove an object for good; do nothing when it is not there."""

    def keys(self, prefix: str) -> list[str]:
        """Return the keys that begin with `prefix` (a folder ends in `/`), in order."""

    def fetch(self, key: str, into: Path) -> None:
        """Copy an object to a file of this machine. Raises ArtifactMissing."""

    def local(self, key: str) -> Path | None:
        """Return where the object lies on this machine, or None when it lies elsewhere."""


class FolderStore:
    """Artifacts as files under one folder. Safe for many processes of one machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.url = str(root)

    def read(self, key: str) -> Artifact:
        try:
            with self._file(key).open("rb") as file:
                return Artifact(file.read(), os.fstat(file.fileno()).st_mtime_ns)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ArtifactMissing(f"{self.url}/{key}.") from error

    def create(self, key: str, content: bytes | Path) -> int:
        file = self._file(key)
        with self._draft(file, content) as draft:
            try:
                # A link, unlike a rename, refuses a name that is taken: also between processes.
                os.link(draft, file)
            except FileExistsError as error:
                raise ArtifactExists(f"{self.url}/{key}.") from error
            _sync_folder(file.parent)
            return draft.stat().st_mtime_ns

    def replace(self, key: str, content: bytes, *, expected: int) -> int:
        file = self._file(key)
        with self._draft(file, content) as draft, held(self.root / ".lock"):
            found = file.stat().st_mtime_ns if file.exists() else ABSENT
            if found != expected:
                raise ArtifactChanged(f"{self.url}/{key}.")
            # The clock may stand still or go back; a generation never does.
            generation = max(time.time_ns(), found + 1)
            os.utime(draft, ns=(generation, generation))
            generation = draft.stat().st_mtime_ns
            os.rename(draft, file)
            _sync_folder(file.parent)
            return generation

    def remove(self, key: str) -> None:
        file = self._file(key)
        try:
            file.unlink()
        except FileNotFoundError:
            return
        except OSError as error:
            raise ArtifactError(
                f"{file} could not be removed ({error.strerror}); it is still there."
            ) from error
        _sync_folder(file.parent)

    def keys(self, prefix: str) -> list[str]:
        folder = self.root / prefix.rpartition("/")[0]
        names = (
            (Path(base) / name).relative_to(self.root).as_posix()
            for base, _, files in os.walk(folder)
            for name in files
            if not name.startswith(".")
        )
        return sorted(name for name in names if name.startswith(prefix))

    def fetch(self, key: str, into: Path) -> None:
        try:
            shutil.copyfile(self._file(key), into)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise ArtifactMissing(f"{self.url}/{key}.") from error

    def local(self, key: str) -> Path | None:
        return self._file(key)

    def _file(self, key: str) -> Path:
        return self.root / require_key(key)

    @contextmanager
    def _draft(self, file: Path, content: bytes | Path) -> Iterator[Path]:
        """Write a hidden file beside `file`, to the disk itself; remove what is left of it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=file.parent, prefix=".draft-")
        try:
            with os.fdopen(descriptor, "wb") as draft:
                if isinstance(content, Path):
                    with content.open("rb") as source:
                        shutil.copyfileobj(source, draft, 1 << 20)
                else:
                    draft.write(content)
                draft.flush()
                os.fchmod(draft.fileno(), 0o644)
                os.fsync(draft.fileno())
            yield Path(name)
        except OSError as error:
            raise ArtifactError(
                f"{file} could not be written ({error.strerror}); what was there is as before."
            ) from error
        finally:
            Path(name).unlink(missing_ok=True)


def is_key(name: str) -> bool:
    """Say whether a store can hold an object of that name."""
    return _KEY.fullmatch(name) is not None


def require_key(name: str) -> str:
    """Return the name. Raises ArtifactError for one that no store can hold."""
    if not is_key(name):
        raise ArtifactError(f"{name!r} is not a name that a store can hold.")
    return name


def open_store(url: str, *, deadline_s: float = DEADLINE_S) -> ArtifactStore:
    """Open the store at `url`: a folder's path, `file://` and a path, or `gs://bucket[/folder]`.

    `deadline_s` is how long one request to a bucket is tried again; a folder has none. Nothing is
    asked yet. Raises SettingsError for a kind of store that this installation does not know.
    """
    kind, separator, path = url.partition("://")
    if not separator:
        return FolderStore(Path(url).expanduser().resolve())
    if kind == "file":
        return FolderStore(Path(path))
    if kind != "gs":
        raise SettingsError(f"HUB_ARTIFACTS is {url!r}: a folder or gs://bucket can be opened.")
    try:
        # Google's client takes memory and a second to import: only who has a bucket pays for it.
        from store.google_storage import BucketStore
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"HUB_ARTIFACTS is {url!r}, and {error.name} is not installed:"
            " pip install 'student-resource-hub[gcp]' with the constraints of this version."
        ) from error
    return BucketStore(path, deadline_s=deadline_s)


def _sync_folder(folder: Path) -> None:
    """Make a new name in a folder outlive a power cut, as the file behind it does already."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
