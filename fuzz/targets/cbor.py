"""CBOR by itself."""

import math

import cbor2

from fuzz.target import FuzzTarget, attempt
from verdictd.ratstls.cbor import encode_cbor, parse_cbor, parse_tagged_array

_MAX_DEPTH = 3


def check(data: bytes) -> None:
    """What was read is of the types that are named, no deeper than allowed, and written again reads the same."""
    item = attempt(parse_cbor, data, "it", max_bytes=4096)
    if item is not None:
        assert len(data) <= 4096
        _check_types(item, 0)
        again = parse_cbor(encode_cbor(item), "it", max_bytes=1 << 16)
        assert again == item or _has_nan(item), (item, again)
    attempt(parse_tagged_array, data, "it", max_bytes=4096)


def _check_types(item: object, depth: int) -> None:
    assert depth <= _MAX_DEPTH
    match item:
        case cbor2.CBORTag():
            _check_types(item.value, depth + 1)
        case tuple() | list():
            for each in item:
                _check_types(each, depth + 1)
        case bytes() | str() | int() | float() | None:
            pass
        case _ if hasattr(item, "items"):
            for key, value in item.items():
                assert isinstance(key, str | bytes)
                _check_types(value, depth + 1)
        case _:
            assert item is cbor2.undefined or isinstance(item, cbor2.CBORSimpleValue), type(item)


def _has_nan(item: object) -> bool:
    match item:
        case float():
            return math.isnan(item)
        case cbor2.CBORTag():
            return _has_nan(item.value)
        case tuple() | list():
            return any(map(_has_nan, item))
        case _ if hasattr(item, "values"):
            return any(map(_has_nan, item.values()))
        case _:
            return False


def seeds() -> dict[str, bytes]:
    items: dict[str, object] = {
        "tagged": cbor2.CBORTag(60000, [b"quote", b"claims"]),
        "map": {"pubkey-hash": b"\x82\x01\x40", "nonce": b"n"},
        "numbers": [1, -1, 2**64 - 1, 1.5, True, None],
        "text": "é",
        "nested": [[[1]]],
    }
    return {name: encode_cbor(item) for name, item in items.items()}


TARGET = FuzzTarget(name="cbor", modules=("verdictd.ratstls.cbor",), check=check, seeds=seeds, max_bytes=1024)
