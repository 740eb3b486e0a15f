"""The steps of a night: snapshot, label gate, retrain, report. Each can be taken again."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

from contracts.errors import ArtifactError
from contracts.settings import Settings
from scripts.night import Night, Step, StepEnd
from scripts.report import write_report
from scripts.snapshot import take_snapshots
from store.artifacts import open_store
from store.database import connect
from store.labels import read_verified
from store.registry import Registry
from training.lineage import made_of_labels, used_by
from training.retrain import Retraining, retrain
from training.snapshot import Taken
from training.stages.label_gate import decide_for
from training.stages.run import Exit, say

REPORTED: Final = timedelta(days=7)


def _take(url: str, settings: Settings, night: date) -> list[Taken]:
    return take_snapshots(url, store_url=settings.artifacts_root, day=night, say=say)


def _retrain(settings: Settings, is_promoted: bool) -> Retraining:
    return retrain(settings, is_dry_run=False, is_promoted=is_promoted, dataset=None)


@dataclass(frozen=True, slots=True)
class NightSteps:
    """The steps over one hub's database and store. `take` and `learn` do the two long ones."""

    settings: Settings
    url: str
    night: date
    is_promoted: bool = True
    take: Callable[[str, Settings, date], list[Taken]] = _take
    learn: Callable[[Settings, bool], Retraining] = _retrain

    def chain(self) -> list[Step]:
        """Return what is done in order; the report comes after it, whatever happened."""
        return [
            Step(
                "snapshot",
                "Days that were written stay, and nothing was trained. Run it again: it takes what"
                " is missing.",
                self.snapshot,
            ),
            Step(
                "label gate",
                "The snapshot stays, and nothing was trained. Run it again.",
                self.label_gate,
            ),
            Step(
                "retrain",
                "The snapshot stays, and so does the champion; what was made lies in"
                f" {self.settings.runs_dir}. Run it again: it begins anew.",
                self.retrain,
            ),
        ]

    def last(self) -> Step:
        """Return the report's step."""
        return Step(
            "report",
            "What the steps before made stays. `python -m scripts.report` writes it.",
            self.report,
        )

    def snapshot(self) -> StepEnd:
        """Take the day's, and those of days before that lack one; what is there stays."""
        taken = self.take(self.url, self.settings, self.night)
        new = [one.manifest for one in taken if one.is_new]
        rows = ", ".join(f"{one.dataset} of {one.day}: {one.rows:,} rows" for one in new)
        return StepEnd(
            "done",
            rows or "there already; it stays",
            facts={"taken": [[one.dataset, str(one.day), one.rows] for one in new]},
        )

    def label_gate(self) -> StepEnd:
        """Open when there are labels enough that no version was made of yet.

        The retraining's own gate knows what the champion learned. A night also leaves alone what
        another version was made of: one that the regression gate stopped, that waits to be
        promoted, or that a person rolled back, would only be made once more.
        """
        settings, cache = self.settings, self.settings.cache_dir
        registry = Registry(open_store(settings.artifacts_root))
        champion = registry.champion()
        if champion is None:
            raise ArtifactError("There is no champion to go on from; `make run` makes the first.")
        with connect(self.url, vectors=False) as connection:
            labels = read_verified(connection)
        # A night with nothing new trains nothing, even where a person may (HUB_RETRAIN_MIN_NEW=0).
        least_new = max(1, settings.retrain_min_new)
        used = used_by(registry, champion.version, cache_dir=cache)
        decision = decide_for(labels, settings=settings, used=used, least_new=least_new)
        facts = {"champion": champion.version, "counted": len(decision.counted)}
        if not decision.passed:
            return StepEnd(
                "nothing to do", "; ".join(decision.reasons), facts={**facts, "new": decision.new}
            )
        tried = [one for one in made_of_labels(registry) if one != champion.version]
        for version in tried:
            used |= used_by(registry, version, cache_dir=cache)
        untried = decide_for(labels, settings=settings, used=used, least_new=least_new).new
        facts["new"] = untried
        if untried < least_new:
            return self._tried(registry, tried[-1], untried=untried, least=least_new, facts=facts)
        return StepEnd(
            "done",
            f"{len(decision.counted):,} labels count, {untried:,} of them are in no version",
            facts=facts,
        )

    def _tried(
        self,
        registry: Registry,
        version: str,
        *,
        untried: int,
        least: int,
        facts: dict[str, object],
    ) -> StepEnd:
        """Say what became of the version that was made of these labels."""
        facts = {**facts, "version": version}
        rest = f"{untried} of {least} labels are in no version yet"
        because = registry.manifest(version).stopped_because
        if because is not None:
            return StepEnd(
                "stopped",
                f"{version} was made of these labels, and the regression gate closed: {because};"
                f" {rest}",
                do=_look_at(version),
                status=Night.CANDIDATE_WORSE,
                facts=facts,
            )
        if any(one.version == version for one in registry.promotions()):
            return StepEnd(
                "nothing to do",
                f"{version} was made of these labels, served, and was rolled back; {rest}",
                facts=facts,
            )
        return StepEnd(
            "nothing to do",
            f"{version} was made of these labels, and waits; {rest}",
            do=f"`python -m training.registry promote {version}`",
            status=Night.WAITS,
            facts=facts,
        )

    def retrain(self) -> StepEnd:
        """Retrain, and say how it ended."""
        done = self.learn(self.settings, self.is_promoted)
        why, run = "; ".join(done.end.why), done.run
        version = run.read("publish")["version"] if run and run.has("publish") else None
        facts = {"run": run.path.name if run else None, "version": version}
        match done.end.status:
            case Exit.DONE if run and run.has("swap") and run.read("swap")["swapped"]:
                return StepEnd("done", f"{version} serves", status=Night.PROMOTED, facts=facts)
            case Exit.DONE:
                return StepEnd(
                    "done",
                    f"{version} passed its gates, and was not promoted",
                    do=f"`python -m training.registry promote {version}`",
                    status=Night.WAITS,
                    facts=facts,
                )
            case Exit.NOT_ENOUGH_LABELS:  # labels were taken back since the gate looked
                return StepEnd("nothing to do", why, facts=facts)
            case Exit.ANOTHER_RUNS:
                return StepEnd(
                    "left out",
                    why,
                    do="Run it again when that one has ended, or leave it to the next night.",
                    status=Night.ANOTHER_RUNS,
                    facts=facts,
                )
            case Exit.LABELS_INCONSISTENT if run:
                do = f"Look at suspects.jsonl in {run.path}, and have those labelled again."
            case Exit.CANDIDATE_WORSE:
                do = _look_at(version)
            case Exit.SWAP_FAILED:
                do = f"`python -m training.registry promote {version}` tries it again."
            case Exit.NOT_LIVE:
                do = f"The version before serves. verify.json of the run says what {version} did."
            case _:
                do = self.chain()[-1].if_it_fails
                return StepEnd(
                    "failed", why, do=do, status=Night(int(done.end.status)), facts=facts
                )
        return StepEnd("stopped", why, do=do, status=Night(int(done.end.status)), facts=facts)

    def report(self) -> StepEnd:
        """Count the last seven days, and write the page into HUB_HOME."""
        now = datetime.now(UTC)
        file = self.settings.home_dir / "report.html"
        report = write_report(self.url, since=now - REPORTED, until=now, file=file)
        totals = {source: one.total for source, one in report.sources.items()}
        real = totals["real"]
        return StepEnd(
            "done",
            f"{real.queries:,} questions of {real.sessions:,} sessions in seven days,"
            f" {real.confused:,} not answered; {file}",
            facts={source: asdict(figures) for source, figures in totals.items()},
        )


def _look_at(version: str | None) -> str:
    return (
        f"Look at models/{version}/model_card.html. `python -m training.retrain` tries these"
        " labels again at once; a night waits for new ones."
    )
