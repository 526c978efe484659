"""Addresses of services that hand out Intel's collateral: a PCCS, the cloud's, or Intel's own PCS.

All share their paths: ``…/sgx/certification/v4/tcb?…`` and, for TDX, ``…/tdx/certification/v4/tcb?…``.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Literal, TypeAlias
from urllib.parse import quote, urlencode, urlsplit

from verdictd.collateral.items import TEE
from verdictd.core.errors import ConfigError, UnsupportedError
from verdictd.tees.dcap.pck import PCKCAType

APIVersion: TypeAlias = Literal[3, 4]
UpdateType: TypeAlias = Literal["early", "standard"]
Update: TypeAlias = UpdateType | int
"""Which publication of TCB info and identities: ``standard``, ``early``, or one TCB evaluation data number."""

INTEL_PCS_URL: Final = "https://api.trustedservices.intel.com/sgx/certification/v4/"
"""Intel's own service, which needs no key for collateral."""
INTEL_ROOT_CRL_URL: Final = "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
"""Where Intel publishes its root's CRL, as the root certificate itself says; the PCS has no path for it."""

_INTEL_PCS_HOST: Final = "api.trustedservices.intel.com"
_PATH = re.compile(r"(?P<prefix>/.*?)?/(?:sgx|tdx)/certification/v(?P<version>[0-9]+)/?")
_REGION = re.compile(r"[a-z]{2,12}(?:-[a-z0-9]{1,16}){1,3}")
_CLOUDS: Final = {"alibaba:": False, "alibaba-vpc:": True}
"""Names of Alibaba Cloud's PCCS, before a region, and whether each stands for the address inside a VPC."""
_REMEDY: Final = "write it as https://HOST:8081/sgx/certification/v4/"


@dataclass(frozen=True, slots=True, kw_only=True)
class PCCSAddress:
    """Where a PCCS is, and which version of the API it is asked in.

    Attributes:
        root: scheme, host, port and whatever path precedes ``/sgx/certification/``; no slash at its end.
        version: of the API. TDX exists in version 4 alone.
    """

    root: str
    version: APIVersion

    def __str__(self) -> str:
        """The address as an operator writes it."""
        return f"{self.root}/sgx/certification/v{self.version}/"

    @property
    def is_intel(self) -> bool:
        """Whether this is Intel's own service rather than a cache of it."""
        return urlsplit(self.root).hostname == _INTEL_PCS_HOST

    @property
    def warning(self) -> str:
        """What the operator should know about the address; empty where there is nothing."""
        parts = urlsplit(self.root)
        if parts.scheme == "https" or _is_loopback(parts.hostname or ""):
            return ""
        return (
            f"collateral is fetched from {self} without TLS: it is signed, but whoever is in between can withhold it or"
            " hand out an older set"
        )

    def tcb(self, tee: TEE, fmspc: bytes, update: Update | None) -> str:
        """URL of the TCB info for a family of platforms (FMSPC, 6 bytes)."""
        return self._url("tcb", tee, {"fmspc": fmspc.hex().upper()} | self._update(tee, update))

    def qe_identity(self, tee: TEE, update: Update | None) -> str:
        """URL of the quoting enclave's identity."""
        return self._url("qe/identity", tee, self._update(tee, update))

    def qve_identity(self, update: Update | None) -> str:
        """URL of the quote verification enclave's identity."""
        return self._url("qve/identity", "SGX", self._update("SGX", update))

    def pck_certificates(self, enc_ppid: bytes, pce_id: str) -> str:
        """URL of the PCK certificates of all a platform's TCB levels, as the PCS has it.

        Args:
            enc_ppid: 384 bytes; empty where the platform is named in the body of the request.
            pce_id: 4 hex digits.
        """
        return self._url("pckcerts", "SGX", {"encrypted_ppid": enc_ppid.hex(), "pceid": pce_id} if enc_ppid else {})

    def pck_certificate(self, qe_id: str, enc_ppid: bytes, raw_tcb: bytes, pce_id: str) -> str:
        """URL of the PCK certificate of a platform at a TCB, as a PCCS has it.

        Args:
            qe_id: the quoting enclave's id, in hex.
            enc_ppid: 384 bytes, or empty.
            raw_tcb: CPUSVN and PCESVN (little-endian), 18 bytes.
            pce_id: 4 hex digits.
        """
        named = {"qeid": qe_id} | ({"encrypted_ppid": enc_ppid.hex()} if enc_ppid else {})
        tcb = {"cpusvn": raw_tcb[:16].hex(), "pcesvn": raw_tcb[16:].hex(), "pceid": pce_id}
        return self._url("pckcert", "SGX", named | tcb)

    def pck_crl(self, pck_ca: PCKCAType) -> str:
        """URL of a PCK CA's CRL, in DER."""
        return self._url("pckcrl", "SGX", {"ca": pck_ca, "encoding": "der"})

    def root_ca_crls(self) -> tuple[str, ...]:
        """URLs of the root's CRL, in the order to try: older caches know the first only, some the second only."""
        if self.is_intel:
            return (INTEL_ROOT_CRL_URL,)
        return self._url("rootcacrl", "SGX", {}), self._url("crl", "SGX", {"uri": INTEL_ROOT_CRL_URL})

    def _update(self, tee: TEE, update: Update | None) -> dict[str, str]:
        version = 4 if tee == "TDX" else self.version
        if update is None or version < 4:
            return {}
        return {"update": update} if isinstance(update, str) else {"tcbEvaluationDataNumber": str(update)}

    def _url(self, path: str, tee: TEE, query: dict[str, str]) -> str:
        version = 4 if tee == "TDX" else self.version
        text = urlencode(query, quote_via=quote, safe="")
        return f"{self.root}/{tee.lower()}/certification/v{version}/{path}{'?' if text else ''}{text}"


