"""What tests of a version that takes over share: publishing, swapping, and clients meanwhile."""

import contextlib
import json
import shutil
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.swap_candidates import Said
from scripts.run import Hub
from store.registry import Registry
from tests.live_hub import client_of
from training.beside import Hub as Address
from training.beside import simulated_session
from training.candidate import GOLDEN_FILE
from training.evaluate import read_golden
from training.examples import Example
from training.hot_swap import hot_swap

GOLDEN = read_golden(GOLDEN_FILE)
TEXTS = [example.text for example in GOLDEN]


def publish(registry: Registry, folder: Path, **changes: Any) -> str:
    """Publish the champion's files again as the next version, its manifest changed so."""
    champion = registry.champion()
    assert champion is not None
    shutil.copytree(registry.fetch(champion.version, cache_dir=folder), folder / "candidate")
    manifest_file = folder / "candidate" / "manifest.json"
    manifest = json.loads(manifest_file.read_text())
    manifest |= {"version": "candidate", "name": "", "files": {}, "kind": "a copy", **changes}
    manifest_file.write_text(json.dumps(manifest))
    (folder / "candidate" / "claim.json").unlink(missing_ok=True)  # a bucket's copy has none
    return registry.publish(folder / "candidate")


def swap(hub: Hub, registry: Registry, version: str, *, golden: list[Example] = GOLDEN) -> str:
    address = Address(
        url=hub.cluster.http_url,
        dashboard_url=hub.cluster.dashboard_url,
        token=hub.cluster.token_file.read_text().strip(),
    )
    champion = hot_swap(
        version,
        hub=address,
        registry=registry,
        golden=golden,
        session_token=simulated_session(hub.settings),
        who="a test",
        why="a test",
    )
    return champion.version


@dataclass
class Load:
    """What clients saw: every status, and every answer as text, version, intent."""

    statuses: set[int] = field(default_factory=set)
    answers: list[tuple[str, str, str]] = field(default_factory=list)
    models_statuses: set[int] = field(default_factory=set)

    @property
    def versions(self) -> list[str]:
        return [version for _, version, _ in self.answers]

    def impostors(self, said: Mapping[str, Mapping[str, Said]]) -> list[tuple[str, str, str]]:
        """Return the answers that the version they name does not give, of the texts in `said`."""
        known = [one for one in self.answers if one[0] in said[one[1]]]
        assert known
        return [one for one in known if said[one[1]][one[0]][0] != one[2]]


@contextlib.contextmanager
def asked_meanwhile(hub: Hub, *, clients: int = 2, pause_s: float = 0.0) -> Iterator[Load]:
    """Ask golden queries in a loop, each client after a pause, until the block ends."""
    seen, is_over = Load(), threading.Event()

    def ask() -> None:
        with client_of(hub) as client:
            while not is_over.wait(pause_s):
                text = TEXTS[len(seen.answers) % len(TEXTS)]
                # However busy the machine is, only a swap may make an answer partial.
                question = {"text": text, "deadline_ms": 10_000}
                response = client.post("/v1/query", json=question)
                seen.statuses.add(response.status_code)
                seen.models_statuses.add(client.get("/v1/models").status_code)
                answer = response.json()
                seen.answers.append((text, answer["model_version"], answer["intent"]))

    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def held(hub: Hub) -> dict[str, object]:
    with client_of(hub) as client:
        answer: dict[str, object] = client.get("/v1/models").json()
    return answer
