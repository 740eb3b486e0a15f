"""The stage of benchmarks.clinc150 that needs torch: train on CLINC150, export in int8 and fp32.

`python -m benchmarks.clinc150_training FOLDER JSON`: FOLDER gets first.safetensors, int8/ and
fp32/, each with model.onnx and tokenizer.json; model.safetensors; and, last, training.json.
"""

import json
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

from safetensors.torch import save_file

from contracts.outcome import OUT_OF_SCOPE
from training.blending import blend
from training.clinc150_json import read_clinc150
from training.config import TrainingConfig
from training.encoder_start import start_folder
from training.export import CLASSIFIER_OUTPUT, export_classifier, export_onnx
from training.intent_model import read_model
from training.train import train
from training.warm_start import WarmStart


def main() -> None:
    """Train as the hub makes a version and then another from it: begin, go on, and blend the two.

    What validation has in scope chooses the epochs and the blend. Its out-of-scope queries choose
    nothing here: 3 in 100 queries are a quarter of the loss and more, and what the network makes of
    them is weighed afterwards, when the confidence is fitted.
    """
    folder, given = Path(sys.argv[1]), json.loads(sys.argv[2])
    collection = read_clinc150(Path(given["data"]))
    labels = collection.labels
    inside = [one for one in collection.validation if one.intent != OUT_OF_SCOPE]
    config, going_on = (TrainingConfig(**given[name]) for name in ("config", "going_on"))
    began = time.monotonic()
    first = train(collection.train, validation=inside, labels=labels, config=config)
    save_file(first.model.state_dict(), folder / "first.safetensors")
    start = WarmStart(folder / "first.safetensors", labels)
    second = train(collection.train, validation=inside, labels=labels, config=going_on, start=start)
    weights = folder / "model.safetensors"
    save_file(second.model.state_dict(), weights)
    blended = blend(weights, start=start, validation=inside, labels=labels, config=going_on)
    seconds = time.monotonic() - began
    print("export: int8 and fp32")
    model = read_model(weights, labels=len(labels), config=going_on)
    tokenizer_file = start_folder() / "tokenizer.json"
    export_classifier(model, folder / "int8", tokenizer_file=tokenizer_file)
    full = folder / "fp32"
    full.mkdir(exist_ok=True)
    export_onnx(model, full / "model.onnx", output=CLASSIFIER_OUTPUT)
    shutil.copyfile(tokenizer_file, full / tokenizer_file.name)
    made = {
        "labels": labels,
        "config": asdict(config),
        "going_on": asdict(going_on),
        "epochs": [asdict(epoch) for epoch in (*first.epochs, *second.epochs)],
        "best_epochs": [first.best_epoch, second.best_epoch],
        "blend": {"share": blended.share, "losses": list(blended.losses.items())},
        "seconds": round(seconds, 1),
    }
    (folder / "training.json").write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
