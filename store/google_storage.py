"""The artifact store in a bucket of Google Cloud Storage, through Google's own client.

A write carries what the bucket must hold before it (a generation), the checksum of its content,
and a mark of its own, so that of two writers one wins, damage is noticed before anybody can read
it, and a writer whose answer was lost knows its own work again. Credentials are Google's
Application Default Credentials; STORAGE_EMULATOR_HOST leads to a stand-in without any.
"""

import base64
import io
import os
import re
import secrets
import weakref
from contextlib import AbstractContextManager, ExitStack
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import IO, Any, Final

import google.cloud.storage as storage
import google_crc32c
import requests
from google.api_core.exceptions import GoogleAPICallError, NotFound, PreconditionFailed
from google.cloud.storage.retry import DEFAULT_RETRY

from contracts.errors import ArtifactError, SettingsError
from store.artifacts import (
    ABSENT,
    DEADLINE_S,
    Artifact,
    ArtifactChanged,
    ArtifactExists,
    ArtifactMissing,
    is_key,
    require_key,
)
from store.google_errors import NOTHING_CHANGED, said_in_our_words

_PLACE: Final = re.compile(r"([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?:/(.*?))?/?")
_DAY: Final = re.compile(r"(?:^|/)dt=(\d{4}-\d\d-\d\d)/")
_CHUNK_BYTES: Final = 8 * 2**20
"""Of a resumable upload: what is in memory at once, and what a cut connection costs."""
_TRIES: Final = 3
"""Of a whole upload or download, beside the retries of each request."""
_UPLOAD_LOST: Final = (None, 400, 404, 410)
"""Part of it was kept and part not (no code), it came damaged, its session ended."""
_MARK: Final = "hub-write"
_CONNECT_TIMEOUT_S: Final = 10.0
_READ_TIMEOUT_S: Final = 60.0


