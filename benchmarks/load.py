"""A closed-loop load: N clients on keep-alive connections, each asking when it has its answer."""

import json
import math
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

from benchmarks.questions import SYNTHETIC_QUERIES
from contracts.errors import HubError
from contracts.settings import PROJECT

Mix = Literal["unique", "zipf"]


class LoadFailed(HubError):
    """The load client broke; nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is to be asked, by how many and for how long."""

    url: str
    """Of the server, as in `http://127.0.0.1:8000`."""
    clients: int
    duration_s: float = 8.0
    warmup_s: float = 2.0
    """Asked before the measuring starts; not in the figures, but in `interaction_ids`."""
    mix: Mix = "unique"
    first: int = 0
    """Number of the first unique question; the seed of a repeated mix."""
    questions: str = str(SYNTHETIC_QUERIES)
    options: dict[str, Any] = field(default_factory=dict)
    """Further fields of each request, such as `{"top_k": 3}`."""
    timeout_s: float = 30.0
    keep_ids: bool = False
    keep_answers: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """One 200 of the measured time: when it was asked (`perf_counter`), and what it said."""

    sent_s: float
    latency_ms: float
    text: str
    model_version: str | None
    intent: str | None
    confidence: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """What came of a load. Latencies are of the 200s that ended in the measured time."""

    clients: int
    mix: str
    duration_s: float
    answered: int
    degraded: int
    """Of the answered, those that lacked a part."""
    asked: int
    """Questions sent in all, warm-up included: the next run starts at `first + asked`."""
    requests_per_s: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: dict[str, int]
    """By status ("503"), or "reset", "refused" and "timeout" of a connection; warm-up included."""
    client_cpu_ms: float
    """CPU that this client itself took, per answer."""
    interaction_ids: tuple[str, ...] = ()
    """With `keep_ids`: of every 200 that was received whole, warm-up included."""
    answers: tuple[Answer, ...] = ()
    """With `keep_answers`: in the order in which they came."""


def percentile(ordered: list[float], share: float) -> float:
    """Return the nearest-rank percentile of ascending values; nan of none."""
    if not ordered:
        return float("nan")
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


class LoadProcess:
    """A load in a process of its own, so that asking does not wait for whoever started it."""

    def __init__(self, load: Load) -> None:
        """Start it."""
        # The end of its standard input ends it: we close that to stop it, the kernel if we die.
        reading, self._writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.load_client"],
                cwd=PROJECT,
                stdin=reading,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        finally:
            os.close(reading)
        os.write(self._writing, json.dumps(asdict(load)).encode() + b"\n")

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait(self) -> LoadReport:
        """Wait for the end and return the report. Raises LoadFailed."""
        said, complaint = self._process.communicate()
        if self._process.returncode != 0:
            raise LoadFailed(complaint.decode(errors="replace").strip()[-2000:])
        document = json.loads(said)
        document["interaction_ids"] = tuple(document["interaction_ids"])
        document["answers"] = tuple(Answer(**one) for one in document["answers"])
        return LoadReport(**document)

    def stop(self) -> LoadReport:
        """End it now and return the report of what was measured until now. Raises LoadFailed."""
        self._close()
        return self.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()
        if self.is_running:
            self._process.kill()
            self._process.communicate()

    def _close(self) -> None:
        if self._writing >= 0:
            os.close(self._writing)
            self._writing = -1


def apply_load(load: Load) -> LoadReport:
    """Apply a load and return its report. Raises LoadFailed."""
    with LoadProcess(load) as process:
        return process.wait()
