"""SEV evidence as peers send it: a report, three certificates and the kind of processor. Parsing only."""

import struct
from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError
from verdictd.tees.psp.certificate import CERTIFICATE_BYTES
from verdictd.tees.sev.policy import GuestPolicy

REPORT_BYTES: Final = 208
SIGNED_BYTES: Final = 52
EVIDENCE_BYTES: Final = REPORT_BYTES + 3 * CERTIFICATE_BYTES + 1
_REPORT: Final = struct.Struct("<16s32sIII4x144s")
_CEK: Final = slice(REPORT_BYTES, REPORT_BYTES + CERTIFICATE_BYTES)
_PEK: Final = slice(_CEK.stop, _CEK.stop + CERTIFICATE_BYTES)
_OCA: Final = slice(_PEK.stop, _PEK.stop + CERTIFICATE_BYTES)
_PRODUCTS: Final = ("rome", "naples", "milan")
"""The kinds of processors by their numbers in the evidence, under the names of AMD's files."""


class SEVEvidence(NamedTuple):
    """Parsed evidence. Trust: unauthenticated.

    Attributes:
        mnonce: 16 bytes, chosen by whoever asked the firmware for the report: the host.
        launch_digest: 32 bytes, SHA-256; what was launched.
        policy: what the host may do with the guest.
        signature_usage, signature_algorithm: what key signs, and how. Not covered by the signature.
        signed: the bytes that the PEK signs.
        signature: 144 bytes, r and s in 72 each.
        cek, pek, oca: certificates, 2084 bytes each, unparsed.
        device_type: the kind of processor, not covered by any signature; unknown numbers are kept.
    """

    mnonce: bytes
    launch_digest: bytes
    policy: GuestPolicy
    signature_usage: int
    signature_algorithm: int
    signed: bytes
    signature: bytes
    cek: bytes
    pek: bytes
    oca: bytes
    device_type: int


def parse_sev_evidence(data: bytes) -> SEVEvidence:
    """Parse evidence.

    Layout: 6461 bytes, little-endian; report 0: mnonce 0 (16), launch digest 16 (32), policy 48 (4), signature usage
    52 (4), signature algorithm 56 (4), signature 64 (144); CEK 208, PEK 2292, OCA 4376 (2084 each), device type 6460.

    Raises:
        MalformedError: not 6461 bytes.
    Spec:
        AMD 55766, chapter 6.8, "ATTESTATION".
    """
    if len(data) != EVIDENCE_BYTES:
        raise MalformedError(f"SEV evidence is {EVIDENCE_BYTES} bytes long, this is {len(data)}")
    mnonce, launch_digest, policy, usage, algorithm, signature = _REPORT.unpack_from(data)
    return SEVEvidence(
        mnonce=mnonce,
        launch_digest=launch_digest,
        policy=GuestPolicy(policy),
        signature_usage=usage,
        signature_algorithm=algorithm,
        signed=data[:SIGNED_BYTES],
        signature=signature,
        cek=data[_CEK],
        pek=data[_PEK],
        oca=data[_OCA],
        device_type=data[-1],
    )


def read_product(data: bytes) -> str | None:
    """Read whose ASK and ARK to get from AMD: ``naples``, ``rome`` or ``milan``; ``None`` for an unknown number.

    Trust: none; it is what the peer says.

    Raises:
        MalformedError: no evidence.
    """
    device_type = parse_sev_evidence(data).device_type
    return _PRODUCTS[device_type] if device_type < len(_PRODUCTS) else None
