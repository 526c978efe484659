"""What there is of AMD's to be had, and how it is told apart."""

from typing import Literal, NamedTuple

from verdictd.tees.amd.extensions import AMDKeyType, AMDProduct


class AMDCertificateName(NamedTuple):
    """What AMD's key distribution service is asked for.

    Attributes:
        key_type: whose endorsement key.
        product: see `AMDProduct`.
        what: the leaf, the chain above it, or its CRL.
        chip_id: 64 bytes (8 for Turin) for a VCEK, else empty.
        tcb: 8 bytes, little-endian as in a report, for a leaf, else empty.
    """

    key_type: AMDKeyType
    product: AMDProduct
    what: Literal["leaf", "cert_chain", "crl"]
    chip_id: bytes = b""
    tcb: bytes = b""
