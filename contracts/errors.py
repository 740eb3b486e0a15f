"""Every error a person may meet. The docstring of a class is the sentence that person reads."""

from collections.abc import Mapping


class HubError(Exception):
    """Something went wrong in the hub."""

    def __init__(self, detail: str = "") -> None:
        sentence = (type(self).__doc__ or "").strip()
        super().__init__(f"{sentence} {detail}".strip())
        self.detail = detail


class SettingsError(HubError):
    """A setting is missing or cannot be used."""


class DatabaseUnavailable(HubError):
    """The database cannot be reached."""


class DatabaseHeld(DatabaseUnavailable):
    """Another process runs this hub's database."""


class DatabaseTooOld(HubError):
    """The database server, or its pgvector, is too old for the hub."""


class SchemaMismatch(HubError):
    """The database's schema is not the one this code was written for; apply the migrations."""


class ArtifactError(HubError):
    """An artifact in the store is missing, incomplete or damaged."""


class VersionExists(ArtifactError):
    """That model version exists already; versions are written once."""


class ChampionMoved(ArtifactError):
    """Somebody else moved the champion meanwhile; nothing was changed."""


class MixedSpaces(HubError):
    """Vectors of one embedding space were offered to another; nothing was stored."""


class EmbedderAway(HubError):
    """The embedding service gives no vectors just now."""


class TextTooLong(HubError):
    """A text is too long for the embedding model, which would silently cut it."""

    def __init__(self, because: Mapping[int, str]) -> None:
        """`because` says why, by the text's row among those that were given."""
        super().__init__("; ".join(f"text {row + 1}: {why}" for row, why in because.items()))
        self.because = dict(because)


class DataError(HubError):
    """A data file holds rows that cannot be used."""


class SourceUnavailable(HubError):
    """The source of the knowledge cannot be read."""


class PortInUse(HubError):
    """A port that the hub needs is taken by another program."""


class RayUnavailable(HubError):
    """Ray did not start, or its cluster cannot be reached."""


class Unschedulable(HubError):
    """The cluster has no room for this job."""


class AccountError(HubError):
    """That reviewer's account cannot be made or changed so; nothing was changed."""


class SignInRefused(HubError):
    """That name and password do not belong together, or the account is disabled."""


class SignInDelayed(HubError):
    """Too many wrong passwords for that name; this try was not looked at."""


class LabelRefused(HubError):
    """The label was not kept."""
