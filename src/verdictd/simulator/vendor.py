"""The vendor of a simulated platform: what it says of the platform to whoever asks, as of an instant, signed.

Formats, extensions and lifetimes are those of Intel's. Time is an argument throughout.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from verdictd.simulator.crl_builder import CRLSpec, RevokedCertificate, issue_crl
from verdictd.simulator.documents import QEIdentitySpec, TCBInfoSpec, encode_qe_identity, encode_tcb_info
from verdictd.simulator.keys import Credential, PrivateKey, sign_raw
from verdictd.simulator.quoting_enclave import EnclaveId, qe_identity_spec
from verdictd.simulator.state import PlatformState, Publication, RevocationTarget
from verdictd.simulator.tcb_levels import tcb_levels
from verdictd.simulator.tdx_levels import tdx_tcb_info_spec
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument

SOURCE = "tee-sim"
"""Where collateral that was asked of a vendor directly says it comes from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedVendor(PlatformState):
    """Issues collateral for a platform: what a spec says, of which a test can replace any field."""

    def collateral(self, at: datetime, *, tcb_info_version: int = 3) -> Collateral:
        """Issue everything a verifier needs, as of `at`: dated ten minutes before it, good for 30 days."""
        return Collateral(
            tcb_info=self.issue_tcb_info(self.tcb_info_spec(version=tcb_info_version), at),
            qe_identity=self.issue_qe_identity(self.qe_identity_spec(), at),
            pck_crl=self.issue_pck_crl(self.pck_crl_spec(), at),
            root_ca_crl=self.issue_root_ca_crl(self.root_ca_crl_spec(), at),
        )

    def tdx_collateral(self, at: datetime) -> Collateral:
        """Issue what a verifier of TDX quotes needs, as of `at`; see `collateral`."""
        return replace(
            self.collateral(at),
            tcb_info=self.issue_tcb_info(self.tdx_tcb_info_spec(), at),
            qe_identity=self.issue_qe_identity(self.qe_identity_spec("TD_QE"), at),
        )

    def tdx_tcb_info_spec(self, *, publication: Publication | None = None) -> TCBInfoSpec:
        """What TCB info of TDX says at present, or said in a publication."""
        return tdx_tcb_info_spec(self.tcb_info_spec(publication=publication), created_at=self.created_at)

    def tcb_info_spec(self, *, version: int = 3, publication: Publication | None = None) -> TCBInfoSpec:
        """What TCB info says at present: version 3 as API v4 serves it, 2 as API v3 does; or said in a publication."""
        published = publication or self.standard
        return TCBInfoSpec(
            version=version,
            fmspc=self.hardware.fmspc,
            pce_id=self.hardware.pce_id,
            evaluation_data_number=published.number,
            levels=tcb_levels(
                published.status,
                components=self.hardware.components,
                pce_svn=self.hardware.pce_svn,
                created_at=self.created_at,
            ),
        )

    def qe_identity_spec(self, enclave_id: EnclaveId = "QE", publication: Publication | None = None) -> QEIdentitySpec:
        """What the identity of one of the vendor's enclaves says at present, or said in a publication."""
        number = (publication or self.standard).number
        return qe_identity_spec(enclave_id, evaluation_data_number=number, created_at=self.created_at)

    def pck_crl_spec(self) -> CRLSpec:
        """What the CRL of the platform CA, which issued the PCK certificate, says at present."""
        return self._crl_spec(self.pki.platform_ca, self.pck_crl_number, RevocationTarget.PCK, self.pki.pck)

    def processor_crl_spec(self) -> CRLSpec:
        """What the CRL of the processor CA says: nothing is revoked."""
        return CRLSpec(
            issuer=self.pki.processor_ca.certificate.subject,
            authority_key=self.pki.processor_ca.key.public_key(),
            number=1,
        )

    def root_ca_crl_spec(self) -> CRLSpec:
        """What the root CA's CRL says at present."""
        target, subject = RevocationTarget.PLATFORM_CA, self.pki.platform_ca
        return self._crl_spec(self.pki.root_ca, self.root_ca_crl_number, target, subject)

    def issue_tcb_info(self, spec: TCBInfoSpec, at: datetime, *, signer: Credential | None = None) -> SignedDocument:
        """Write and sign TCB info, with the TCB signer's key or another's."""
        return self.sign_document(encode_tcb_info(spec, whole_second(at)), signer=signer)

    def issue_qe_identity(
        self, spec: QEIdentitySpec, at: datetime, *, signer: Credential | None = None
    ) -> SignedDocument:
        """Write and sign a QE identity, with the TCB signer's key or another's."""
        return self.sign_document(encode_qe_identity(spec, whole_second(at)), signer=signer)

    def sign_document(self, body: bytes, *, signer: Credential | None = None) -> SignedDocument:
        """Sign any text as TCB info or QE identity; `signer` brings another leaf for the chain under the root."""
        by = signer or self.pki.tcb_signing
        chain = by.pem + self.pki.root_ca.pem
        return SignedDocument(body=body, signature=sign_raw(by.key, body), issuer_chain=chain, source=SOURCE)

    def issue_pck_crl(self, spec: CRLSpec, at: datetime, *, signer: PrivateKey | None = None) -> RevocationList:
        """Write and sign the CRL of the PCK CA, with its key or another."""
        der = issue_crl(spec, signer or self.pki.platform_ca.key, whole_second(at))
        return RevocationList(der=der, issuer_chain=self.pki.chain("platform-ca"), source=SOURCE)

    def issue_processor_crl(self, spec: CRLSpec, at: datetime) -> RevocationList:
        """Write and sign the CRL of the processor CA."""
        der = issue_crl(spec, self.pki.processor_ca.key, whole_second(at))
        return RevocationList(der=der, issuer_chain=self.pki.chain("processor-ca"), source=SOURCE)

    def issue_root_ca_crl(self, spec: CRLSpec, at: datetime, *, signer: PrivateKey | None = None) -> RevocationList:
        """Write and sign the root CA's CRL, with its key or another. It comes without a chain, as everywhere."""
        der = issue_crl(spec, signer or self.pki.root_ca.key, whole_second(at))
        return RevocationList(der=der, issuer_chain=b"", source=SOURCE)

    def _crl_spec(self, issuer: Credential, number: int, target: RevocationTarget, subject: Credential) -> CRLSpec:
        since = self.revocations.get(target)
        serial_number = subject.certificate.serial_number
        return CRLSpec(
            issuer=issuer.certificate.subject,
            authority_key=issuer.key.public_key(),
            number=number,
            revoked=() if since is None else (RevokedCertificate(serial_number=serial_number, since=since),),
        )


def whole_second(instant: datetime) -> datetime:
    """Return an aware instant in UTC, without its fraction of a second."""
    if instant.tzinfo is None:
        raise ValueError("the instant must be an aware datetime")
    return instant.astimezone(UTC).replace(microsecond=0)
