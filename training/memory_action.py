"""What is to be done about the memory that classifier replicas hold: facts in, an action out."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from store.registry import Manifest, Registry
from store.replacements import Replacement

SMALLER: Final = "mobilebert"
RETRY_AFTER: Final = timedelta(hours=1)
"""A replacement that failed is not tried again sooner."""


@dataclass(frozen=True, slots=True)
class Held:
    """What one classifier replica holds: a version, and so much resident memory."""

    replica: str
    version: str | None
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Action:
    """What is to be done about the replicas' memory, and why. `version` is what to replace with."""

    kind: Literal["nothing", "replace", "alert"]
    why: str = ""
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Smaller:
    """The version that may replace, or None and the reason why there is none."""

    version: str | None
    why_none: str = ""


def look(
    replicas: Sequence[Held],
    *,
    limit_bytes: int,
    smaller: Smaller,
    replaced_for: str | None = None,
) -> Action:
    """Decide what to do: pure. `replaced_for` is the version the replicas were started for.

    Replicas that were replaced once and are over the limit again are not replaced for the same
    version a second time: it would not help, and it would never end.
    """
    over = [one for one in replicas if one.memory_bytes > limit_bytes]
    if not over:
        return Action("nothing")
    largest = max(over, key=lambda one: one.memory_bytes)
    why = (
        f"{len(over)} of {len(replicas)} classifier replicas hold more than"
        f" {limit_bytes / 1e6:.0f} MB, {largest.replica} {largest.memory_bytes / 1e6:.0f} MB"
    )
    if smaller.version is None:
        return Action("alert", f"{why}; {smaller.why_none}")
    if replaced_for == smaller.version:
        return Action(
            "alert",
            f"{why}; they were started for {smaller.version}, the smaller one, already:"
            " give them more room (HUB_MEMORY_LIMIT_BYTES) or look for a leak",
        )
    return Action("replace", why, smaller.version)


def smaller_version(registry: Registry, *, done: Sequence[Replacement], now: datetime) -> Smaller:
    """Choose the version to replace with: the champion if it is a MobileBERT, else the newest.

    Only one that passed its regression gate. One that served before and was replaced stays so: a
    person, or a retraining, decided that.
    """
    champion = registry.champion()
    serving = champion.version if champion else None
    served = {move.version for move in registry.promotions()} - {serving}
    passed = [
        version
        for version in registry.versions()
        if _is_smaller(manifest := registry.manifest(version))
        and (version == serving or (manifest.gate is not None and manifest.gate["passed"] is True))
    ]
    fresh = [version for version in passed if version not in served]
    if not fresh:
        return Smaller(
            None,
            "no MobileBERT version has passed its gate"
            if not passed
            else f"{', '.join(passed)} served before and was replaced; promote it by hand",
        )
    version = serving if serving in fresh else fresh[-1]
    for one in done:
        if one.version == version and one.error is not None and now - one.when < RETRY_AFTER:
            return Smaller(None, f"{version} could not replace them at {one.when:%H:%M} UTC")
    return Smaller(version)


def _is_smaller(manifest: Manifest) -> bool:
    return SMALLER in f"{manifest.backbone} {manifest.kind}".lower()
