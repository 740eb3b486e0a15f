"""Model versions: written once, verified when read, and one of them the champion.

models/vN/claim.json       who makes vN; written first, so that two trainings never share one
models/vN/...              its files
models/vN/manifest.json    written last: a version without it is not there
models/champion.json       the one that serves, moved by compare-and-swap
models/promotions/N.json   what was live when, one entry a move, never changed
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from contracts.errors import ArtifactError, ChampionMoved
from store.artifacts import ABSENT, ArtifactChanged, ArtifactExists, ArtifactMissing, ArtifactStore
from store.version_files import MANIFEST, FileRecord, KeptVersions, describe, require_whole

FIRST_VERSION: Final = 3
"""v1 and v2 were prototypes that no registry ever held."""

SERVED_FILES: Final = ("model.onnx", "tokenizer.json")
"""What a replica needs of a version, beside its manifest."""

_CHAMPION: Final = "models/champion.json"


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


_AnyDocument = TypeVar("_AnyDocument", bound=_Document)


class ErasureRecord(_Document):
    """So many entries were taken out of some of a version's files."""

    at: datetime
    files: dict[str, int]


class ScopeRecord(_Document):
    """The fitted weights by which `out_of_scope` gets its confidence (models.confidence)."""

    bias: float
    energy: float
    logit: float


class Manifest(_Document):
    """Everything that is known of a version. A candidate's has no files and is called so."""

    version: str = "candidate"
    kind: str
    """How it was made, as in `distilbert-synthetic`; the name is version and kind."""
    name: str = ""
    labels: tuple[str, ...]
    temperature: float
    out_of_scope: ScopeRecord | None = None
    """None: its confidence is a softmax's like every other's."""
    backbone: str
    dataset: dict[str, Any]
    """`digest` (over every text and label, in order), `source`, `examples`."""
    split: dict[str, Any]
    """`digest`, and the number of examples a side."""
    seed: int
    recipe: str
    """Hash of data and code that made it: the same recipe gives the same version."""
    retired: dict[str, str | None] = {}
    """Intents that are gone, and which took their place; None: none did."""
    code_commit: str = "unknown"
    metrics: dict[str, Any] = {}
    gate: dict[str, Any] | None = None
    """The regression gate's decision; None for a version that nothing came before."""
    files: dict[str, FileRecord] = {}
    erasures: tuple[ErasureRecord, ...] = ()
    """What left its files later, because a person was erased. The metrics are of before."""
    created_at: datetime

    @property
    def stopped_because(self) -> str | None:
        """Why the regression gate stopped it, in words; None for a version that may serve."""
        if self.gate is None or self.gate["passed"]:
            return None
        return "; ".join(self.gate.get("reasons", ["no reason was kept"]))


class Promotion(_Document):
    """One move of the champion. `sequence` counts from 1; `previous` is None for the first."""

    sequence: int
    version: str
    previous: str | None
    who: str
    when: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Champion:
    """The version that serves, and the generation by which the next mover is known."""

    version: str
    promotion: Promotion
    generation: int


