"""From what an operator names to the sources that the service asks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from verdictd.collateral.files import load_collateral
from verdictd.collateral.http_client import BoundedHTTPClient, Retries, tls_context
from verdictd.collateral.pccs_client import PCCSClient
from verdictd.collateral.pccs_urls import Update, names_pccs, parse_pccs_url
from verdictd.collateral.proxies import proxy_for
from verdictd.collateral.qcnl import QCNLSettings
from verdictd.collateral.sources import CollateralSource

_MAX_RETRIES: Final = 5
_MAX_RETRY_DELAY_SECONDS: Final = 2.0
"""Intel's library may wait minutes for its PCCS; here a peer is waiting for its handshake."""


def open_source(where: str, env: Mapping[str, str]) -> CollateralSource:
    """Open what ``--collateral`` names: a PCCS by its URL or name, else a file or a directory.

    Args:
        where: see `parse_pccs_url` and `load_collateral`.
        env: the process's environment, for proxies.
    Raises:
        ConfigError: there is no such thing, or it cannot be used.
        CollateralError: a file holds collateral, but cannot be used.
        UnsupportedError, LimitExceededError: another API version; too many or too large files.
    """
    return open_pccs(where, env) if names_pccs(where) else load_collateral(Path(where)).as_source()


def open_pccs(
    url: str,
    env: Mapping[str, str],
    *,
    verify_tls: bool = True,
    ca_file: str | None = None,
    update: Update | None = None,
    retries: Retries | None = None,
    warnings: tuple[str, ...] = (),
) -> PCCSClient:
    """Make a client of a PCCS; nothing is asked yet.

    Args:
        url: see `parse_pccs_url`.
        env: the process's environment, for proxies.
        verify_tls: whether the server must prove by its TLS certificate who it is.
        ca_file: certificates (PEM) to trust for that instead of the system's.
        update: which updates of TCB info to ask for.
        retries: how often to try again.
        warnings: what the operator should be told about this source at start.
    Raises:
        ConfigError: the address, a proxy or `ca_file` cannot be used.
        UnsupportedError: another version of the API.
    """
    address = parse_pccs_url(url)
    http = BoundedHTTPClient(
        tls=tls_context(verify=verify_tls, ca_file=ca_file),
        retries=Retries() if retries is None else retries,
        proxy=proxy_for(str(address), env),
    )
    return PCCSClient(address, http, update=update, warnings=warnings)


def open_pccs_from_qcnl(settings: QCNLSettings, env: Mapping[str, str], *, ca_file: str | None = None) -> PCCSClient:
    """Make a client of the PCCS that ``sgx_default_qcnl.conf`` names; nothing is asked yet.

    Raises:
        ConfigError, UnsupportedError: as `open_pccs`.
    """
    default = Retries()
    retries = Retries(
        times=default.times if settings.retry_times is None else min(settings.retry_times, _MAX_RETRIES),
        delay_seconds=default.delay_seconds
        if settings.retry_delay is None
        else min(float(settings.retry_delay), _MAX_RETRY_DELAY_SECONDS),
    )
    return open_pccs(
        settings.collateral_url,
        env,
        verify_tls=settings.use_secure_cert,
        ca_file=ca_file,
        update=settings.tcb_update_type,
        retries=retries,
        warnings=settings.warnings,
    )
