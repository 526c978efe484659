"""CBOR as RATS-TLS uses it: definite lengths, no duplicate keys, one named tag at the top, nothing after the item."""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Final

import cbor2

from verdictd.core.errors import LimitExceededError, MalformedError

_MAX_DEPTH: Final = 3
_Decoder = Callable[[object, object], object]


class _NoMeaning(Mapping[int, _Decoder]):
    """Gives every tag the meaning "a tag": cbor2 would turn some into fractions, dates or patterns of any cost."""

    def __getitem__(self, tag: int) -> _Decoder:
        return lambda value, _immutable: cbor2.CBORTag(tag, value)

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


_NO_MEANING: Final = _NoMeaning()


def parse_cbor(data: bytes, what: str, *, max_bytes: int) -> object:
    """Decode exactly one item. The caller still has to check every type in it.

    Args:
        data: the item's bytes, all of them.
        what: names the item, for the operator.
        max_bytes: refuse longer data before decoding it.
    Returns:
        ``CBORTag``, ``tuple`` or ``list``, ``dict``, ``bytes``, ``str``, ``int``, ``float``, ``bool`` or ``None``.
    Raises:
        MalformedError: not one well-formed item with definite lengths and unique keys, nested at most three deep.
        LimitExceededError: longer than `max_bytes`.
    """
    if len(data) > max_bytes:
        raise LimitExceededError(f"{what} is {len(data)} bytes long, the limit is {max_bytes}")
    decoder = cbor2.CBORDecoder(
        BytesIO(data),
        semantic_decoders=_NO_MEANING,
        max_depth=_MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        item: object = decoder.decode(immutable=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise MalformedError(f"{what} is not the CBOR that RATS-TLS uses: {error}") from error
    try:
        decoder.read(1)
    except cbor2.CBORDecodeEOF:
        return item
    raise MalformedError(f"{what} has bytes after its CBOR item")


def parse_tagged_array(data: bytes, what: str, *, max_bytes: int) -> tuple[int, tuple[object, ...]]:
    """Decode a tag with an array in it; return both. Neither the tag nor the elements have been judged."""
    item = parse_cbor(data, what, max_bytes=max_bytes)
    if type(item) is not cbor2.CBORTag or type(item.value) is not tuple:
        raise MalformedError(f"{what}: expected a CBOR tag with an array in it, found {type(item).__name__}")
    return item.tag, item.value


def encode_cbor(item: object) -> bytes:
    """Encode with definite lengths, each as short as it can be, maps in the order given."""
    return cbor2.dumps(item)
