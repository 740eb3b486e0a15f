"""All that can be set from outside, read from the environment (`HUB_...`) and nowhere else."""

from functools import cached_property
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

from contracts.errors import SettingsError

PROJECT = Path(__file__).resolve().parent.parent
"""Where data/, SQL and web files lie: the checkout, or site-packages when installed as a wheel."""

DATA = PROJECT / "data"


class Settings(BaseSettings):
    """One frozen picture of the environment; each process reads it once, at its start."""

    model_config = SettingsConfigDict(env_prefix="HUB_", frozen=True, extra="ignore")

    home: Path = Field(default=Path(".hub"), description="Where state lives.")
    http_host: str = Field(default="127.0.0.1", description="Where HAProxy listens.")
    http_port: int = Field(default=8000, ge=1, le=65535)
    dashboard_port: int = Field(default=8265, ge=1, le=65535)
    database_url: str | None = Field(
        default=None, description="Any Postgres 15+ with pgvector; unset: the embedded one."
    )
    redis_url: str | None = Field(default=None, description="Shared embedding cache; optional.")
    artifacts: str | None = Field(
        default=None,
        description="Models and datasets: a folder, or gs://bucket[/folder]; unset:"
        " HOME/artifacts.",
    )
    secret: SecretStr = Field(
        default=SecretStr(""), description="Key of session, interaction and cache HMACs."
    )
    log_sync: Literal["spool", "commit"] = Field(
        default="spool", description="What a 200 waits for: the local spool, or Postgres' commit."
    )
    retention_days: int = Field(default=180, ge=1, description="Days an interaction is kept.")
    quota_per_minute: int = Field(
        default=120, ge=0, description="Queries per session; 0: no limit."
    )
    feedback_per_minute: int = Field(
        default=30, ge=0, description="Thumbs per session; 0: no limit."
    )
    quota_per_address: int = Field(default=0, ge=0, description="Per client address; 0: off.")
    max_waiting: int = Field(
        default=200, ge=1, description="Queries in one ingress above which it answers 503."
    )
    database_pool_size: int = Field(default=4, ge=1, description="Connections per replica.")
    embedder: Literal["local", "vertex"] = Field(
        default="local", description="Who embeds knowledge and queries."
    )
    vertex_project: str | None = Field(default=None, description="The project that Vertex bills.")
    vertex_location: str = Field(default="us-central1", description="Where Vertex computes.")
    vertex_model: str = Field(default="text-embedding-005", pattern=r"^[a-z0-9.@-]+[-@][0-9]+$")
    vertex_endpoint: str | None = Field(
        default=None,
        description="A private endpoint of Vertex, host or host:port; unset: the location's own."
        " With http://, or on localhost: one without TLS and credentials.",
    )
    embedding_cache_entries: int = Field(default=20_000, ge=1)
    annotation_host: str = Field(
        default="127.0.0.1", description="Where the annotation view listens."
    )
    annotation_port: int = Field(default=8501, ge=1, le=65535)
    annotation_origins: tuple[str, ...] = Field(
        default=(), description="JSON list: where browsers see the view, as https://labels.uni.edu."
    )
    annotation_trust_email: bool = Field(
        default=False, description="Take e-mail addresses of single sign-on that nobody verified."
    )
    lease_s: int = Field(default=300, ge=5, description="How long an item stays with a reviewer.")
    labels_needed: int = Field(
        default=500, ge=1, description="A retraining needs more verified labels than these."
    )
    retrain_min_new: int = Field(
        default=100, ge=0, description="Of them, so many that the champion does not know."
    )
    demo: bool = Field(
        default=False, description="A demo hub: simulated labels count as if they were real."
    )
    backbone: Literal["distilbert", "mobilebert"] = Field(
        default="distilbert", description="The network that a retraining trains."
    )
    mobilebert: str | None = Field(
        default=None,
        description="A pretrained MobileBERT: a folder, or google/mobilebert-uncased where it can"
        " be fetched; unset: a small one is cut from the default network.",
    )
    replay_share: float = Field(
        default=0.5, ge=0, le=1, description="Of what the champion learned, how much is replayed."
    )
    train_start: Literal["champion", "pretrained"] = Field(
        default="champion", description="Where a retraining begins."
    )
    train_seed: int = Field(default=17, ge=0, description="The same seed, the same version.")
    train_storage: str | None = Field(
        default=None,
        description="Where training workers keep checkpoints: a folder that all nodes share, or"
        " gs://bucket/folder; unset: the run's folder.",
    )
    train_workers: int = Field(default=1, ge=1, description="Workers that train a version.")
    train_use_gpu: bool | None = Field(
        default=None, description="Train on GPUs; unset: when the cluster has one a worker."
    )
    train_threads: int = Field(
        default=1, ge=1, description="Threads a training worker computes with."
    )
    train_resource: str = Field(
        default="CPU",
        min_length=1,
        description="What a training worker asks the cluster for: CPU, or a resource that only"
        " nodes kept for training offer.",
    )
    train_start_timeout_s: float = Field(
        default=60.0, gt=0, description="How long the cluster may look for room for a training."
    )
    memory_limit_bytes: int = Field(
        default=1_500_000_000, ge=1, description="Of a classifier; above, the memory watch acts."
    )
    started_for: str = Field(
        default="", description="The memory watch sets it on replicas it starts: for which version."
    )
    cors_origins: tuple[str, ...] = Field(
        default=(), description="JSON list of origins; empty: off."
    )

    @cached_property
    def home_dir(self) -> Path:
        """`home`, absolute: a worker with another working directory means the same folder."""
        return self.home.expanduser().resolve()

    @cached_property
    def artifacts_root(self) -> str:
        return self.artifacts or str(self.home_dir / "artifacts")

    @cached_property
    def cache_dir(self) -> Path:
        """Where this machine keeps what it can make or fetch again."""
        return self.home_dir / "cache"

    @cached_property
    def encoder_dir(self) -> Path:
        return self.home_dir / "encoder"

    @cached_property
    def spool_dir(self) -> Path:
        return self.home_dir / "spool"

    @cached_property
    def runs_dir(self) -> Path:
        """Where retrainings leave what they worked on, a folder each."""
        return self.home_dir / "retraining"

    @cached_property
    def secret_file(self) -> Path:
        """Where `make run` keeps the secret that it made."""
        return self.home_dir / "secret"

    def require_secret(self) -> bytes:
        """Return the HMAC key: HUB_SECRET, or the one that `make run` made in HUB_HOME.

        Raises SettingsError without either: no default is safe.
        """
        given = self.secret.get_secret_value()
        if not given and self.secret_file.is_file():
            given = self.secret_file.read_text().strip()
        if not given:
            raise SettingsError(
                f"No HUB_SECRET, and no hub made one in {self.home_dir}."
                " Start `make run`, or set HUB_SECRET or HUB_HOME as the hub's."
            )
        if len(given.encode()) < 16:
            raise SettingsError("HUB_SECRET needs at least 16 characters; `make run` makes one.")
        return given.encode()
