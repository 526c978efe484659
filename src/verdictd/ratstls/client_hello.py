"""What our record layer has to know of a ClientHello: whether the client takes full records.

OpenSSL grants a client shorter ones (max_fragment_length) and does not tell of it. Whoever carries the connection on
would send more at once than the client agreed to.

Spec:
    RFC 8446, 4.1.2, 4.2; RFC 6066, 4.
"""

from typing import Final

_CLIENT_HELLO: Final = b"\x16", b"\x01"  # a record of the handshake, and the message in it
_RECORD_HEADER_BYTES, _MESSAGE_HEADER_BYTES = 5, 4
_VERSION_AND_RANDOM_BYTES: Final = 2 + 32
_LENGTHS_BEFORE_EXTENSIONS: Final = (1, 2, 1)
"""How many bytes tell the length of the session id, of the cipher suites and of the compression methods."""
_MAX_FRAGMENT_LENGTH: Final = 1


def takes_full_records(record: bytes) -> bool:
    """Whether this is a whole ClientHello that asks for no shorter records. Any bytes are answered, in linear time.

    Args:
        record: the first record of a connection, with its header. Not trusted; what is not understood, a ClientHello in
            several records for instance, is taken to ask for shorter ones.
    """
    start = _RECORD_HEADER_BYTES + _MESSAGE_HEADER_BYTES
    hello = record[start:]
    size = int.from_bytes(record[_RECORD_HEADER_BYTES + 1 : start], "big")
    if (record[:1], record[_RECORD_HEADER_BYTES : _RECORD_HEADER_BYTES + 1]) != _CLIENT_HELLO or size != len(hello):
        return False
    position = _VERSION_AND_RANDOM_BYTES
    for width in _LENGTHS_BEFORE_EXTENSIONS:
        position = _skip(hello, position, width)
    return _skip(hello, position, 2) == len(hello) and _has_no_limit(hello, position + 2)


def _has_no_limit(hello: bytes, position: int) -> bool:
    while position < len(hello):
        if int.from_bytes(hello[position : position + 2], "big") == _MAX_FRAGMENT_LENGTH:
            return False
        position = _skip(hello, position + 2, 2)
    return position == len(hello)


def _skip(data: bytes, position: int, width: int) -> int:
    """Where a vector ends whose length is told by so many bytes; beyond the data where it is cut off."""
    return position + width + int.from_bytes(data[position : position + width], "big")
