"""What came of swaps under load, against what was promised."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.table import Table

from benchmarks.load import Answer, LoadReport, percentile
from benchmarks.swap_candidates import Said

MAY_TAKE_MS: Final = 200.0
"""The 99th percentile of all that was asked while versions changed."""
MAY_GROW: Final = 0.05
MAY_DIFFER: Final = 0.35
"""In confidence: what shares a batch changes it, by 0.27 at most in what was tried. The intent,
which is another one in every version, has to be the same."""


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap: when it was under way (`perf_counter`), what was said, and who was champion then.

    `wrong` is what is wrong with the candidate (empty: nothing), `said` why it was refused.
    """

    version: str
    wrong: str
    began_s: float
    ended_s: float
    said: str
    champion: str

    @property
    def went_well(self) -> bool:
        """A good one is champion and nothing was said; a corrupt one is not, and something was."""
        return (self.champion == self.version) == (not self.said) == (not self.wrong)

    @property
    def line(self) -> str:
        took = f"{self.ended_s - self.began_s:.1f} s"
        return f"{self.version} {self.wrong or 'good'}: {self.said or 'champion'} ({took})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A load and the swaps during it. `controller_share` and `foreign_cores` are in CPUs."""

    replicas: int
    report: LoadReport
    swaps: tuple[Swap, ...]
    before_bytes: int
    after_bytes: int
    controller_share: float
    foreign_cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The figures, and a sentence for each promise that was not kept."""

    replicas: int
    answered: int
    errors: dict[str, int]
    unclassified: int
    """200s without a model's answer: the classifier was away."""
    impostors: int
    """Answers that the version they name does not give."""
    p50_ms: float
    p95_ms: float
    p99_ms: float
    worst_ms: float
    during_swaps: int
    swaps_p99_ms: float
    """Of the answers that were under way while a swap was."""
    swap_s: float
    """The mean of the good ones, golden set included."""
    before_bytes: int
    after_bytes: int
    controller_share: float
    foreign_cores: float
    missed: list[str] = field(default_factory=list)


def judge(measured: Measured, *, said: Mapping[str, Mapping[str, Said]]) -> Verdict:
    """Compare every answer with what its version says of that text, and every figure with its bar.

    `said` is by version, by text; a version that is not in it must not have answered.
    """
    report = measured.report
    answers = [one for one in report.answers if one.model_version is not None]
    impostors = [one for one in answers if not _is_of(one, said.get(str(one.model_version), {}))]
    during = sorted(one.latency_ms for one in report.answers if _overlaps(one, measured.swaps))
    good = [swap for swap in measured.swaps if not swap.wrong]
    verdict = Verdict(
        replicas=measured.replicas,
        answered=report.answered,
        errors=report.errors,
        unclassified=report.answered - len(answers),
        impostors=len(impostors),
        p50_ms=report.p50_ms,
        p95_ms=report.p95_ms,
        p99_ms=report.p99_ms,
        worst_ms=max((one.latency_ms for one in report.answers), default=float("nan")),
        during_swaps=len(during),
        swaps_p99_ms=percentile(during, 0.99),
        swap_s=sum(swap.ended_s - swap.began_s for swap in good) / max(1, len(good)),
        before_bytes=measured.before_bytes,
        after_bytes=measured.after_bytes,
        controller_share=measured.controller_share,
        foreign_cores=measured.foreign_cores,
    )
    grown = measured.after_bytes / measured.before_bytes - 1
    promises = [
        (not report.errors, f"every answer is a 200: {report.errors}"),
        (not verdict.unclassified, f"a model answers: {verdict.unclassified} times none did"),
        (not impostors, f"an answer is its version's: {len(impostors)} are not, {impostors[:3]}"),
        (verdict.p99_ms <= MAY_TAKE_MS, f"p99 at most {MAY_TAKE_MS:g}: {verdict.p99_ms:.0f} ms"),
        (
            verdict.swaps_p99_ms <= MAY_TAKE_MS,
            f"p99 during swaps at most {MAY_TAKE_MS:g}: {verdict.swaps_p99_ms:.0f} ms",
        ),
        (grown <= MAY_GROW, f"memory grows by at most {MAY_GROW:.0%}: by {grown:.1%}"),
        *((swap.went_well, f"swap {swap.line}") for swap in measured.swaps),
    ]
    count = f"{measured.replicas} replica{'s'[: measured.replicas > 1]}"
    verdict.missed.extend(f"({count}) {promise}" for is_kept, promise in promises if not is_kept)
    return verdict


def _overlaps(answer: Answer, swaps: Sequence[Swap]) -> bool:
    end_s = answer.sent_s + answer.latency_ms / 1000
    return any(swap.began_s <= end_s and answer.sent_s <= swap.ended_s for swap in swaps)


def _is_of(answer: Answer, said: Mapping[str, Said]) -> bool:
    if answer.text not in said or answer.confidence is None:
        return False
    intent, confidence = said[answer.text]
    return answer.intent == intent and abs(answer.confidence - confidence) <= MAY_DIFFER


def table_of(verdicts: Sequence[Verdict]) -> Table:
    """Return the figures, a column for each number of replicas."""
    table = Table("", *(f"{one.replicas} replica{'s'[: one.replicas > 1]}" for one in verdicts))
    rows: dict[str, Callable[[Verdict], str]] = {
        "answers": lambda one: f"{one.answered:,}",
        "other than 200": lambda one: str(sum(one.errors.values())),
        "without a model's answer": lambda one: str(one.unclassified),
        "not of the version named": lambda one: str(one.impostors),
        "p50, p95 (ms)": lambda one: f"{one.p50_ms:.0f}, {one.p95_ms:.0f}",
        "p99 (ms)": lambda one: f"{one.p99_ms:.0f}",
        "p99 during swaps (ms)": lambda one: f"{one.swaps_p99_ms:.0f} of {one.during_swaps:,}",
        "slowest (ms)": lambda one: f"{one.worst_ms:.0f}",
        "a swap (s)": lambda one: f"{one.swap_s:.1f}",
        "memory before, after (MB)": lambda one: (
            f"{one.before_bytes / 1e6:.0f}, {one.after_bytes / 1e6:.0f}"
            f" ({one.after_bytes / one.before_bytes - 1:+.1%})"
        ),
        "Serve's controller (CPUs)": lambda one: f"{one.controller_share:.3f}",
        "others' load (CPUs)": lambda one: f"{one.foreign_cores:.1f}",
    }
    for name, said in rows.items():
        table.add_row(name, *(said(one) for one in verdicts))
    return table
