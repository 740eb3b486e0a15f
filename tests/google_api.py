"""What Google's own descriptions of its APIs say of a body; google-api-python-client has them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import googleapiclient.discovery_cache

_FOLDER = Path(googleapiclient.discovery_cache.__file__).parent / "documents"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


@cache
def _schemas(api: str) -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads((_FOLDER / f"{api}.json").read_text())["schemas"]
    return schemas


def faults(body: Any, *, api: str, schema: str) -> list[str]:
    """Return what the API would not understand of a body: unknown fields, wrong types and words.

    `api` as in "compute.v1", `schema` as in "Instance". What is required is not said there.
    """
    return _faults(body, {"$ref": schema}, schemas=_schemas(api), where=schema)


def _faults(body: Any, shape: dict[str, Any], *, schemas: dict[str, Any], where: str) -> list[str]:
    if "$ref" in shape:
        shape = schemas[shape["$ref"]]
    kind = shape.get("type")
    if kind == "array":
        if not isinstance(body, list):
            return [f"{where} is no list"]
        return [
            fault
            for at, item in enumerate(body)
            for fault in _faults(item, shape["items"], schemas=schemas, where=f"{where}[{at}]")
        ]
    if kind == "object":
        if not isinstance(body, dict):
            return [f"{where} is no object"]
        known, rest = shape.get("properties", {}), shape.get("additionalProperties")
        found = []
        for name, value in body.items():
            inner = known.get(name, rest)
            if inner is None:
                found.append(f"{where}.{name} is not known")
            else:
                found += _faults(value, inner, schemas=schemas, where=f"{where}.{name}")
        return found
    if kind in _TYPES:
        # 64-bit integers are strings in JSON; a plain number is taken as well.
        is_number = shape.get("format") in ("int64", "uint64") and isinstance(body, int)
        if not isinstance(body, _TYPES[kind]) and not is_number:
            return [f"{where} is no {kind}"]
        if "enum" in shape and body not in shape["enum"]:
            return [f"{where}: {body} is none of {', '.join(shape['enum'])}"]
    return []
