"""Publish: the candidate becomes a version of the registry, whatever the gate said of it.

Reads gate.json; writes publish.json. A version that the gate stopped carries its reasons and is
never served; exit status 5 then.
"""

import sys

from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Registry
from training.stages.run import Exit, GateClosed, Report, RunFolder, run_alone


def publish(run: RunFolder, settings: Settings, report: Report) -> None:
    """Publish once: a second call finds what the first one made. Raises GateClosed."""
    decision = run.read("gate")
    registry = Registry(open_store(settings.artifacts_root))
    if run.has("publish"):
        version = run.read("publish")["version"]
        report(f"publish: {version} is there already")
    else:
        version = registry.publish(run.candidate, gate=decision)
        manifest = registry.manifest(version)
        run.write("publish", {"version": version, "name": manifest.name})
        report(
            f"publish: {manifest.name}, {len(manifest.files)} files, in {settings.artifacts_root}"
        )
    if not decision["passed"]:
        report(f"publish: {version} is kept with its reasons, and is never served")
        raise GateClosed(Exit.CANDIDATE_WORSE, decision["reasons"])


if __name__ == "__main__":
    sys.exit(run_alone(publish))
