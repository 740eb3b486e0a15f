"""What a hub needs before it can serve: models in the artifact store, knowledge in the database.

Each part is cached by what it is made of, so doing it again costs little.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

from contracts.errors import EmbedderAway
from contracts.settings import DATA, Settings
from models.chosen_encoder import open_text_encoder
from scripts.cluster import Overrides, serve_config
from scripts.connections import connections_needed, read_room, require_room
from scripts.migrate_vectors import migrate_vectors
from store.database import connect
from store.knowledge_file import KnowledgeFile
from store.migrate import migrate
from store.server import read_server
from training.examples import read_labels

Step = Callable[[str], AbstractContextManager[Callable[[str], None]]]
"""Shows what is going on, and for how long: `with step("doing this") as say: say("half done")`."""


def prepare_models(settings: Settings, *, step: Step) -> None:
    """Export the encoder and make the first classifier, unless both are there already."""
    # Torch takes seconds to import, and only this step needs it.
    from training.export_encoder import export_encoder
    from training.first_version import make_first_version

    with step("encoder: all-MiniLM-L6-v2 as ONNX"):
        export_encoder(settings.encoder_dir)
    with step("classifier: trained once for each state of data and code (a few minutes)") as say:
        make_first_version(settings, report=say)


def prepare_schema(settings: Settings, *, step: Step, overrides: Overrides | None = None) -> None:
    """Apply the migrations, and see that the database takes all connections of the graph.

    Raises DatabaseUnavailable, DatabaseTooOld, SchemaMismatch, and SettingsError for too many.
    """
    assert settings.database_url is not None, "the caller starts or names the database"
    with (
        step("database: migrations") as say,
        connect(settings.database_url, vectors=False) as connection,
    ):
        migrate(connection)
        say(str(read_server(connection)))
        config = serve_config(
            http_host=settings.http_host, http_port=settings.http_port, overrides=overrides
        )
        needed = connections_needed(config, pool_size=settings.database_pool_size)
        say(require_room(needed, read_room(connection)))


def prepare_knowledge(settings: Settings, *, step: Step) -> None:
    """Load the knowledge nodes that are new or changed; bad rows are named and left out.

    Without the service that embeds, they are loaded all the same, and found by their words.
    """
    assert settings.database_url is not None, "the caller starts or names the database"
    with step("knowledge nodes: embedding and loading") as say:
        try:
            report = migrate_vectors(
                KnowledgeFile(DATA / "knowledge_nodes.json", intents=read_labels()),
                database_url=settings.database_url,
                encoder=open_text_encoder(settings, is_load=True),
                advance=lambda what, done, of: say(f"{what}: {done}{f' of {of}' if of else ''}"),
                list_bad=lambda row: say(f"{row.place} left out: {row.reason}"),
            )
        except EmbedderAway as error:
            say(f"{error} What is loaded is found by its words; later make its vectors with")
            say("python scripts/migrate_vectors.py")
            return
        for node, why in report.too_long.items():
            say(f"node {node} has no vector: {why}")
