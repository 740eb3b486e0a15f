"""What the learning-loop benchmark makes of what happened: a table, a sentence, an exit status."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from training.significance import Significance
from training.stages.run import Exit

LEAST_GAIN: Final = 0.05
SWAPPED: Final = ("dining", "library")
SIGNS: Final = {"by chance": ("noise: ",), "swapped": ("swap: ", *SWAPPED)}
"""The sets that must be stopped, and what the reason must name."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """How one retraining ended: its exit status, what the label-consistency gate said, and how
    many labels two people stood for."""

    status: int
    reasons: tuple[str, ...]
    verified: int

    @property
    def ending(self) -> str:
        """The exit status in words; one that the chain does not know (a signal's) as a number."""
        known = {status.value: status.name.lower().replace("_", " ") for status in Exit}
        return known.get(self.status, f"status {self.status}")


def show(
    *,
    champion: str,
    candidate: str | None,
    gain: tuple[int, int, Significance] | None,
    honest: Retrained,
    stopped: Mapping[str, Retrained],
    console: Console,
) -> int:
    """Print the table, and return the exit status."""
    table = Table("set of labels", "verified", "how the retraining ended", title="learning loop")
    ended = {"honest": honest, **stopped}
    for name, one in ended.items():
        table.add_row(name, str(one.verified), "; ".join([one.ending, *one.reasons]))
    console.print(table)
    if gain is not None:
        old, new, found = gain
        console.print(
            f"{found.items} held-out drifted queries: {champion} {old / found.items:.1%} right,"
            f" {candidate} {new / found.items:.1%}: {found.difference:+.1%}"
            f" (95 % interval {found.low:+.1%} to {found.high:+.1%}, McNemar p {found.p_value:.1g})"
        )
    fails = shortcomings(honest, gain=gain[2].difference if gain else None, stopped=stopped)
    console.print("the loop turns, and no poison passes" if not fails else "; ".join(fails))
    return 1 if fails else 0


def shortcomings(
    honest: Retrained, *, gain: float | None, stopped: Mapping[str, Retrained]
) -> list[str]:
    """Say what is missing to a loop that turns; `gain` is None when nothing was published."""
    fails = []
    if honest.status != Exit.DONE or gain is None:
        fails.append("the honest labels made no version that passed its gates")
    elif gain < LEAST_GAIN:
        fails.append(f"the new version is not better by {LEAST_GAIN:.0%}")
    for name, words in SIGNS.items():
        one = stopped[name]
        named = [reason for reason in one.reasons if all(word in reason for word in words)]
        if one.status != Exit.LABELS_INCONSISTENT or not named:
            fails.append(f"the labels {name} were not stopped for what they are")
    return fails
