"""The verifiers by name, as rats-tls names its instances, and which evidence each of them judges."""

from enum import StrEnum

from verdictd.core.errors import ConfigError
from verdictd.ratstls.evidence import EvidenceKind


class VerifierName(StrEnum):
    """A verifier that can be named. What was named is enforced: evidence of another kind is refused, as is none."""

    NULL = "nullverifier"
    SGX_ECDSA = "sgx_ecdsa"
    SGX_ECDSA_QVE = "sgx_ecdsa_qve"


JUDGED_KINDS = {
    VerifierName.SGX_ECDSA: EvidenceKind.SGX_ECDSA,
    VerifierName.SGX_ECDSA_QVE: EvidenceKind.SGX_ECDSA,
}
"""What each verifier judges. `sgx_ecdsa_qve` is the peers' name for the same judgement, made inside an enclave."""

_KNOWN_BUT_ABSENT = ("sgx_la", "tdx_ecdsa", "sev", "sev_snp", "csv")


def parse_verifier_name(name: str) -> VerifierName:
    """Read the name of a verifier.

    Raises:
        ConfigError: unknown, or one of the peers' that is not implemented here.
    """
    try:
        return VerifierName(name)
    except ValueError as error:
        known = ", ".join(VerifierName)
        why = "is not implemented" if name in _KNOWN_BUT_ABSENT else "is unknown"
        raise ConfigError(f"the verifier {name!r} {why}", remedy=f"name one of {known}") from error
