"""A platform's columns, and what may stand in them."""

from verdictd.core.errors import MalformedError
from verdictd.pccs.database.sizes import (
    MAX_ENC_PPID_BYTES,
    MAX_MANIFEST_BYTES,
    MAX_QE_ID_DIGITS,
    check_content,
    check_text,
)
from verdictd.pccs.model import Platform, RawTCB
from verdictd.tees.dcap.pck import PCKCAType

_FMSPC_BYTES = 6
_TCB_BYTES = 18
_CAS: dict[str, PCKCAType | None] = {"processor": "processor", "platform": "platform", "": None}


def check_platform(platform: Platform) -> dict[str, object]:
    """Write what is known of a platform into columns.

    Raises:
        LimitExceededError: a part of it is too long.
        MalformedError: it holds what no database keeps.
    """
    if platform.fmspc and len(platform.fmspc) != _FMSPC_BYTES:
        raise MalformedError(f"the FMSPC is {len(platform.fmspc)} bytes long, expected {_FMSPC_BYTES}")
    return {
        "qe_id": check_text(platform.key.qe_id, MAX_QE_ID_DIGITS, "the QE id"),
        "pce_id": check_text(platform.key.pce_id, 4, "the PCE id"),
        "enc_ppid": check_content(platform.enc_ppid, MAX_ENC_PPID_BYTES, "the encrypted PPID"),
        "manifest": check_content(platform.manifest, MAX_MANIFEST_BYTES, "the platform manifest"),
        "fmspc": platform.fmspc.hex().upper(),
        "ca": platform.ca or "",
    }


def parse_fmspc(text: object) -> bytes:
    """Read an FMSPC from its column; it may be empty. Raises `MalformedError`."""
    return b"" if text == "" else _parse_hex(text, _FMSPC_BYTES, "FMSPC")


def parse_raw_tcb(text: object) -> RawTCB:
    """Read a raw TCB from its column, where it stands as `RawTCB` writes itself. Raises `MalformedError`."""
    raw = _parse_hex(text, _TCB_BYTES, "TCB")
    return RawTCB(raw[:16], int.from_bytes(raw[16:], "little"))


def parse_ca(text: object) -> PCKCAType | None:
    """Read which CA it is from its column; it may be empty. Raises `MalformedError`."""
    if not isinstance(text, str) or text not in _CAS:
        raise MalformedError(f"{text!r:.20} is no PCK CA")
    return _CAS[text]


def _parse_hex(text: object, size: int, what: str) -> bytes:
    try:
        value = bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        value = b""
    if len(value) != size:
        raise MalformedError(f"{text!r:.50} is no {what}: expected {2 * size} hex digits")
    return value
