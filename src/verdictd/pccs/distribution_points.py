"""Which CRL is meant by the address that a certificate names for it. Nothing here is ever fetched from."""

from typing import Final
from urllib.parse import SplitResult, parse_qs, urlsplit

from cryptography import x509

from verdictd.collateral.items import ItemKind, ItemName
from verdictd.tees.dcap.pck import PCKCAType
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots

MAX_URI_CHARACTERS: Final = 2048
_INTEL_ROOT_HOSTS: Final = frozenset({"certificates.trustedservices.intel.com", "certprx.adsdcsp.com"})
_INTEL_API_HOST: Final = "api.trustedservices.intel.com"
_CAS: Final[dict[str, PCKCAType]] = {"processor": "processor", "platform": "platform"}


def find_crl(uri: str, roots: TrustRoots) -> ItemName | None:
    """Return the CRL that a distribution point stands for; ``None`` where it is none of a vendor that is trusted.

    Args:
        uri: untrusted.
        roots: what is trusted; the names of hosts in their own distribution points count as their vendor's.
    """
    if len(uri) > MAX_URI_CHARACTERS:
        return None
    points = {point for root in roots.roots for point in _distribution_points(root)}
    if uri in points:
        return ItemName(ItemKind.ROOT_CA_CRL)
    try:
        parts = urlsplit(uri)
        host, query = parts.hostname or "", parse_qs(parts.query, max_num_fields=8)
    except ValueError:
        return None
    hosts = {urlsplit(point).hostname for point in points}
    if _names_pck_crl(parts, host, hosts):
        pck_ca = _CAS.get(query.get("ca", [""])[0].lower())
        return None if pck_ca is None else ItemName(ItemKind.PCK_CRL, pck_ca=pck_ca)
    is_root = host in _INTEL_ROOT_HOSTS and parts.path.endswith((".der", ".crl"))
    return ItemName(ItemKind.ROOT_CA_CRL) if is_root else None


def _names_pck_crl(parts: SplitResult, host: str, hosts: set[str | None]) -> bool:
    return parts.scheme == "https" and parts.path.endswith("/pckcrl") and (host == _INTEL_API_HOST or host in hosts)


def _distribution_points(root: TrustRoot) -> tuple[str, ...]:
    try:
        extension = root.certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints)
    except (x509.ExtensionNotFound, ValueError):
        return ()
    names = (name for point in extension.value for name in point.full_name or ())
    return tuple(name.value for name in names if isinstance(name, x509.UniformResourceIdentifier))
