"""What verdictd is told by its operator: one frozen value, checked once, before anything starts.

The defaults accept the least. Combinations that would serve peers nobody judged are refused here, not discovered later.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from verdictd.appraisal.verifiers import SGX_VERIFIER, Verifiers
from verdictd.archive.store import DEFAULT_MAX_AGE, DEFAULT_MAX_BYTES, ArchiveBounds
from verdictd.configuration.address import Address
from verdictd.configuration.log_choice import LogFormat, LogLevel
from verdictd.configuration.trust_files import INTEL
from verdictd.core.errors import ConfigError
from verdictd.daemon.guest_settings import GuestSettings
from verdictd.daemon.settings_address import ClientAPIAddress
from verdictd.ratstls.evidence import CertificateFormat
from verdictd.ratstls.limits import ServerLimits
from verdictd.tees.dcap.acceptance import Acceptance

DEFAULT_LISTEN = Address("127.0.0.1", 1234)
DEFAULT_CLIENT_API = Address("::1", 60000)
DEFAULT_DATA_DIRECTORY = Path("/opt/verdictd")
DEFAULT_ATTESTATION_HISTORY = 1000


class TLSName(StrEnum):
    """A TLS instance, as rats-tls names them. `NULL` is no TLS at all: bytes in the clear, from whoever connects."""

    OPENSSL = "openssl"
    NULL = "nulltls"


class CryptoName(StrEnum):
    """A crypto instance, as rats-tls names them. `NULL` makes no certificate, so it goes with `TLSName.NULL` alone."""

    OPENSSL = "openssl"
    NULL = "nullcrypto"


class AttesterName(StrEnum):
    """What verdictd proves itself with to its peers. With `NULL` its certificate carries no evidence."""

    NULL = "nullattester"
    SGX_ECDSA = "sgx_ecdsa"
    TDX_ECDSA = "tdx_ecdsa"
    SEV_SNP = "sev_snp"
    CSV = "csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class CollateralSettings:
    """Where Endorsements come from, beside what peers bring along.

    Attributes:
        source: a file or directory, or the URL of one; ``None`` for none.
        pccs_url: base URL of a PCCS or of Intel's PCS; ``None`` for the one that ``sgx_default_qcnl.conf`` names.
        alibaba_region: region whose Alibaba Cloud PCCS is used instead.
        alibaba_vpc: whether to use that region's address for machines inside its VPC.
    """

    source: str | None = None
    pccs_url: str | None = None
    alibaba_region: str | None = None
    alibaba_vpc: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveSettings:
    """Whether what attestations were judged by is kept, and how much of it.

    Attributes:
        is_on: whether anything is.
        max_bytes: of the archive's database.
        max_age: since an attestation was archived.
    """

    is_on: bool = False
    max_bytes: int = DEFAULT_MAX_BYTES
    max_age: timedelta = DEFAULT_MAX_AGE

    @property
    def bounds(self) -> ArchiveBounds:
        """The same, for the archive."""
        return ArchiveBounds(max_bytes=self.max_bytes, max_age=self.max_age)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the daemon is told. Made by `settings_reader`, which checks it with `check_settings`.

    Attributes:
        listen: where peers connect.
        client_api: where `verdict` connects; reachable from this machine alone.
        tls, crypto, attester: instances; what was not named has its default.
        verifier: the verifiers that were named, ``None`` where none was. See `enforced_verifier`.
        mutual: whether peers must present a certificate, without which nothing of them can be judged.
        data_dir: holds policies and reference values.
        acceptance: what of a genuine platform is acceptable.
        trust_roots: `INTEL`, or paths of PEM files; what is not in here is not trusted.
        collateral: where Endorsements come from.
        allow_any_enclave: whether to serve while the reference values are the shipped ones, which name no enclave.
        certificate_format: how our own certificate carries evidence.
        endorsements: whether our own certificate carries collateral for our evidence.
        quote_command: a program that makes our quotes, as a command line; ``None`` to use the platform's device.
        simulate: directory of a simulated platform that makes our quotes.
        attestation_history: how many concluded attestations are remembered.
        workers: how many processes judge peers; 0 for one on each core that verdictd may use.
        audit_sync_always: whether each record of the audit log waits for the disk; else it is synced each second.
        metrics: where metrics and health are served; ``None`` for nowhere.
        otlp_endpoint: base URL of the collector that traces are sent to; ``None`` for what the environment names.
        archive: whether what attestations were judged by is kept.
        log_level, log_format: what is logged, and how.
        limits: what peers may take of this machine.
        guests: what counts for evidence of SEV-SNP, SEV and CSV.
    """

    listen: Address = DEFAULT_LISTEN
    client_api: ClientAPIAddress = DEFAULT_CLIENT_API
    tls: TLSName = TLSName.OPENSSL
    crypto: CryptoName = CryptoName.OPENSSL
    attester: AttesterName = AttesterName.NULL
    verifier: Verifiers | None = None
    mutual: bool = False
    data_dir: Path = DEFAULT_DATA_DIRECTORY
    acceptance: Acceptance = field(default_factory=Acceptance)
    trust_roots: tuple[str, ...] = (INTEL,)
    collateral: CollateralSettings = field(default_factory=CollateralSettings)
    allow_any_enclave: bool = False
    certificate_format: CertificateFormat = CertificateFormat.INTEROPERABLE
    endorsements: bool = False
    quote_command: str | None = None
    simulate: Path | None = None
    attestation_history: int = DEFAULT_ATTESTATION_HISTORY
    workers: int = 0
    audit_sync_always: bool = False
    metrics: Address | None = None
    otlp_endpoint: str | None = None
    archive: ArchiveSettings = field(default_factory=ArchiveSettings)
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT
    limits: ServerLimits = field(default_factory=ServerLimits)
    guests: GuestSettings = field(default_factory=GuestSettings)

    @property
    def enforced_verifier(self) -> Verifiers:
        """The verifiers of which every peer has to pass one. Never the null verifier unless it was named."""
        return SGX_VERIFIER if self.verifier is None else self.verifier


