"""CBOR as RATS-TLS uses it: definite lengths, no duplicate keys, one named tag at the top, one item and no more.

rats-tls since April 2023, with the libcbor it pins or any before 0.10, writes the whole buffer that libcbor grew, not
the item alone: 32 bytes, doubled until the item fitted, the rest of it whatever was in memory. Exactly that much is
passed over; it means nothing, and where evidence hashes a buffer, it hashes the rest of it too.
"""

from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from typing import Final

import cbor2

from verdictd.core.errors import LimitExceededError, MalformedError

_MAX_DEPTH: Final = 3
_FIRST_BUFFER_BYTES: Final = 32
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
        MalformedError: not one well-formed item with definite lengths and unique keys, nested at most three deep; or
            bytes after it, unless they are what libcbor leaves there (see above).
        LimitExceededError: longer than `max_bytes`.
    """
    if len(data) > max_bytes:
        raise LimitExceededError(f"{what} is {len(data)} bytes long, the limit is {max_bytes}")
    stream = BytesIO(data)
    decoder = cbor2.CBORDecoder(
        stream,
        semantic_decoders=_NO_MEANING,
        read_size=1,  # so that the stream's position tells where the item ends
        max_depth=_MAX_DEPTH,
        allow_indefinite=False,
        allow_duplicate_keys=False,
        strict_hashable_types=True,
    )
    try:
        item: object = decoder.decode(immutable=True)
    except (cbor2.CBORError, ValueError, TypeError, OverflowError) as error:
        raise MalformedError(f"{what} is not the CBOR that RATS-TLS uses: {error}") from error
    item_bytes = stream.tell()
    if len(data) not in {item_bytes, _grown_buffer_bytes(item_bytes)}:
        raise MalformedError(f"{what} has {len(data) - item_bytes} bytes after its CBOR item")
    return item


def _grown_buffer_bytes(item_bytes: int) -> int:
    """Return the size of the buffer that libcbor before 0.10 allocates for an item of this size."""
    return max(_FIRST_BUFFER_BYTES, 1 << (item_bytes - 1).bit_length())


def parse_tagged_array(data: bytes, what: str, *, max_bytes: int) -> tuple[int, tuple[object, ...]]:
    """Decode a tag with an array in it; return both. Neither the tag nor the elements have been judged."""
    item = parse_cbor(data, what, max_bytes=max_bytes)
    if type(item) is not cbor2.CBORTag or type(item.value) is not tuple:
        raise MalformedError(f"{what}: expected a CBOR tag with an array in it, found {type(item).__name__}")
    return item.tag, item.value


def encode_cbor(item: object) -> bytes:
    """Encode with definite lengths, each as short as it can be, maps in the order given."""
    return cbor2.dumps(item)
