"""`make cloud-rehearsal`: the hub as on Google Cloud, on one machine, from migration to promotion.

Vertex AI, Firestore and Cloud Storage are local servers that speak the same protocols to Google's
own client libraries; Postgres and Redis are real. Nothing leaves the machine. Exit status 1 with
the step that did not hold.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx
import psycopg
from pydantic import SecretStr
from rich.console import Console

from benchmarks.own_hub import own_settings
from contracts.errors import HubError
from contracts.settings import DATA, PROJECT, Settings
from scripts.prepare import prepare_models
from scripts.run import Hub, bring_up, step
from store.artifacts import open_store
from store.embedded import EmbeddedPostgres
from store.registry import Registry
from tests.live_hub import SECRET
from tests.redis_server import RedisServer
from tests.stand_ins.firestore import Fields, FirestoreStandIn
from tests.stand_ins.storage import StorageServer
from tests.stand_ins.vertex import VertexStandIn
from tests.swaps import publish

BUCKET: Final = "alderridge-hub"
PROJECT_ID: Final = "legacy"
QUESTION: Final = "how do i appeal a grade"

console = Console(highlight=False, soft_wrap=True)


class NotHeld(HubError):
    """The rehearsal stopped: a step did not do what it does on Google Cloud."""


def hold(is_so: bool, what: str) -> None:
    """Raise NotHeld unless it is so."""
    if not is_so:
        raise NotHeld(what)
    console.print(f"    [green]holds[/] {what}")


def legacy_documents() -> dict[str, Fields]:
    """Return this project's nodes as the legacy system would hold them, and one it cannot read."""
    nodes = json.loads((DATA / "knowledge_nodes.json").read_text(encoding="utf-8"))
    documents: dict[str, Fields] = {
        node["id"]: {
            "heading": node["title"],
            "content": node["body"],
            "link": node["url"],
            "category": node["intent"],
            "keywords": ", ".join(node["tags"]),
        }
        for node in nodes
    }
    return documents | {"a-page-without-words": {"heading": "Nothing was ever written here"}}


