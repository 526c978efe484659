"""What an SGX appraisal is given, in order but for what a test replaces: everything around it is signed again."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from cryptography import x509

from tests.unit.tees.simulated import AT, REPORT_DATA, flipped, platform, roots_of
from verdictd.core.result import AppraisalResult
from verdictd.simulator.certificate_builder import issue_certificate
from verdictd.simulator.crl_builder import RevokedCertificate
from verdictd.simulator.documents import QELevelSpec
from verdictd.simulator.keys import Credential, generate_key
from verdictd.simulator.pki import CertificateRole
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.quote_builder import QuoteParts
from verdictd.simulator.tdx_levels import tdx_tcb_info_spec
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral, SignedDocument
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.sgx_ecdsa.verifier import appraise_sgx


@dataclass(frozen=True)
class Input:
    """What is appraised.

    Attributes:
        sim: makes what is not given.
        roots: the platform's own root where none are given.
    """

    sim: SimulatedPlatform = field(default_factory=platform)
    quote: bytes | None = None
    collateral: Collateral | None = None
    acceptance: Acceptance = field(default_factory=Acceptance)
    at: datetime = AT
    roots: TrustRoots | None = None

    def appraise(self, memory: FactMemory | None = None) -> AppraisalResult:
        return appraise_sgx(
            self.sim.quote(report_data=REPORT_DATA) if self.quote is None else self.quote,
            collateral=self.sim.collateral(AT) if self.collateral is None else self.collateral,
            roots=self.roots or roots_of(self.sim),
            acceptance=self.acceptance,
            at=self.at,
            memory=memory,
        )


def quote_parts(version: int = 3) -> QuoteParts:
    return platform().quote_parts(report_data=REPORT_DATA, quote_version=version)


def with_parts(version: int = 3, **changes: Any) -> Input:
    """A quote with parts replaced; a version that is not known is laid out as 3."""
    parts = quote_parts(version if version in {3, 4, 5} else 3)
    return Input(quote=platform().sign(replace(parts, **{"version": version, **changes})))


def with_qe_report(**changes: Any) -> Input:
    return with_parts(qe_report=replace(quote_parts().qe_report, **changes))


def with_flipped_bit(bit: int) -> Input:
    return Input(quote=flipped(platform().quote(report_data=REPORT_DATA), bit))


def with_item(**items: Any) -> Input:
    """Genuine collateral, but for the items given; ``None`` takes one out."""
    return Input(collateral=replace(platform().collateral(AT), **items))


def with_tcb_info(**changes: Any) -> Input:
    sim = platform()
    return with_item(tcb_info=sim.issue_tcb_info(replace(sim.tcb_info_spec(), **changes), AT))


def with_tdx_tcb_info() -> Input:
    sim = platform()
    spec = tdx_tcb_info_spec(sim.tcb_info_spec(), created_at=sim.created_at)
    return with_item(tcb_info=sim.issue_tcb_info(spec, AT))


def with_qe_identity(**changes: Any) -> Input:
    sim = platform()
    return with_item(qe_identity=sim.issue_qe_identity(replace(sim.qe_identity_spec(), **changes), AT))


def with_qe_level(status: str, isv_svn: int = 0, advisory_ids: tuple[str, ...] = ()) -> Input:
    return with_qe_identity(levels=(QELevelSpec(isv_svn=isv_svn, date=AT, status=status, advisory_ids=advisory_ids),))


def with_pck_crl(**changes: Any) -> Input:
    sim = platform()
    return with_item(pck_crl=sim.issue_pck_crl(replace(sim.pck_crl_spec(), **changes), AT))


def with_root_ca_crl(**changes: Any) -> Input:
    sim = platform()
    return with_item(root_ca_crl=sim.issue_root_ca_crl(replace(sim.root_ca_crl_spec(), **changes), AT))


def with_certificate(role: CertificateRole, **changes: Any) -> Input:
    """One certificate issued anew. Trusted is the root as it then is."""
    sim = platform()
    return Input(sim=sim.with_certificate(role, replace(sim.certificate_spec(role), **changes)))


def with_sgx_extension(**changes: Any) -> Input:
    return with_certificate("pck", sgx_extension=replace(platform().sgx_extension_spec(), **changes))


def tcb_signer(**changes: Any) -> Credential:
    """Another TCB signer of the platform's vendor, so that one document can be signed by it and the other not."""
    key = generate_key()
    spec = replace(platform().certificate_spec("tcb-signing"), public_key=key.public_key(), serial_number=4711)
    return Credential(issue_certificate(replace(spec, **changes), platform().pki.root_ca.key), key)


def document_by(item: str, signer: Credential) -> SignedDocument:
    sim = platform()
    if item == "tcb_info":
        return sim.issue_tcb_info(sim.tcb_info_spec(), AT, signer=signer)
    return sim.issue_qe_identity(sim.qe_identity_spec(), AT, signer=signer)


def with_signer(item: str, **changes: Any) -> Input:
    """One document by a TCB signer of its own."""
    return with_item(**{item: document_by(item, tcb_signer(**changes))})


def with_key_of(role: CertificateRole, item: str) -> Input:
    """One document signed by a genuine key of the PKI that is not the TCB signer's, with that key's chain."""
    pki = platform().pki
    signed = document_by(item, pki.credential(role))
    return with_item(**{item: replace(signed, issuer_chain=pki.chain(role))})


def with_revoked_signer(item: str) -> Input:
    """One document by a TCB signer that the root's CRL lists."""
    sim = platform()
    revoked = (RevokedCertificate(serial_number=4711, since=AT),)
    crl = sim.issue_root_ca_crl(replace(sim.root_ca_crl_spec(), revoked=revoked), AT)
    signed = document_by(item, tcb_signer())
    return with_item(**{item: signed, "root_ca_crl": crl})


def issued_by_root(revoked: x509.Certificate) -> Input:
    """The root's CRL lists a certificate."""
    return with_root_ca_crl(revoked=(RevokedCertificate(serial_number=revoked.serial_number, since=AT),))
