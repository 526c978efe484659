"""How each setting for guests (SEV-SNP, SEV, CSV) is read, by its key."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

from verdictd.appraisal.guest_tees import UNBOUND
from verdictd.configuration.amd_trust_files import AMD
from verdictd.configuration.values import Reader, number, read_flag, read_text, read_texts
from verdictd.core.errors import ConfigError
from verdictd.daemon.guest_settings import HYGON
from verdictd.tees.amd.extensions import AMDProduct
from verdictd.tees.sev_snp.tcb import TCBVersion

_PRODUCTS: Final[tuple[AMDProduct, ...]] = get_args(AMDProduct)
_MIN_TCB: Final = re.compile(r"([A-Za-z]+):([a-z]+=[0-9]{1,3}(?:,[a-z]+=[0-9]{1,3})*)")
_FIRMWARE: Final = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})")
_MAX_SVN: Final = 255
_MAX_VECTOR: Final = 2**64 - 1
_MAX_VMPL: Final = 3


def _read_place(value: object, base: Path) -> str:
    text = read_text(value)
    if text.startswith(("http://", "https://")):
        return text
    if "://" in text:
        raise ConfigError("expected a directory or an http or https URL, found a URL of another kind")
    return str(base / text)


def _read_directory(value: object, base: Path) -> str:
    return str(base / read_text(value))


def _read_roots(value: object, base: Path) -> tuple[str, ...]:
    names = read_texts(value)
    if not names:
        raise ConfigError("expected at least one root", remedy="leave the key out for the vendor's own")
    return tuple(name if name in {AMD, HYGON} else str(base / name) for name in names)


def _read_unbound(value: object, _: Path) -> frozenset[str]:
    kinds = frozenset(read_texts(value))
    if not kinds <= UNBOUND:
        wrong = ", ".join(sorted(kinds - UNBOUND))
        raise ConfigError(
            f"{wrong}: no kind of evidence that nothing binds to a key", remedy=f"name {', '.join(UNBOUND)}"
        )
    return kinds


def _read_vmpls(value: object, base: Path) -> frozenset[int]:
    levels = value if isinstance(value, list | tuple) else [value]
    read = number(0, _MAX_VMPL)
    found = [
        read(int(level) if isinstance(level, str) and level.isascii() and level.isdigit() else level, base)
        for level in levels
    ]
    if not found:
        raise ConfigError("expected at least one privilege level, 0 to 3")
    return frozenset(level for level in found if isinstance(level, int))


def _read_min_tcbs(value: object, _: Path) -> tuple[str, ...]:
    texts = read_texts(value)
    parse_min_tcbs(texts)
    return texts


def parse_min_tcbs(texts: tuple[str, ...]) -> dict[AMDProduct, TCBVersion]:
    """Read the lowest accepted TCB of products, each as ``Milan:bootloader=4,snp=22,microcode=213``; else zero.

    Raises:
        ConfigError: of another form, or a product or a component is unknown or named twice.
    """
    minimums: dict[AMDProduct, TCBVersion] = {}
    for text in texts:
        parts = _MIN_TCB.fullmatch(text)
        product = next((known for known in _PRODUCTS if parts is not None and known == parts[1]), None)
        if parts is None or product is None:
            raise ConfigError(
                f"{text[:80]!r} is no TCB of a product",
                remedy=f"write Milan:bootloader=4,snp=22,microcode=213; products are {', '.join(_PRODUCTS)}",
            )
        components = [component.split("=") for component in parts[2].split(",")]
        values = {name: int(svn) for name, svn in components}
        known_names = [name for name in TCBVersion._fields if name != "fmc" or product == "Turin"]
        if not set(values) <= set(known_names) or len(values) < len(components) or max(values.values()) > _MAX_SVN:
            raise ConfigError(
                f"{text[:80]!r} is no TCB of {product}",
                remedy=f"name components of {', '.join(known_names)}, each once, from 0 to {_MAX_SVN}",
            )
        if product in minimums:
            raise ConfigError(f"{product} has two lowest TCBs", remedy="name one")
        minimums[product] = TCBVersion(**{name: values.get(name, 0) for name in TCBVersion._fields})
    return minimums


def _read_mitigations(value: object, base: Path) -> object:
    """Read a number, in the flag's form also as ``0x3``."""
    if not isinstance(value, str):
        return number(0, _MAX_VECTOR)(value, base)
    try:
        return number(0, _MAX_VECTOR)(int(value, 0), base)
    except ValueError as error:
        raise ConfigError(f"{value[:40]!r} is no number such as 0x3") from error


def _read_firmware(value: object, _: Path) -> str:
    text = read_text(value)
    parse_firmware(text)
    return text


def parse_firmware(text: str) -> tuple[int, int]:
    """Read an API version of a platform's firmware, as ``1.4``.

    Raises:
        ConfigError: of another form.
    """
    parts = _FIRMWARE.fullmatch(text)
    if parts is None:
        raise ConfigError(f"{text[:40]!r} is no API version of a firmware", remedy="write major and minor, as 1.4")
    return int(parts[1]), int(parts[2])


GUEST_FIELDS: Final[Mapping[str, Reader]] = {
    "guests.amd_certificates": _read_place,
    "guests.amd_roots": _read_roots,
    "guests.sev_certificates": _read_directory,
    "guests.sev_roots": _read_roots,
    "guests.hygon_certificates": _read_place,
    "guests.hygon_roots": _read_roots,
    "guests.accept_unbound_evidence": _read_unbound,
    "guests.vmpls": _read_vmpls,
    "guests.allow_migration_agent": read_flag,
    "guests.allow_masked_chip_id": read_flag,
    "guests.allow_provisional_firmware": read_flag,
    "guests.min_tcb": _read_min_tcbs,
    "guests.required_mitigations": _read_mitigations,
    "guests.min_csv_firmware": _read_firmware,
    "guests.min_sev_firmware": _read_firmware,
}
