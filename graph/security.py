"""Security headers on every response: what a browser may do with it, and what it must not.

A response that needs more than nothing says so itself, in its own Content-Security-Policy; all
others (answers, problems, redirects, preflights) get a policy that allows nothing.
"""

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

CLOSED: Final = "default-src 'none'; frame-ancestors 'none'"
"""The policy of what no browser need show."""

PAGE: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""The policy of the page: only its own files, and no string ever becomes markup."""

HSTS: Final = "max-age=31536000"
_DENIED: Final = (
    *("accelerometer", "autoplay", "camera", "display-capture", "encrypted-media", "fullscreen"),
    *("geolocation", "gyroscope", "magnetometer", "microphone", "midi", "payment"),
    *("picture-in-picture", "publickey-credentials-get", "screen-wake-lock", "usb"),
    "xr-spatial-tracking",
)
_INLINE_SCRIPT: Final = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class SecurityHeaders:
    """ASGI middleware that adds the headers which a response has not set itself.

    It belongs outside of everything else, so that errors and preflights pass through it. What
    carries no validator (ETag) is not stored by anybody: answers, problems.
    """

    def __init__(self, app: ASGIApp, *, cross_origin: bool = False) -> None:
        """`cross_origin`: pages of other origins may embed what is served."""
        self._app = app
        self._always = _raw(
            {
                "Content-Security-Policy": CLOSED,
                "X-Content-Type-Options": "nosniff",
                "X-Frame-Options": "DENY",
                "Referrer-Policy": "no-referrer",
                "Cross-Origin-Opener-Policy": "same-origin",
                "Cross-Origin-Resource-Policy": "cross-origin" if cross_origin else "same-origin",
                "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _DENIED),
            }
        )
        self._over_https = self._always + _raw({"Strict-Transport-Security": HSTS})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        added = self._over_https if came_over_https(scope) else self._always

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                given += [header for header in added if header[0] not in names]
                if not names & {b"etag", b"cache-control"}:
                    given.append((b"cache-control", b"no-store"))
                message = {**message, "headers": given}
            await send(message)

        await self._app(scope, receive, send_with_headers)


def came_over_https(scope: Scope) -> bool:
    """Whether the client spoke https, be it to the proxy in front of us (X-Forwarded-Proto)."""
    for name, value in scope["headers"]:
        if name == b"x-forwarded-proto":
            first: bytes = value.split(b",")[0].strip().lower()
            return first == b"https"
    return bool(scope.get("scheme") == "https")


def docs_policy(html: str) -> str:
    """Return the policy of Swagger UI: its start script is named by the hash of what is served.

    It draws with data: images, and it assigns innerHTML: with a rule on trusted types it shows
    nothing, so there is none. Neither inline scripts nor inline styles are allowed.
    """
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in _INLINE_SCRIPT.findall(html)
    )
    return (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
