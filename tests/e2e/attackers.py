"""Peers that break the rules: plain OpenSSL with whatever certificate and key they like."""

import socket
import warnings
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from tests.unit.ratstls.peers import mismatched_key
from verdictd.ratstls.certificate_builder import Identity, PrivateKey, generate_private_key


def steal(victim: Identity) -> tuple[bytes, bytes]:
    """A genuine certificate, and a key of one's own that claims to be its key."""
    return victim.certificate_der, mismatched_key(victim.private_key, ec.generate_private_key(ec.SECP256R1()))


def encode_key(key: PrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


def certificate_with_extension(oid: str, value: bytes) -> tuple[bytes, bytes]:
    """A self-signed certificate with one extension, and its key."""
    key = generate_private_key()
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "RATS-TLS")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    now = datetime.now(UTC)
    builder = builder.not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
    builder = builder.add_extension(x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), value), critical=False)
    signed = builder.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER), encode_key(key)


def knock(host: str, port: str, certificate: bytes, key: bytes, version: int = SSL.TLS1_3_VERSION) -> str:
    """Connect with them and ask for something; return what came of it, beginning with ``LET IN`` or ``turned away``."""
    context = _client(version)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", DeprecationWarning
        )  # the only class that takes such a key for the pair it is not
        context.use_certificate(crypto.load_certificate(crypto.FILETYPE_ASN1, certificate))
        context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_ASN1, key))
    return _ask(context, host, port)


def present(host: str, port: str, identity: Identity) -> str:
    """Do as `knock` does with an identity that is in order. May be called on several threads at once."""
    context = _client(SSL.TLS1_3_VERSION)
    context.use_certificate(x509.load_der_x509_certificate(identity.certificate_der))
    context.use_privatekey(identity.private_key)
    return _ask(context, host, port)


def _client(version: int) -> SSL.Context:
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_min_proto_version(version)
    context.set_max_proto_version(version)
    context.set_verify(SSL.VERIFY_NONE)
    return context


def _ask(context: SSL.Context, host: str, port: str) -> str:
    with socket.create_connection((host, int(port)), timeout=20) as connected:
        connection = SSL.Connection(context, connected)
        connection.set_connect_state()
        connection.setblocking(1)
        try:
            connection.do_handshake()
            connection.sendall(b'{"command":"version"}')
            return f"LET IN: {connection.recv(4096)!r}"
        except SSL.Error as error:
            return f"turned away: {error}"