class Registry:
    """Reads and writes the versions of one artifact store."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store

    def versions(self) -> list[str]:
        """Return the complete versions, oldest first."""
        found = (key.split("/") for key in self._store.keys("models/v"))
        return sorted(
            (parts[1] for parts in found if len(parts) == 3 and parts[2] == "manifest.json"),
            key=_number,
        )

    def manifest(self, version: str) -> Manifest:
        """Return a version's manifest. Raises ArtifactError when it is missing or unreadable."""
        try:
            content = self._store.read(f"models/{version}/manifest.json").content
        except ArtifactMissing as error:
            raise ArtifactError(
                f"There is no version {version} in {self._store.url};"
                f" there are {', '.join(self.versions()) or 'none'}."
            ) from error
        return _parse(Manifest, content, named=f"models/{version}/manifest.json")

    def champion(self) -> Champion | None:
        """Return the version that serves, or None when none was ever promoted."""
        try:
            artifact = self._store.read(_CHAMPION)
        except ArtifactMissing:
            return None
        promotion = _parse(Promotion, artifact.content, named=_CHAMPION)
        return Champion(promotion.version, promotion, artifact.generation)

    def publish(self, folder: Path, *, gate: dict[str, Any] | None = None) -> str:
        """Write the candidate in `folder` as the next version and return its name ("v4").

        `folder` holds the files and `manifest.json`, the candidate's. The version exists for
        others from the moment its manifest is there; what an interrupted publish leaves is never
        seen, and its number is not used again.
        """
        candidate = _parse(
            Manifest, (folder / "manifest.json").read_bytes(), named=str(folder / "manifest.json")
        )
        version = self._claim()
        files: dict[str, FileRecord] = {}
        for file in sorted(folder.iterdir()):
            if file.is_file() and file.name != "manifest.json":
                files[file.name] = describe(file)
                self._store.create(f"models/{version}/{file.name}", file)
        manifest = candidate.model_copy(
            update={
                "version": version,
                "name": f"{version}-{candidate.kind}",
                "files": files,
                "gate": gate if gate is not None else candidate.gate,
                "created_at": datetime.now(UTC),
            }
        )
        self._store.create(f"models/{version}/manifest.json", _json(manifest))
        return version

    def move_champion(
        self, version: str, *, expected: Champion | None, who: str, why: str
    ) -> Champion:
        """Make `version` the champion if the champion is still `expected` (None: there is none).

        Raises ChampionMoved when somebody was faster, ArtifactError when `version` is not there.
        """
        self.manifest(version)
        if expected is not None:
            self._log(expected.promotion)
        promotion = Promotion(
            sequence=expected.promotion.sequence + 1 if expected else 1,
            version=version,
            previous=expected.version if expected else None,
            who=who,
            when=datetime.now(UTC),
            why=why,
        )
        try:
            generation = self._store.replace(
                _CHAMPION,
                _json(promotion),
                expected=expected.generation if expected else ABSENT,
            )
        except ArtifactChanged as error:
            now = self.champion()
            raise ChampionMoved(
                f"It is {now.version if now else 'none'}"
                f" and was {expected.version if expected else 'none'} when {version} was to follow."
            ) from error
        self._log(promotion)
        return Champion(version, promotion, generation)

    def promotions(self) -> list[Promotion]:
        """Return every move of the champion, oldest first."""
        entries = [
            _parse(Promotion, self._store.read(key).content, named=key)
            for key in self._store.keys("models/promotions/")
        ]
        champion = self.champion()
        # A mover that died between its move and its entry leaves the entry in champion.json.
        if champion and all(entry.sequence != champion.promotion.sequence for entry in entries):
            entries.append(champion.promotion)
        return sorted(entries, key=lambda entry: entry.sequence)

    def fetch(self, version: str, *, cache_dir: Path, only: Collection[str] | None = None) -> Path:
        """Return a folder with the version's verified files and its manifest.

        `only` names the files that are needed (SERVED_FILES for serving); None means all. A
        store on this machine gives its own folder, to be read only; from a bucket they are copied
        into `cache_dir`, once a machine. Raises ArtifactError for a file that is missing or not
        the one that was published.
        """
        manifest = self.manifest(version)
        wanted = sorted(manifest.files if only is None else only)
        if unknown := [name for name in wanted if name not in manifest.files]:
            raise ArtifactError(f"{version} has no {', '.join(unknown)}.")
        records = {name: manifest.files[name] for name in wanted}
        here = self._store.local(f"models/{version}/manifest.json")
        if here is not None:
            require_whole(here.parent, records, version=version)
            return here.parent
        kept = KeptVersions(cache_dir, store=self._store)
        return kept.fetch(version, records, manifest=_json(manifest))

    def served_champion(self, *, cache_dir: Path) -> Path | None:
        """Return the folder of the champion that this machine served last, its files verified.

        For who starts while the store is away; None when nothing of that kind was kept. Raises
        ArtifactError when a file of it is not the one that was published.
        """
        folder = KeptVersions(cache_dir, store=self._store).served()
        if folder is None:
            return None
        manifest = _parse(Manifest, (folder / MANIFEST).read_bytes(), named=str(folder / MANIFEST))
        records = {name: manifest.files[name] for name in SERVED_FILES}
        require_whole(folder, records, version=manifest.version)
        return folder

    def note_served(self, version: str, *, cache_dir: Path) -> None:
        """Remember that the champion `version`, fetched already, is served on this machine."""
        if self._store.local(_CHAMPION) is None:
            KeptVersions(cache_dir, store=self._store).note_served(version)

    def _claim(self) -> str:
        """Take the next number; that of an interrupted publish is never used again."""
        taken = {
            _number(key.split("/")[1])
            for key in self._store.keys("models/v")
            if key.count("/") == 2
        }
        number = max(taken, default=FIRST_VERSION - 1) + 1
        while True:
            try:
                claim = {"claimed_at": datetime.now(UTC).isoformat()}
                self._store.create(f"models/v{number}/claim.json", json.dumps(claim).encode())
            except ArtifactExists:
                number += 1
            else:
                return f"v{number}"

    def _log(self, promotion: Promotion) -> None:
        try:
            self._store.create(f"models/promotions/{promotion.sequence:06d}.json", _json(promotion))
        except ArtifactExists:
            return  # its mover, or the one after it, wrote it already


def _number(version: str) -> int:
    digits = version.removeprefix("v")
    return int(digits) if digits.isdecimal() else -1


def _json(document: _Document) -> bytes:
    return document.model_dump_json(indent=2).encode() + b"\n"


def _parse(kind: type[_AnyDocument], content: bytes, *, named: str) -> _AnyDocument:
    try:
        return kind.model_validate_json(content)
    except ValidationError as error:
        raise ArtifactError(f"{named} cannot be read: {error}") from error
