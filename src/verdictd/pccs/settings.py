"""What `pccs` is told by its operator: one frozen value, checked once, before anything starts.

The defaults serve this machine alone, trust Intel's and AMD's own roots, and ask Intel's and AMD's own services.
"""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from verdictd.collateral.pccs_urls import PCCSAddress, parse_pccs_url
from verdictd.configuration.address import Address
from verdictd.configuration.amd_trust_files import AMD
from verdictd.configuration.log_choice import LogFormat, LogLevel
from verdictd.configuration.trust_files import INTEL
from verdictd.core.errors import ConfigError
from verdictd.pccs.asking import DEFAULT_UNKNOWN_PER_SECOND
from verdictd.pccs.model import Mode

AMD_KDS_URL: Final = "https://kdsintf.amd.com"
DEFAULT_LISTEN: Final = Address("127.0.0.1", 8081)
DEFAULT_REFRESH_PERIOD: Final = timedelta(hours=24)
DATABASE_FILE: Final = "pccs.db"

_TOKEN_HASH = re.compile(r"[0-9a-fA-F]{128}")


def default_data_directory() -> Path:
    """Return where the database is kept unless another place is named: the user's own directory for data."""
    return Path("~/.local/share/verdictd/pccs").expanduser()


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What clients may take of this machine, and of upstream. The defaults are those of Intel's reference service.

    Attributes:
        max_request_bytes: of a request's body.
        headers_timeout_s: in which a request's headers have to be complete.
        request_timeout_s: in which a request has to be complete.
        keep_alive_s: for which a connection may be idle.
        max_connections: at once, in each process.
        unknown_per_second: things that are not held for which upstream is asked, in each process; ten times as many at
            once.
    """

    max_request_bytes: int = 2 * 1024 * 1024
    headers_timeout_s: float = 10.0
    request_timeout_s: float = 15.0
    keep_alive_s: float = 60.0
    max_connections: int = 10_000
    unknown_per_second: int = DEFAULT_UNKNOWN_PER_SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything `pccs` is told. Made by `settings_reader`, which checks it with `check_settings`.

    Attributes:
        listen: where clients connect.
        data_dir: holds the database where `database` names none.
        database: SQLAlchemy's URL of a database; it may hold a password, so it is never shown.
        upstreams: addresses as `parse_pccs_url` reads them, in the order in which they are asked.
        upstream_key: what Intel's service is shown (``Ocp-Apim-Subscription-Key``); empty for nothing.
        trust_roots: `INTEL`, or paths of PEM files; what is not in here is not trusted.
        amd_upstream: base URL of AMD's key distribution service, or of another cache of it.
        amd_roots: `AMD`, or paths of PEM files.
        mode: when upstream is asked.
        refresh_period: after which everything held is asked for again, with some jitter.
        tls_certificate, tls_key: PEM files; ``None`` serves plain HTTP, on a loopback address alone.
        user_token_hash, admin_token_hash: SHA-512 of the tokens, lower-case hex; empty lets nobody in.
        metrics: whether ``/metrics`` is served.
        log_level, log_format: what is logged, and how.
        limits: what clients may take of this machine.
    """

    listen: Address = DEFAULT_LISTEN
    data_dir: Path = field(default_factory=default_data_directory)
    database: str | None = field(default=None, repr=False)
    upstreams: tuple[str, ...] = (INTEL,)
    upstream_key: str = field(default="", repr=False)
    trust_roots: tuple[str, ...] = (INTEL,)
    amd_upstream: str = AMD_KDS_URL
    amd_roots: tuple[str, ...] = (AMD,)
    mode: Mode = Mode.LAZY
    refresh_period: timedelta = DEFAULT_REFRESH_PERIOD
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    user_token_hash: str = field(default="", repr=False)
    admin_token_hash: str = field(default="", repr=False)
    metrics: bool = True
    log_level: LogLevel = LogLevel.INFO
    log_format: LogFormat = LogFormat.TEXT
    limits: Limits = field(default_factory=Limits)

    @property
    def database_url(self) -> str:
        """The database, as SQLAlchemy names it."""
        return self.database or f"sqlite:///{self.data_dir.absolute() / DATABASE_FILE}"

    @property
    def upstream_addresses(self) -> tuple[PCCSAddress, ...]:
        """The upstreams, read."""
        return tuple(parse_pccs_url(upstream) for upstream in self.upstreams)


def parse_token_hash(text: str) -> str:
    """Read the SHA-512 of a token.

    Raises:
        ConfigError: not 128 hex digits. What was given is not shown: it may be the token itself.
    """
    if not _TOKEN_HASH.fullmatch(text):
        raise ConfigError(
            "not the SHA-512 of a token, which is 128 hex digits", remedy="make it of the token with pccs hash-token"
        )
    return text.lower()


def check_settings(settings: Settings) -> None:
    """Refuse settings that contradict each other, or that would send tokens in the clear.

    Raises:
        ConfigError: says which settings, and what to change.
    """
    if (settings.tls_certificate is None) is not (settings.tls_key is None):
        raise ConfigError("tls_certificate and tls_key belong together", remedy="name both, or neither")
    if settings.tls_certificate is None and not settings.listen.is_loopback:
        raise ConfigError(
            f"listen {settings.listen} can be reached from other machines, and without TLS whoever is in between"
            " reads tokens and decides what clients are told",
            remedy="name --tls-cert and --tls-key, or a loopback address",
        )


def warnings(settings: Settings) -> list[str]:
    """Return a sentence for each setting that an operator should know of before the first client comes."""
    sentences = [
        f"The root in {root} is trusted: what it vouches for is kept and handed out."
        for root in settings.trust_roots
        if root != INTEL
    ]
    sentences += [
        f"The root in {root} is trusted for AMD's processors: what it vouches for is kept and handed out."
        for root in settings.amd_roots
        if root != AMD
    ]
    if settings.mode is not Mode.OFFLINE:
        sentences += [f"{address.warning}." for address in settings.upstream_addresses if address.warning]
    if not settings.user_token_hash:
        sentences.append("No user token is set, so no platform can register (PCCS_USER_TOKEN_HASH).")
    if not settings.admin_token_hash:
        sentences.append("No admin token is set, so nobody can administer it over HTTP (PCCS_ADMIN_TOKEN_HASH).")
    return sentences
