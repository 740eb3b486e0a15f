"""What only the hub can issue: interactions (a time-ordered UUID with a tag), sessions, digests."""

import base64
import hashlib
import hmac
import os
import secrets
import time
import uuid
from datetime import UTC, datetime

from contracts.text import normalise

_TAG_BYTES = 9
_UUID_CHARS = 32


def _bytes(text: str) -> bytes:
    # Whatever a client sends is compared, never refused: lone surrogates too.
    return text.encode("utf-8", "surrogatepass")


def _tag(kind: str, value: str, *, secret: bytes) -> str:
    mac = hmac.new(secret, _bytes(f"{kind}:{value}"), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(mac[:_TAG_BYTES]).decode()


def _uuid7(now_ms: int) -> uuid.UUID:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then random bits."""
    value = (now_ms << 80) | int.from_bytes(os.urandom(10), "big")
    value = (value & ~(0xF << 76)) | (0x7 << 76)
    value = (value & ~(0x3 << 62)) | (0x2 << 62)
    return uuid.UUID(int=value)


def issue_interaction_id(*, session_id: str, secret: bytes) -> str:
    """Return a new interaction id: 32 hex digits of a UUIDv7, then a 12-character tag.

    The tag covers the session that asks: whose an interaction is, is known without its row, which
    may still be on its way.
    """
    value = _uuid7(time.time_ns() // 1_000_000).hex
    return value + _tag("interaction", f"{value}:{session_id}", secret=secret)


def asked_at(interaction_id: str) -> datetime:
    """Return the time (UTC, milliseconds) inside an interaction id."""
    milliseconds = int(interaction_id[:12], 16)
    return datetime.fromtimestamp(milliseconds // 1000, UTC).replace(
        microsecond=milliseconds % 1000 * 1000
    )


def is_interaction_of(interaction_id: str, *, session_id: str, secret: bytes) -> bool:
    """Say whether this hub issued the id, and to this session. Constant time in the tag."""
    value, tag = interaction_id[:_UUID_CHARS], interaction_id[_UUID_CHARS:]
    expected = _tag("interaction", f"{value}:{session_id}", secret=secret)
    return hmac.compare_digest(_bytes(tag), _bytes(expected))


def issue_session(*, secret: bytes) -> tuple[str, str]:
    """Return a new session: its random id (stored), and the token that proves it (sent)."""
    session_id = secrets.token_hex(16)
    return session_id, session_id + _tag("session", session_id, secret=secret)


def session_of(token: str, *, secret: bytes) -> str | None:
    """Return the session id of a token, or None when this hub did not issue it."""
    session_id, tag = token[:32], token[32:]
    expected = _tag("session", session_id, secret=secret)
    return session_id if hmac.compare_digest(_bytes(tag), _bytes(expected)) else None


def text_digest(text: str, *, secret: bytes) -> str:
    """Return a keyed digest of the normalised text: it tells equal texts, and shows none."""
    return hmac.new(secret, _bytes(f"text:{normalise(text)}"), hashlib.sha256).hexdigest()
