"""What came of a hub on several nodes, against what was promised."""

from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.table import Table

from benchmarks.load import LoadReport
from training.stages.run import Exit

SERVING: Final = "serving"
TRAINING: Final = "training"
WHOLE_WITHIN_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What happened, for each promise."""

    most_embedders: int
    embedders_beside: int
    """Of them, on the second node."""
    scaling: LoadReport
    killed: LoadReport
    lost: int
    """Interaction ids that a client received and that were not stored, or more than once."""
    whole_after_s: float
    trained_on: tuple[str, ...]
    training_status: int
    without_token: int
    """The exit status of the same submission without the token."""
    serving_on_training_node: int

    def broken(self) -> list[str]:
        """Return a sentence for each promise that was not kept."""
        promises = {
            "the embedder grew to three": self.most_embedders >= 3,
            "onto the second node": self.embedders_beside >= 1,
            "no query failed while it grew and shrank": not self.scaling.errors
            and not self.scaling.degraded,
            "whoever got an answer finds it stored once": self.lost == 0,
            "answers came while a node died": self.killed.answered > 0,
            f"whole again within {WHOLE_WITHIN_S:.0f} s": self.whole_after_s <= WHOLE_WITHIN_S,
            "trained on the node for training": self.trained_on == (TRAINING,),
            "the retraining came to a verdict": self.training_status
            in (Exit.DONE, Exit.CANDIDATE_WORSE),
            "nobody trains without the token": self.without_token != 0,
            "nothing serves on the node for training": self.serving_on_training_node == 0,
        }
        return [promise for promise, is_kept in promises.items() if not is_kept]


def show(found: Found, *, console: Console) -> int:
    """Print the table and what was not kept, and return the exit status."""
    table = Table("", "seen", show_edge=False)
    scaling, killed = found.scaling, found.killed
    table.add_row(
        "embedders under load",
        f"{found.most_embedders}, {found.embedders_beside} on the second node",
    )
    table.add_row(
        f"{scaling.clients} clients meanwhile",
        f"{scaling.answered} answered, {scaling.degraded} degraded, errors {scaling.errors or 0}",
    )
    table.add_row("a node killed: whole again after", f"{found.whole_after_s:.1f} s")
    table.add_row(
        f"{killed.clients} clients meanwhile",
        f"{killed.answered} answered, errors {killed.errors or 0}, {found.lost} rows lost",
    )
    table.add_row(
        "the retraining",
        f"status {found.training_status} on {', '.join(found.trained_on) or 'no node'};"
        f" without the token {found.without_token}",
    )
    console.print(table)
    broken = found.broken()
    for promise in broken:
        console.print(f"[red]not kept:[/] {promise}")
    return 1 if broken else 0
