"""Asks AMD's key distribution service, or another cache that answers like it. What it gives is untrusted.

Spec: AMD 57230, VCEK Certificate and KDS Interface Specification, chapter 4; 58217 for VLEK.
"""

from dataclasses import replace
from http import HTTPStatus
from typing import Final
from urllib.parse import urlencode

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.http_client import BoundedHTTPClient, HTTPAnswer
from verdictd.collateral.pccs_client import require_success
from verdictd.core.errors import CollateralUnavailableError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES, MAX_CHAIN_BYTES, MAX_CRL_BYTES
from verdictd.tees.amd.extensions import AMDProduct

DEFAULT_PAUSE_S: Final = 30.0
"""For which the service is left alone where it refuses for being asked too often, and says of no time for how long."""
_LIMITS: Final = {"leaf": MAX_CERTIFICATE_BYTES, "cert_chain": MAX_CHAIN_BYTES, "crl": MAX_CRL_BYTES}
_SVNS: Final[dict[AMDProduct, dict[str, int]]] = {
    "Milan": {"blSPL": 0, "teeSPL": 1, "snpSPL": 6, "ucodeSPL": 7},
    "Genoa": {"blSPL": 0, "teeSPL": 1, "snpSPL": 6, "ucodeSPL": 7},
    "Turin": {"fmcSPL": 0, "blSPL": 1, "teeSPL": 2, "snpSPL": 3, "ucodeSPL": 7},
}
"""Which byte of a TCB each parameter gives; the others are reserved."""


def kds_target(name: AMDCertificateName) -> str:
    """Return path and query under which the service has something."""
    base = f"/{name.key_type}/v1/{name.product}"
    if name.what != "leaf":
        return f"{base}/{name.what}"
    last = name.chip_id.hex() if name.key_type == "vcek" else "cert"
    svns = {parameter: f"{name.tcb[place]:02}" for parameter, place in _SVNS[name.product].items()}
    return f"{base}/{last}?{urlencode(svns)}"


class KDSUpstream:
    """The service at an address. Safe to share between threads."""

    def __init__(self, url: str, http: BoundedHTTPClient) -> None:
        """Make a client; nothing is asked yet.

        Args:
            url: of the service, without a slash at its end.
            http: how to ask.
        """
        self._url = url
        self._http = http

    @property
    def name(self) -> str:
        """What to call it, for the operator."""
        return f"AMD's key distribution service {self._url}"

    def fetch(self, name: AMDCertificateName, deadline: Deadline) -> bytes:
        """Ask for something.

        Raises:
            CollateralUnavailableError: no answer in time, or one that is not a success.
            MalformedError, LimitExceededError: not HTTP, or more than such a thing may be.
        """
        answer = self._http.get(self._url + kds_target(name), max_bytes=_LIMITS[name.what], deadline=deadline)
        try:
            return require_success(replace(answer, url=_without_chip(answer, name))).body
        except CollateralUnavailableError as error:
            if error.status == HTTPStatus.TOO_MANY_REQUESTS and not error.retry_after_s:
                error.retry_after_s = DEFAULT_PAUSE_S
            raise


def _without_chip(answer: HTTPAnswer, name: AMDCertificateName) -> str:
    """Return a URL for messages: a chip's id, which tells machines apart, is cut short."""
    chip = name.chip_id.hex()
    return answer.url.replace(chip, f"{chip[:16]}…") if chip else answer.url
