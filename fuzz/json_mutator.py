"""Mutates JSON so that it stays JSON: one value changes, or stands twice, or is gone."""

import json
import random
from typing import Any

from fuzz.der_mutator import Mutate

_VALUES: tuple[Any, ...] = (None, True, 0, -1, 255, 256, 65536, 2**64, 10**200, 1.5, float("nan"), "", "\ud800", [], {})


def mutate_json(document: Any, choice: random.Random, mutate: Mutate) -> bytes:  # noqa: ANN401 - any JSON value
    """Change one value in a document, and write it.

    Args:
        document: dictionaries, lists and scalars; changed in place.
        choice: decides what is changed.
        mutate: the fuzzer's own mutation, for texts.
    """
    containers = _containers(document)
    if containers:
        parent = choice.choice(containers)
        keys = list(parent) if isinstance(parent, dict) else list(range(len(parent)))
        _change(parent, choice.choice(keys), choice, mutate, choice.choice(containers))
    return json.dumps(document, ensure_ascii=choice.random() < 0.8, separators=(",", ":")).encode("utf-8", "replace")


def _containers(value: Any) -> list[Any]:  # noqa: ANN401
    """The dictionaries and lists in a value that are not empty, itself included."""
    found, pending = [], [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict | list) and item:
            found.append(item)
            pending += item.values() if isinstance(item, dict) else item
    return found


def _change(parent: Any, key: Any, choice: random.Random, mutate: Mutate, other: Any) -> None:  # noqa: ANN401
    present = parent[key]
    match choice.randrange(6):
        case 0:
            parent[key] = choice.choice(_VALUES)
        case 1:
            del parent[key]
        case 2:
            parent[key] = json.loads(json.dumps(other))
        case 3 if isinstance(parent, list):
            parent.append(json.loads(json.dumps(present)))
        case 4 if isinstance(present, int) and not isinstance(present, bool):
            parent[key] = present + choice.choice((-1, 1, 256, -256))
        case _ if isinstance(present, str):
            changed = mutate(present.encode("utf-8", "replace"), len(present) + 16)
            parent[key] = changed.decode("utf-8", "replace")
        case _:
            parent[key] = [present]