def command(settings: Mapping[str, str], *given: str, expects: int = 0) -> str:
    """Run `python -m ...` as a person types it, and return what it said. Raises NotHeld."""
    console.print(f"    [dim]$ python -m {' '.join(given)}[/]")
    done = subprocess.run(
        [sys.executable, "-m", *given],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if done.returncode != expects:
        raise NotHeld(
            f"`{' '.join(given)}` ended with {done.returncode}: {done.stdout[-1500:]}"
            f"{done.stderr[-1500:]}"
        )
    return done.stdout


def rehearse(*, encoder: Path, cache: Path) -> None:
    """Go the whole way once, with an encoder and a first version that are made. Raises NotHeld."""
    with tempfile.TemporaryDirectory(prefix="hub-cloud-") as folder, ExitStack() as stack:
        home = Path(folder)
        (home / "encoder").symlink_to(encoder)
        (home / "cache").symlink_to(cache)
        with step("stand-ins for Vertex AI, Firestore and Cloud Storage; Postgres and Redis"):
            vertex = stack.enter_context(VertexStandIn())
            collections = {"knowledge_nodes": legacy_documents()}
            firestore = stack.enter_context(FirestoreStandIn(collections, project=PROJECT_ID))
            storage = stack.enter_context(StorageServer(BUCKET))
            redis = stack.enter_context(RedisServer(home))
            (home / "sql").mkdir()
            postgres = stack.enter_context(EmbeddedPostgres(home / "sql"))
        stack.enter_context(_addresses(firestore=firestore.host, storage=storage.url))
        settings = own_settings(
            home,
            secret=SecretStr(SECRET),
            database_url=postgres.url,
            artifacts=f"gs://{BUCKET}",
            redis_url=f"unix://{redis.socket}",
            embedder="vertex",
            vertex_project="alderridge",
            vertex_endpoint=vertex.endpoint,
        )
        said = {
            "HUB_HOME": str(home),
            "HUB_DATABASE_URL": postgres.url,
            "HUB_ARTIFACTS": f"gs://{BUCKET}",
            "HUB_EMBEDDER": "vertex",
            "HUB_VERTEX_PROJECT": "alderridge",
            "HUB_VERTEX_ENDPOINT": vertex.endpoint,
            "HUB_SECRET": SECRET,
        }
        with step("knowledge from the legacy Firestore, embedded by Vertex AI"):
            source = f"firestore://{PROJECT_ID}/knowledge_nodes"
            loaded = command(said, "scripts.migrate_vectors", "--from", source, expects=3)
            hold("a-page-without-words" in loaded, "the row that cannot be read is named")
            batches = [call for call in vertex.calls if call.task_types == {"RETRIEVAL_DOCUMENT"}]
            hold(
                bool(batches) and not any(call.may_cut for call in batches),
                f"{sum(call.texts for call in batches)} nodes in {len(batches)} calls, none cut",
            )
        hub = bring_up(settings, stack, step=step)
        with httpx.Client(base_url=hub.cluster.http_url, timeout=15) as client:
            _ask(client, vertex)
            _lose_vertex(client, vertex)
            _promote(hub, client, said)


@contextmanager
def _addresses(*, firestore: str, storage: str) -> Iterator[None]:
    """Tell Google's libraries where the stand-ins are, as they want to be told."""
    given = {"FIRESTORE_EMULATOR_HOST": firestore, "STORAGE_EMULATOR_HOST": storage}
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _ask(client: httpx.Client, vertex: VertexStandIn) -> None:
    with step("a question"):
        answer = client.post("/v1/query", json={"text": QUESTION}).json()
        hold(answer["degraded"] == [] and bool(answer["results"]), "answered, nothing missing")
        console.print(
            f"    [dim]{answer['intent']} {answer['confidence']}:[/]"
            f" {answer['results'][0]['title']}"
        )
        asked = sum("RETRIEVAL_QUERY" in call.task_types for call in vertex.calls)
        hold(asked > 0, "Vertex AI was asked for the query's vector")
        hold(client.get("/v1/models").json()["champion"] == "v3", "v3 serves, from the bucket")


def _lose_vertex(client: httpx.Client, vertex: VertexStandIn) -> None:
    with step("Vertex AI goes away, and comes back"):
        vertex.stop()
        known = client.post("/v1/query", json={"text": QUESTION}).json()
        hold(known["degraded"] == [], "a question that was asked before is answered whole")
        new = client.post("/v1/query", json={"text": "where can i print in colour"}).json()
        hold(
            new["degraded"] == ["embedder"] and bool(new["results"]),
            "a new one is answered by its words, and says what is missing",
        )
        vertex.start()
        until_s = time.monotonic() + 60
        text = "is there a place to print in colour near the library"
        while client.post("/v1/query", json={"text": text}).json()["degraded"]:
            if time.monotonic() > until_s:
                raise NotHeld("Vertex AI came back, and 60 s later nobody asked it.")
            time.sleep(0.5)
        hold(True, "back, it is asked again")


def _promote(hub: Hub, client: httpx.Client, said: Mapping[str, str]) -> None:
    with step("another version, promoted in the bucket"):
        registry = Registry(open_store(hub.settings.artifacts_root))
        with tempfile.TemporaryDirectory(prefix="hub-candidate-") as folder:
            version = publish(registry, Path(folder))
        console.print(f"    [dim]{version} lies in gs://{BUCKET}/models/{version}/[/]")
        command(said, "training.registry", "promote", version, "--why", "the rehearsal")
        models = client.get("/v1/models").json()
        held = {replica["version"] for replica in models["replicas"]}
        hold(
            models["champion"] == version and held == {version},
            f"every replica serves {version}, and the bucket says so",
        )
        answer = client.post("/v1/query", json={"text": QUESTION}).json()
        hold(answer["model_version"] == version, f"{version} answers")


def main() -> int:
    """Rehearse, and return the exit status."""
    try:
        usual = Settings()
        prepare_models(usual, step=step)
        rehearse(encoder=usual.encoder_dir, cache=usual.cache_dir)
    except (HubError, psycopg.Error, OSError, httpx.HTTPError) as error:
        console.print(f"[red]The rehearsal stopped.[/] {error}", markup=True)
        return 1
    console.print("[green]The whole way holds.[/]")
    return 0


if __name__ == "__main__":
    sys.exit(main())
