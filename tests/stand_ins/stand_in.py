"""What every stand-in is: a server that runs while a `with` block does."""

from abc import ABC, abstractmethod
from typing import Self


class StandIn(ABC):
    """Can be stopped in the block, as a service goes away, and started again on the same port."""

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
