"""Our own side of an attestation: a key, and a certificate with the evidence for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from verdictd.core.attester import REPORT_DATA_BYTES, Attester
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.ratstls.evidence import INTEL_QUOTE_TAG, CertificateFormat
from verdictd.tees.dcap.collateral import Collateral

FindEndorsements = Callable[[bytes, datetime], Collateral]
"""Finds the collateral that goes with a quote of our own, at an instant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityMaker:
    """Makes identities: each with a new key, and evidence made for it.

    Attributes:
        attester: makes our evidence; ``None`` for `nullattester`.
        evidence_tag: the CBOR tag of what it makes.
        certificate_format: how our certificate carries it.
        custom_claims: what our certificate claims beside its key.
        find_endorsements: where collateral is to go along with our evidence; else ``None``.
    """

    attester: Attester | None = None
    evidence_tag: int = INTEL_QUOTE_TAG
    certificate_format: CertificateFormat = CertificateFormat.INTEROPERABLE
    custom_claims: Mapping[str, bytes] = field(default_factory=dict)
    find_endorsements: FindEndorsements | None = None

    def make(self, at: datetime) -> Identity:
        """Make an identity that is valid from now (`at`) on.

        Raises:
            VerdictdError: the attester made no usable evidence, or its collateral was not found.
        """
        if self.attester is None:
            return build_identity(at=at)
        endorsements = None
        if self.find_endorsements is not None:
            # Collateral depends on the platform alone, so that any quote of it tells which.
            endorsements = self.find_endorsements(self.attester.quote(bytes(REPORT_DATA_BYTES)), at)
        return build_identity(
            at=at,
            make_quote=self.attester.quote,
            evidence_tag=self.evidence_tag,
            certificate_format=self.certificate_format,
            custom_claims=self.custom_claims,
            endorsements=endorsements,
        )
