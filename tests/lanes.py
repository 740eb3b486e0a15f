"""What `pytest -n` may run at the same time: the shared hub's tests beside all others.

A scheduler of our own, and not `--dist loadgroup`: under pytest 9.2 that groups nothing
(pytest-xdist issue 1386).
"""

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from tests.oldest_postgres import OLDEST

HUB = ("tests/acceptance/", "tests/browser/")


class Lanes(LoadScopeScheduling):
    """Keeps in one process what shares a hub, and of a file what shares a Postgres."""

    def _split_scope(self, nodeid: str) -> str:
        file, _, test = nodeid.partition("::")
        if file.startswith(HUB):
            return "hub"
        return f"{file} {OLDEST if f'[{OLDEST}' in test else ''}"


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Lanes:
    """Return the lanes, in the order of collection: the hub's takes longest and comes first."""
    config.option.loadscopereorder = False
    return Lanes(config, log)
