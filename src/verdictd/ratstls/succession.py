"""The one point at which a server's connection goes over from OpenSSL to our record layer.

OpenSSL is let go in the same step, so that nothing else can send under the key that goes over. Its first number follows
from what OpenSSL sent under it already: those records are opened, as the client will, which shows as well that key and
count are the right ones. Where anything is not as expected, the connection stays with OpenSSL.

Spec:
    RFC 8446, 5.3, 7.1; the key log's labels: RFC 9850.
"""

from typing import Final

from OpenSSL import SSL

from verdictd.core.errors import AuthenticityError
from verdictd.ratstls.record_layer import RecordLayer
from verdictd.ratstls.record_protection import (
    APPLICATION_DATA,
    CIPHER_SUITES,
    HEADER_BYTES,
    CipherSuite,
    TrafficKey,
)

_CLIENT, _SERVER = b"CLIENT_TRAFFIC_SECRET_0", b"SERVER_TRAFFIC_SECRET_0"
_TLS_1_3: Final = "TLSv1.3"
_MAX_EMITTED_RECORDS: Final = 8
"""OpenSSL sends two tickets, also to clients that say they cannot use them."""


class TrafficSecrets:
    """The two secrets of a handshake from which the keys of its connection come. Nothing shows or writes them."""

    __slots__ = ("_secrets",)

    def __init__(self) -> None:
        self._secrets: dict[bytes, bytes] = {}

    def note(self, line: bytes) -> None:
        """Take a line of OpenSSL's key log: a label, the client's random number, a secret. Others are passed over."""
        label, _, rest = line.partition(b" ")
        if label in {_CLIENT, _SERVER}:
            self._secrets[label] = bytes.fromhex(rest.partition(b" ")[2].decode("ascii"))

    def take(self, suite: CipherSuite) -> tuple[TrafficKey, TrafficKey] | None:
        """Return, once, the keys of the client's and of the server's first record; ``None`` where one is not known."""
        secrets, self._secrets = self._secrets, {}
        if secrets.keys() != {_CLIENT, _SERVER}:
            return None
        return TrafficKey(suite, secrets[_CLIENT]), TrafficKey(suite, secrets[_SERVER])

    def forget(self) -> None:
        """Let them go."""
        self._secrets = {}


def carry_on(
    connection: SSL.Connection, secrets: TrafficSecrets, emitted: bytes, attestation_id: str | None
) -> RecordLayer | None:
    """Return what carries a server's connection on, right after its handshake; ``None`` where OpenSSL has to.

    Args:
        connection: as it is when it has just completed the handshake, having been given nothing after the record that
            did. To be let go where something is returned.
        secrets: what was noted of it; empty afterwards.
        emitted: all that it put out since that record.
        attestation_id: see `RecordLayer`.
    """
    suite = CIPHER_SUITES.get(connection.get_cipher_name() or "")
    if connection.get_protocol_version_name() != _TLS_1_3 or suite is None or connection.pending():
        secrets.forget()
        return None
    keys = secrets.take(suite)
    if keys is None or not _count_emitted(emitted, keys[1]):
        return None
    return RecordLayer(receiving=keys[0], sending=keys[1], attestation_id=attestation_id)


def _count_emitted(emitted: bytes, key: TrafficKey) -> bool:
    """Open what was sent under a key, so that its next record has the number that follows.

    Returns:
        Whether all of it opens, and there is some: without any, neither the key nor the count is proved.
    """
    start = 0
    while start < len(emitted):
        header = emitted[start : start + HEADER_BYTES]
        end = start + HEADER_BYTES + int.from_bytes(header[3:], "big")
        if header[0] != APPLICATION_DATA or end > len(emitted) or key.sequence == _MAX_EMITTED_RECORDS:
            return False
        try:
            key.open(header, emitted[start + HEADER_BYTES : end])
        except AuthenticityError:
            return False
        start = end
    return key.sequence > 0
