"""A local append-only file between a 200 and Postgres: what was answered outlives the process.

One folder a process, one segment file after another, one JSON object a line. An append is one
`write` to a file opened with O_APPEND: the kernel has it when the process dies, so only a node
that loses power can lose it (within the flush interval). A segment goes when Postgres has its
rows. The folder's lock tells the living from the dead: whoever gets a dead one's lock adopts it.
"""

import fcntl
import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson

from contracts.errors import HubError
from contracts.records import Feedback, Interaction
from store.interactions import Row

MAX_SEGMENT_ROWS = 2_000
"""A segment is stored in one transaction: this bounds it after a long outage."""


class SpoolFull(HubError):
    """The disk has no room for the interaction log; the answer was withheld rather than lost."""


@dataclass(frozen=True, slots=True)
class Segment:
    """One closed file of a spool and the rows that it holds."""

    file: Path
    interactions: tuple[Row, ...]
    feedback: tuple[Row, ...]

    def __len__(self) -> int:
        return len(self.interactions) + len(self.feedback)

    def rows(self) -> Iterator["Segment"]:
        """Return each row as a segment of its own."""
        for row in self.interactions:
            yield Segment(self.file, (row,), ())
        for row in self.feedback:
            yield Segment(self.file, (), (row,))

    def lines(self) -> bytes:
        """Return the rows as the lines of a file."""
        return b"".join(
            [_line(Interaction.__name__, row) for row in self.interactions]
            + [_line(Feedback.__name__, row) for row in self.feedback]
        )


class Spool:
    """One process's own spool. Not thread-safe: it belongs to one event loop."""

    def __init__(self, root: Path) -> None:
        """Make a folder of its own under `root` and hold its lock as long as the process lives."""
        name = uuid.uuid4().hex
        # Locked under a name that no adopter looks at, then renamed: it is never found unlocked.
        hidden = root / f".{name}"
        hidden.mkdir(parents=True)
        self._lock = _hold_lock(hidden, flags=os.O_CREAT)
        self.folder = hidden.rename(root / name)
        self._number = 0
        self._rows = 0
        self._file: int | None = None
        self.depth = 0
        """Rows appended and not yet released."""

    def append(self, record: Interaction | Feedback) -> None:
        """Write one record and return when the kernel has it. Raises SpoolFull."""
        line = _line(type(record).__name__, record)
        try:
            if self._file is None:
                self._file = os.open(
                    self.folder / f"{self._number:012d}.jsonl",
                    os.O_WRONLY | os.O_CREAT | os.O_APPEND,
                    0o600,
                )
            written = os.write(self._file, line)
        except OSError as error:
            raise SpoolFull(f"{self.folder}: {error.strerror}.") from error
        if written != len(line):
            # The torn line ends its segment; a reader skips it.
            self.cut()
            raise SpoolFull(f"{self.folder}: no space left.")
        self.depth += 1
        self._rows += 1
        if self._rows >= MAX_SEGMENT_ROWS:
            self.cut()

    def cut(self) -> None:
        """Close the segment that is being written; the next append opens another."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
            self._number += 1
            self._rows = 0

    def closed(self) -> list[Path]:
        """Return the closed segments' files, oldest first."""
        files = sorted(self.folder.glob("*.jsonl"))
        return files if self._file is None else files[:-1]

    def release(self, segment: Segment) -> None:
        """Forget a segment whose rows Postgres has."""
        segment.file.unlink()
        self.depth -= len(segment)

    def close(self) -> None:
        """Give the folder up: it goes when it is empty, else another process adopts it."""
        self.cut()
        if self._lock is not None:
            _give_up(self.folder, lock=self._lock)
            self._lock = None


def _line(kind: str, row: Row | Interaction | Feedback) -> bytes:
    return orjson.dumps({"kind": kind, "row": row}) + b"\n"


def read_segment(file: Path) -> Segment:
    """Read a closed segment. A torn line (its writer died in the write) was never answered."""
    rows: dict[str, list[Row]] = {Interaction.__name__: [], Feedback.__name__: []}
    for line in file.read_bytes().split(b"\n"):
        try:
            entry = orjson.loads(line)
        except orjson.JSONDecodeError:
            continue
        rows[entry["kind"]].append(entry["row"])
    return Segment(file, tuple(rows[Interaction.__name__]), tuple(rows[Feedback.__name__]))


class Orphan:
    """A dead process's spool, held by its adopter until its rows are stored."""

    def __init__(self, folder: Path, *, lock: int) -> None:
        self.folder = folder
        self._lock = lock

    def closed(self) -> list[Path]:
        """Return its segments' files, oldest first: nobody writes to them any more."""
        return sorted(self.folder.glob("*.jsonl"))

    def release(self, segment: Segment) -> None:
        segment.file.unlink()

    def let_go(self) -> None:
        """Remove the folder when nothing is left in it, else leave it for a later try."""
        _give_up(self.folder, lock=self._lock)


def adopt_orphans(root: Path) -> Iterator[Orphan]:
    """Find spools under `root` whose process died, and take their locks."""
    if not root.is_dir():
        return
    for folder in sorted(root.iterdir()):
        if folder.name.startswith(".") or not folder.is_dir():
            continue
        if (lock := _hold_lock(folder)) is not None:
            yield Orphan(folder, lock=lock)


IsTheirs = Callable[[str, Row], bool]
"""Says whether a row is a person's, by its kind ("Interaction" or "Feedback") and itself."""


def spooled(root: Path, *, is_theirs: IsTheirs) -> list[Row]:
    """Return a person's rows that wait under `root`, in spools of the living too."""
    return [row for file in root.glob("**/*.jsonl") for row in _rows(file, is_theirs=is_theirs)]


def erase_spooled(root: Path, *, is_theirs: IsTheirs) -> int:
    """Take a person's rows out of every file that no living process owns; return how many went."""
    gone = 0
    for orphan in adopt_orphans(root):
        try:
            for file in orphan.closed():
                gone += _rewrite(file, is_theirs=is_theirs)
        finally:
            orphan.let_go()
    for file in root.glob("*.jsonl"):  # rows that Postgres refused: they belong to nobody
        gone += _rewrite(file, is_theirs=is_theirs)
    return gone


def _rows(file: Path, *, is_theirs: IsTheirs) -> list[Row]:
    try:
        segment = read_segment(file)
    except FileNotFoundError:  # stored meanwhile
        return []
    kinds = ((Interaction.__name__, segment.interactions), (Feedback.__name__, segment.feedback))
    return [row for kind, rows in kinds for row in rows if is_theirs(kind, row)]


def _rewrite(file: Path, *, is_theirs: IsTheirs) -> int:
    gone = len(_rows(file, is_theirs=is_theirs))
    if gone:
        segment = read_segment(file)
        kept = Segment(
            file,
            tuple(row for row in segment.interactions if not is_theirs(Interaction.__name__, row)),
            tuple(row for row in segment.feedback if not is_theirs(Feedback.__name__, row)),
        )
        draft = file.with_suffix(".draft")
        draft.write_bytes(kept.lines())
        draft.chmod(0o600)
        draft.rename(file)
    return gone


def _give_up(folder: Path, *, lock: int) -> None:
    if not any(folder.glob("*.jsonl")):
        # An adopter may look into the folder meanwhile: it finds nothing, and comes too late.
        shutil.rmtree(folder, ignore_errors=True)
    os.close(lock)


def _hold_lock(folder: Path, *, flags: int = 0) -> int | None:
    """Take a folder's lock and return its descriptor, or None when a living process has it."""
    try:
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
    except FileNotFoundError:  # its adopter removed it between the listing and now
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
