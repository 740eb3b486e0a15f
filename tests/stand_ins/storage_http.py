"""The storage stand-in's HTTP: requests to buckets' objects, and what may go wrong on the way."""

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from tests.stand_ins.buckets import Buckets, Json, Problem

_UPLOAD: Final = re.compile(r"/upload/storage/v1/b/([^/]+)/o")
_OBJECT: Final = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+)")
_LISTING: Final = re.compile(r"/storage/v1/b/([^/]+)/o")
_BUCKET: Final = re.compile(r"/storage/v1/b/([^/]+)")
_PART: Final = re.compile(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)")

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers, content."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for."""

    method: str
    path: str
    query: dict[str, str]

    @property
    def is_upload(self) -> bool:
        """Whether content travels with it."""
        return self.path.startswith("/upload/") and not self.begins_session

    @property
    def begins_session(self) -> bool:
        return self.query.get("uploadType") == "resumable" and self.method == "POST"

    @property
    def is_download(self) -> bool:
        return self.query.get("alt") == "media"


Which = Callable[[Request], bool]


def every(request: Request) -> bool:
    """Mean all requests."""
    return True


@dataclass(slots=True)
class Fault:
    """What goes wrong with the next `times` requests that `which` means."""

    which: Which = every
    times: int = 0
    status: int | None = None
    after: bool = False
    cut_after_bytes: int | None = None
    damage: bool = False
    delay_s: float = 0.0


class Http(ThreadingHTTPServer):
    """Listens, and knows its connections so that it can drop them."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, buckets: Buckets, note: Callable[[Request], Fault], *, port: int) -> None:
        self.buckets = buckets
        self.note = note
        self._connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def drop(self) -> None:
        self.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):  # it is closed already
                connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Http

    def do_GET(self) -> None:
        self._serve()

    do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *values: object) -> None:
        """Say nothing: `StorageServer.requests` remembers what was asked."""

    def _serve(self) -> None:
        url = urlsplit(self.path)
        request = Request(self.command, url.path, dict(parse_qsl(url.query)))
        fault = self.server.note(request)
        failure = Problem(fault.status or 500, "backendError", "It was told to fail.")
        try:
            time.sleep(fault.delay_s)
            body, is_cut = self._body(fault.cut_after_bytes if request.is_upload else None)
            try:
                if fault.status and not fault.after:
                    raise failure
                answer = self._answer(request, body, is_cut=is_cut, damage=fault.damage)
                if fault.status:
                    raise failure
            except Problem as problem:
                content = problem.message if request.is_download else json.dumps(problem.body)
                answer = problem.status, {}, content.encode()
            if is_cut or (fault.after and not fault.status):
                raise ConnectionAbortedError
            self._send(*answer, cut_at=fault.cut_after_bytes if request.is_download else None)
        except ConnectionError:  # ours or the client's: either way nobody listens any more
            self.close_connection = True

    def _body(self, cut_at: int | None) -> tuple[bytes, bool]:
        """Read what comes with the request, or the beginning of it: then say that it was cut."""
        length = int(self.headers.get("Content-Length") or 0)
        is_cut = cut_at is not None and cut_at < length
        return self.rfile.read(cut_at if is_cut else length), is_cut

    def _send(
        self, status: int, headers: dict[str, str], content: bytes, *, cut_at: int | None = None
    ) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:cut_at])
        if cut_at is not None and cut_at < len(content):
            raise ConnectionAbortedError

    def _answer(self, request: Request, body: bytes, *, is_cut: bool, damage: bool) -> Answer:
        buckets, query = self.server.buckets, request.query
        if match := _UPLOAD.fullmatch(request.path):
            return self._upload(match[1], request, body, is_cut=is_cut, damage=damage)
        if match := _OBJECT.fullmatch(request.path):
            bucket, name = match[1], unquote(match[2])
            if request.method == "DELETE":
                buckets.remove(bucket, name, query)
                return 204, {}, b""
            found = buckets.find(bucket, name, query)
            if not request.is_download:
                return _json(found.resource(bucket=bucket, name=name))
            headers = {
                "X-Goog-Generation": str(found.generation),
                "X-Goog-Metageneration": str(found.metageneration),
                "X-Goog-Hash": f"crc32c={found.crc32c},md5={found.md5}",
                "X-Goog-Stored-Content-Length": str(len(found.content)),
            }
            if asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", "")):
                first, size = int(asked[1]), len(found.content)
                headers["Content-Range"] = f"bytes {first}-{size - 1}/{size}"
                return 206, headers, found.content[first:]
            return 200, headers, _damaged(found.content) if damage else found.content
        if match := _LISTING.fullmatch(request.path):
            return _json(buckets.page(match[1], query))
        if match := _BUCKET.fullmatch(request.path):
            buckets.require_bucket(match[1])
            if request.method == "PATCH":
                buckets.metadata[match[1]] |= json.loads(body)
            return _json({"kind": "storage#bucket", "name": match[1]} | buckets.metadata[match[1]])
        raise Problem(404, "notFound", f"{request.method} {request.path} is not spoken here.")

    def _upload(
        self, bucket: str, request: Request, body: bytes, *, is_cut: bool, damage: bool
    ) -> Answer:
        buckets, query = self.server.buckets, request.query
        if request.begins_session:
            number = buckets.open_session(bucket, json.loads(body), query)
            place = f"http://{self.headers['Host']}{self.path}&upload_id={number}"
            return 200, {"Location": place}, b""
        if "upload_id" not in query:
            if is_cut:
                raise ConnectionAbortedError
            metadata, content = _parts(self.headers["Content-Type"], body)
            content = _damaged(content) if damage else content
            return _json(buckets.put(bucket, metadata, content, query))
        part = _PART.fullmatch(self.headers["Content-Range"])
        if part is None:
            raise Problem(400, "invalid", "That is no range.")
        made, kept = buckets.receive(
            query["upload_id"],
            _damaged(body) if damage else body,
            first=int(part[1]) if part[1] else None,
            total=int(part[2]) if part[2] else None,
            is_cut=is_cut,
        )
        if made is not None:
            return _json(made)
        return 308, {"Range": f"bytes=0-{kept - 1}"} if kept else {}, b""


def _json(document: Json) -> Answer:
    return 200, {"Content-Type": "application/json"}, json.dumps(document).encode()


def _parts(content_type: str, body: bytes) -> tuple[Json, bytes]:
    """Split an upload in one piece (multipart/related) into metadata and content."""
    boundary = content_type.partition("boundary=")[2].strip('"').encode()
    metadata, media = body.split(b"--" + boundary, 2)[1], body.split(b"--" + boundary, 2)[2]
    content = media[: media.rindex(b"\r\n--" + boundary + b"--")]
    return (
        json.loads(metadata.partition(b"\r\n\r\n")[2]),
        content.partition(b"\r\n\r\n")[2],
    )


def _damaged(content: bytes) -> bytes:
    return content[:-1] + bytes([content[-1] ^ 1]) if content else content
