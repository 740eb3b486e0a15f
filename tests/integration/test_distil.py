"""The whole way of a distilled version: taught, exported, measured, gated, published."""

import shutil
from pathlib import Path

import pytest

from contracts.settings import Settings
from store.artifacts import open_store
from store.registry import Registry
from training.distil import distil_champion
from training.distillation import Lesson
from training.stages.run import Exit


@pytest.mark.prove
def test_a_distilled_mobilebert_is_half_as_large_and_serves_only_when_its_gate_lets_it(
    hub_home: Path, tmp_path: Path
) -> None:
    shutil.copytree(hub_home / "artifacts", tmp_path / "artifacts")
    (tmp_path / "encoder").symlink_to(hub_home / "encoder")
    registry = Registry(open_store(str(tmp_path / "artifacts")))
    champion = registry.champion()
    assert champion is not None

    status = distil_champion(Settings(home=tmp_path, artifacts=None), lesson=Lesson())

    version = registry.versions()[-1]
    before, after = registry.manifest(champion.version), registry.manifest(version)
    assert after.kind.startswith("mobilebert")
    assert after.gate is not None
    assert status == (Exit.DONE if after.gate["passed"] else Exit.CANDIDATE_WORSE)
    assert after.files["model.onnx"].bytes < 0.55 * before.files["model.onnx"].bytes
    assert after.metrics["latency_ms"]["p50"] < before.metrics["latency_ms"]["p50"]
    lost = before.metrics["test"]["accuracy"] - after.metrics["test"]["accuracy"]
    assert lost < 0.06, after.gate["reasons"]
    now = registry.champion()
    assert now is not None
    assert now.version == champion.version  # publishing promotes nothing