def names_pccs(text: str) -> bool:
    """Whether a setting that may be a path or name a PCCS names a PCCS."""
    return text == "intel" or text.startswith(("https://", "http://", *_CLOUDS))


def parse_pccs_url(text: str) -> PCCSAddress:
    """Read the address of a PCCS as it stands in settings.

    Beside URLs there are names: ``intel`` for Intel's own service, ``alibaba:REGION`` and ``alibaba-vpc:REGION`` for
    Alibaba Cloud's.

    With or without the slash at its end; of the SGX or the TDX API; without a path it is version 4's. Plain HTTP is
    taken where it was written out (collateral is signed), with a warning unless the host is this machine.

    Raises:
        ConfigError: not such an address, or one with credentials, a query or a fragment.
        UnsupportedError: another version of the API than 3 and 4.
    """
    url = _expand(text)
    shown = repr(url[:200]) if "@" not in url else "(not shown: it seems to hold credentials)"
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError as error:
        raise ConfigError(f"the PCCS address {shown} is no URL: {error}", remedy=_REMEDY) from error
    if not usable or not url.isascii() or not url.isprintable() or " " in url:
        raise ConfigError(f"the PCCS address {shown} is no http or https URL", remedy=_REMEDY)
    if any(mark in url for mark in "@?#"):
        raise ConfigError(f"the PCCS address {shown} holds more than a server and a path", remedy=_REMEDY)
    prefix, version = "", "4"
    if parts.path.strip("/"):
        path = _PATH.fullmatch(parts.path)
        if path is None:
            raise ConfigError(f"the path of the PCCS address {url} is not /sgx/certification/v4/", remedy=_REMEDY)
        prefix, version = path["prefix"] or "", path["version"]
    if version not in {"3", "4"}:
        raise UnsupportedError(f"the PCCS address {url} names API version {version:.20}, supported are 3 and 4")
    return PCCSAddress(
        root=f"{parts.scheme}://{parts.netloc.lower()}{prefix}",
        version=3 if version == "3" else 4,
    )


def _expand(text: str) -> str:
    if text == "intel":
        return INTEL_PCS_URL
    for cloud, vpc in _CLOUDS.items():
        if text.startswith(cloud):
            return alibaba_pccs_url(text.removeprefix(cloud), vpc=vpc)
    return text


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def alibaba_pccs_url(region: str, *, vpc: bool = False, version: APIVersion = 3) -> str:
    """Return the address of Alibaba Cloud's PCCS in a region.

    Args:
        region: the region's id, e.g. ``cn-hangzhou``.
        vpc: the address inside a VPC, for machines without a public one.
        version: of the API.
    Raises:
        ConfigError: not the form of a region's id.
    """
    if _REGION.fullmatch(region) is None:
        raise ConfigError(
            f"{region!r:.60} is not the id of an Alibaba Cloud region",
            remedy="write it as cn-hangzhou or ap-southeast-1",
        )
    service = "sgx-dcap-server-vpc" if vpc else "sgx-dcap-server"
    return f"https://{service}.{region}.aliyuncs.com/sgx/certification/v{version}/"
