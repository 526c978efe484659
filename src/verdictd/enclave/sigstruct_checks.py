"""What makes a SIGSTRUCT one that the CPU would take, and an enclave one whose memory its host cannot read.

Spec:
    Intel SDM vol. 3D, "Enclave Signature Structure (SIGSTRUCT)", "EINIT".
"""

import re
from datetime import date
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from verdictd.core.checks import Check, CheckLog
from verdictd.enclave.sigstruct import DEBUG_ATTRIBUTE, Sigstruct, parse_sigstruct, signed_bytes

_HEADER: Final = bytes.fromhex("06000000e10000000000010000000000")
_HEADER_OF_DEBUG: Final = _HEADER[:15] + b"\x80"
"""Intel's signing tool sets the last bit of HEADER in what it signs for debugging; the CPU does not take it."""
_HEADER2: Final = bytes.fromhex("01010000600000006000000001000000")
_VENDORS: Final = {0: "others", 0x8086: "Intel"}
_EXPONENT: Final = 3
_KEY_BITS: Final = 3072
_DAY: Final = re.compile(r"[0-9]{8}")
_ANOTHER_FILE: Final = "this is no signature of an enclave, or it was damaged: take it again from where it was built"
_ALTERED: Final = "it was altered after it was signed, or damaged: build and sign the enclave anew"
_DEBUG_REMEDY: Final = "build and sign the enclave for production: a debug enclave's memory can be read by its host"
_UNSIGNED: Final = "sign the enclave first"


def check_sigstruct(data: bytes) -> tuple[Check, ...]:
    """Check all that can be checked of a SIGSTRUCT by itself. Every check is in the result, in a fixed order.

    Args:
        data: 1,808 bytes, untrusted.
    Raises:
        MalformedError: not 1,808 bytes.
    """
    sigstruct, log = parse_sigstruct(data), CheckLog()
    _check_constants(sigstruct, log)
    _check_reserved(sigstruct, log)
    _check_not_debug(sigstruct, log)
    _check_signature(sigstruct, data, log)
    return log.finish()


def _check_constants(sigstruct: Sigstruct, log: CheckLog) -> None:
    is_debug = sigstruct.header == _HEADER_OF_DEBUG
    log.require(
        sigstruct.header == _HEADER,
        "sigstruct.header",
        _HEADER.hex(),
        f"{sigstruct.header.hex()}{', it was signed for debugging' if is_debug else ''}",
        _DEBUG_REMEDY if is_debug else _ANOTHER_FILE,
    )
    log.require(
        sigstruct.vendor in _VENDORS, "sigstruct.vendor", "0 or 0x8086 (Intel)", f"{sigstruct.vendor:#x}", _ANOTHER_FILE
    )
    log.require(_is_day(sigstruct.day), "sigstruct.date", "a day, as YYYYMMDD", sigstruct.day, _ANOTHER_FILE)
    log.require(
        sigstruct.header2 == _HEADER2, "sigstruct.header2", _HEADER2.hex(), sigstruct.header2.hex(), _ANOTHER_FILE
    )
    log.require(
        sigstruct.exponent == _EXPONENT, "sigstruct.exponent", str(_EXPONENT), str(sigstruct.exponent), _ANOTHER_FILE
    )


def _check_reserved(sigstruct: Sigstruct, log: CheckLog) -> None:
    # The first two of the four bytes at 908 became CET_ATTRIBUTES and its mask; the CPU takes other values than zero.
    reserved = {
        44: sigstruct.reserved_44,
        910: sigstruct.reserved_908[2:],
        992: sigstruct.reserved_992,
        1028: sigstruct.reserved_1028,
    }
    filled = [f"{len(value)} bytes at {start}" for start, value in reserved.items() if any(value)]
    found = f"other values in {', '.join(filled)}" if filled else "zeros"
    log.require(not filled, "sigstruct.reserved", "zeros in all that is reserved", found, _ANOTHER_FILE)


def _check_not_debug(sigstruct: Sigstruct, log: CheckLog) -> None:
    is_debug = bool(sigstruct.attributes[0] & DEBUG_ATTRIBUTE)
    log.require(
        not is_debug,
        "sigstruct.debug",
        "an enclave that is not signed as a debug enclave",
        "the DEBUG attribute" if is_debug else "no DEBUG attribute",
        _DEBUG_REMEDY,
    )


def _check_signature(sigstruct: Sigstruct, data: bytes, log: CheckLog) -> None:
    modulus = int.from_bytes(sigstruct.modulus, "little")
    signature = int.from_bytes(sigstruct.signature, "little")
    is_key = modulus.bit_length() == _KEY_BITS and modulus % 2 == 1
    log.require(
        is_key,
        "sigstruct.modulus",
        "an odd number of 3,072 bits",
        f"{'an odd' if modulus % 2 else 'an even'} number of {modulus.bit_length():,} bits",
        _ANOTHER_FILE if modulus else _UNSIGNED,
    )
    expected, name = "an RSA signature (PKCS #1 v1.5, SHA-256) of the key in it", "sigstruct.signature"
    if not is_key:
        why = "there is no key to verify it with"
        log.not_made(name, expected, why)
        log.not_made("sigstruct.q1", "the quotient of the signature's square", why)
        log.not_made("sigstruct.q2", "the second quotient of the signature's cube", why)
        return
    holds = _is_signature(modulus, signature, signed_bytes(data))
    log.require(holds, name, expected, "it verifies" if holds else "it does not verify", _ALTERED)
    q1, rest = divmod(signature * signature, modulus)
    q2 = signature * rest // modulus
    _require_quotient(log, "sigstruct.q1", "the quotient of the signature's square by the modulus", q1, sigstruct.q1)
    _require_quotient(log, "sigstruct.q2", "the quotient of the rest's product by the modulus", q2, sigstruct.q2)


def _require_quotient(log: CheckLog, name: str, expected: str, quotient: int, found: bytes) -> None:
    holds = int.from_bytes(found, "little") == quotient
    log.require(holds, name, expected, "that" if holds else "another number", _ALTERED)


def _is_signature(modulus: int, signature: int, signed: bytes) -> bool:
    if signature >= modulus:
        return False
    try:
        key = RSAPublicNumbers(_EXPONENT, modulus).public_key()
        key.verify(signature.to_bytes(_KEY_BITS // 8, "big"), signed, PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError):
        return False
    return True


def _is_day(text: str) -> bool:
    if not _DAY.fullmatch(text):
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True
