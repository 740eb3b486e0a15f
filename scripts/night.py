"""A night's chain: what each step came to, as one record and one status.

nightly/dt=DAY/TIME.json   in the artifact store, one a run, never changed; no query's text in it
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import IntEnum
from typing import Any, Final, Literal

import psycopg
from pydantic import BaseModel, ConfigDict
from ray.exceptions import RayError

from contracts.errors import HubError
from store.artifacts import ArtifactStore
from training.stages.run import Exit

log = logging.getLogger(__name__)

Word = Literal["done", "nothing to do", "stopped", "failed", "left out"]


class Night(IntEnum):
    """How a night ends, as an exit status; 4 to 7 and 9 are the retraining's own (Exit)."""

    NOTHING_TO_RETRAIN = 0
    FAILED = 1
    LABELS_INCONSISTENT = Exit.LABELS_INCONSISTENT
    CANDIDATE_WORSE = Exit.CANDIDATE_WORSE
    SWAP_FAILED = Exit.SWAP_FAILED
    NOT_LIVE = Exit.NOT_LIVE
    ANOTHER_RUNS = Exit.ANOTHER_RUNS
    NO_ROOM = Exit.NO_ROOM
    PROMOTED = 10
    WAITS = 11


IN_WORDS: Final[Mapping[Night, str]] = {
    Night.NOTHING_TO_RETRAIN: "all well, nothing to retrain",
    Night.FAILED: "failed",
    Night.LABELS_INCONSISTENT: "stopped by a gate: labels contradict each other",
    Night.CANDIDATE_WORSE: "stopped by a gate: the candidate is worse",
    Night.SWAP_FAILED: "stopped by a gate: the candidate did not take over",
    Night.NOT_LIVE: "stopped by a gate: live, it was not what was evaluated",
    Night.ANOTHER_RUNS: "another one runs",
    Night.NO_ROOM: "failed: no room in the cluster",
    Night.PROMOTED: "retrained and promoted",
    Night.WAITS: "retrained; the version waits to be promoted",
}

WELL: Final = frozenset({Night.NOTHING_TO_RETRAIN, Night.ANOTHER_RUNS, Night.PROMOTED, Night.WAITS})
"""Nights after which nobody needs to be called."""


@dataclass(frozen=True, slots=True)
class StepEnd:
    """What a step came to, what a person does about it, and what it says of the whole night.

    Anything but "done" ends the chain; the report is made all the same.
    """

    word: Word
    said: str
    do: str = ""
    status: Night = Night.NOTHING_TO_RETRAIN
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the chain, and what is kept and to be done when it fails."""

    name: str
    if_it_fails: str
    work: Callable[[], StepEnd]


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class StepRecord(_Document):
    """A step as it is remembered."""

    name: str
    word: Word
    said: str
    do: str
    status: int
    took_s: float
    facts: dict[str, Any]


class NightRecord(_Document):
    """One run of the night shift. `night` is the day whose snapshot it took."""

    night: date
    begun_at: datetime
    ended_at: datetime
    who: str
    status: int
    outcome: str
    steps: tuple[StepRecord, ...]


def work_through(steps: Sequence[Step], *, report: Step) -> list[StepRecord]:
    """Take the steps in their order until one is not done, and then the report."""
    records: list[StepRecord] = []
    ended_by: str | None = None
    for step in steps:
        if ended_by is None:
            records.append(attempt(step))
            ended_by = None if records[-1].word == "done" else step.name
        else:
            records.append(_record(step.name, StepEnd("left out", f"after the {ended_by}")))
    return [*records, attempt(report)]


def attempt(step: Step) -> StepRecord:
    """Do one step; what it raises is how it ended."""
    began = time.monotonic()
    try:
        end = step.work()
    except (HubError, psycopg.Error, RayError, OSError) as error:
        said = f"{error}".strip()
    except Exception as error:  # the report is still to be made, and the record to be written
        log.exception("%s failed", step.name)
        said = f"{type(error).__name__}: {error}; the log says where"
    else:
        return _record(step.name, end, took_s=time.monotonic() - began)
    return failed(step.name, said, do=step.if_it_fails, took_s=time.monotonic() - began)


def failed(name: str, said: str, *, do: str, took_s: float = 0.0) -> StepRecord:
    """Return the record of a step that failed: why, and what to do."""
    end = StepEnd("failed", said, do=do, status=Night.FAILED)
    return _record(name, end, took_s=took_s)


def _record(name: str, end: StepEnd, *, took_s: float = 0.0) -> StepRecord:
    return StepRecord(
        name=name,
        word=end.word,
        said=end.said,
        do=end.do,
        status=end.status,
        took_s=round(took_s, 1),
        facts=dict(end.facts),
    )


def status_of(steps: Sequence[StepRecord]) -> Night:
    """Return the night's status: a failure before all else, or the one that is not 0."""
    failed = [step.status for step in steps if step.word == "failed"]
    return Night(failed[0] if failed else max(step.status for step in steps))


def keep(record: NightRecord, *, store: ArtifactStore) -> str:
    """Write the record and return its key. Raises ArtifactError."""
    key = f"nightly/dt={record.night}/{record.begun_at:%Y%m%dT%H%M%S.%fZ}.json"
    store.create(key, record.model_dump_json(indent=1).encode() + b"\n")
    return key


def summary(record: NightRecord) -> list[str]:
    """Return what a person reads: a line for each step, what to do, and the outcome."""
    lines = [f"the night of {record.night}"]
    for step in record.steps:
        took = f" ({step.took_s:.1f} s)" if step.took_s else ""
        lines.append(f"  {step.name:<10}  {step.word}: {step.said}{took}")
        if step.do:
            lines.append(f"  {'':<10}  → {step.do}")
    return [*lines, f"{record.outcome} (status {record.status})"]