def check_settings(settings: Settings) -> None:
    """Refuse settings that contradict each other, or with which anyone would be served who was not meant to be.

    Raises:
        ConfigError: says which settings, and what to change.
    """
    _check_judgement(settings)
    _check_instances(settings)
    check_collateral_settings(settings.collateral)
    if not settings.client_api.is_loopback:
        raise ConfigError(
            f"client_api {settings.client_api} can be reached from other machines, and whoever reaches it decides"
            " whom verdictd serves",
            remedy="use a loopback address or unix:/path, and forward it (ssh -L) to the machine that runs verdict",
        )


def _check_judgement(settings: Settings) -> None:
    is_null = settings.enforced_verifier.is_null
    if settings.tls is TLSName.NULL:
        if not is_null:
            raise ConfigError(
                "tls nulltls carries no certificates, so no verifier can be enforced, and verdictd would serve anyone",
                remedy="use --tls openssl; or, to serve anyone, name --verifier nullverifier as well",
            )
        if settings.mutual:
            raise ConfigError(
                "tls nulltls carries no certificates, so mutual cannot be kept", remedy="leave out --mutual or nulltls"
            )
    elif not settings.mutual and not is_null:
        raise ConfigError(
            f"without mutual no peer presents evidence, so the verifier {settings.enforced_verifier} could not be"
            " enforced, and verdictd would serve anyone",
            remedy="add --mutual; or, to serve anyone, name --verifier nullverifier",
        )


def _check_instances(settings: Settings) -> None:
    if settings.crypto is CryptoName.NULL and settings.tls is not TLSName.NULL:
        raise ConfigError("crypto nullcrypto makes no certificate, which tls openssl needs", remedy="use openssl")
    named = [
        name for name, value in (("quote_command", settings.quote_command), ("simulate", settings.simulate)) if value
    ]
    if len(named) > 1:
        raise ConfigError("quote_command and simulate are both given", remedy="name one source of quotes")
    if named and settings.attester is AttesterName.NULL:
        raise ConfigError(
            f"{named[0]} is given, but the attester nullattester makes no quotes", remedy="name --attester sgx_ecdsa"
        )
    if settings.endorsements and settings.attester is AttesterName.NULL:
        raise ConfigError(
            "endorsements belong to evidence, of which the attester nullattester has none",
            remedy="name --attester sgx_ecdsa, or leave out --endorsements",
        )
    if settings.endorsements and settings.certificate_format is CertificateFormat.LEGACY:
        raise ConfigError(
            "certificates of the legacy format carry no endorsements", remedy="leave out one of the two settings"
        )


def check_collateral_settings(collateral: CollateralSettings) -> None:
    """Refuse a choice of two PCCS, and half a choice.

    Raises:
        ConfigError: says which settings, and what to change.
    """
    if collateral.pccs_url is not None and collateral.alibaba_region is not None:
        raise ConfigError(
            "collateral.pccs_url and collateral.alibaba_region name two PCCS", remedy="leave out one of them"
        )
    if collateral.alibaba_vpc and collateral.alibaba_region is None:
        raise ConfigError("collateral.alibaba_vpc is set without a region", remedy="name --alibaba-region as well")
