"""The page at `/` and its files under `/web/`: what lies in graph/web, and nothing else."""

import hashlib
import os
from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from graph.security import PAGE

WEB: Final = Path(__file__).with_name("web")

MEDIA_TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".d.ts": "text/plain; charset=utf-8",  # no type is registered, and .ts alone is a video
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
}
"""By the end of a name: what the machine's own tables say differs from machine to machine."""


class WebFiles(StaticFiles):
    """The files of a folder. A browser asks each time, and gets 304 while nothing has changed."""

    def file_response(
        self,
        full_path: str | os.PathLike[str],
        stat_result: os.stat_result,
        scope: Scope,
        status_code: int = 200,
    ) -> Response:
        """Return a file, small and whole. Raises a 404 for one that is no part of a page."""
        name = os.path.basename(full_path)
        media_type = next((t for end, t in MEDIA_TYPES.items() if name.endswith(end)), None)
        if media_type is None or name.startswith("."):
            raise HTTPException(404)
        content = Path(full_path).read_bytes()
        headers = {
            # Of the content: an image or a wheel may give every version the same time.
            "ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"',
            "Cache-Control": "no-cache",
            "Content-Security-Policy": PAGE,
        }
        if self.is_not_modified(Headers(headers), Headers(scope=scope)):
            # With its policy: a browser puts the headers of a 304 over those that it has kept.
            return Response(status_code=304, headers=headers)
        headers["Content-Length"] = str(len(content))
        body = b"" if scope["method"] == "HEAD" else content
        return Response(body, status_code=status_code, headers=headers, media_type=media_type)


def mount_page(app: FastAPI, *, folder: Path = WEB) -> None:
    """Serve `index.html` of a folder at `/`, and its files under `/web/`. HEAD works too."""
    files = WebFiles(directory=folder)
    app.mount("/web", files, name="web")

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def home(request: Request) -> Response:
        return await files.get_response("index.html", request.scope)
