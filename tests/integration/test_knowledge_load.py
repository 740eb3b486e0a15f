"""Loads from the legacy Firestore: what was read is not read twice, whatever ends a load."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from contracts.errors import SourceUnavailable
from contracts.settings import PROJECT
from scripts.migrate_vectors import main
from store.database import Connection
from store.knowledge_firestore import FirestoreCollection
from store.knowledge_load import Loaded, end_load, load_nodes
from tests.stand_ins.firestore import Failure, FirestoreStandIn
from tests.tiny_encoder import make_tiny_encoder

URL = "firestore://legacy/knowledge_nodes"
SCRIPT = PROJECT / "scripts" / "migrate_vectors.py"


def _document(number: int, **changes: Any) -> dict[str, Any]:
    return {
        "heading": f"Cap and gown {number}",
        "content": "Order by week 6.",
        "link": f"/gown/{number}",
        "category": "Graduation",
        **changes,
    }


@pytest.fixture
def documents() -> dict[str, Any]:
    return {f"n{number}": _document(number) for number in range(8)}


@pytest.fixture
def firestore(
    documents: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> Iterator[FirestoreStandIn]:
    with FirestoreStandIn({"knowledge_nodes": documents}) as server:
        monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", server.host)
        yield server


@pytest.fixture
def source(firestore: FirestoreStandIn) -> FirestoreCollection:
    return FirestoreCollection(URL, page_rows=3)


def _ids(connection: Connection) -> list[str]:
    return [id_ for (id_,) in connection.execute("SELECT id FROM knowledge_nodes ORDER BY id")]


def _break_at_the_third_page(
    connection: Connection, firestore: FirestoreStandIn, source: FirestoreCollection
) -> None:
    def listen(*_: Any) -> None:
        if firestore.calls["RunQuery"] == 2:
            firestore.always = Failure(status=grpc.StatusCode.PERMISSION_DENIED)

    with pytest.raises(SourceUnavailable):
        load_nodes(connection, source, listen=listen)
    firestore.always = None


def test_a_load_goes_on_behind_the_pages_that_it_had_stored(
    connection: Connection,
    firestore: FirestoreStandIn,
    source: FirestoreCollection,
    documents: dict[str, Any],
) -> None:
    documents["n1"] = _document(1, heading="")
    _break_at_the_third_page(connection, firestore, source)
    assert (_ids(connection), firestore.documents_read) == (["n0", "n2", "n3", "n4", "n5"], 6)
    loaded = load_nodes(connection, source)
    assert loaded == Loaded(good=7, bad=1, changed=2, removed=0, begun=6)
    assert (len(_ids(connection)), firestore.documents_read) == (7, 8)
    # Killed while it embeds: nothing is read a second time.
    assert load_nodes(connection, source) == Loaded(good=7, bad=1, changed=0, begun=8)
    assert firestore.documents_read == 8
    end_load(connection, source)
    assert load_nodes(connection, source) == Loaded(good=7, bad=1)
    assert firestore.documents_read == 16


def test_a_load_that_was_begun_the_day_before_yesterday_is_begun_anew(
    connection: Connection, firestore: FirestoreStandIn, source: FirestoreCollection
) -> None:
    _break_at_the_third_page(connection, firestore, source)
    connection.execute("UPDATE knowledge_loads SET begun_at = now() - interval '2 days'")
    assert load_nodes(connection, source) == Loaded(good=8, changed=2)


def test_what_the_source_hides_is_removed_and_what_it_lacks_only_when_pruned(
    connection: Connection, source: FirestoreCollection, documents: dict[str, Any]
) -> None:
    load_nodes(connection, source)
    end_load(connection, source)
    documents["n1"]["deleted"] = True
    del documents["n2"]
    assert load_nodes(connection, source) == Loaded(good=6, removed=1)
    assert _ids(connection) == ["n0", "n2", "n3", "n4", "n5", "n6", "n7"]
    # Pruning needs every id, so it does not go on where the load before was.
    documents["n3"]["heading"] = ""
    assert load_nodes(connection, source, prune=True) == Loaded(good=5, bad=1)
    documents["n3"]["heading"] = "Cap and gown 3"
    assert load_nodes(connection, source, prune=True) == Loaded(good=6, removed=1)
    assert _ids(connection) == ["n0", "n3", "n4", "n5", "n6", "n7"]


def test_the_command_lists_bad_documents_and_ends_with_3(
    connection: Connection,
    database_url: str,
    firestore: FirestoreStandIn,
    documents: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    encoder_dir = make_tiny_encoder(tmp_path / "encoder", texts=["cap gown order week"])
    arguments = ["--database-url", database_url, "--encoder", str(encoder_dir), "--from"]

    def outcome(source: str) -> tuple[int, str]:
        return main([*arguments, source]), " ".join(capsys.readouterr().out.split())

    documents["n4"] = _document(4, category="Astrology")
    firestore.failures.append(Failure(after=2))
    status, said = outcome(URL)
    assert status == 3
    assert "Firestore is away, asked again" in said
    assert "document n4 left out: intent: astrology is none of data/intents.yaml" in said
    assert "7 nodes: 7 new or changed, 7 embedded" in said
    assert connection.execute("SELECT count(*) FROM knowledge_loads").fetchone() == (0,)
    status, said = outcome("firestore://legacy/nothing")
    assert (status, "holds no documents" in said, "is kept" in said) == (1, True, True)
    status, said = outcome("firestore://legacy")
    assert (status, "looks like firestore://PROJECT/knowledge_nodes" in said) == (1, True)


def test_a_killed_load_is_gone_on_with(
    connection: Connection,
    database_url: str,
    firestore: FirestoreStandIn,
    documents: dict[str, Any],
    tmp_path: Path,
) -> None:
    count = 3_000
    documents |= {f"m{number:04}": _document(number) for number in range(count - len(documents))}
    encoder_dir = make_tiny_encoder(tmp_path / "encoder", texts=["cap gown order week"])
    arguments = ["--from", URL, "--database-url", database_url, "--encoder", str(encoder_dir)]
    load = subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments], cwd=tmp_path, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 60
    while not _ids(connection):
        assert load.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(load.pid, signal.SIGKILL)
    load.wait()
    stored, read = len(_ids(connection)), firestore.documents_read
    assert 0 < stored < count
    assert main(arguments) == 0
    assert len(_ids(connection)) == count
    assert firestore.documents_read - read == count - stored
