"""As much of HTTP/1.1 as a load needs to hear: one reply after another on one connection."""

import re
from dataclasses import dataclass

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_SESSION = re.compile(rb"\r\nx-hub-session: *([^\r]+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_END_OF_HEAD = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply that was received whole."""

    status: int
    body: bytes
    session: bytes
    """The session token that came with it, or nothing."""
    closes: bool
    """Whether the server closes the connection after it."""


class ReplyReader:
    """Collects the bytes of one connection until a reply is whole; one reply at a time.

    Reads replies with a Content-Length, and bodies in chunks as raw bytes; a server of ours sends
    no other kind. Raises ValueError for anything that is not HTTP/1.
    """

    __slots__ = ("_data", "_whole")

    def __init__(self) -> None:
        self._data = b""
        self._whole = 0

    def feed(self, data: bytes) -> Reply | None:
        """Take what was received; return the reply once it is whole, else None."""
        data = self._data = self._data + data if self._data else data
        if self._whole and len(data) < self._whole:
            return None
        end = data.find(_END_OF_HEAD)
        if end < 0:
            return None
        if not data.startswith(b"HTTP/1"):
            raise ValueError(f"not HTTP: {data[:40]!r}")
        head, start = data[:end], end + len(_END_OF_HEAD)
        length = _LENGTH.search(head)
        if length is not None:
            self._whole = start + int(length[1])
            if len(data) < self._whole:
                return None
        elif not data.endswith(b"\r\n0\r\n\r\n"):
            return None
        self._data, self._whole = b"", 0
        session = _SESSION.search(head)
        return Reply(
            status=int(head[9:12]),
            body=data[start:],
            session=session[1] if session else b"",
            closes=_CLOSE.search(head) is not None,
        )