class BucketStore:
    """Artifacts as objects of one bucket, or of a folder in it. Safe for any number of writers."""

    def __init__(self, place: str, *, deadline_s: float = DEADLINE_S) -> None:
        """Take `bucket` or `bucket/folder`; nothing is asked yet.

        Raises SettingsError for what cannot be a bucket's name.
        """
        found = _PLACE.fullmatch(place)
        if found is None or not is_key(found[2] or "whole-bucket"):
            raise SettingsError(
                f"HUB_ARTIFACTS is 'gs://{place}': it must be gs://bucket or gs://bucket/folder."
            )
        self._name, folder = found[1], found[2]
        self._prefix = f"{folder}/" if folder else ""
        self.url = f"gs://{self._name}/{self._prefix}".rstrip("/")
        self._deadline_s = deadline_s
        self._asking_again: dict[str, Any] = {
            "retry": DEFAULT_RETRY.with_delay(
                initial=min(0.5, deadline_s / 100), maximum=10.0, multiplier=2.0
            ).with_timeout(deadline_s),
            "timeout": (
                min(_CONNECT_TIMEOUT_S, deadline_s),
                min(_READ_TIMEOUT_S, deadline_s),
            ),
        }

    def read(self, key: str) -> Artifact:
        file = io.BytesIO()
        generation = self._download(key, file)
        return Artifact(file.getvalue(), generation)

    def create(self, key: str, content: bytes | Path) -> int:
        generation = self._upload(key, content, expected=ABSENT)
        if generation is None:
            raise ArtifactExists(f"{self.url}/{key}.")
        return generation

    def replace(self, key: str, content: bytes, *, expected: int) -> int:
        generation = self._upload(key, content, expected=expected)
        if generation is None:
            raise ArtifactChanged(f"{self.url}/{key}.")
        return generation

    def remove(self, key: str) -> None:
        name = self._object(key)
        with self._asking(f"remove {key}", or_else="It is not known whether it is gone"):
            try:
                self._bucket.blob(name).delete(**self._asking_again)
            except NotFound:
                self._is_there(key)  # raises when it is the bucket that is not there

    def keys(self, prefix: str) -> list[str]:
        with self._asking(f"list {prefix}"):
            found = self._client.list_blobs(
                self._bucket,
                prefix=self._prefix + prefix,
                fields="items(name),nextPageToken",
                **self._asking_again,
            )
            names = [blob.name.removeprefix(self._prefix) for blob in found]
        # People make "folders" in the console, which are empty objects with names of their own.
        return sorted(name for name in names if is_key(name))

    def fetch(self, key: str, into: Path) -> None:
        with into.open("w+b") as file:
            self._download(key, file)

    def local(self, key: str) -> Path | None:
        require_key(key)
        return None

    def _object(self, key: str) -> str:
        return self._prefix + require_key(key)

    @cached_property
    def _client(self) -> storage.Client:
        # Else a thread of the client asks for the bucket's place, which needs another permission.
        os.environ.setdefault("DISABLE_GCS_PYTHON_CLIENT_OTEL_BUCKET_METADATA", "true")
        client = storage.Client()
        client._http.hooks["response"].append(_read_error)
        weakref.finalize(self, client.close)
        return client

    @cached_property
    def _bucket(self) -> storage.Bucket:
        return self._client.bucket(self._name)

    def _upload(self, key: str, content: bytes | Path, *, expected: int) -> int | None:
        """Write an object over generation `expected`; None when the bucket holds another one."""
        mark, name = secrets.token_hex(8), self._object(key)
        with ExitStack() as stack:
            file: IO[bytes] = (
                stack.enter_context(content.open("rb"))
                if isinstance(content, Path)
                else io.BytesIO(content)
            )
            checksum, size_bytes = _checksum(file), file.tell()
            stack.enter_context(
                self._asking(f"write {key}", or_else="It is not known whether it was written")
            )
            tries = 0
            while True:
                tries += 1
                file.seek(0)
                blob = self._bucket.blob(name, chunk_size=_CHUNK_BYTES)
                # The bucket compares, and keeps nothing that differs.
                blob.crc32c = checksum
                blob.metadata = {_MARK: mark}
                if day := _DAY.search(key):
                    # The lifecycle rules count from the day that the data is of.
                    blob.custom_time = datetime.fromisoformat(day[1]).replace(tzinfo=UTC)
                try:
                    blob.upload_from_file(
                        file,
                        size=size_bytes,
                        content_type="application/octet-stream",
                        checksum=None,
                        if_generation_match=expected,
                        **self._asking_again,
                    )
                    return int(blob.generation)
                except PreconditionFailed:
                    # Perhaps this is our own write, whose answer was lost on its way.
                    return self._generation_of(name, mark=mark)
                except (GoogleAPICallError, ValueError) as error:
                    # The client cannot go on with this upload, so it begins again.
                    if getattr(error, "code", None) not in _UPLOAD_LOST or tries == _TRIES:
                        raise

    def _generation_of(self, name: str, *, mark: str) -> int | None:
        found = self._bucket.get_blob(name, **self._asking_again)
        if found is None or (found.metadata or {}).get(_MARK) != mark:
            return None
        return int(found.generation)

    def _download(self, key: str, file: IO[bytes]) -> int:
        """Copy an object's content into an empty file, and return its generation."""
        name = self._object(key)
        with self._asking(f"read {key}"):
            blob = self._bucket.blob(name)
            for _ in range(_TRIES):
                file.seek(0)
                file.truncate()
                try:
                    blob.download_to_file(file, checksum=None, **self._asking_again)
                except NotFound as error:
                    if not self._is_there(key):
                        raise ArtifactMissing(f"{self.url}/{key}.") from error
                    continue  # replaced between two parts of a download that was cut
                # The client compares nothing when a download was cut and went on.
                if blob.crc32c == _checksum(file):
                    return int(blob.generation)
        raise ArtifactError(
            f"{self.url}/{key} came damaged {_TRIES} times; nothing of it was used."
            " Try again; if it stays so, look at what lies between here and the bucket."
        )

    def _is_there(self, key: str) -> bool:
        """Say whether an object is there. Raises StoreUnavailable when its bucket is not."""
        name = self._object(key)
        with self._asking(f"look for {key}"):
            listing = self._client.list_blobs(
                self._bucket, prefix=name, max_results=1, **self._asking_again
            )
            first = next(iter(listing), None)
        return first is not None and first.name == name

    def _asking(self, what: str, *, or_else: str = NOTHING_CHANGED) -> AbstractContextManager[None]:
        return said_in_our_words(what, url=self.url, tried_s=self._deadline_s, or_else=or_else)


def _read_error(response: requests.Response, **options: Any) -> None:
    """Read an error's body, which nobody else does of a download: it would keep its connection."""
    if not response.ok:
        len(response.content)


def _checksum(file: IO[bytes]) -> str:
    """Return a file's CRC32C as the API writes it, and leave the file at its end."""
    found = google_crc32c.Checksum()
    file.seek(0)
    while part := file.read(1 << 20):
        found.update(part)
    return base64.b64encode(found.digest()).decode()
