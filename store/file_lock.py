"""One at a time among the processes of one machine: a lock on a file, which the kernel lets go."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Wait until no other holds this file's lock, and hold it for the block.

    The file is made when it is missing, its folder is there; it stays. A process that dies lets go.
    """
    descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
