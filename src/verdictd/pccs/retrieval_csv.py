"""The CSV that Intel's PCKIDRetrievalTool writes about a platform, a line each; and the same, written by us.

Columns: encrypted PPID (768 hex digits), PCE id (4, little-endian), CPUSVN (32), PCESVN (4, little-endian), QE id (32),
and on multi-package platforms the platform manifest. Without an enclave the tool knows neither encrypted PPID, CPUSVN
nor PCESVN, leaves them empty, and writes the platform's id in place of the QE id.

Spec: README of the tool, "Output file". It sends the same digits to ``POST /platforms``, in the same order, and
`PlatformKey` has them as they are sent.
"""

import re
from collections.abc import Iterable
from typing import Final

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.pccs.model import Platform, PlatformKey, RawTCB, Registration

MAX_CSV_BYTES: Final = 64 * 1024 * 1024
MAX_MANIFEST_BYTES: Final = 64 * 1024
"""The tool's own buffer has 53,000."""

_COLUMNS: Final = ("encrypted PPID", "PCE id", "CPUSVN", "PCESVN", "QE id", "platform manifest")
_DIGITS: Final = {"encrypted PPID": 768, "PCE id": 4, "CPUSVN": 32, "PCESVN": 4}
_REQUIRED: Final = 5
_MAX_QE_ID_DIGITS: Final = 260
_HEX = re.compile(r"[0-9A-Fa-f]*")
_REMEDY: Final = "write it again with PCKIDRetrievalTool -f FILE"


def parse_retrieval_csv(data: bytes) -> tuple[Registration, ...]:
    """Read the platforms of a file. Nothing about them is verified.

    Raises:
        MalformedError: a line does not follow the form; says which and what.
        LimitExceededError: longer than `MAX_CSV_BYTES`.
    """
    if len(data) > MAX_CSV_BYTES:
        raise LimitExceededError(f"the CSV is longer than {MAX_CSV_BYTES} bytes", remedy="split it")
    try:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("ascii")
    except UnicodeDecodeError as error:
        raise MalformedError("neither a bundle, nor JSON, nor CSV of PCKIDRetrievalTool", remedy=_REMEDY) from error
    lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    if not lines:
        raise MalformedError("there is no platform in the CSV", remedy=_REMEDY)
    return tuple(_parse_line(line, f"line {number}") for number, line in lines)


def encode_retrieval_csv(registrations: Iterable[Registration]) -> str:
    """Write platforms as the tool does, a line each; the inverse of `parse_retrieval_csv`, but for `state`."""
    return "".join(f"{_encode_line(each)}\n" for each in registrations)


def _parse_line(line: str, where: str) -> Registration:
    fields = [field.strip().strip('"') for field in line.split(",")]
    if not _REQUIRED <= len(fields) <= len(_COLUMNS):
        raise MalformedError(
            f"{where} has {len(fields)} columns, expected {_REQUIRED} or {len(_COLUMNS)}: {', '.join(_COLUMNS)}",
            remedy=_REMEDY,
        )
    named = dict(zip(_COLUMNS, [*fields, ""][: len(_COLUMNS)], strict=True))
    for name, value in named.items():
        _check_field(name, value, where)
    manifest = bytes.fromhex(named["platform manifest"])
    key = PlatformKey(named["QE id"].upper(), named["PCE id"].upper())
    told = [name for name in ("encrypted PPID", "CPUSVN", "PCESVN") if named[name]]
    if manifest:  # with it, upstream is asked with nothing else
        return Registration(platform=Platform(key=key, manifest=manifest), raw_tcb=None)
    if len(told) != 3:
        raise MalformedError(
            f"{where} has no platform manifest, and of encrypted PPID, CPUSVN and PCESVN only {told or 'none'}",
            remedy=f"{_REMEDY} on the platform itself",
        )
    return Registration(
        platform=Platform(key=key, enc_ppid=bytes.fromhex(named["encrypted PPID"])),
        raw_tcb=RawTCB(bytes.fromhex(named["CPUSVN"]), int.from_bytes(bytes.fromhex(named["PCESVN"]), "little")),
    )


def _check_field(name: str, value: str, where: str) -> None:
    """Check the digits of a field; what is found there is not shown, as it may identify the processor."""
    if not _HEX.fullmatch(value):
        raise MalformedError(f"{where}: the {name} is not hex digits", remedy=_REMEDY)
    if name in _DIGITS and len(value) != _DIGITS[name] and (value or name == "PCE id"):
        raise MalformedError(
            f"{where}: the {name} has {len(value)} hex digits, expected {_DIGITS[name]}", remedy=_REMEDY
        )
    if name == "QE id" and not 1 <= len(value) <= _MAX_QE_ID_DIGITS:
        raise MalformedError(f"{where}: the QE id has {len(value)} hex digits, expected 1 to {_MAX_QE_ID_DIGITS}")
    if name == "platform manifest" and (len(value) % 2 or len(value) > 2 * MAX_MANIFEST_BYTES):
        raise MalformedError(f"{where}: the platform manifest has {len(value)} hex digits, an odd number or too many")


def _encode_line(registration: Registration) -> str:
    platform, raw_tcb = registration.platform, registration.raw_tcb
    cpu_svn = pce_svn = ""
    if raw_tcb is not None:
        cpu_svn, pce_svn = raw_tcb.cpu_svn.hex(), raw_tcb.pce_svn.to_bytes(2, "little").hex()
    fields = [platform.enc_ppid.hex(), platform.key.pce_id, cpu_svn, pce_svn, platform.key.qe_id]
    if platform.manifest:
        fields.append(platform.manifest.hex())
    return ",".join(fields).upper()
