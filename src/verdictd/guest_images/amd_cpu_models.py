"""The names by which QEMU knows AMD's CPUs, and the signature that CPUID reports for each.

Spec:
    AMD CPUID Specification (25481), CPUID Fn0000_0001_EAX.
    QEMU, target/i386/cpu.c: the family, model and stepping of its built-in models.
"""

from typing import Final

from verdictd.core.errors import UnsupportedError

_BASE_FAMILY: Final = 0xF
_MAX_FAMILY: Final = _BASE_FAMILY + 0xFF


def encode_cpu_signature(family: int, model: int, stepping: int) -> int:
    """Return what CPUID Fn0000_0001 has in EAX.

    Args:
        family: with the extended family: 0 to 270.
        model: with the extended model: 0 to 255.
        stepping: 0 to 15.
    Raises:
        UnsupportedError: one of them is out of its range.
    """
    if not (0 <= family <= _MAX_FAMILY and 0 <= model <= 0xFF and 0 <= stepping <= 0xF):
        raise UnsupportedError(f"no CPU has the family {family}, model {model} and stepping {stepping}")
    extended, base = max(family - _BASE_FAMILY, 0), min(family, _BASE_FAMILY)
    return extended << 20 | (model >> 4) << 16 | base << 8 | (model & 0xF) << 4 | stepping


_NAPLES: Final = encode_cpu_signature(23, 1, 2)
_ROME: Final = encode_cpu_signature(23, 49, 0)
_MILAN: Final = encode_cpu_signature(25, 1, 1)
_GENOA: Final = encode_cpu_signature(25, 17, 0)
_TURIN: Final = encode_cpu_signature(26, 0, 0)

CPU_SIGNATURES: Final = {
    "EPYC": _NAPLES,
    "EPYC-IBPB": _NAPLES,
    "EPYC-v1": _NAPLES,
    "EPYC-v2": _NAPLES,
    "EPYC-v3": _NAPLES,
    "EPYC-v4": _NAPLES,
    "EPYC-v5": _NAPLES,
    "EPYC-Rome": _ROME,
    "EPYC-Rome-v1": _ROME,
    "EPYC-Rome-v2": _ROME,
    "EPYC-Rome-v3": _ROME,
    "EPYC-Rome-v4": _ROME,
    "EPYC-Rome-v5": _ROME,
    "EPYC-Milan": _MILAN,
    "EPYC-Milan-v1": _MILAN,
    "EPYC-Milan-v2": _MILAN,
    "EPYC-Milan-v3": _MILAN,
    "EPYC-Genoa": _GENOA,
    "EPYC-Genoa-v1": _GENOA,
    "EPYC-Genoa-v2": _GENOA,
    "EPYC-Turin": _TURIN,
    "EPYC-Turin-v1": _TURIN,
}
"""By QEMU's name of the model."""


def find_cpu_signature(name: str) -> int:
    """Return the signature of a CPU model of QEMU.

    Raises:
        UnsupportedError: the name is not known.
    """
    signature = CPU_SIGNATURES.get(name)
    if signature is None:
        raise UnsupportedError(
            f"the CPU model {name!r} is not known",
            remedy=f"use one of {', '.join(CPU_SIGNATURES)}, or give family, model and stepping",
        )
    return signature
