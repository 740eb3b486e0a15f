"""What every test may ask for: a home with the encoder and the first version, made once."""

import os
import shutil
from pathlib import Path

import pytest

from contracts.records import Vectors
from contracts.settings import Settings
from models.classifier import IntentClassifier
from models.encoder import Encoder
from store.artifacts import open_store
from store.registry import Registry
from training.examples import QUERIES_FILE, read_examples, read_labels
from training.export_encoder import export_encoder
from training.first_version import first_recipe, make_first_version
from training.vectors import FILE as VECTORS_FILE
from training.vectors import KnownVectors

pytest_plugins = [
    "tests.live_hub",
    "tests.recorded_metrics",
    "tests.stores",
    "tests.django_log",
]

REPOSITORY = Path(__file__).resolve().parent.parent
DEFAULT_HOME = REPOSITORY / ".hub"
"""Where `make run` keeps what it trains: whoever trains first, tests or run, the other finds it."""


@pytest.fixture(scope="session")
def hub_home(pytestconfig: pytest.Config) -> Path:
    """A HUB_HOME of the tests' own, with the encoder and v3 of the present data and code.

    It lies under HUB_TEST_HOME (default .hub/test). Making it takes minutes when the recipe is
    new, and nothing when it is not. To be read only.
    """
    root = Path(os.environ.get("HUB_TEST_HOME", DEFAULT_HOME / "test"))
    home = root / first_recipe()
    _forget_old(root, keep=home)
    settings = Settings(home=home, artifacts=str(home / "artifacts"))
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():  # minutes: whoever waits must see why
        export_encoder(settings.encoder_dir)
        make_first_version(settings, cache_dir=DEFAULT_HOME / "cache")
    return home


def _forget_old(root: Path, *, keep: Path, homes: int = 3) -> None:
    """Remove the homes of recipes long gone; those of tests that may still run stay."""
    others = [home for home in root.glob("*") if home.is_dir() and home != keep]
    others.sort(key=lambda home: home.stat().st_mtime, reverse=True)
    for home in others[homes - 1 :]:
        shutil.rmtree(home)


@pytest.fixture(scope="session")
def encoder(hub_home: Path) -> Encoder:
    """The embedder's model as served."""
    return Encoder(hub_home / "encoder", threads=2)


@pytest.fixture(scope="session")
def training_vectors(encoder: Encoder, champion_folder: Path) -> Vectors:
    """The project's own queries in the file's order, as v3 keeps them: shape (queries, dims)."""
    queries = read_examples(QUERIES_FILE, labels=read_labels())
    known = KnownVectors(encoder)
    known.read(champion_folder / VECTORS_FILE)
    return known.encode([query.text for query in queries])


@pytest.fixture(scope="session")
def champion_folder(hub_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the first version, verified."""
    registry = Registry(open_store(str(hub_home / "artifacts")))
    champion = registry.champion()
    assert champion is not None
    cache = tmp_path_factory.mktemp("cache")
    return registry.fetch(champion.version, cache_dir=cache)


@pytest.fixture(scope="session")
def classifier(champion_folder: Path) -> IntentClassifier:
    """The first version as served."""
    return IntentClassifier(champion_folder, threads=2)
