"""Checks a report against docs/appraisal-result.schema.json, as far as that schema goes."""

import json
import re
from pathlib import Path
from typing import Any

SCHEMA: dict[str, Any] = json.loads(
    (Path(__file__).resolve().parents[3] / "docs" / "appraisal-result.schema.json").read_text()
)
_TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "boolean": bool,
    "null": type(None),
}
_KNOWN = frozenset(
    {
        *("$schema", "$id", "$defs", "title", "description"),
        *("type", "required", "properties", "additionalProperties", "items", "minItems", "maxItems", "uniqueItems"),
        *("enum", "const", "pattern", "minimum", "oneOf", "$ref"),
    }
)


def violations(value: Any, schema: dict[str, Any] = SCHEMA, at: str = "$") -> list[str]:
    """Return every place where the value is otherwise than the schema says."""
    assert schema.keys() <= _KNOWN, f"the schema uses {schema.keys() - _KNOWN}, which this does not check"
    if "$ref" in schema:
        return violations(value, SCHEMA["$defs"][schema["$ref"].removeprefix("#/$defs/")], at)
    if "oneOf" in schema:
        fitting = [branch for branch in schema["oneOf"] if not violations(value, branch, at)]
        return [] if len(fitting) == 1 else [f"{at}: fits {len(fitting)} of oneOf"]
    wrong = _check_scalar(value, schema, at)
    if isinstance(value, dict):
        wrong += _check_object(value, schema, at)
    if isinstance(value, list):
        wrong += _check_array(value, schema, at)
    return wrong


def _check_scalar(value: Any, schema: dict[str, Any], at: str) -> list[str]:
    wrong = []
    types = schema.get("type", [])
    kinds = [types] if isinstance(types, str) else types
    if kinds and not any(isinstance(value, _TYPES[kind]) and _is_plain(value, kind) for kind in kinds):
        wrong.append(f"{at}: {value!r} is not {kinds}")
    if "const" in schema and value != schema["const"]:
        wrong.append(f"{at}: {value!r} is not {schema['const']!r}")
    if "enum" in schema and value not in schema["enum"]:
        wrong.append(f"{at}: {value!r} is none of {schema['enum']}")
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        wrong.append(f"{at}: {value!r} does not match")
    if isinstance(value, int) and value < schema.get("minimum", value):
        wrong.append(f"{at}: {value} is too small")
    return wrong


def _is_plain(value: Any, kind: str) -> bool:
    return kind == "boolean" or not isinstance(value, bool)


def _check_object(value: dict[str, Any], schema: dict[str, Any], at: str) -> list[str]:
    wrong = [f"{at}: {name} is missing" for name in schema.get("required", []) if name not in value]
    properties = schema.get("properties", {})
    others = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in properties:
            wrong += violations(item, properties[name], f"{at}.{name}")
        elif others is False:
            wrong.append(f"{at}: {name} is not expected")
        elif others is not True:
            wrong += violations(item, others, f"{at}.{name}")
    return wrong


def _check_array(value: list[Any], schema: dict[str, Any], at: str) -> list[str]:
    wrong = []
    if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
        wrong.append(f"{at}: {len(value)} items")
    if schema.get("uniqueItems") and len({json.dumps(item) for item in value}) < len(value):
        wrong.append(f"{at}: items twice")
    for number, item in enumerate(value):
        wrong += violations(item, schema.get("items", {}), f"{at}[{number}]")
    return wrong
