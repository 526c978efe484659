"""What an operator says of guests: SEV-SNP, SEV and CSV."""

from dataclasses import dataclass
from typing import Final

from verdictd.appraisal.guest_tees import RATSTLS_VMPLS
from verdictd.configuration.amd_trust_files import AMD

HYGON: Final = "hygon"
"""In a list of Hygon's roots: the HRK that Hygon vouches for real processors with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestSettings:
    """What an operator says of guests.

    Attributes:
        amd_certificates: where AMD's certificates come from beside what evidence brings: a directory, or the URL of
            AMD's service or of a cache of it; ``None`` for nowhere.
        amd_roots: `AMD`, or paths of PEM files with ARKs.
        sev_certificates: a directory of AMD's ASKs and ARKs for SEV; ``None`` for none.
        sev_roots: `AMD`, or paths of ARKs in the form of SEV's firmware.
        hygon_certificates: where HSK and CEK come from that evidence does not bring: a directory, or the URL of Hygon's
            service; ``None`` for nowhere.
        hygon_roots: `HYGON`, or paths of HRK certificates.
        accept_unbound_evidence: kinds of evidence that are accepted though nothing binds them to the peer's key.
        vmpls: the privilege levels at which an SEV-SNP report may have been asked for.
        allow_migration_agent, allow_masked_chip_id, allow_provisional_firmware, required_mitigations: see
            `GuestAcceptance`.
        min_tcb: the lowest accepted TCBs of products, see `guest_fields.parse_min_tcbs`.
        min_csv_firmware, min_sev_firmware: the lowest accepted API versions, as ``1.4``.
    """

    amd_certificates: str | None = None
    amd_roots: tuple[str, ...] = (AMD,)
    sev_certificates: str | None = None
    sev_roots: tuple[str, ...] = (AMD,)
    hygon_certificates: str | None = None
    hygon_roots: tuple[str, ...] = (HYGON,)
    accept_unbound_evidence: frozenset[str] = frozenset()
    vmpls: frozenset[int] = RATSTLS_VMPLS
    allow_migration_agent: bool = False
    allow_masked_chip_id: bool = False
    allow_provisional_firmware: bool = False
    min_tcb: tuple[str, ...] = ()
    required_mitigations: int = 0
    min_csv_firmware: str = "0.0"
    min_sev_firmware: str = "0.0"
