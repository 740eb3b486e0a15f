"""Make HOME/encoder: `python -m training.export_encoder`. Does nothing when it is there already."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Final

from contracts.settings import Settings
from models.encoder import VectorSpace
from models.session import MAX_TOKENS
from training.child import run_stage
from training.encoder_start import BACKBONE, DIMS, start_folder, start_revision

_GRAPH_EDITION: Final = 2
"""Rises when the exported arithmetic changes (pooling, cut, precision): old vectors then differ."""


def encoder_space() -> VectorSpace:
    """Return the vector space of the encoder that this code exports; its fingerprint names it."""
    space = VectorSpace(
        fingerprint="",
        model=BACKBONE,
        revision=start_revision(),
        quantisation="fp32",
        dims=DIMS,
        normalised=True,
    )
    arithmetic = {"edition": _GRAPH_EDITION, "max_tokens": MAX_TOKENS, "pooling": "mean"}
    named = json.dumps(asdict(space) | arithmetic, sort_keys=True)
    return replace(space, fingerprint=hashlib.sha256(named.encode()).hexdigest()[:16])


def export_encoder(folder: Path, *, report: Callable[[str], None] = print) -> bool:
    """Make `model.onnx`, `tokenizer.json` and `space.json` in `folder`; return whether it was work.

    The folder appears whole or not at all; an encoder of another space there is replaced.
    """
    space = encoder_space()
    if _holds(folder, space):
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=folder.parent, prefix=".encoder-"))
    try:
        run_stage("training.export", [str(scratch / "model.onnx")], report=report)
        shutil.copyfile(start_folder() / "tokenizer.json", scratch / "tokenizer.json")
        (scratch / "space.json").write_text(json.dumps(asdict(space), indent=2) + "\n")
        scratch.chmod(0o755)
        if folder.exists():
            old = scratch.with_name(f"{scratch.name}-old")
            os.rename(folder, old)
            os.rename(scratch, folder)
            shutil.rmtree(old)
        else:
            os.rename(scratch, folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return True


def _holds(folder: Path, space: VectorSpace) -> bool:
    try:
        return VectorSpace.read(folder) == space
    except FileNotFoundError:
        return False


def main() -> None:
    """Export the encoder of the hub's home, and say what was done."""
    folder = Settings().encoder_dir
    print(f"encoder: {BACKBONE} to {folder}", flush=True)
    made = export_encoder(folder)
    fingerprint = VectorSpace.read(folder).fingerprint
    print(f"encoder: {'exported' if made else 'already there'}, {fingerprint}")


if __name__ == "__main__":
    main()
