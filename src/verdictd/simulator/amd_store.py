"""Keeps the keys and certificates of a simulated AMD within a platform's directory: ``amd/<product>/``.

A product's directory is made when it is first needed, and appears whole or not at all.
"""

import shutil
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from verdictd.simulator.amd_certificates import AMDProduct
from verdictd.simulator.amd_pki import AMDPKI, RSACredential, create_amd_pki
from verdictd.simulator.store import explained, locked, write_durably

AMD_PRODUCTS: Final[tuple[AMDProduct, ...]] = ("Milan", "Genoa", "Turin")
_ROLES: Final = ("ark", "ask", "asvk")


def amd_root_file(directory: Path, product: AMDProduct) -> Path:
    """Where the root certificate of a product is, for a verifier that is to trust it."""
    return _product_directory(directory, product) / "ark.pem"


def load_amd_pki(directory: Path, product: AMDProduct, at: datetime) -> AMDPKI:
    """Read the PKI of a product from a platform's directory, or make it there.

    Args:
        directory: a platform's, as `SimulatedPlatform.save` made it.
        product: whose.
        at: from when on the certificates are valid, where they are made.

    Raises:
        ConfigError: it cannot be read or written.
    """
    place = _product_directory(directory, product)
    with locked(directory):
        if not place.exists():
            with explained(f"the simulated AMD cannot be written to {place}", "check who may write there"):
                _save(create_amd_pki(product, at), place)
    with explained(f"{place} is no simulated AMD", "remove it, and it is made anew"):
        ark, ask, asvk = (_load_credential(place, role) for role in _ROLES)
        return AMDPKI(product=product, ark=ark, ask=ask, asvk=asvk)


def _product_directory(directory: Path, product: AMDProduct) -> Path:
    return directory / "amd" / product.lower()


def _save(pki: AMDPKI, place: Path) -> None:
    place.parent.mkdir(mode=0o700, exist_ok=True)
    draft = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}."))  # its mode is 0700
    try:
        for role, credential in zip(_ROLES, (pki.ark, pki.ask, pki.asvk), strict=True):
            write_durably(draft / f"{role}.pem", credential.pem)
            key = credential.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
            write_durably(draft / f"{role}-key.pem", key)
        draft.rename(place)
    except BaseException:
        shutil.rmtree(draft)
        raise


def _load_credential(place: Path, role: str) -> RSACredential:
    certificate = x509.load_pem_x509_certificate((place / f"{role}.pem").read_bytes())
    # whether its numbers are primes was seen to when it was made; to see to it again takes a long time
    key = load_pem_private_key((place / f"{role}-key.pem").read_bytes(), None, unsafe_skip_rsa_key_validation=True)
    if not isinstance(key, rsa.RSAPrivateKey) or certificate.public_key() != key.public_key():
        raise ValueError(f"the key in {role}-key.pem is not that of {role}.pem")
    return RSACredential(certificate, key)
