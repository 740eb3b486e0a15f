"""Errors as RFC 9457 problem documents: one shape for everything that is not an answer."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from starlette.responses import Response

from contracts.messages import FieldProblem, Problem
from store.logbook import NotCommitted
from store.spool import SpoolFull

log = logging.getLogger("ray.serve")

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    400: "Bad request",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    422: "Cannot be processed",
    429: "Too many questions",
    500: "Something broke",
    503: "Not available now",
}


class ProblemError(Exception):
    """A request that ends in a problem document."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str,
        errors: list[FieldProblem] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        """`kind` ends the problem's `type` URI; `retry_after_s` becomes Retry-After."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.kind = kind
        self.errors = errors
        self.retry_after_s = retry_after_s


@contextmanager
def nothing_unwritten() -> Iterator[None]:
    """What cannot be written down is not answered either."""
    try:
        yield
    except (SpoolFull, NotCommitted) as error:
        log.error("%s", error)
        raise ProblemError(
            503, "The hub cannot write anything down just now.", kind="log", retry_after_s=5
        ) from error


def problem_response(error: ProblemError, *, request_id: str) -> Response:
    """Return the problem document of an error, with its status and Retry-After."""
    problem = Problem(
        type=f"urn:hub:problem:{error.kind}",
        title=_TITLES.get(error.status, "Error"),
        status=error.status,
        detail=error.detail,
        request_id=request_id,
        errors=error.errors,
    )
    headers = {"X-Request-ID": request_id}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    return Response(
        problem.model_dump_json(exclude_none=True),
        status_code=error.status,
        headers=headers,
        media_type=MEDIA_TYPE,
    )


def openapi_problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe problem documents of these statuses for OpenAPI."""
    return {
        status: {
            "description": _TITLES[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status in statuses
    }
