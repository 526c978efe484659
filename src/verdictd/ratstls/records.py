"""Where TLS records end, as far as it takes to know whether a peer has sent one whole.

Spec:
    RFC 8446, 5.1; RFC 5246, 6.2.
"""

from typing import Final

_HEADER_BYTES: Final = 5
_CHANGE_CIPHER_SPEC, _APPLICATION_DATA = 0x14, 0x17  # and between them alert and handshake


class RecordCollector:
    """Holds back what a peer sent until a record of it is whole that says something.

    TLS 1.3 sends a change_cipher_spec for the sake of old middleboxes, and it means nothing. Each header is looked at
    once, however the bytes arrive: peers that send very many small records, byte by byte, are to gain nothing by it.
    """

    __slots__ = ("_end", "_held", "_says_something")

    def __init__(self) -> None:
        self._held = bytearray()
        self._end = 0
        self._says_something = False

    def collect(self, data: bytes) -> bytes:
        """Take bytes as they arrived; return all whole records held, nothing where none of them says anything yet.

        Bytes that do not begin a record are for OpenSSL to refuse: then all there is is returned.
        """
        self._held += data
        if self._find_end():
            return self._cut(len(self._held))
        return self._cut(self._end) if self._says_something else b""

    def release(self) -> bytes:
        """Return what is held, and hold it no longer."""
        return self._cut(len(self._held))

    def _find_end(self) -> bool:
        """Go on to the end of the last whole record; whether something else than a record begins there."""
        held = self._held
        while self._end + _HEADER_BYTES <= len(held):
            kind = held[self._end]
            if not _CHANGE_CIPHER_SPEC <= kind <= _APPLICATION_DATA:
                return True
            length = int.from_bytes(held[self._end + 3 : self._end + _HEADER_BYTES], "big")
            following = self._end + _HEADER_BYTES + length
            if following > len(held):
                break
            self._says_something = self._says_something or kind != _CHANGE_CIPHER_SPEC
            self._end = following
        return False

    def _cut(self, end: int) -> bytes:
        whole = bytes(self._held[:end])
        del self._held[:end]
        self._end, self._says_something = 0, False
        return whole
