"""What the storage stand-in holds: buckets of objects, and resumable uploads under way."""

import base64
import hashlib
import itertools
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import google_crc32c

KEPT_BYTES: Final = 256 * 1024
"""Of a part that was cut, a resumable upload keeps whole pieces of so many."""

PAGE_SIZE: Final = 1000

Json = dict[str, Any]
Query = Mapping[str, str]


class Problem(Exception):
    """An answer that is an error, as the API words it."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.body: Json = {
            "error": {
                "code": status,
                "message": message,
                "errors": [{"domain": "global", "reason": reason, "message": message}],
            }
        }


@dataclass(slots=True)
class StoredObject:
    """One object as its bucket holds it."""

    content: bytes
    generation: int
    metadata: Json
    metageneration: int = 1

    @property
    def crc32c(self) -> str:
        return base64.b64encode(google_crc32c.Checksum(self.content).digest()).decode()

    @property
    def md5(self) -> str:
        return base64.b64encode(hashlib.md5(self.content, usedforsecurity=False).digest()).decode()

    def resource(self, *, bucket: str, name: str) -> Json:
        """Return what the API says of it."""
        return {
            **self.metadata,
            "kind": "storage#object",
            "bucket": bucket,
            "name": name,
            "size": str(len(self.content)),
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "crc32c": self.crc32c,
            "md5Hash": self.md5,
        }


@dataclass(slots=True)
class _Session:
    """A resumable upload: what came so far and, when it has ended, what it made."""

    bucket: str
    metadata: Json
    query: Query
    received: bytearray = field(default_factory=bytearray)
    made: Json | None = None


class Buckets:
    """The objects, with generations, preconditions and checksums. Safe for many threads."""

    def __init__(self, *names: str, honours_preconditions: bool = True) -> None:
        self.objects: dict[str, dict[str, StoredObject]] = {name: {} for name in names}
        self.metadata: dict[str, Json] = {name: {} for name in names}
        self._honours_preconditions = honours_preconditions
        self._sessions: dict[str, _Session] = {}
        self._numbers = itertools.count()
        self._generations = itertools.count(time.time_ns() // 1000)
        self._lock = threading.RLock()

    def require_bucket(self, bucket: str) -> dict[str, StoredObject]:
        if bucket not in self.objects:
            raise Problem(404, "notFound", "The specified bucket does not exist.")
        return self.objects[bucket]

    def find(self, bucket: str, name: str, query: Query) -> StoredObject:
        """Return an object that the query's generation and preconditions agree with."""
        found = self.require_bucket(bucket).get(name)
        if found is None or query.get("generation") not in (None, str(found.generation)):
            raise Problem(404, "notFound", f"No such object: {bucket}/{name}")
        self._require_preconditions(found, query)
        return found

    def put(self, bucket: str, metadata: Json, content: bytes, query: Query) -> Json:
        """Store an object if its preconditions and checksums hold; return its resource."""
        with self._lock:
            objects, name = self.require_bucket(bucket), metadata["name"]
            self._require_preconditions(objects.get(name), query)
            kept = {key: one for key, one in metadata.items() if key not in ("crc32c", "md5Hash")}
            stored = StoredObject(content, next(self._generations), kept)
            if metadata.get("crc32c", stored.crc32c) != stored.crc32c:
                raise Problem(400, "invalid", "Provided CRC32C doesn't match the content's.")
            if metadata.get("md5Hash", stored.md5) != stored.md5:
                raise Problem(400, "invalid", "Provided MD5 doesn't match the content's.")
            objects[name] = stored
            return stored.resource(bucket=bucket, name=name)

    def remove(self, bucket: str, name: str, query: Query) -> None:
        with self._lock:
            self.find(bucket, name, query)
            del self.objects[bucket][name]

    def page(self, bucket: str, query: Query) -> Json:
        """Return the next names that begin with the prefix: those after the page token."""
        with self._lock:
            objects = self.require_bucket(bucket)
            prefix, after = query.get("prefix", ""), query.get("pageToken", "")
            names = sorted(name for name in objects if name.startswith(prefix) and name > after)
            size = min(int(query.get("maxResults", PAGE_SIZE)), PAGE_SIZE)
            items = [objects[name].resource(bucket=bucket, name=name) for name in names[:size]]
            more = {"nextPageToken": names[size - 1]} if len(names) > size else {}
            return {"kind": "storage#objects", "items": items, **more}

    def open_session(self, bucket: str, metadata: Json, query: Query) -> str:
        """Begin a resumable upload, and return its number."""
        with self._lock:
            self._require_preconditions(self.require_bucket(bucket).get(metadata["name"]), query)
            number = f"upload-{next(self._numbers)}"
            self._sessions[number] = _Session(bucket, metadata, query)
            return number

    def end_sessions(self) -> None:
        """Let every resumable upload be forgotten, as the service does after a while."""
        with self._lock:
            self._sessions.clear()

    def receive(
        self, number: str, part: bytes, *, first: int | None, total: int | None, is_cut: bool
    ) -> tuple[Json | None, int]:
        """Take a part; return what was made if that was the last, and the bytes that are kept.

        Bytes that were there before are ignored. Of a part that was cut whole pieces are kept.
        """
        with self._lock:
            session = self._sessions.get(number)
            if session is None:
                raise Problem(410, "gone", "That upload is over.")
            kept = len(session.received)
            if session.made is None and first is not None:
                if first > kept:
                    raise Problem(400, "invalid", "That part does not follow the one before.")
                new = part[kept - first :]
                if is_cut:
                    new = new[: len(new) // KEPT_BYTES * KEPT_BYTES]
                session.received += new
                kept = len(session.received)
            if session.made is None and kept == total:
                session.made = self.put(
                    session.bucket, session.metadata, bytes(session.received), session.query
                )
            return session.made, kept

    def _require_preconditions(self, found: StoredObject | None, query: Query) -> None:
        if not self._honours_preconditions:
            return
        generation = str(found.generation if found else 0)
        metageneration = str(found.metageneration if found else 0)
        if (
            query.get("ifGenerationMatch", generation) != generation
            or query.get("ifMetagenerationMatch", metageneration) != metageneration
            or query.get("ifGenerationNotMatch") == generation
            or query.get("ifMetagenerationNotMatch") == metageneration
        ):
            message = "At least one of the pre-conditions you specified did not hold."
            raise Problem(412, "conditionNotMet", message)
