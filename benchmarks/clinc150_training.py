"""The stage of benchmarks.clinc150 that needs torch: train on CLINC150, export in int8 and fp32.

`python -m benchmarks.clinc150_training FOLDER JSON`: FOLDER gets int8/ and fp32/, each with
model.onnx and tokenizer.json; model.safetensors; and, last, training.json.
"""

import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from contracts.outcome import OUT_OF_SCOPE
from training.clinc150_json import read_clinc150
from training.config import TrainingConfig
from training.encoder_start import start_folder
from training.export import CLASSIFIER_OUTPUT, export_classifier, export_onnx
from training.train import train


def main() -> None:
    """Train with the hub's own `train`; what validation has in scope chooses the epoch.

    Its out-of-scope queries choose nothing here: 3 in 100 queries are a quarter of the loss and
    more, and what the network makes of them is weighed afterwards, when the confidence is fitted.
    """
    folder, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    collection = read_clinc150(Path(given["data"]))
    config = TrainingConfig(**given["config"])
    began = time.monotonic()
    trained = train(
        collection.train,
        validation=[e for e in collection.validation if e.intent != OUT_OF_SCOPE],
        labels=collection.labels,
        config=config,
    )
    seconds = time.monotonic() - began
    print("export: int8 and fp32")
    save_file(trained.model.state_dict(), folder / "model.safetensors")
    tokenizer_file = start_folder() / "tokenizer.json"
    export_classifier(trained.model, folder / "int8", tokenizer_file=tokenizer_file)
    full = folder / "fp32"
    full.mkdir(exist_ok=True)
    export_onnx(trained.model, full / "model.onnx", output=CLASSIFIER_OUTPUT)
    shutil.copyfile(tokenizer_file, full / tokenizer_file.name)
    made = {
        "labels": trained.labels,
        "config": asdict(config),
        "epochs": [asdict(epoch) for epoch in trained.epochs],
        "best_epoch": trained.best_epoch,
        "seconds": round(seconds, 1),
    }
    (folder / "training.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
