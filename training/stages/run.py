"""One retraining's folder: what it was asked to do, and one JSON artifact for each stage.

HOME/retraining/RUN/run.json       what was asked, and which version was the champion then
HOME/retraining/RUN/STAGE.json     what a stage found; written last, so that it is whole
HOME/retraining/RUN/*.jsonl        the queries of the run, one a line; `scripts.forget` knows them
HOME/retraining/RUN/candidate/     the files that become a version
"""

import argparse
import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

import psycopg
from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import HubError, Unschedulable
from contracts.settings import Settings

RUNS_KEPT: Final = 5
_DRAFT: Final = ".draft"

Report = Callable[[str], None]


class Exit(IntEnum):
    """How a retraining ends, as an exit status."""

    DONE = 0
    FAILED = 1
    NOT_ENOUGH_LABELS = 3
    LABELS_INCONSISTENT = 4
    CANDIDATE_WORSE = 5
    SWAP_FAILED = 6
    NOT_LIVE = 7
    ANOTHER_RUNS = 8
    NO_ROOM = 9


class GateClosed(HubError):
    """A gate stopped the retraining; the champion stays as it is."""

    def __init__(self, status: Exit, reasons: Sequence[str]) -> None:
        super().__init__("; ".join(reasons) + ".")
        self.status = status
        self.reasons = tuple(reasons)


class StageMissing(HubError):
    """A stage needs what another one writes."""


class Order(BaseModel):
    """What a run was asked to do. `dataset` names a file of labelled queries instead of the hub's;
    `champion` is the version that served when the run began, None in an empty registry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run: str
    begun_at: datetime
    who: str
    champion: str | None
    dataset: str | None = None
    is_promoted: bool = True
    """Whether the version that comes of it is to serve."""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Reads and writes what one run leaves behind."""

    path: Path

    @property
    def candidate(self) -> Path:
        return self.path / "candidate"

    @property
    def order(self) -> Order:
        """Return what was asked. Raises StageMissing when this is no run's folder."""
        try:
            return Order.model_validate_json((self.path / "run.json").read_bytes())
        except FileNotFoundError as error:
            raise StageMissing(
                f"{self.path} is no run's folder: `python -m training.retrain` makes one."
            ) from error
        except ValidationError as error:
            raise StageMissing(f"{self.path / 'run.json'} cannot be read: {error}") from error

    def has(self, stage: str) -> bool:
        return (self.path / f"{stage}.json").is_file()

    def read(self, stage: str) -> dict[str, Any]:
        """Return a stage's artifact. Raises StageMissing that names the stage to run first."""
        try:
            artifact: dict[str, Any] = json.loads((self.path / f"{stage}.json").read_bytes())
        except FileNotFoundError as error:
            raise StageMissing(
                f"{stage}.json is not in {self.path};"
                f" run `python -m training.stages.{stage} {self.path}` first."
            ) from error
        return artifact

    def write(self, stage: str, artifact: Mapping[str, Any]) -> None:
        """Keep a stage's artifact: whole, or not at all."""
        draft = self.path / f"{stage}{_DRAFT}"
        draft.write_text(json.dumps(artifact, indent=1, ensure_ascii=False) + "\n")
        os.replace(draft, self.path / f"{stage}.json")


def begin_run(
    runs_dir: Path, *, champion: str | None, who: str, dataset: Path | None, is_promoted: bool
) -> RunFolder:
    """Make the folder of a new run, and forget all but the newest runs before it."""
    now = datetime.now(UTC)
    folder = _new_folder(runs_dir, named=f"{now:%Y%m%d-%H%M%S}")
    order = Order(
        run=folder.path.name,
        begun_at=now,
        who=who,
        champion=champion,
        dataset=str(dataset.resolve()) if dataset else None,
        is_promoted=is_promoted and dataset is None,
    )
    (folder.path / "run.json").write_text(order.model_dump_json(indent=1) + "\n")
    earlier = sorted(one for one in folder.path.parent.iterdir() if one.is_dir())
    for old in earlier[:-RUNS_KEPT]:
        shutil.rmtree(old)
    return folder


def _new_folder(runs_dir: Path, *, named: str) -> RunFolder:
    for number in itertools.count(1):
        path = runs_dir / (named if number == 1 else f"{named}-{number}")
        try:
            path.mkdir(parents=True, mode=0o700)
        except FileExistsError:  # another run began within the same second
            continue
        return RunFolder(path)
    raise AssertionError("there is always a next number")


Stage = Callable[[RunFolder, Settings, Report], None]


def run_alone(stage: Stage, given: Sequence[str] | None = None) -> int:
    """Run one stage over the run's folder that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {stage.__module__}",
        description=(sys.modules[stage.__module__].__doc__ or "").split("\n\n")[0],
    )
    parser.add_argument("run", type=Path, help="the run's folder, HOME/retraining/RUN")
    arguments = parser.parse_args(given)
    return end_of(lambda: stage(RunFolder(arguments.run), Settings(), say)).status


@dataclass(frozen=True, slots=True)
class End:
    """How work ended, and what stopped it, a sentence or a reason each."""

    status: Exit
    why: tuple[str, ...] = ()


def end_of(work: Callable[[], None]) -> End:
    """Do the work and say how it ended. What nobody foresaw is raised."""
    try:
        work()
    except GateClosed as closed:
        for reason in closed.reasons:
            say(f"  {reason}")
        say(f"{(type(closed).__doc__ or '').strip()}")
        return End(closed.status, closed.reasons)
    except Unschedulable as error:
        say(str(error))
        return End(Exit.NO_ROOM, (str(error),))
    except (HubError, psycopg.Error, OSError) as error:
        say(f"{error}\nThe champion stays as it is; what was made lies in the run's folder.")
        return End(Exit.FAILED, (str(error),))
    return End(Exit.DONE)


def say(line: str) -> None:
    """Print a line where whoever waits sees it at once."""
    print(line, flush=True)
