"""The verifiers by name, as rats-tls names its instances, and which evidence each of them judges."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from verdictd.appraisal.installed_tees import installed_tees
from verdictd.core.errors import ConfigError
from verdictd.ratstls.evidence import EvidenceKind

ANY: Final = "any"
"""Stands for all verifiers that are built in and judge anything."""


class VerifierName(StrEnum):
    """A verifier that can be named. What was named is enforced: evidence of another kind is refused, as is none."""

    NULL = "nullverifier"
    SGX_ECDSA = "sgx_ecdsa"
    SGX_ECDSA_QVE = "sgx_ecdsa_qve"
    TDX_ECDSA = "tdx_ecdsa"
    SGX_LA = "sgx_la"
    SEV_SNP = "sev_snp"
    SEV = "sev"
    CSV = "csv"


_JUDGED: Final[Mapping[str, EvidenceKind]] = {
    VerifierName.SGX_ECDSA: EvidenceKind.SGX_ECDSA,
    VerifierName.SGX_ECDSA_QVE: EvidenceKind.SGX_ECDSA,
    VerifierName.TDX_ECDSA: EvidenceKind.TDX_ECDSA,
    VerifierName.SGX_LA: EvidenceKind.SGX_LA,
    VerifierName.SEV_SNP: EvidenceKind.SEV_SNP,
    VerifierName.SEV: EvidenceKind.SEV,
    VerifierName.CSV: EvidenceKind.CSV,
}
"""What each verifier judges. `sgx_ecdsa_qve` is the peers' name for the same judgement, made inside an enclave."""


@dataclass(frozen=True, slots=True)
class Verifiers:
    """The verifiers that were named: a peer passes by the one for its kind of evidence, and by no other.

    Attributes:
        names: sorted, each once; at least one. A `VerifierName`, or what an installed package brings.
    """

    names: tuple[str, ...]

    @property
    def is_null(self) -> bool:
        """Whether evidence is not judged at all."""
        return VerifierName.NULL in self.names

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of evidence that are judged, sorted."""
        return () if self.is_null else tuple(sorted({_JUDGED.get(name, name) for name in self.names}))

    def __str__(self) -> str:
        return ",".join(self.names)


SGX_VERIFIER: Final = Verifiers((VerifierName.SGX_ECDSA,))
"""What is enforced where none is named."""
NULL_VERIFIER: Final = Verifiers((VerifierName.NULL,))


def name_verifiers(*names: str) -> Verifiers:
    """Name verifiers.

    Raises:
        ConfigError: none, or the null verifier beside another: then nobody could tell what is enforced.
    """
    chosen = Verifiers(tuple(sorted(set(names))))
    if not chosen.names:
        raise ConfigError("no verifier is named", remedy=f"name one of {', '.join(VerifierName)}")
    if chosen.is_null and len(chosen.names) > 1:
        raise ConfigError(
            "nullverifier judges nothing, and other verifiers are named beside it",
            remedy="leave out nullverifier; or, to serve anyone, the others",
        )
    return chosen


def parse_verifiers(texts: Iterable[str]) -> Verifiers:
    """Read names of verifiers, each by itself or several with commas between them; `ANY` stands for all.

    Raises:
        ConfigError: none, unknown, one of the peers' that is not implemented here, or the null verifier beside others.
    """
    names: list[str] = []
    for text in (part.strip() for each in texts for part in each.split(",")):
        names += [*_JUDGED] if text == ANY else [_parse_name(text)]
    return name_verifiers(*names)


def _parse_name(name: str) -> str:
    if name in installed_tees():
        return name
    try:
        return VerifierName(name)
    except ValueError as error:
        known = ", ".join((*VerifierName, *installed_tees(), ANY))
        raise ConfigError(f"the verifier {name!r} is unknown", remedy=f"name one of {known}") from error
