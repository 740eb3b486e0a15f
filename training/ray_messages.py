"""What the driver and the workers of a Ray Train run send each other.

Ray Train's own processes read it, too: it imports nothing that would fill their memory.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ray.actor import ActorHandle

from training.config import TrainingConfig
from training.examples import Example


@dataclass(frozen=True, slots=True)
class TrainingJob:
    """What the driver gives to every worker.

    `start` is None for the pretrained encoder; its weights lie in `folder`, which every node
    reaches. `lines` is the actor that takes what there is to say.
    """

    examples: tuple[Example, ...]
    validation: tuple[Example, ...]
    labels: tuple[str, ...]
    config: TrainingConfig
    start_labels: tuple[str, ...] | None
    retired: Mapping[str, str | None]
    folder: str
    lines: ActorHandle[Any]


class Lines:
    """What the workers said and nobody has read yet."""

    def __init__(self) -> None:
        self._said: list[str] = []

    def say(self, line: str) -> None:
        self._said.append(line)

    def take(self) -> list[str]:
        said, self._said = self._said, []
        return said
