"""Forgetting one person: what came from a session goes from every store, and from no other's."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from contracts.errors import ArtifactError
from contracts.records import Interaction
from contracts.text import digest
from scripts.forget import main
from store import erasure as erasure_module
from store.artifacts import ArtifactStore, FolderStore
from store.database import Connection, Pool
from store.dataset_kinds import INTERACTIONS, LABELS
from store.datasets import Datasets
from store.erasure import Erasure, ErasureStopped, Stores, erase_session
from store.identity import issue_interaction_id, issue_session
from store.interactions import claim_request
from store.registry import Manifest, Registry
from store.spool import Spool
from tests.samples import SECRET, interaction, store, thumb
from tests.stand_ins.storage import StorageServer
from training.snapshot import Places, SnapshotJob

ANA, TOKEN = issue_session(secret=SECRET)
BOB, _ = issue_session(secret=SECRET)
HERS = "the lift in my hall talks to me at night"
HIS = "the lift in our hall speaks at night"

Tables = dict[str, list[str]]


@pytest.fixture
def stores(database_url: str, tmp_path: Path) -> Stores:
    return Stores(
        database_url=database_url,
        spool_dir=tmp_path / "spool",
        artifacts=FolderStore(tmp_path / "artifacts"),
        secret=SECRET,
        runs_dir=tmp_path / "retraining",
        cache_dir=tmp_path / "cache",
    )


@pytest.fixture
def forget(stores: Stores) -> Callable[..., Erasure]:
    def erase(session_id: str = ANA, **options: Any) -> Erasure:
        return erase_session(session_id, stores=stores, report=lambda line: None, **options)

    return erase


def asked(session_id: str, text: str, **changes: Any) -> Interaction:
    interaction_id = issue_interaction_id(session_id=session_id, secret=SECRET)
    return interaction(
        interaction_id=interaction_id, session_id=session_id, query_text=text, **changes
    )


def everything(connection: Connection) -> Tables:
    """Return every row of every table but the tombstones, as text."""
    names = connection.execute(
        "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        " AND relname NOT IN ('erased_sessions', 'schema_migrations') ORDER BY 1"
    ).fetchall()
    return {
        name: [row for (row,) in connection.execute(f"SELECT t::text FROM {name} t")]
        for (name,) in names
    }


def make_item(
    connection: Connection, first: Interaction, *others: Interaction, labels: int = 1
) -> None:
    """Fold interactions into an item that the first stands for, and have it labelled."""
    connection.execute(
        "INSERT INTO review_items"
        " (item_id, query_text, reason, priority, asked_at, outcome, source)"
        " VALUES (%s, %s, 'doubtful', 1, %s, 'confused', 'real')",
        (first.interaction_id, first.query_text, first.asked_at),
    )
    for one in (first, *others):
        connection.execute(
            "INSERT INTO review_members (interaction_id, item_id, session_id) VALUES (%s, %s, %s)",
            (one.interaction_id, first.interaction_id, one.session_id),
        )
    for number in range(labels):
        connection.execute(
            "INSERT INTO reviewers (name, role) VALUES (%s, 'lead') ON CONFLICT DO NOTHING",
            (f"lead{number}",),
        )
        connection.execute(
            "INSERT INTO labels (item_id, reviewer, role, intent, source)"
            " VALUES (%s, %s, 'lead', 'housing', 'real')",
            (first.interaction_id, f"lead{number}"),
        )


def publish(stores: Stores, tmp_path: Path, *texts: str) -> Registry:
    """Publish a version that was trained on the first text and is judged by all."""
    folder = tmp_path / "candidate"
    folder.mkdir(exist_ok=True)
    manifest = Manifest(
        kind="distilbert-real",
        labels=("housing",),
        temperature=1.0,
        backbone="b",
        dataset={},
        split={},
        seed=1,
        recipe="r",
        created_at=datetime.now(UTC),
    )
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    (folder / "model.onnx").write_text("weights")
    assignment = {digest(text): "train" if text == texts[0] else "test" for text in texts}
    (folder / "split.json").write_text(json.dumps({"digest": "d", "assignment": assignment}))
    rows = [json.dumps({"text": text, "intent": "housing"}) + "\n" for text in texts]
    (folder / "test.jsonl").write_text("".join(rows))
    registry = Registry(stores.artifacts)
    registry.publish(folder)
    return registry


def counts(erasure: Erasure) -> dict[str, int]:
    return {what: count for _, what, count in erasure.removed if count}


async def test_every_table_forgets_one_session_and_no_other(
    forget: Callable[..., Erasure], connection: Connection, log_pool: Pool
) -> None:
    hers, his = [asked(ANA, HERS), asked(ANA, "where is the lift")], [asked(BOB, HIS)]
    waiting = asked(ANA, "not stored yet")
    older = thumb(asked(ANA, "of older code"), session_id=None)
    await store(log_pool, *hers, *his, thumb(hers[0], comment="it is mean"), thumb(waiting), older)
    for session_id in (ANA, BOB):
        await claim_request(
            log_pool, session_id=session_id, request_id="r", text_digest="d", timeout_s=5
        )
    connection.execute("INSERT INTO simulated_sessions (session_id) VALUES (%s)", (ANA,))
    make_item(connection, hers[1])

    found = counts(forget())
    left = everything(connection)
    assert not [row for rows in left.values() for row in rows if ANA in row or "lift in my" in row]
    assert not left["pending_feedback"]
    assert not left["labels"]
    (kept,) = left["interaction_log_default"]
    assert HIS in kept
    (claim,) = left["request_claims"]
    assert BOB in claim
    assert found == {
        "erased_sessions: tombstone set": 1,
        "interaction_log": 2,
        "pending_feedback": 2,
        "request_claims": 1,
        "review_items": 1,
        "review_members": 1,
        "labels": 1,
        "simulated_sessions": 1,
    }


async def test_an_item_goes_on_with_the_text_of_another_member_and_keeps_its_labels(
    forget: Callable[..., Erasure], connection: Connection, log_pool: Pool
) -> None:
    hers, also_hers, his = asked(ANA, HERS), asked(ANA, HERS), asked(BOB, HIS, confidence=0.44)
    await store(log_pool, hers, also_hers, his)
    make_item(connection, hers, also_hers, his, labels=2)
    found = counts(forget())
    assert (found["review_items passed on"], found["review_members"]) == (1, 2)
    assert "labels" not in found
    items = connection.execute(
        "SELECT item_id, query_text, asked_at, confidence, reason, source FROM review_items"
    ).fetchall()
    assert items == [(his.interaction_id, HIS, his.asked_at, 0.44, "doubtful", "real")]
    verified = connection.execute("SELECT query_text, intent, members FROM verified_labels")
    assert verified.fetchall() == [(HIS, "housing", 1)]
    assert HERS not in str(everything(connection))


async def test_an_item_whose_other_members_have_no_text_any_more_goes(
    forget: Callable[..., Erasure], connection: Connection, log_pool: Pool
) -> None:
    hers, past_retention = asked(ANA, HERS), asked(BOB, HIS)
    await store(log_pool, hers)
    make_item(connection, hers, past_retention)
    assert counts(forget())["labels"] == 1
    assert not everything(connection)["review_members"]


async def test_somebody_elses_item_only_loses_a_member(
    forget: Callable[..., Erasure], connection: Connection, log_pool: Pool
) -> None:
    hers, his = asked(ANA, HERS), asked(BOB, HIS)
    await store(log_pool, hers, his)
    make_item(connection, his, hers)
    forget()
    left = everything(connection)
    assert len(left["review_items"]) == len(left["labels"]) == len(left["review_members"]) == 1
    assert his.interaction_id in left["review_items"][0]


async def test_what_comes_after_the_erasure_is_not_kept(
    forget: Callable[..., Erasure], connection: Connection, log_pool: Pool
) -> None:
    hers, his = asked(ANA, HERS), asked(BOB, HIS)
    forget()
    await store(log_pool, hers, thumb(hers, comment="it is mean"), his, thumb(asked(ANA, HERS)))
    left = everything(connection)
    assert len(left["interaction_log_default"]) == 1
    assert HIS in left["interaction_log_default"][0]
    assert left["pending_feedback"] == []


async def test_spools_of_the_dead_are_rewritten_and_those_of_the_living_are_told(
    forget: Callable[..., Erasure], stores: Stores, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(erasure_module, "LIVE_SPOOL_WITHIN_S", 0.0)
    hers, his = asked(ANA, HERS), asked(BOB, HIS)
    dead, alive = Spool(stores.spool_dir), Spool(stores.spool_dir)
    for record in (hers, his, thumb(hers, session_id=None), thumb(his)):
        dead.append(record)
    dead.close()
    alive.append(hers)
    (stores.spool_dir / "rejected.jsonl").write_bytes(
        next(alive.folder.glob("*.jsonl")).read_bytes()
    )
    found = forget()
    assert counts(found)["rows"] == 3
    assert found.live_spool_rows == 1
    kept = b"".join(file.read_bytes() for file in dead.folder.glob("*.jsonl"))
    assert HERS.encode() not in kept
    assert [json.loads(line)["kind"] for line in kept.splitlines()] == ["Interaction", "Feedback"]
    assert (stores.spool_dir / "rejected.jsonl").read_bytes() == b""
    alive.close()
    assert forget().live_spool_rows == 0
    assert not [
        f for f in stores.spool_dir.rglob("*") if f.is_file() and HERS.encode() in f.read_bytes()
    ]


async def test_snapshots_are_rewritten_as_a_new_revision(
    forget: Callable[..., Erasure],
    stores: Stores,
    connection: Connection,
    log_pool: Pool,
    tmp_path: Path,
) -> None:
    hers, his, gone = asked(ANA, HERS), asked(BOB, HIS), asked(ANA, "only in the snapshot")
    await store(log_pool, hers, his, gone)
    make_item(connection, his, hers)
    places = Places(stores.database_url, str(tmp_path / "artifacts"))
    today = datetime.now(UTC).date()
    SnapshotJob(places, margin_s=0, report=lambda line: None).take(today, so_far=True)
    connection.execute(
        "DELETE FROM interaction_log WHERE interaction_id = %s", (gone.interaction_id,)
    )
    found = counts(forget())
    assert found[f"interactions/dt={today}"] == 2
    datasets = Datasets(stores.artifacts)
    manifest = datasets.manifest(INTERACTIONS, today)
    assert manifest is not None
    assert (manifest.revision, manifest.rows) == (2, 1)
    read = datasets.read_pandas(INTERACTIONS, first=today, last=today)
    assert list(read["query_text"]) == [HIS]
    (label,) = datasets.read_pandas(LABELS, first=today, last=today).to_dict("records")
    assert [member["session_id"] for member in label["members"]] == [BOB]


async def test_versions_lose_the_texts_keep_their_checksums_and_are_listed(
    forget: Callable[..., Erasure], stores: Stores, log_pool: Pool, tmp_path: Path
) -> None:
    ours = "how do i switch from biology to business"  # of the project's own queries
    await store(log_pool, asked(ANA, HERS), asked(ANA, ours), asked(ANA, "and this?"))
    registry = publish(stores, tmp_path, HERS, HIS, ours, "and this?")
    found = forget()
    assert [(use.version, use.train, use.test) for use in found.versions] == [("v3", 1, 1)]
    assert counts(found)["models/v3/test.jsonl"] == 2
    folder = registry.fetch("v3", cache_dir=tmp_path)  # raises when a checksum is wrong
    texts = [json.loads(line)["text"] for line in (folder / "test.jsonl").read_text().splitlines()]
    assert texts == [HIS, ours]
    assert set(json.loads((folder / "split.json").read_text())["assignment"]) == {
        digest(HIS),
        digest(ours),
    }
    (note,) = registry.manifest("v3").erasures
    assert note.files == {"split.json": 2, "test.jsonl": 2}


async def test_a_bucket_forgets_and_so_do_the_copies_here(
    stores: Stores,
    log_pool: Pool,
    bucket: ArtifactStore,
    storage: StorageServer,
    tmp_path: Path,
) -> None:
    stores = replace(stores, artifacts=bucket)
    await store(log_pool, asked(ANA, HERS), asked(BOB, HIS))
    registry = publish(stores, tmp_path, HERS, HIS)
    copies = registry.fetch("v3", cache_dir=stores.cache_dir)
    today = datetime.now(UTC).date()
    places = Places(stores.database_url, bucket.url)
    SnapshotJob(places, margin_s=0, report=lambda line: None).take(today, so_far=True)

    found = counts(erase_session(ANA, stores=stores, report=lambda line: None))
    assert found[f"interactions/dt={today}"] == 1
    assert found["models/v3/test.jsonl"] == found["gs-hub/v3/test.jsonl"] == 1
    rows = Datasets(bucket).read_pandas(INTERACTIONS, first=today, last=today)
    assert list(rows["query_text"]) == [HIS]
    in_bucket = [one.content for one in storage.buckets.objects["hub"].values()]
    here = [file.read_bytes() for file in copies.iterdir()]
    for left in (b"".join(in_bucket), b"".join(here)):
        assert HERS.encode() not in left
        assert HIS.encode() in left
    assert registry.fetch("v3", cache_dir=stores.cache_dir) == copies


async def test_an_erasure_that_was_killed_goes_on_where_it_stopped(
    forget: Callable[..., Erasure],
    stores: Stores,
    connection: Connection,
    log_pool: Pool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await store(log_pool, asked(ANA, HERS))
    registry = publish(stores, tmp_path, HERS, HIS)
    as_ever, written = stores.artifacts.replace, []

    def full_after_the_manifest(key: str, content: bytes, *, expected: int) -> int:
        if written:
            raise ArtifactError("No space left.")
        written.append(key)
        return as_ever(key, content, expected=expected)

    monkeypatch.setattr(stores.artifacts, "replace", full_after_the_manifest)
    with pytest.raises(ErasureStopped, match="No space left") as stopped:
        forget()
    assert "tombstone set (1)" in stopped.value.detail
    assert written == ["models/v3/manifest.json"]
    assert HERS in str(everything(connection))  # by which the next try finds the rest
    monkeypatch.setattr(stores.artifacts, "replace", as_ever)
    forget()
    registry.fetch("v3", cache_dir=tmp_path)
    assert len(registry.manifest("v3").erasures) == 1
    assert HERS not in str(everything(connection))


async def test_a_dry_run_counts_the_same_and_changes_nothing(
    forget: Callable[..., Erasure],
    stores: Stores,
    connection: Connection,
    log_pool: Pool,
    tmp_path: Path,
) -> None:
    hers = asked(ANA, HERS)
    await store(log_pool, hers, thumb(asked(ANA, "later")))
    make_item(connection, hers)
    publish(stores, tmp_path, HERS, HIS)
    dead = Spool(stores.spool_dir)
    dead.append(asked(ANA, HERS))
    dead.close()
    before = (
        everything(connection),
        sorted((str(file), file.read_bytes()) for file in tmp_path.rglob("*") if file.is_file()),
    )
    would = counts(forget(dry_run=True))
    assert before == (
        everything(connection),
        sorted((str(file), file.read_bytes()) for file in tmp_path.rglob("*") if file.is_file()),
    )
    assert connection.execute("SELECT count(*) FROM erased_sessions").fetchone() == (0,)
    did = counts(forget())
    assert did.pop("erased_sessions: tombstone set") == 1
    assert did == would


async def test_a_second_run_finds_nothing_and_harms_nothing(
    forget: Callable[..., Erasure], connection: Connection, log_pool: Pool
) -> None:
    await store(log_pool, asked(ANA, HERS), asked(BOB, HIS))
    assert forget().found_any
    left = everything(connection)
    again = forget()
    assert not again.found_any
    assert everything(connection) == left


# ---- the command ------------------------------------------------------------------------------


@pytest.fixture
def home(database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, value in {
        "HUB_HOME": str(tmp_path),
        "HUB_DATABASE_URL": database_url,
        "HUB_SECRET": SECRET.decode(),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "120")
    return tmp_path


@pytest.mark.parametrize("how", ["id", "token", "file"])
async def test_the_command_takes_the_id_the_token_or_a_file_of_them(
    home: Path, log_pool: Pool, connection: Connection, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    await store(log_pool, asked(ANA, HERS), asked(BOB, HIS))
    file = home / "sessions"
    file.write_text(f"{TOKEN}\n")
    given = {
        "id": ["--session", ANA],
        "token": ["--session", TOKEN],
        "file": ["--session-file", str(file)],
    }
    assert main(given[how]) == 0
    said = capsys.readouterr().out
    assert "interaction_log" in said
    assert "HMACs" in said
    assert TOKEN not in said
    assert HERS not in str(everything(connection))
    assert main(given[how]) == 0
    assert "Nothing of this session was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(TOKEN[:-1] + ("A" if TOKEN[-1] != "A" else "B"), id="forged"),
        *("a b", "", "'; --"),
    ],
)
def test_what_is_no_session_is_refused(
    home: Path, connection: Connection, wrong: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--session", wrong]) == 1
    assert "token" in capsys.readouterr().out or not wrong
    assert connection.execute("SELECT count(*) FROM erased_sessions").fetchone() == (0,)


async def test_a_database_that_is_away_means_that_nothing_was_removed(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HUB_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    spool = Spool(home / "spool")
    spool.append(asked(ANA, HERS))
    spool.close()
    assert main(["--session", ANA]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "cannot be reached" in said
    assert "Nothing was removed." in said
    assert HERS.encode() in b"".join(f.read_bytes() for f in spool.folder.glob("*.jsonl"))
