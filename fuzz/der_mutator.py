"""Mutates DER so that it stays DER: one element changes, and the lengths of all around it are made right again."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from fuzz.simulated import encode_der

_MAX_DEPTH = 12
Mutate = Callable[[bytes, int], bytes]
"""Changes bytes in whatever way, within a size."""


@dataclass(slots=True)
class _Node:
    """An element, or bytes that are none (`tag` is then ``None``)."""

    tag: int | None
    value: bytes = b""
    prefix: bytes = b""
    children: list["_Node"] = field(default_factory=list)

    def encode(self) -> bytes:
        content = self.prefix + b"".join(child.encode() for child in self.children) if self.children else self.value
        return content if self.tag is None else encode_der(self.tag, content)


def mutate_der(data: bytes, max_bytes: int, choice: random.Random, mutate: Mutate) -> bytes:
    """Change one element of `data`, or some bytes of it where it is no DER.

    Args:
        data: what was tried before.
        max_bytes: the most to return.
        choice: decides what is changed.
        mutate: the fuzzer's own mutation, for an element's value.
    """
    nodes = _read(data, 0)
    if not nodes:
        return mutate(data, max_bytes)
    holder = _Node(None, children=nodes)
    around = [node for node in _walk(holder) if node.children]
    parent = choice.choice(around)
    place = choice.randrange(len(parent.children))
    chosen = parent.children[place]
    match choice.randrange(8):
        case 0:
            parent.children.insert(place, chosen)
        case 1:
            del parent.children[place]
        case 2:
            copied = choice.choice([node for node in _walk(holder) if node is not holder])
            parent.children[place] = _Node(None, copied.encode())
        case 3 if chosen.tag is not None:
            chosen.tag = choice.choice((0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x0C, 0x17, 0x18, 0x30, 0xA0, 0xA3))
        case _:
            content = chosen.encode() if chosen.tag is None or not chosen.children else chosen.children[0].encode()
            changed = mutate(chosen.value if not chosen.children else content, len(content) + 16)
            chosen.children, chosen.value = [], changed
    return holder.encode()[:max_bytes]


def _walk(node: _Node) -> list[_Node]:
    return [node, *(found for child in node.children for found in _walk(child))]


def _read(data: bytes, depth: int) -> list[_Node] | None:
    """Read elements that fill the bytes exactly; ``None`` where they do not."""
    nodes, offset = [], 0
    while offset < len(data):
        if offset + 2 > len(data):
            return None
        tag, length, start = data[offset], data[offset + 1], offset + 2
        if length > 0x80:
            start = offset + 2 + (length & 0x7F)
            length = int.from_bytes(data[offset + 2 : start], "big")
        end = start + length
        if tag & 0x1F == 0x1F or length == 0x80 or end > len(data):
            return None
        nodes.append(_read_node(tag, data[start:end], depth))
        offset = end
    return nodes


def _read_node(tag: int, value: bytes, depth: int) -> _Node:
    """Read an element, and what is inside where it is constructed or may hold DER."""
    node = _Node(tag, value)
    if depth < _MAX_DEPTH and (tag & 0x20 or tag in {0x03, 0x04}):
        node.prefix = value[:1] if tag == 0x03 else b""
        node.children = _read(value[len(node.prefix) :], depth + 1) or []
    return node
