"""The reports of all replicas while one of them leaves."""

from typing import Any

import grpc
import pytest
from ray.exceptions import ActorDiedError, RayTaskError
from ray.serve.exceptions import RayServeException

from graph import reports
from graph.reports import reports_of

HELD = [{"replica": "a", "version": "v3"}]


class Replicas:
    """A deployment's handle whose broadcasts end as told, the last one for ever."""

    def __init__(self, *ends: list[dict[str, Any]] | Exception) -> None:
        self.ends = list(ends)
        self.asked = 0

    def broadcast(self, method: str) -> "Replicas":
        assert method == "report"
        self.asked += 1
        return self

    async def results_async(self) -> list[dict[str, Any]]:
        end = self.ends.pop(0) if len(self.ends) > 1 else self.ends[0]
        if isinstance(end, Exception):
            raise end
        return end


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "ASK_AGAIN_AFTER_S", 0.0)


LOST = [ActorDiedError(), grpc.RpcError("gone"), RayServeException("none takes calls")]


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: type(lost).__name__)
async def test_who_leaves_in_the_middle_is_asked_no_more(lost: Exception) -> None:
    replicas: Any = Replicas(lost, HELD)
    assert await reports_of(replicas, "classifier") == HELD
    assert replicas.asked == 2


@pytest.mark.parametrize("lost", LOST, ids=lambda lost: type(lost).__name__)
async def test_who_never_answers_is_a_stage_that_is_away(lost: Exception) -> None:
    replicas: Any = Replicas(lost)
    with pytest.raises(ConnectionError, match="not every classifier replica answers"):
        await reports_of(replicas, "classifier")
    assert replicas.asked == reports.ASK_TIMES


@pytest.mark.parametrize(
    "own",
    [ValueError("a bug"), RayTaskError("report", "a bug", ValueError("a bug"))],
    ids=lambda own: type(own).__name__,
)
async def test_a_replicas_own_error_is_not_hidden(own: Exception) -> None:
    replicas: Any = Replicas(own)
    with pytest.raises(type(own)):
        await reports_of(replicas, "classifier")
    assert replicas.asked == 1
