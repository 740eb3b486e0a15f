"""What a user would write instead of the graph: one FastAPI application with everything inside.

It uses the same models/, store/ and contracts/ as the graph: the same artifacts, search, sessions,
redaction, crisis card, JSON answer and logging guarantee (the spool before the 200, Postgres within
a second). It has no model swap, no metrics, no quota, no repeated request_id and no way to grow a
part alone; what it lacks makes it faster here. It runs under uvicorn with uvloop and httptools.
"""

import argparse
import ctypes
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI, Request
from pydantic import ValidationError
from starlette.responses import JSONResponse, Response

from benchmarks.monolith_answers import Monolith
from contracts.messages import QueryAnswer, QueryRequest, field_problems
from contracts.settings import Settings

SESSION_HEADER = "X-Hub-Session"
SESSION_COOKIE = "hub_session"

_PR_SET_PDEATHSIG = 1


def build() -> FastAPI:
    """Return one worker's application; its state opens and closes with it."""
    held: list[Monolith] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        monolith = Monolith(Settings())
        await monolith.open()
        held.append(monolith)
        yield
        await monolith.close()

    app = FastAPI(title="Student Resource Hub: the monolith", lifespan=lifespan)

    @app.post("/v1/query", response_model=QueryAnswer)
    async def query(request: Request) -> Response:
        try:
            message = QueryRequest.model_validate_json(await request.body())
        except ValidationError as error:
            problems = field_problems(error.errors(include_url=False, include_input=False))
            return JSONResponse({"errors": [one.model_dump() for one in problems]}, 422)
        monolith = held[0]
        session_id, new_token = monolith.session(
            request.headers.get(SESSION_HEADER) or request.cookies.get(SESSION_COOKIE)
        )
        answer = await monolith.answer(message, session_id=session_id)
        response = Response(answer.model_dump_json(), media_type="application/json")
        if new_token is not None:
            response.headers[SESSION_HEADER] = new_token
            response.set_cookie(SESSION_COOKIE, new_token, httponly=True, samesite="lax")
        return response

    @app.get("/v1/healthz")
    async def healthz() -> dict[str, int]:
        return {"pid": os.getpid()}  # by which a caller counts the workers that are up

    return app


def main() -> None:
    """Serve on a port of loopback until SIGTERM, or until whoever started this is gone."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1)
    arguments = parser.parse_args()
    uvicorn.run(
        "benchmarks.monolith:build",
        factory=True,
        host="127.0.0.1",
        port=arguments.port,
        workers=arguments.workers,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )


if __name__ == "__main__":
    main()
