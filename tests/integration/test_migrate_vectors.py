"""scripts/migrate_vectors.py: good rows are loaded, bad ones named; a kill costs one batch."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from contracts.errors import MixedSpaces
from contracts.records import Search
from contracts.settings import DATA, PROJECT
from models.encoder import Encoder
from scripts.migrate_vectors import main, migrate_vectors
from store.database import Connection, Pool
from store.knowledge import count_by_space
from store.knowledge_file import KnowledgeFile
from store.knowledge_load import Loaded
from store.retrieval import KnowledgeSearch
from tests.tiny_encoder import make_tiny_encoder
from training.examples import read_labels

SCRIPT = PROJECT / "scripts" / "migrate_vectors.py"
WORDS = ("grade", "appeal", "form", "registrar", "parking", "permit", "gown", "wifi", "dining")


def _row(number: int, **changes: Any) -> dict[str, Any]:
    drawn = np.random.default_rng(number).choice(WORDS, size=6)
    row = {
        "id": f"node-{number:05}",
        "title": f"{drawn[0]} {drawn[1]}",
        "body": " ".join(drawn) + f" {number}",
        "url": f"/{number}",
        "intent": "library",
        "tags": [str(drawn[0])],
    }
    return {**row, **changes}


def _write(file: Path, rows: Sequence[dict[str, Any]]) -> KnowledgeFile:
    file.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return KnowledgeFile(file, intents=read_labels())


@pytest.fixture
def encoder_dir(tmp_path: Path) -> Path:
    return make_tiny_encoder(tmp_path / "encoder", texts=WORDS)


def _vectors(connection: Connection) -> int:
    return connection.execute("SELECT count(*) FROM knowledge_vectors").fetchall()[0][0]


async def test_what_was_loaded_is_found(
    database_url: str, pool: Pool, tmp_path: Path, encoder_dir: Path
) -> None:
    rows = [_row(n) for n in range(40)]
    done: list[tuple[str, int, int | None]] = []
    report = migrate_vectors(
        _write(tmp_path / "nodes.jsonl", rows),
        database_url=database_url,
        encoder=Encoder(encoder_dir),
        advance=lambda what, count, of: done.append((what, count, of)),
    )
    assert (report.loaded, report.embedded) == (Loaded(good=40, changed=40), 40)
    assert done == [
        ("reading", 40, None),
        ("looking at", 40, None),
        ("embedding", Encoder.texts_at_once, 40),
        ("embedding", 40, 40),
    ]
    encoder = Encoder(encoder_dir)
    asked = f"{rows[7]['title']} {rows[7]['body']}"
    (found,) = await KnowledgeSearch(pool).search(
        [Search(asked, encoder.encode([asked])[0], encoder.space.fingerprint)]
    )
    assert found[0].id == "node-00007"


def test_an_empty_database_is_migrated_first(
    empty_database_url: str, tmp_path: Path, encoder_dir: Path
) -> None:
    report = migrate_vectors(
        _write(tmp_path / "nodes.jsonl", [_row(1)]),
        database_url=empty_database_url,
        encoder=Encoder(encoder_dir),
    )
    assert [(space.fingerprint, space.vectors) for space in report.spaces] == [("tiny", 1)]


def test_only_new_and_changed_nodes_are_embedded_again(
    database_url: str, connection: Connection, tmp_path: Path, encoder_dir: Path
) -> None:
    def load(rows: Sequence[dict[str, Any]], **options: bool) -> tuple[int, int, int]:
        file = _write(tmp_path / "nodes.jsonl", rows)
        report = migrate_vectors(
            file, database_url=database_url, encoder=Encoder(encoder_dir), **options
        )
        return report.loaded.changed, report.embedded, report.loaded.removed

    rows = [_row(n) for n in range(10)]
    assert load(rows) == (10, 10, 0)
    assert load(rows) == (0, 0, 0)
    rows[3]["body"] = "wifi permit"
    rows[4]["url"] = "/moved"
    assert load([*rows, _row(10)]) == (3, 2, 0)
    assert load(rows[:5]) == (0, 0, 0)
    assert load(rows[:5], prune=True) == (0, 0, 6)
    assert load(rows[:5], replace=True) == (0, 5, 0)
    assert _vectors(connection) == 5


def test_bad_rows_are_listed_and_the_good_ones_loaded(
    database_url: str,
    connection: Connection,
    tmp_path: Path,
    encoder_dir: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "nodes.jsonl"
    rows = [_row(1), _row(2, title=""), _row(3, intent="[red]astrology[/]"), _row(1), _row(5)]
    file.write_text("\n".join([*map(json.dumps, rows), "{broken"]))
    arguments = ["--from", str(file), "--database-url", database_url, "--encoder", str(encoder_dir)]
    assert main([*arguments, "--prune"]) == 3
    said = " ".join(capsys.readouterr().out.split())
    assert "row 2 left out: title:" in said
    assert "row 3 left out: intent: [red]astrology[/] is none of data/intents.yaml" in said
    assert "row 4 left out: id: node-00001 is in row 1 already" in said
    assert "row 6 left out: no JSON" in said
    assert "No node was pruned" in said
    assert _vectors(connection) == 2


def test_the_exit_status_and_a_sentence_say_what_went_wrong(
    database_url: str,
    tmp_path: Path,
    encoder_dir: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HUB_DATABASE_URL", raising=False)
    monkeypatch.setenv("HUB_HOME", str(tmp_path / "home"))
    file = _write(tmp_path / "nodes.jsonl", [_row(1)])
    given = ["--from", file.name, "--encoder", str(encoder_dir)]

    def outcome(*arguments: str) -> tuple[int, str]:
        status = main(arguments)
        return status, " ".join(capsys.readouterr().out.split())

    assert outcome(*given, "--database-url", database_url)[0] == 0
    status, said = outcome(*given)
    assert (status, "HUB_DATABASE_URL is unset" in said) == (1, True)
    status, said = outcome(*given, "--database-url", "postgresql://nobody:secret@127.0.0.1:1/x")
    assert (status, "cannot be reached" in said, "secret" in said) == (1, True, False)
    status, said = outcome("--from", str(tmp_path / "none"), "--database-url", database_url)
    assert (status, "No such file" in said) == (1, True)
    status, said = outcome("--from", file.name, "--database-url", database_url)
    assert (status, "No encoder" in said) == (1, True)


def test_a_load_that_was_killed_goes_on_where_it_stood(
    database_url: str, connection: Connection, tmp_path: Path, encoder_dir: Path
) -> None:
    count = 3_000
    file = _write(tmp_path / "nodes.jsonl", [_row(n) for n in range(count)])
    load = subprocess.Popen(
        [
            *(sys.executable, str(SCRIPT), "--from", file.name),
            *("--database-url", database_url, "--encoder", str(encoder_dir)),
        ],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while _vectors(connection) == 0:
        assert load.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(load.pid, signal.SIGKILL)
    load.wait()
    report = migrate_vectors(file, database_url=database_url, encoder=Encoder(encoder_dir))
    assert report.loaded.changed == 0
    assert 0 < report.embedded < count
    batch = Encoder.texts_at_once
    assert report.embedded % batch == count % batch
    assert _vectors(connection) == count
    (space,) = count_by_space(connection)
    assert (space.vectors, space.nodes) == (count, count)


def test_vectors_of_different_encoders_are_never_mixed(
    database_url: str, connection: Connection, tmp_path: Path, encoder_dir: Path
) -> None:
    file = _write(tmp_path / "nodes.jsonl", [_row(n) for n in range(8)])

    def load(folder: Path, **options: bool) -> None:
        migrate_vectors(file, database_url=database_url, encoder=Encoder(folder), **options)

    load(encoder_dir)
    wider = make_tiny_encoder(tmp_path / "wider", texts=WORDS, dims=48)
    with pytest.raises(MixedSpaces, match="32 dims in the database, 48 here"):
        load(wider)
    # The same name and width, but other vectors: such as an export gone wrong.
    other = make_tiny_encoder(tmp_path / "other", texts=WORDS, seed=1)
    with pytest.raises(MixedSpaces, match="not what this encoder makes"):
        load(other)
    assert _vectors(connection) == 8
    load(other, replace=True)
    assert _vectors(connection) == 8
    # Another fingerprint is another space, beside the first.
    load(make_tiny_encoder(tmp_path / "new", texts=WORDS, fingerprint="new", dims=48))
    counts = [(space.fingerprint, space.vectors) for space in count_by_space(connection)]
    assert counts == [("new", 8), ("tiny", 8)]
    assert main(["--database-url", database_url, "--drop-space", "tiny"]) == 0
    assert [space.fingerprint for space in count_by_space(connection)] == ["new"]
    assert main(["--database-url", database_url, "--drop-space", "tiny"]) == 1


def test_the_projects_own_nodes_are_loaded_by_default(
    database_url: str, connection: Connection, encoder_dir: Path
) -> None:
    assert main(["--database-url", database_url, "--encoder", str(encoder_dir)]) == 0
    assert _vectors(connection) == len(json.loads((DATA / "knowledge_nodes.json").read_text()))
