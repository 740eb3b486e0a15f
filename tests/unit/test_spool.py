"""The spool: what was appended outlives the process, and the living are left alone."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import orjson
import pytest

from contracts.records import Feedback, Interaction
from contracts.settings import PROJECT
from store.spool import MAX_SEGMENT_ROWS, Orphan, Spool, SpoolFull, adopt_orphans, read_segment
from tests.samples import interaction, thumb

APPEND_FOR_EVER = """
import os, sys
from pathlib import Path
from store.spool import Spool
from tests.samples import interaction

spool = Spool(Path(sys.argv[1]))
while True:
    row = interaction()
    spool.append(row)
    os.write(1, row.interaction_id.encode() + b"\\n")
"""


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path / "spool")


def kept(spool: Spool | Orphan) -> list[str]:
    """The ids of all interactions in closed segments, in the order of their files."""
    segments = [read_segment(file) for file in spool.closed()]
    return [row["interaction_id"] for segment in segments for row in segment.interactions]


def appended(spool: Spool, *, rows: int) -> list[str]:
    records = [interaction() for _ in range(rows)]
    for record in records:
        spool.append(record)
    return [record.interaction_id for record in records]


def die(spool: Spool) -> None:
    """What the death of its process does to a spool: the kernel takes its lock back."""
    assert spool._lock is not None
    os.close(spool._lock)
    spool._lock = None


def test_records_come_back_as_they_went_in(spool: Spool) -> None:
    asked = interaction(query_text="naïve 🎓\n\x01 \\ \" ' متى", request_id="r", confidence=None)
    given = thumb(asked, score=-1, comment="no\nuse")
    spool.append(asked)
    spool.append(given)
    spool.cut()
    (segment,) = (read_segment(file) for file in spool.closed())
    assert list(segment.interactions) == [orjson.loads(orjson.dumps(asked))]
    assert list(segment.feedback) == [orjson.loads(orjson.dumps(given))]
    assert segment.interactions[0]["query_text"] == asked.query_text
    assert len(segment) == 2


def test_an_append_is_with_the_kernel_when_it_returns(spool: Spool) -> None:
    (asked,) = appended(spool, rows=1)
    (file,) = spool.folder.glob("*.jsonl")
    assert asked.encode() in file.read_bytes()


def test_the_segment_being_written_is_not_handed_out(spool: Spool) -> None:
    first = appended(spool, rows=2)
    assert spool.closed() == []
    spool.cut()
    appended(spool, rows=1)
    assert kept(spool) == first


def test_cutting_twice_or_an_empty_spool_makes_no_file(spool: Spool) -> None:
    spool.cut()
    appended(spool, rows=1)
    spool.cut()
    spool.cut()
    assert len(spool.closed()) == 1


def test_a_full_segment_rolls_over(spool: Spool) -> None:
    ids = appended(spool, rows=MAX_SEGMENT_ROWS + 1)
    (full,) = spool.closed()
    assert len(read_segment(full)) == MAX_SEGMENT_ROWS
    spool.cut()
    assert kept(spool) == ids


def test_depth_counts_rows_until_they_are_released(spool: Spool) -> None:
    appended(spool, rows=3)
    spool.cut()
    appended(spool, rows=2)
    assert spool.depth == 5
    (file,) = spool.closed()
    spool.release(read_segment(file))
    assert spool.depth == 2
    assert not file.exists()


def test_segments_keep_their_order_past_their_tenth(spool: Spool) -> None:
    ids: list[str] = []
    for _ in range(12):
        ids += appended(spool, rows=1)
        spool.cut()
    assert kept(spool) == ids


def test_a_torn_line_is_passed_over_and_costs_no_other_row(spool: Spool) -> None:
    ids = appended(spool, rows=3)
    spool.cut()
    (file,) = spool.closed()
    torn = file.read_bytes().splitlines(keepends=True)[2][:-20]
    whole = file.read_bytes()
    for damage in (torn, b"\xff\xfe", b"\n", b""):
        file.write_bytes(damage + b"\n" + whole + damage)
        assert kept(spool) == ids


def test_a_row_survives_wherever_the_line_after_it_is_torn(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    appended(spool, rows=1)
    spool.cut()
    (file,) = spool.closed()
    line = file.read_bytes()
    for length in range(len(line)):
        file.write_bytes(line + line[:length])
        # Complete but for its line feed, the second line is a row like any other.
        assert len(read_segment(file)) == (2 if length == len(line) - 1 else 1)


def test_a_disk_that_refuses_is_told_and_nothing_is_counted(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(descriptor: int, line: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as broken:
        broken.setattr("store.spool.os.write", refuse)
        with pytest.raises(SpoolFull, match="No space left"):
            spool.append(interaction())
    assert spool.depth == 0
    ids = appended(spool, rows=1)  # room again
    spool.cut()
    assert kept(spool) == ids


def test_half_a_write_is_told_and_the_next_row_is_whole(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = appended(spool, rows=1)
    write = os.write
    with monkeypatch.context() as broken:
        broken.setattr("store.spool.os.write", lambda file, line: write(file, line[:40]))
        with pytest.raises(SpoolFull):
            spool.append(interaction())
    after = appended(spool, rows=1)
    spool.cut()
    assert kept(spool) == before + after
    assert spool.depth == 2


def test_a_living_process_is_not_adopted(tmp_path: Path) -> None:
    living = Spool(tmp_path)
    appended(living, rows=1)
    assert list(adopt_orphans(tmp_path)) == []
    assert living.folder.exists()


def test_a_dead_process_is_adopted_by_one_and_its_folder_goes_with_its_rows(tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    ids = appended(dead, rows=2)
    die(dead)
    (orphan,) = adopt_orphans(tmp_path)
    assert list(adopt_orphans(tmp_path)) == []  # held
    assert kept(orphan) == ids
    for file in orphan.closed():
        orphan.release(read_segment(file))
    orphan.let_go()
    assert list(tmp_path.iterdir()) == []


def test_what_an_adopter_could_not_store_stays_for_the_next(tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    ids = appended(dead, rows=2)
    die(dead)
    (orphan,) = adopt_orphans(tmp_path)
    orphan.let_go()
    (again,) = adopt_orphans(tmp_path)
    assert kept(again) == ids


def test_closing_an_empty_spool_leaves_nothing_behind(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    appended(spool, rows=1)
    spool.cut()
    (file,) = spool.closed()
    spool.release(read_segment(file))
    spool.close()
    spool.close()
    assert list(tmp_path.iterdir()) == []


def test_closing_with_rows_leaves_them_to_another(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    ids = appended(spool, rows=1)
    spool.close()
    (orphan,) = adopt_orphans(tmp_path)
    assert kept(orphan) == ids


def test_nobody_is_adopted_from_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert list(adopt_orphans(tmp_path / "spool")) == []


def test_files_beside_the_spools_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "rejected.jsonl").write_text("{}\n")
    (tmp_path / "notes").mkdir()
    assert list(adopt_orphans(tmp_path)) == []
    assert sorted(file.name for file in tmp_path.iterdir()) == ["notes", "rejected.jsonl"]


def test_an_adopter_that_comes_too_late_does_no_harm(tmp_path: Path) -> None:
    dead = Spool(tmp_path)
    die(dead)
    late = os.open(dead.folder / "lock", os.O_RDWR)  # looked in before the other was done
    (orphan,) = adopt_orphans(tmp_path)
    orphan.let_go()
    assert not dead.folder.exists()
    Orphan(dead.folder, lock=late).let_go()
    assert list(adopt_orphans(tmp_path)) == []


def test_a_spool_is_never_found_unlocked_while_it_is_made(tmp_path: Path) -> None:
    stolen: list[Path] = []
    finished = threading.Event()

    def steal() -> None:
        while not finished.is_set():
            for orphan in adopt_orphans(tmp_path):
                stolen.append(orphan.folder)
                orphan.let_go()

    thieves = [threading.Thread(target=steal) for _ in range(2)]
    for thief in thieves:
        thief.start()
    try:
        spools = [Spool(tmp_path) for _ in range(80)]
    finally:
        finished.set()
        for thief in thieves:
            thief.join()
    assert stolen == []
    assert all(spool.folder.is_dir() for spool in spools)
    for spool in spools:
        spool.close()


def test_sigkill_in_the_middle_of_appends_loses_no_row_that_was_acknowledged(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-c", APPEND_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=PROJECT) as writer:
        assert writer.stdout is not None
        acknowledged = [writer.stdout.readline() for _ in range(MAX_SEGMENT_ROWS + 500)]
        assert list(adopt_orphans(tmp_path)) == []  # it lives
        writer.send_signal(signal.SIGKILL)
        acknowledged += writer.stdout.readlines()
    ids = [line.decode().strip() for line in acknowledged if line.endswith(b"\n")]
    (orphan,) = adopt_orphans(tmp_path)
    found = kept(orphan)
    assert found[: len(ids)] == ids
    assert len(found) <= len(ids) + 1  # the one that was being acknowledged
    assert len(orphan.closed()) >= 2


def test_single_rows_and_lines_of_a_segment_are_the_rows_of_its_file(spool: Spool) -> None:
    asked = interaction()
    for record in (asked, thumb(asked), interaction()):
        spool.append(record)
    spool.cut()
    (segment,) = (read_segment(file) for file in spool.closed())
    singles = list(segment.rows())
    assert [len(single) for single in singles] == [1, 1, 1]
    lines = b"".join(single.lines() for single in singles)
    assert sorted(lines.splitlines()) == sorted(segment.file.read_bytes().splitlines())
    assert {orjson.loads(line)["kind"] for line in lines.splitlines()} == {
        Interaction.__name__,
        Feedback.__name__,
    }
