"""A hub that only says what its embedder replicas use, and takes Serve's configs: no Ray behind it.

with FakeServe(spaces=["old", "old"]) as hub: ...
"""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self


@dataclass
class FakeServe:
    """`spaces` is what each replica reports now; `told` hears each config that is PUT."""

    spaces: list[str]
    told: Callable[[dict[str, Any]], None] = lambda config: None
    config: dict[str, Any] = field(
        default_factory=lambda: {
            "applications": [
                {
                    "name": "hub",
                    "import_path": "graph.app:build",
                    "deployments": [{"name": "Embedder"}],
                }
            ]
        }
    )
    generation: int = 1
    authorised: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                said = fake.models() if self.path == "/v1/models" else fake.details()
                self._answer(said)

            def do_PUT(self) -> None:
                fake.authorised.add(self.headers["authorization"])
                body = self.rfile.read(int(self.headers["content-length"]))
                fake.config = json.loads(body)
                fake.generation += 1
                fake.told(fake.config)
                self._answer({})

            def _answer(self, said: dict[str, Any]) -> None:
                body = json.dumps(said).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                """Not to the terminal."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def models(self) -> dict[str, Any]:
        """What /v1/models says."""
        embedders = [
            {"replica": self._name(n), "space": space, "embedder": "local"}
            for n, space in enumerate(self.spaces)
        ]
        return {"champion": None, "replicas": [], "embedders": embedders}

    def details(self) -> dict[str, Any]:
        """What Serve says of itself."""
        (application,) = self.config["applications"]
        replicas = [
            {"replica_id": self._name(n), "state": "RUNNING"} for n in range(len(self.spaces))
        ]
        embedder = {"status": "HEALTHY", "replicas": replicas}
        said = {"deployed_app_config": application, "deployments": {"Embedder": embedder}}
        return {"applications": {"hub": said}}

    def beside(self, home: Path, *, pid: int) -> None:
        """Say in a HUB_HOME that this is the hub that runs over it."""
        (home / "ray").mkdir(parents=True)
        (home / "ray" / "auth_token").write_text("a token")
        said = {"http": self.url, "dashboard": self.url, "pid": pid}
        (home / "hub.json").write_text(json.dumps(said))

    def _name(self, number: int) -> str:
        return f"embedder-{self.generation}-{number}"
