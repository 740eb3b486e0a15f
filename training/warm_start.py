"""Begin where a champion is: its weights, and its head's rows under the intents' names."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from contracts.errors import ArtifactError

if TYPE_CHECKING:
    from training.intent_model import IntentModel


@dataclass(frozen=True, slots=True)
class WarmStart:
    """A version's `model.safetensors`, its labels in their order, and the intents retired since.

    `retired` maps an old intent to the one that takes its place, or to None when none does.
    """

    weights: Path
    labels: tuple[str, ...]
    retired: Mapping[str, str | None] = field(default_factory=dict)

    def rows_of(self, labels: Sequence[str]) -> list[list[int]]:
        """Return for each of `labels` the rows of the old head that it goes on from.

        An intent that was there before has its own; one that took the place of others has theirs;
        a new one has none.
        """
        heirs = [_heir(old, labels=labels, retired=self.retired) for old in self.labels]
        return [
            [self.labels.index(label)]
            if label in self.labels
            else [row for row, heir in enumerate(heirs) if heir == label]
            for label in labels
        ]

    def describe(self, labels: Sequence[str]) -> str:
        """Say in a line what is carried over into a model of `labels`."""
        rows = self.rows_of(labels)
        fresh = [label for label, found in zip(labels, rows, strict=True) if not found]
        used = {row for found in rows for row in found}
        gone = [label for row, label in enumerate(self.labels) if row not in used]
        said = [f"{len(labels) - len(fresh)} of {len(labels)} intents go on from the champion's"]
        said += [f"new: {', '.join(fresh)}"] if fresh else []
        said += [f"gone: {', '.join(gone)}"] if gone else []
        return "; ".join(said)


def _heir(old: str, *, labels: Sequence[str], retired: Mapping[str, str | None]) -> str | None:
    """Return the intent that an old one became, over as many steps as there were, or None."""
    name: str | None = old
    for _ in range(len(retired) + 1):  # a circle in the mapping ends, too
        if name is None or name in labels:
            return name
        name = retired.get(name)
    return None


def load_start(model: "IntentModel", start: WarmStart, *, labels: Sequence[str]) -> None:
    """Put the champion's weights into `model`, whose head has one row for each of `labels`.

    The row of an intent that took the place of several is their mean; the row of a new intent
    stays as it is. Raises ArtifactError when the weights are of another backbone.
    """
    import torch
    from safetensors.torch import load_file

    try:
        weights = load_file(start.weights)
        old = {part: weights.pop(f"head.{part}") for part in ("weight", "bias")}
        if len(old["weight"]) != len(start.labels):
            raise RuntimeError(f"its head has {len(old['weight'])} rows")
        head = {f"head.{name}" for name, _ in model.head.named_parameters()}
        missing, unexpected = model.load_state_dict(weights, strict=False)
        if unexpected or set(missing) != head:
            raise RuntimeError("it is another backbone's")
    except (OSError, KeyError, RuntimeError) as error:
        raise ArtifactError(
            f"{start.weights} cannot be gone on from as a model of {len(start.labels)} intents:"
            f" {error}. Nothing was trained; train from the pretrained encoder instead."
        ) from error
    with torch.no_grad():
        for row, found in enumerate(start.rows_of(labels)):
            if found:
                model.head.weight[row] = old["weight"][found].mean(dim=0)
                model.head.bias[row] = old["bias"][found].mean(dim=0)
