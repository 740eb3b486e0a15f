"""The last stages: what is published, what is swapped, and what happens when live differs."""

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Champion, Manifest, Registry
from tests.tiny_classifier import make_tiny_classifier
from training.beside import Hub
from training.registry import NotPromoted, promote
from training.stages import swap as swap_stage
from training.stages import verify as verify_stage
from training.stages.publish import publish
from training.stages.run import Exit, GateClosed, RunFolder, begin_run
from training.stages.swap import swap
from training.stages.verify import verify

LABELS = ("library", "dining", "out_of_scope")
TEXTS = [f"book {number}" for number in range(20)]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "home", artifacts=None, quota_per_minute=0)


@pytest.fixture
def registry(settings: Settings) -> Registry:
    return Registry(open_store(settings.artifacts_root))


@pytest.fixture
def run(settings: Settings) -> RunFolder:
    """A run whose candidate knows what a book is."""
    run = begin_run(settings.runs_dir, champion="v3", who="ada", dataset=None, is_promoted=True)
    make_tiny_classifier(
        run.candidate, words={"book": "library"}, labels=LABELS, otherwise="out_of_scope"
    )
    manifest = Manifest(
        kind="distilbert-real",
        labels=LABELS,
        temperature=1.0,
        backbone="b",
        dataset={},
        split={},
        seed=1,
        recipe="r",
        created_at=datetime.now(UTC),
    )
    (run.candidate / "manifest.json").write_text(manifest.model_dump_json())
    rows = [json.dumps({"text": text, "intent": "library"}) for text in TEXTS]
    (run.candidate / "test.jsonl").write_text("\n".join(rows))
    for side in ("train", "validation"):
        (run.candidate / f"{side}.jsonl").touch()
    run.write("split", {"labels": LABELS})
    return run


def quiet(line: str) -> None:
    pass


def test_what_the_gate_stopped_is_kept_with_its_reasons_and_never_promoted(
    run: RunFolder, settings: Settings, registry: Registry
) -> None:
    run.write("gate", {"passed": False, "reasons": ["it forgot what a book is"]})
    with pytest.raises(GateClosed, match="what a book is") as closed:
        publish(run, settings, quiet)
    assert closed.value.status == Exit.CANDIDATE_WORSE
    (version,) = registry.versions()
    assert registry.manifest(version).gate == {
        "passed": False,
        "reasons": ["it forgot what a book is"],
    }
    with pytest.raises(NotPromoted, match="what a book is"):
        promote(registry, version, settings=settings, hub=None, why="by hand")
    assert registry.champion() is None


def test_publishing_a_run_again_makes_no_second_version(
    run: RunFolder, settings: Settings, registry: Registry
) -> None:
    run.write("gate", {"passed": True, "reasons": []})
    publish(run, settings, quiet)
    publish(run, settings, quiet)
    assert registry.versions() == ["v3"]
    assert run.read("publish") == {"version": "v3", "name": "v3-distilbert-real"}


def test_without_a_hub_nothing_is_swapped_and_the_way_on_is_said(
    run: RunFolder, settings: Settings, registry: Registry
) -> None:
    run.write("publish", {"version": "v4"})
    said: list[str] = []
    swap(run, settings, said.append)
    assert run.read("swap") == {"version": "v4", "swapped": False}
    assert "python -m training.registry promote v4" in said[0]
    verify(run, settings, quiet)
    assert run.read("verify")["passed"] is None


def test_a_swap_that_fails_has_a_status_of_its_own_and_says_why(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(version: str, **options: Any) -> Champion:
        raise swap_stage.SwapFailed("A replica cannot load it.")

    monkeypatch.setattr(swap_stage, "hub_beside", lambda home: Hub("http://h", "http://d", "t"))
    monkeypatch.setattr(swap_stage, "simulated_session", lambda settings: "token")
    monkeypatch.setattr(swap_stage, "hot_swap", refuses)
    run.write("publish", {"version": "v4"})
    with pytest.raises(GateClosed, match="cannot load it") as closed:
        swap(run, settings, quiet)
    assert closed.value.status == Exit.SWAP_FAILED
    assert run.read("swap") == {
        "version": "v4",
        "swapped": False,
        "why": "A replica cannot load it.",
    }


Serve = Callable[[str, str], Hub]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """A hub that gives every query the same intent, from the same version."""
    servers: list[ThreadingHTTPServer] = []

    def start(intent: str, version: str) -> Hub:
        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps({"intent": intent, "model_version": version}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return Hub(f"http://127.0.0.1:{server.server_port}", "http://d", "t")

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("intent", "version", "reason"),
    [
        ("library", "v4", None),
        ("dining", "v4", "only 0 of 20 answers"),
        ("library", "v3", "answers came from v3, too"),
    ],
)
def test_what_students_get_must_be_what_was_evaluated_or_the_version_before_comes_back(
    run: RunFolder,
    settings: Settings,
    serve: Serve,
    monkeypatch: pytest.MonkeyPatch,
    intent: str,
    version: str,
    reason: str | None,
) -> None:
    back: list[str] = []
    hub = serve(intent, version)
    monkeypatch.setattr(verify_stage, "hub_beside", lambda home: hub)
    monkeypatch.setattr(verify_stage, "simulated_session", lambda settings: "token")
    monkeypatch.setattr(verify_stage, "take_over", lambda version, **options: back.append(version))
    run.write("swap", {"version": "v4", "swapped": True, "previous": "v3"})
    if reason is None:
        verify(run, settings, quiet)
        assert run.read("verify")["passed"]
        assert back == []
        return
    with pytest.raises(GateClosed, match=reason) as closed:
        verify(run, settings, quiet)
    assert closed.value.status == Exit.NOT_LIVE
    assert not run.read("verify")["passed"]
    assert back == ["v3"]


def test_a_hub_that_stopped_meanwhile_is_said(
    run: RunFolder, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_stage, "hub_beside", lambda home: None)
    run.write("swap", {"version": "v4", "swapped": True, "previous": "v3"})
    with pytest.raises(GateClosed, match="has stopped"):
        verify(run, settings, quiet)
