"""The simulated vendor's PKI, with the shape, extensions and lifetimes of Intel's: root, PCK CAs, TCB signer, PCK.

Names end as verifiers expect them to ("SGX PCK Platform CA") and say that they are simulated. The CRL distribution
points lie under ``.invalid``, where nothing can ever be (RFC 2606): `serve` answers for them by their whole URL.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from cryptography import x509

from verdictd.simulator.certificate_builder import CertificateSpec, issue_certificate, simulated_name
from verdictd.simulator.keys import Credential, PrivateKey, generate_key
from verdictd.simulator.sgx_extension import SGXExtensionSpec

CertificateRole = Literal["root-ca", "platform-ca", "processor-ca", "tcb-signing", "pck"]

ROOT_CRL_URL = "https://tee-sim.invalid/SimulatedSGXRootCA.der"
PCK_CRL_URL = "https://tee-sim.invalid/sgx/certification/v4/pckcrl?ca=platform&encoding=der"
PROCESSOR_CRL_URL = "https://tee-sim.invalid/sgx/certification/v4/pckcrl?ca=processor&encoding=der"

_COMMON_NAMES: dict[CertificateRole, str] = {
    "root-ca": "Simulated SGX Root CA",
    "platform-ca": "Simulated SGX PCK Platform CA",
    "processor-ca": "Simulated SGX PCK Processor CA",
    "tcb-signing": "Simulated SGX TCB Signing",
    "pck": "Simulated SGX PCK Certificate",
}
_ISSUERS: dict[CertificateRole, CertificateRole] = {
    "root-ca": "root-ca",
    "platform-ca": "root-ca",
    "processor-ca": "root-ca",
    "tcb-signing": "root-ca",
    "pck": "platform-ca",
}
_ROOT_NOT_AFTER = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
_CA_YEARS = 15
PCK_YEARS = 7
_CA_BACKDATED = timedelta(days=1)
PCK_BACKDATED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PKI:
    """The five certificates of a simulated platform and its vendor, with their keys.

    Attributes:
        root_ca: what a verifier is told to trust.
        platform_ca: issues the PCK certificate and its CRL.
        processor_ca: issues those of platforms with one processor package, of which the platform itself is none.
        tcb_signing: signs TCB info and QE identity.
        pck: signs the quoting enclave's report.
    """

    root_ca: Credential
    platform_ca: Credential
    processor_ca: Credential
    tcb_signing: Credential
    pck: Credential

    def credential(self, role: CertificateRole) -> Credential:
        """Return the certificate and key of a role."""
        return {
            "root-ca": self.root_ca,
            "platform-ca": self.platform_ca,
            "processor-ca": self.processor_ca,
            "tcb-signing": self.tcb_signing,
            "pck": self.pck,
        }[role]

    def issuer(self, role: CertificateRole) -> Credential:
        """Return the certificate and key of whoever issues a role's certificate."""
        return self.credential(_ISSUERS[role])

    def chain(self, role: CertificateRole) -> bytes:
        """Return a role's PEM chain, the leaf first, the root included."""
        pem = self.credential(role).pem
        return pem if role == "root-ca" else pem + self.chain(_ISSUERS[role])

    def spec(self, role: CertificateRole, sgx_extension: SGXExtensionSpec) -> CertificateSpec:
        """Return what an undamaged certificate of a role says, with the present one's key, serial and validity."""
        present = self.credential(role).certificate
        return certificate_spec(
            role,
            key=self.credential(role).key,
            issuer_key=self.issuer(role).key,
            serial_number=present.serial_number,
            not_before=present.not_valid_before_utc,
            not_after=present.not_valid_after_utc,
            sgx_extension=sgx_extension,
        )

    def with_credential(self, role: CertificateRole, credential: Credential) -> "PKI":
        """Return the same PKI with a role's certificate and key exchanged; nothing below it is issued anew."""
        match role:
            case "root-ca":
                return replace(self, root_ca=credential)
            case "platform-ca":
                return replace(self, platform_ca=credential)
            case "processor-ca":
                return replace(self, processor_ca=credential)
            case "tcb-signing":
                return replace(self, tcb_signing=credential)
            case "pck":
                return replace(self, pck=credential)


def certificate_spec(
    role: CertificateRole,
    *,
    key: PrivateKey,
    issuer_key: PrivateKey,
    serial_number: int,
    not_before: datetime,
    not_after: datetime,
    sgx_extension: SGXExtensionSpec,
) -> CertificateSpec:
    """What the certificate of a role says, extension by extension as Intel's profile has it."""
    is_ca = role in {"root-ca", "platform-ca", "processor-ca"}
    return CertificateSpec(
        subject=simulated_name(_COMMON_NAMES[role]),
        issuer=simulated_name(_COMMON_NAMES[_ISSUERS[role]]),
        serial_number=serial_number,
        not_before=not_before,
        not_after=not_after,
        public_key=key.public_key(),
        authority_key=issuer_key.public_key(),
        crl_url=PCK_CRL_URL if role == "pck" else ROOT_CRL_URL,
        is_ca=is_ca,
        path_length={"root-ca": 1, "platform-ca": 0, "processor-ca": 0}.get(role),
        may_sign_certificates=is_ca,
        sgx_extension=sgx_extension if role == "pck" else None,
    )


def create_pki(at: datetime, sgx_extension: SGXExtensionSpec) -> PKI:
    """Make keys and certificates as of `at`: the root until 2049, CA and TCB signer for 15 years, the PCK for 7."""
    keys: dict[CertificateRole, PrivateKey] = {role: generate_key() for role in _COMMON_NAMES}

    def create(role: CertificateRole) -> Credential:
        not_before = at - (PCK_BACKDATED if role == "pck" else _CA_BACKDATED)
        years = PCK_YEARS if role == "pck" else _CA_YEARS
        spec = certificate_spec(
            role,
            key=keys[role],
            issuer_key=keys[_ISSUERS[role]],
            serial_number=x509.random_serial_number(),
            not_before=not_before,
            not_after=_ROOT_NOT_AFTER if role == "root-ca" else years_after(not_before, years),
            sgx_extension=sgx_extension,
        )
        return Credential(issue_certificate(spec, keys[_ISSUERS[role]]), keys[role])

    return PKI(
        root_ca=create("root-ca"),
        platform_ca=create("platform-ca"),
        processor_ca=create("processor-ca"),
        tcb_signing=create("tcb-signing"),
        pck=create("pck"),
    )


def years_after(instant: datetime, years: int) -> datetime:
    """Return the same day some years later; of a leap day, the day before."""
    day = 28 if (instant.month, instant.day) == (2, 29) else instant.day
    return instant.replace(year=instant.year + years, day=day)
