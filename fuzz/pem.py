"""PEM, for harnesses and seeds."""

import base64


def encode_pem(der: bytes, label: str = "CERTIFICATE") -> bytes:
    """One block."""
    name = label.encode("ascii")
    return b"-----BEGIN %s-----\n%s-----END %s-----\n" % (name, base64.encodebytes(der), name)
