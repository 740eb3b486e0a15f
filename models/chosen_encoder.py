"""The encoder of knowledge and queries that the settings name: the only place that chooses."""

from contracts.errors import EmbedderAway, SettingsError
from contracts.settings import Settings
from models.breaker import Breaker
from models.encoder import Encoder
from models.text_encoder import TextEncoder
from models.vertex import VertexEncoder
from models.vertex_service import FOR_LOADS, FOR_QUERIES, VertexService


def open_text_encoder(settings: Settings, *, is_load: bool = False) -> TextEncoder:
    """Return the encoder of HUB_EMBEDDER, for queries or for a load of knowledge.

    Raises FileNotFoundError when this machine has no encoder yet, SettingsError when Vertex AI is
    not set up. No service is asked: one that is away now may answer later.
    """
    if settings.embedder == "local":
        # The second one is there for a batch: 4 % more queries a second on two cores.
        return Encoder(settings.encoder_dir, threads=2)
    if settings.vertex_project is None:
        raise SettingsError("HUB_EMBEDDER=vertex needs HUB_VERTEX_PROJECT.")
    service = VertexService(
        project=settings.vertex_project,
        location=settings.vertex_location,
        model=settings.vertex_model,
        endpoint=settings.vertex_endpoint,
        patience=FOR_LOADS if is_load else FOR_QUERIES,
        breaker=None if is_load else Breaker("Vertex AI", failure=EmbedderAway),
    )
    return VertexEncoder(service, model=settings.vertex_model)
