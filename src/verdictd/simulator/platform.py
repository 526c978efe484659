"""A simulated SGX platform together with the vendor that endorses it: quotes, collateral, and what changes over time.

Nothing here is trusted by a verifier that was not given the platform's own root (`trust_root_pem`). Formats, extensions
and lifetimes are those of real platforms. Time is an argument throughout.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import datetime
from pathlib import Path
from typing import Literal, Unpack

from verdictd.simulator.certificate_builder import CertificateSpec, issue_certificate
from verdictd.simulator.enclave import EnclaveFields, EnclaveSpec, report_of
from verdictd.simulator.family import encode_identity
from verdictd.simulator.hardware import Hardware
from verdictd.simulator.keys import Credential, PrivateKey, generate_key
from verdictd.simulator.pki import CertificateRole, create_pki
from verdictd.simulator.quote_builder import QuoteParts, encode_quote, sign_quote
from verdictd.simulator.quoting_enclave import unsigned_quote
from verdictd.simulator.sgx_extension import SGXExtensionSpec
from verdictd.simulator.state import MAX_PAST_PUBLICATIONS, PlatformState, Publication, RevocationTarget
from verdictd.simulator.store import load_state, save_state, update_state
from verdictd.simulator.trust_domain import (
    BODY_TYPE_TD_10,
    BODY_TYPE_TD_15,
    TEE_TYPE_TDX,
    TrustDomainFields,
    TrustDomainSpec,
    td_report_of,
)
from verdictd.simulator.vendor import SimulatedVendor, whole_second
from verdictd.tees.dcap.acceptance import TCBStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPlatform(SimulatedVendor):
    """A platform that makes quotes, with its vendor, who issues collateral.

    Immutable: what changes it returns another. Each change raises the number (evaluation data number, CRL number) by
    which a verifier tells newer collateral from older.
    """

    @classmethod
    def create(cls, *, at: datetime, hardware: Hardware | None = None) -> "SimulatedPlatform":
        """Make a platform that came to be at `at` (aware): new keys, new certificates, up to date.

        Args:
            at: certificates are valid from an hour before it.
            hardware: another machine than the usual one.
        """
        created_at, machine = whole_second(at), hardware or Hardware()
        return cls(
            hardware=machine,
            pki=create_pki(created_at, machine.sgx_extension()),
            attestation_key=generate_key(),
            created_at=created_at,
        )

    @classmethod
    def load(cls, directory: Path) -> "SimulatedPlatform":
        """Read a platform from the directory that `save` made.

        Raises:
            ConfigError: not such a directory, or it cannot be read.
        """
        return cls._of(load_state(directory))

    @classmethod
    def update(
        cls, directory: Path, change: Callable[["SimulatedPlatform"], "SimulatedPlatform"]
    ) -> "SimulatedPlatform":
        """Change status or revocations of the platform in a directory, at once for whoever reads it.

        Args:
            directory: made by `save`.
            change: e.g. ``lambda platform: platform.with_revoked("pck")``. Keys and certificates must stay.

        Raises:
            ConfigError: not such a directory, or it cannot be written.
        """
        return cls._of(update_state(directory, lambda state: change(cls._of(state))))

    def save(self, directory: Path) -> None:
        """Write the platform, private keys included, to a directory that must be new or empty.

        Raises:
            ConfigError: there is something already, or it cannot be written.
        """
        save_state(self, directory)

    @property
    def trust_root_pem(self) -> bytes:
        """The root certificate in PEM, for a verifier that is to trust this platform."""
        return self.pki.root_ca.pem

    @property
    def encrypted_ppid(self) -> bytes:
        """The PPID as the platform gives it to the vendor, 384 bytes."""
        return encode_identity(self.hardware.ppid)

    def with_tcb_status(self, status: TCBStatus) -> "SimulatedPlatform":
        """Return the platform as it is when the vendor's next TCB info, standard and early, finds it at `status`."""
        return self._publish(Publication(self.newest.number + 1, TCBStatus(status)), early=None)

    def with_early_tcb_status(self, status: TCBStatus) -> "SimulatedPlatform":
        """Return the platform as it is when the vendor's next early TCB info finds it at `status`; standard stays."""
        return self._publish(self.standard, early=Publication(self.newest.number + 1, TCBStatus(status)))

    def with_standard_following(self) -> "SimulatedPlatform":
        """Return the platform as it is when the standard TCB info has become what the early one is."""
        return self._publish(self.newest, early=None)

    def with_revoked(
        self, target: Literal["pck", "platform-ca"], *, since: datetime | None = None
    ) -> "SimulatedPlatform":
        """Return the platform with its PCK certificate, or the CA that issued it, revoked in the CRLs to come.

        Args:
            target: what to revoke.
            since: date of the revocation; when the platform was created where none is named.
        """
        revoked = RevocationTarget(target)
        dated = {**self.revocations, revoked: whole_second(since) if since else self.created_at}
        if revoked is RevocationTarget.PCK:
            return replace(self, revocations=dated, pck_crl_number=self.pck_crl_number + 1)
        return replace(self, revocations=dated, root_ca_crl_number=self.root_ca_crl_number + 1)

    def quote(self, *, report_data: bytes, quote_version: int = 3, **enclave: Unpack[EnclaveFields]) -> bytes:
        """Quote an enclave, as the platform's quoting enclave would.

        Args:
            report_data: 64 bytes.
            quote_version: 3, 4 or 5.
            enclave: see `EnclaveSpec`.

        Raises:
            ValueError: a field of the wrong size or out of range.
        """
        return self.sign(self.quote_parts(report_data=report_data, quote_version=quote_version, **enclave))

    def quote_parts(
        self, *, report_data: bytes, quote_version: int = 3, **enclave: Unpack[EnclaveFields]
    ) -> QuoteParts:
        """Return the unsigned parts of a quote, for a test to replace one of them before `sign`.

        Raises:
            ValueError: a field of the wrong size or out of range.
        """
        return self.enclave_quote_parts(EnclaveSpec(**enclave), report_data=report_data, quote_version=quote_version)

    def enclave_quote_parts(self, enclave: EnclaveSpec, *, report_data: bytes, quote_version: int = 3) -> QuoteParts:
        """Like `quote_parts`, of an enclave that was described before."""
        return unsigned_quote(
            report_of(enclave, report_data, self.hardware),
            hardware=self.hardware,
            pck_chain=self.pki.chain("pck"),
            version=quote_version,
        )

    def td_quote(self, *, report_data: bytes, quote_version: int = 4, **domain: Unpack[TrustDomainFields]) -> bytes:
        """Quote a trust domain, as the platform's quoting enclave for TDs would.

        Args:
            report_data: 64 bytes.
            quote_version: 4 (TDX 1.0) or 5 (TDX 1.5).
            domain: see `TrustDomainSpec`.

        Raises:
            ValueError: a field of the wrong size.
        """
        parts = self.td_quote_parts(TrustDomainSpec(**domain), report_data=report_data, quote_version=quote_version)
        return self.sign(parts)

    def td_quote_parts(self, domain: TrustDomainSpec, *, report_data: bytes, quote_version: int = 4) -> QuoteParts:
        """Return the unsigned parts of a quote of a trust domain, for a test to replace one of them before `sign`."""
        is_15 = quote_version == 5
        parts = unsigned_quote(
            td_report_of(domain, report_data, is_15=is_15),
            hardware=self.hardware,
            pck_chain=self.pki.chain("pck"),
            version=quote_version,
            enclave_id="TD_QE",
        )
        return replace(parts, tee_type=TEE_TYPE_TDX, body_type=BODY_TYPE_TD_15 if is_15 else BODY_TYPE_TD_10)

    def sign(
        self, parts: QuoteParts, *, attestation_key: PrivateKey | None = None, pck_key: PrivateKey | None = None
    ) -> bytes:
        """Sign parts with the platform's keys, or with others, and write the quote."""
        signed = sign_quote(
            parts, attestation_key=attestation_key or self.attestation_key, pck_key=pck_key or self.pki.pck.key
        )
        return encode_quote(signed)

    def sgx_extension_spec(self) -> SGXExtensionSpec:
        """What the SGX extension of the PCK certificate says."""
        return self.hardware.sgx_extension()

    def certificate_spec(self, role: CertificateRole) -> CertificateSpec:
        """What a role's undamaged certificate says, for a test to replace one field before `with_certificate`."""
        return self.pki.spec(role, self.sgx_extension_spec())

    def with_certificate(
        self,
        role: CertificateRole,
        spec: CertificateSpec,
        *,
        signer: PrivateKey | None = None,
        key: PrivateKey | None = None,
    ) -> "SimulatedPlatform":
        """Return the platform with a role's certificate issued anew. Certificates below it stay as they are.

        Args:
            role: whose certificate.
            spec: what it says.
            signer: the key that signs it; its issuer's where none is named.
            key: another private key for its subject, whose public part takes the place of the spec's.
        """
        said = replace(spec, public_key=key.public_key()) if key else spec
        certificate = issue_certificate(said, signer or self.pki.issuer(role).key)
        credential = Credential(certificate, key or self.pki.credential(role).key)
        return replace(self, pki=self.pki.with_credential(role, credential))

    @classmethod
    def _of(cls, state: PlatformState) -> "SimulatedPlatform":
        return cls(**{member.name: getattr(state, member.name) for member in fields(PlatformState)})

    def _publish(self, standard: Publication, *, early: Publication | None) -> "SimulatedPlatform":
        kept = {standard, early}
        past = tuple(publication for publication in self.publications if publication not in kept)
        return replace(
            self,
            tcb_status=standard.status,
            evaluation_data_number=standard.number,
            early=early,
            past=past[-MAX_PAST_PUBLICATIONS:],
        )
