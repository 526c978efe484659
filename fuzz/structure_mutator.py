"""Mutates inputs that hold DER or JSON, most of the time so that they still do."""

import json
import random

from fuzz.der_mutator import Mutate, mutate_der
from fuzz.json_mutator import mutate_json
from fuzz.target import FuzzTarget

_BLIND = 0.15
"""How often bytes are changed whatever they are."""


def mutate_structure(data: bytes, max_bytes: int, seed: int, mutate: Mutate, target: FuzzTarget) -> bytes:
    """Change an input of a target.

    Args:
        data: what was tried before.
        max_bytes: the most to return.
        seed: decides what is changed.
        mutate: the fuzzer's own mutation.
        target: which target; tells where DER or JSON begins.
    """
    choice = random.Random(seed)
    if target.structure is None or choice.random() < _BLIND:
        return mutate(data, max_bytes)
    start = target.structure(data)
    head, body = data[:start], data[start:]
    try:
        document = json.loads(body) if body[:1] in {b"{", b"["} else None
    except (ValueError, RecursionError):
        document = None
    if document is not None:
        changed = mutate_json(document, choice, mutate)
    else:
        changed = mutate_der(body, max_bytes, choice, mutate)
    return (head + changed)[:max_bytes]
