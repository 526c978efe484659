"""``sgx_default_qcnl.conf`` as it is written for clients of a cache; `verdictd.collateral.qcnl` reads it."""

import json
from dataclasses import dataclass
from typing import Final

from verdictd.collateral.pccs_urls import UpdateType

_API_VERSION: Final = "3.1"
"""By which clients fetch the root's CRL from ``crl?uri=``, in DER; with 3.0 from ``rootcacrl``, in hex."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """What a client is told.

    Attributes:
        url: of the cache, with its path and the slash at its end.
        collateral_url: where to fetch collateral, if it is elsewhere.
        is_secure: whether the cache has to prove by its TLS certificate who it is.
        update: whose TCB info and identities to ask for.
        retry_times, retry_delay: further attempts, and seconds between them; the defaults of Intel's library.
    """

    url: str
    collateral_url: str | None = None
    is_secure: bool = True
    update: UpdateType = "standard"
    retry_times: int = 6
    retry_delay: int = 10


def encode_json_form(config: ClientConfig) -> str:
    """Write the form that Intel's library reads since DCAP 1.12; without comments, at which other readers stumble."""
    members: dict[str, str | bool | int] = {"pccs_url": config.url, "use_secure_cert": config.is_secure}
    if config.collateral_url is not None:
        members["collateral_service"] = config.collateral_url
    members |= {
        "tcb_update_type": config.update,
        "pccs_api_version": _API_VERSION,
        "retry_times": config.retry_times,
        "retry_delay": config.retry_delay,
    }
    return json.dumps(members, indent=2) + "\n"


def encode_legacy_form(config: ClientConfig) -> str:
    """Write the older form, a KEY=VALUE on each line. It has no word for `update`: it is the standard one there."""
    lines = [f"PCCS_URL={config.url}", f"USE_SECURE_CERT={'TRUE' if config.is_secure else 'FALSE'}"]
    if config.collateral_url is not None:
        lines.append(f"COLLATERAL_SERVICE={config.collateral_url}")
    lines += [
        f"PCCS_API_VERSION={_API_VERSION}",
        f"RETRY_TIMES={config.retry_times}",
        f"RETRY_DELAY={config.retry_delay}",
    ]
    return "\n".join(lines) + "\n"
