"""What happened in a span of time, counted in Postgres: volume, doubt, thumbs, open questions."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from contracts.outcome import ANSWER_FROM
from store.database import Connection
from store.sql import statement

Source = Literal["real", "simulated"]
SOURCES: Final[tuple[Source, ...]] = ("real", "simulated")
UNANSWERED_SHOWN: Final = 20
_BY_THE_HOUR: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of interactions. `confused` got no answer, `low_confidence` are those below 0.60.

    Thumbs are one a session and text: the last.
    """

    queries: int = 0
    sessions: int = 0
    confused: int = 0
    low_confidence: int = 0
    thumbs_up: int = 0
    thumbs_down: int = 0

    @property
    def confusion_rate(self) -> float | None:
        return self.confused / self.queries if self.queries else None

    @property
    def low_confidence_share(self) -> float | None:
        return self.low_confidence / self.queries if self.queries else None

    @property
    def thumbs(self) -> int:
        return self.thumbs_up + self.thumbs_down

    @property
    def thumbs_up_share(self) -> float | None:
        return self.thumbs_up / self.thumbs if self.thumbs else None


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A question, normalised, that was not answered: how often, to how many, and what was guessed.

    `intent` and `because` are the commonest ones; None when no classifier answered.
    """

    text: str
    queries: int
    sessions: int
    intent: str | None
    because: str | None


@dataclass(slots=True)
class SourceReport:
    """One source's figures: in all, over time without gaps, by intent, by model version.

    A name of None stands for interactions that no classifier saw.
    """

    total: Figures = field(default_factory=Figures)
    moments: dict[datetime, Figures] = field(default_factory=dict)
    intents: dict[str | None, Figures] = field(default_factory=dict)
    model_versions: dict[str | None, Figures] = field(default_factory=dict)
    unanswered: list[Unanswered] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Report:
    """The figures of [since, until), by `step`, of each source."""

    since: datetime
    until: datetime
    step: Literal["hour", "day"]
    sources: dict[Source, SourceReport]


def read_report(connection: Connection, *, since: datetime, until: datetime) -> Report:
    """Count what was asked in [since, until), by the hour when that is two days or less.

    Raises psycopg.Error.
    """
    step: Literal["hour", "day"] = "hour" if until - since <= _BY_THE_HOUR else "day"
    span = {"since": since, "until": until}
    sources: dict[Source, SourceReport] = {
        source: SourceReport(moments=dict.fromkeys(_moments(since, until, step=step), Figures()))
        for source in SOURCES
    }
    values: dict[str, Any] = {**span, "step": step, "answer_from": ANSWER_FROM}
    for source, facet, moment, name, *counts in connection.execute(
        statement("report_figures"), values
    ):
        report, figures = sources[source], Figures(*counts)
        if facet == "all":
            report.total = figures
        elif facet == "moment":
            report.moments[moment.astimezone(UTC)] = figures
        elif facet == "intent":
            report.intents[name] = figures
        else:
            report.model_versions[name] = figures
    for source, *found in connection.execute(
        statement("report_unanswered"), {**span, "limit": UNANSWERED_SHOWN}
    ):
        sources[source].unanswered.append(Unanswered(*found))
    return Report(since, until, step, sources)


def _moments(
    since: datetime, until: datetime, *, step: Literal["hour", "day"]
) -> Iterator[datetime]:
    moment = since.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if step == "day":
        moment = moment.replace(hour=0)
    while moment < until:
        yield moment
        moment += timedelta(hours=1) if step == "hour" else timedelta(days=1)
