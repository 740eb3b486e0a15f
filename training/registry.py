"""`python -m training.registry list | show vX | promote vX | rollback | verify`: the command.

What changes what serves goes by the hot swap while a hub runs beside; without one, the champion
alone moves, and the next start serves it. Every move is logged: who, when, why, from, to.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import psycopg
from rich.console import Console
from rich.table import Table

from contracts.errors import ArtifactError, HubError
from contracts.settings import Settings
from store.artifacts import StoreUnavailable, open_store
from store.registry import Champion, Manifest, Registry
from training.beside import Hub, hub_beside, simulated_session
from training.evaluate import read_golden
from training.hot_swap import hot_swap
from training.who import who_acts

console = Console(highlight=False, soft_wrap=True)


class NotPromoted(HubError):
    """That version is not promoted; the champion stays."""


def show_versions(registry: Registry) -> None:
    """Print every version, and which one serves, which one did before."""
    champion = registry.champion()
    table = Table("version", "kind", "made", "accuracy", "ECE", "gate", "", show_edge=False)
    for version in registry.versions():
        manifest = registry.manifest(version)
        test = manifest.metrics.get("test", {})
        table.add_row(
            version,
            manifest.kind,
            f"{manifest.created_at:%Y-%m-%d %H:%M}",
            f"{test['accuracy']:.1%}" if test else "",
            f"{test['ece']:.3f}" if test else "",
            _gate_of(manifest),
            _role_of(version, champion=champion),
        )
    console.print(table)


def show_version(registry: Registry, version: str) -> None:
    """Print a version's manifest without its long lists, and its moves."""
    manifest = registry.manifest(version)
    left_out = {"labels", "metrics", "files"}
    console.print_json(manifest.model_dump_json(exclude=left_out))
    for name, record in manifest.files.items():
        console.print(f"  {name}  {record.bytes:,} bytes  {record.sha256[:12]}")
    for move in registry.promotions():
        if version in (move.version, move.previous):
            console.print(
                f"  {move.when:%Y-%m-%d %H:%M} {move.previous or 'nothing'} -> {move.version}"
                f" by {move.who}: {move.why}"
            )


def promote(
    registry: Registry, version: str, *, settings: Settings, hub: Hub | None, why: str
) -> Champion:
    """Make `version` the champion: by the hot swap where a hub runs, else for the next start.

    Raises NotPromoted for one that serves already, or that the regression gate stopped: such a
    version is kept, and never served.
    """
    manifest, champion = registry.manifest(version), registry.champion()
    if champion is not None and champion.version == version:
        raise NotPromoted(f"{version} is the champion already.")
    if manifest.stopped_because is not None:
        raise NotPromoted(f"The gate stopped {version}: {manifest.stopped_because}.")
    verify(registry, version)
    from training.candidate import GOLDEN_FILE  # torch comes with it; the other commands need none

    who = who_acts()
    if hub is None:
        console.print("No hub runs beside: the next start serves it.")
        return registry.move_champion(version, expected=champion, who=who, why=why)
    return hot_swap(
        version,
        hub=hub,
        registry=registry,
        golden=read_golden(GOLDEN_FILE),
        session_token=simulated_session(settings),
        who=who,
        why=why,
        report=lambda line: console.print(line, markup=False),
    )


def previous_of(registry: Registry) -> str:
    """Return the version that served before the champion. Raises NotPromoted without one."""
    champion = registry.champion()
    if champion is None or champion.promotion.previous is None:
        raise NotPromoted("No version served before this one.")
    return champion.promotion.previous


def verify(registry: Registry, version: str) -> None:
    """Read every file of a version and compare it with its manifest. Raises ArtifactError."""
    with tempfile.TemporaryDirectory() as folder:
        registry.fetch(version, cache_dir=Path(folder))


def _gate_of(manifest: Manifest) -> str:
    if manifest.gate is None:
        return ""
    return "passed" if manifest.gate["passed"] else "stopped"


def _role_of(version: str, *, champion: Champion | None) -> str:
    if champion is None:
        return ""
    if version == champion.version:
        return "champion"
    return "previous" if version == champion.promotion.previous else ""


def _arguments(given: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.registry", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="every version, and which one serves")
    commands.add_parser("show", help="one version, and its moves").add_argument("version")
    promoting = commands.add_parser("promote", help="make a version the champion")
    promoting.add_argument("version")
    back = commands.add_parser("rollback", help="make the version before the champion again")
    for one in (promoting, back):
        one.add_argument("--why", help="for the log")
    verifying = commands.add_parser("verify", help="compare files with their checksums")
    verifying.add_argument("version", nargs="?", help="default: all")
    return parser.parse_args(given)


def main(given: Sequence[str] | None = None) -> int:
    """Carry out one command. Exit status 1 with a sentence when it cannot be."""
    arguments = _arguments(given)
    try:
        settings = Settings()
        registry = Registry(open_store(settings.artifacts_root))
        if arguments.command == "list":
            show_versions(registry)
        elif arguments.command == "show":
            show_version(registry, arguments.version)
        elif arguments.command == "verify":
            return _verify_all(registry, [arguments.version] if arguments.version else None)
        else:
            is_back = arguments.command == "rollback"
            version = previous_of(registry) if is_back else arguments.version
            why = arguments.why or ("rolled back" if is_back else "promoted by hand")
            hub = hub_beside(settings.home_dir)
            promote(registry, version, settings=settings, hub=hub, why=why)
            console.print(f"{version} is the champion.")
    except (HubError, psycopg.Error, OSError) as error:
        console.print(str(error), markup=False)
        return 1
    return 0


def _verify_all(registry: Registry, versions: Sequence[str] | None) -> int:
    damaged = 0
    for version in versions or registry.versions():
        try:
            verify(registry, version)
            console.print(f"{version}: all files are those that were published")
        except StoreUnavailable:
            raise  # it says nothing of the version, and would say it again of the next
        except ArtifactError as error:
            damaged += 1
            console.print(f"{version}: {error}", markup=False)
    return 1 if damaged else 0


if __name__ == "__main__":
    sys.exit(main())
