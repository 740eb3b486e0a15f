"""Write contracts/schema/: the messages of the contract as JSON Schema, for any language.

`python -m scripts.write_schema` writes what has changed; `--check` only says so.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import BaseModel

from contracts.messages import (
    FeedbackAnswer,
    FeedbackRequest,
    Hints,
    Problem,
    QueryAnswer,
    QueryRequest,
)

SCHEMA: Final = Path(__file__).resolve().parent.parent / "contracts" / "schema"

MODELS: Final[dict[str, type[BaseModel]]] = {
    "query-request.json": QueryRequest,
    "query-answer.json": QueryAnswer,
    "feedback-request.json": FeedbackRequest,
    "feedback-answer.json": FeedbackAnswer,
    "problem.json": Problem,
    "hints.json": Hints,
}


def schema_texts() -> dict[str, str]:
    """Return the text of each schema file (JSON Schema, draft 2020-12) by its name."""
    return {
        name: json.dumps(
            {
                "$schema": "https://json-schema.org/draft/2020-12/schema",
                "$id": f"urn:hub:schema:{name.removesuffix('.json')}",
                **model.model_json_schema(),
            },
            indent=2,
            ensure_ascii=False,
        )
        + "\n"
        for name, model in MODELS.items()
    }


def drift(folder: Path = SCHEMA) -> dict[str, str]:
    """Return what differs between a folder and the models: a file's name, and how it differs."""
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("*.json")}
    wanted = schema_texts()
    differs = dict.fromkeys(there.keys() - wanted.keys(), "no longer a message")
    for name, text in wanted.items():
        if name not in there:
            differs[name] = "new"
        elif there[name] != text:
            differs[name] = "changed"
    return dict(sorted(differs.items()))


def write(folder: Path = SCHEMA) -> dict[str, str]:
    """Make a folder equal to the models; return what differed before."""
    differed = drift(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = schema_texts()
    for name in differed:
        if name in wanted:
            (folder / name).write_text(wanted[name], encoding="utf-8")
        else:
            (folder / name).unlink()
    return differed


def main(given: Sequence[str] | None = None, *, folder: Path = SCHEMA) -> int:
    """Write, or with `--check` only look. Exit status 1 when a check finds a difference."""
    parser = argparse.ArgumentParser(description="Write contracts/schema/ from the messages.")
    parser.add_argument("--check", action="store_true", help="write nothing; 1 on a difference")
    check = parser.parse_args(given).check
    differed = drift(folder) if check else write(folder)
    for name, how in differed.items():
        print(f"{folder.name}/{name}: {how}")
    if not differed:
        print(f"{folder.name}/: nothing has changed")
    elif check:
        print("Run `python -m scripts.write_schema`, and commit what it writes.")
    return 1 if check and differed else 0


if __name__ == "__main__":
    sys.exit(main())
