"""Protection of TLS 1.3 records under one traffic secret: keys, nonces, sealing and opening.

A key must never seal two records with one nonce. The nonce is the number of the record, so it is kept here, beside the
key, goes up with each record, and begins anew only with another key.

Spec:
    RFC 8446, 5.2 to 5.5, 7.1 to 7.3.
"""

from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from verdictd.core.errors import AuthenticityError
from verdictd.ratstls.channel import MAX_RECORD_BYTES

HEADER_BYTES: Final = 5
TAG_BYTES: Final = 16
MAX_RECORDS_OF_A_KEY: Final = 2**22
"""A quarter of what RFC 8446, 5.5, lets AES-GCM protect with one key, where all records are full."""

APPLICATION_DATA: Final = 23
_LEGACY_VERSION: Final = b"\x03\x03"
_IV_BYTES: Final = 12


class CipherSuite(NamedTuple):
    """A cipher suite of TLS 1.3: what protects records, with keys of how many bytes, and the hash keys are made by."""

    cipher: type[AESGCM] | type[ChaCha20Poly1305]
    key_bytes: int
    hash: hashes.HashAlgorithm


CIPHER_SUITES: Final = {
    "TLS_AES_128_GCM_SHA256": CipherSuite(AESGCM, 16, hashes.SHA256()),
    "TLS_AES_256_GCM_SHA384": CipherSuite(AESGCM, 32, hashes.SHA384()),
    "TLS_CHACHA20_POLY1305_SHA256": CipherSuite(ChaCha20Poly1305, 32, hashes.SHA256()),
}
"""By the names that OpenSSL has for them as well."""


class TrafficKey:
    """The key of one direction of a connection. Has the one count of its records, which nobody else can set.

    Nothing shows the key: there is no text of it, and no way to read it.
    """

    __slots__ = ("_iv", "_key", "_secret", "_sequence", "_suite")

    def __init__(self, suite: CipherSuite, secret: bytes) -> None:
        """Derive the key of a traffic secret, for its first record.

        Raises:
            ValueError: the secret is not as long as the suite's hash.
        """
        if len(secret) != suite.hash.digest_size:
            raise ValueError("a traffic secret is as long as the hash of its suite")
        self._suite = suite
        self._secret = secret
        self._key = _expand_label(suite.hash, secret, b"key", suite.key_bytes)
        self._iv = int.from_bytes(_expand_label(suite.hash, secret, b"iv", _IV_BYTES), "big")
        self._sequence = 0

    @property
    def sequence(self) -> int:
        """The number of the next record."""
        return self._sequence

    def seal(self, content_type: int, content: bytes) -> bytes:
        """Protect one record.

        Args:
            content_type: of what is in it.
            content: up to 16,384 bytes.

        Returns:
            The record with its header.

        Raises:
            RuntimeError: the key is worn; it must be followed by another one.
            ValueError: there is more content than a record has room for.
        """
        if len(content) > MAX_RECORD_BYTES:
            raise ValueError(f"a record has room for {MAX_RECORD_BYTES} bytes, not for {len(content)}")
        if self._sequence >= MAX_RECORDS_OF_A_KEY:
            raise RuntimeError("a key that is worn protects no further record")
        header = bytes((APPLICATION_DATA,)) + _LEGACY_VERSION + (len(content) + 1 + TAG_BYTES).to_bytes(2, "big")
        return header + self._cipher().encrypt(self._next_nonce(), content + bytes((content_type,)), header)

    def open(self, header: bytes, body: bytes) -> bytes:
        """Open one record: return what was protected, the content with its type and its padding.

        Raises:
            AuthenticityError: it was not sealed by the peer as its next record.
        """
        try:
            return self._cipher().decrypt(self._next_nonce(), body, header)
        except InvalidTag:
            raise AuthenticityError("a record does not verify") from None

    def follow(self) -> "TrafficKey":
        """The key that comes after this one (RFC 8446, 7.2)."""
        following = _expand_label(self._suite.hash, self._secret, b"traffic upd", self._suite.hash.digest_size)
        return TrafficKey(self._suite, following)

    def _cipher(self) -> AESGCM | ChaCha20Poly1305:
        """Made for each record: it takes more memory than the key, and most connections are idle most of the time."""
        return self._suite.cipher(self._key)

    def _next_nonce(self) -> bytes:
        """Use up a number, before anything is done with it."""
        number = self._sequence
        self._sequence = number + 1
        return (self._iv ^ number).to_bytes(_IV_BYTES, "big")


def _expand_label(algorithm: hashes.HashAlgorithm, secret: bytes, label: bytes, length: int) -> bytes:
    """HKDF-Expand-Label with an empty context (RFC 8446, 7.1)."""
    name = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes((len(name),)) + name + b"\0"
    return HKDFExpand(algorithm=algorithm, length=length, info=info).derive(secret)
