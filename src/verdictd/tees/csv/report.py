"""Hygon's attestation report, as a page of memory: parsing and unmasking. Nothing here is verified."""

import struct
from typing import Final, NamedTuple

from verdictd.core.errors import MalformedError, UnsupportedError
from verdictd.tees.csv.masking import mask
from verdictd.tees.csv.policy import GuestPolicy
from verdictd.tees.psp.certificate import CERTIFICATE_BYTES, KeyUsage

REPORT_BYTES: Final = 4096
SIGNED_BYTES: Final = 180
_BODY: Final = struct.Struct("<32s16s16s64s16s32sIII")
_ANONCE: Final = slice(_BODY.size, 192)
_SIGNATURE: Final = slice(192, 336)
_PEK: Final = slice(336, 336 + CERTIFICATE_BYTES)
_CHIP_ID: Final = slice(_PEK.stop, 2484)
_RESERVED: Final = slice(2484, 2516)
_HMAC: Final = slice(2516, 2548)
_EXTENDED_PEK: Final = 1168
"""Where the PEK begins in the extended report, which firmware 1.4 makes on request."""
_PEK_VERSIONS: Final = frozenset({1, 2})


class CSVReport(NamedTuple):
    """A parsed report, without the mask. Trust: unauthenticated; see `anonce` for what even the signature leaves open.

    Attributes:
        user_key_digest: 32 bytes; of the key that secured the launch, zero where there was none.
        vm_id, vm_version: 16 bytes each, chosen by the guest's owner.
        user_data: 64 bytes, chosen by the guest; what binds the report to a key.
        mnonce: 16 bytes, chosen by the guest.
        measure: 32 bytes, SM3; what was launched.
        policy: what the host may do with the guest.
        signature_usage, signature_algorithm: what key signs, and how. Not covered by the signature.
        anonce: 4 bytes, the mask. **Not covered by the signature**: whoever has a report can make one of it in which
            every 32-bit word of the fields above is XORed with the same number.
        signed: the bytes that the PEK signs, with the mask on.
        signature: 144 bytes, r and s in 72 each.
        pek: the certificate of the PEK, 2084 bytes.
        chip_id: 64 bytes, ASCII and zeros. Not covered by any signature.
        masked_signer: PEK, chip id and reserved bytes, with the mask on: what `hmac` is over.
        reserved: 32 bytes; zero where the attester put zeros in their place.
        hmac: HMAC-SM3 over `masked_signer`, its key being `mnonce`.
    """

    user_key_digest: bytes
    vm_id: bytes
    vm_version: bytes
    user_data: bytes
    mnonce: bytes
    measure: bytes
    policy: GuestPolicy
    signature_usage: int
    signature_algorithm: int
    anonce: bytes
    signed: bytes
    signature: bytes
    pek: bytes
    chip_id: bytes
    masked_signer: bytes
    reserved: bytes
    hmac: bytes


def parse_report(data: bytes) -> CSVReport:
    """Parse a report.

    Layout: 4096 bytes, little-endian; user key digest 0 (32), VM id 32 (16), VM version 48 (16), user data 64 (64),
    mnonce 128 (16), measure 144 (32), policy 176 (4), signature usage 180 (4), signature algorithm 184 (4),
    anonce 188 (4), signature 192 (144), PEK 336 (2084), chip id 2420 (64), reserved 2484 (32), HMAC 2516 (32).
    Bytes 0 to 187 wear the mask. PEK and chip id wear it as the firmware writes them; some attesters take it off.

    Raises:
        MalformedError: not 4096 bytes, or there is no PEK where it should be.
        UnsupportedError: an extended report.
    """
    if len(data) != REPORT_BYTES:
        raise MalformedError(f"a CSV report is {REPORT_BYTES} bytes long, this one is {len(data)}")
    anonce = data[_ANONCE]
    signer, masked_signer = _find_signer(data, anonce)
    user_key_digest, vm_id, vm_version, user_data, mnonce, measure, policy, usage, algorithm = _BODY.unpack(
        mask(data[: _BODY.size], anonce)
    )
    return CSVReport(
        user_key_digest=user_key_digest,
        vm_id=vm_id,
        vm_version=vm_version,
        user_data=user_data,
        mnonce=mnonce,
        measure=measure,
        policy=GuestPolicy(policy),
        signature_usage=usage,
        signature_algorithm=algorithm,
        anonce=anonce,
        signed=data[:SIGNED_BYTES],
        signature=data[_SIGNATURE],
        pek=signer[:CERTIFICATE_BYTES],
        chip_id=signer[CERTIFICATE_BYTES:],
        masked_signer=masked_signer,
        reserved=data[_RESERVED],
        hmac=data[_HMAC],
    )


def _find_signer(data: bytes, anonce: bytes) -> tuple[bytes, bytes]:
    """Return PEK and chip id without the mask, and with the reserved bytes behind them as the firmware wrote them."""
    found = data[_PEK.start : _CHIP_ID.stop]
    other = mask(found, anonce)
    if _looks_like_pek(other):
        return other, found + data[_RESERVED]
    if _looks_like_pek(found):
        return found, other + data[_RESERVED]
    if _looks_like_pek(data[_EXTENDED_PEK:]):
        raise UnsupportedError(
            "this is an extended CSV report, of firmware 1.4, which is not implemented",
            remedy="let the attester ask for a report without extensions",
        )
    raise MalformedError(f"there is no PEK at byte {_PEK.start} of the report, with the mask or without")


def _looks_like_pek(data: bytes) -> bool:
    version, _, usage = struct.unpack_from("<III", data)
    return version in _PEK_VERSIONS and usage == KeyUsage.PEK
