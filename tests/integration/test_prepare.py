"""What is made ready before a hub serves, with and without the service that embeds."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contracts.settings import Settings
from models import chosen_encoder
from models.vertex import vertex_space
from models.vertex_service import Patience
from scripts.prepare import prepare_knowledge
from store.database import Connection
from store.knowledge import count_by_space
from tests.stand_ins.vertex import VertexStandIn

SPACE = vertex_space("text-embedding-005").fingerprint


def test_a_hub_starts_while_the_service_that_embeds_is_away_and_its_knowledge_is_loaded(
    database_url: str, connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen_encoder, "FOR_LOADS", Patience(deadline_s=0.3))
    said: list[str] = []

    @contextmanager
    def step(what: str) -> Iterator[Callable[[str], None]]:
        yield said.append

    with VertexStandIn() as vertex:
        settings = Settings(
            home=tmp_path,
            database_url=database_url,
            embedder="vertex",
            vertex_project="campus",
            vertex_endpoint=vertex.endpoint,
        )
        vertex.stop()
        prepare_knowledge(settings, step=step)
        assert "gives no vectors just now" in said[-2]
        (space,) = count_by_space(connection)
        assert (space.fingerprint, space.vectors, space.nodes > 100) == (SPACE, 0, True)
        vertex.start()
        monkeypatch.undo()
        prepare_knowledge(settings, step=step)
    (space,) = count_by_space(connection)
    assert space.vectors == space.nodes
