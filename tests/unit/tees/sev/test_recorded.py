"""AMD's and recorded platforms' certificates for SEV have the verdicts that were recorded. No report was recorded."""

from functools import cache

import pytest

from tests.vectors import needs_vectors, vector
from verdictd.core.errors import AuthenticityError, VerdictdError
from verdictd.tees.psp.certificate import KeyUsage, find_signature, parse_platform_certificate
from verdictd.tees.sev.chain import (
    PlatformKey,
    VerifiedASK,
    read_platform_key,
    verify_ask,
    verify_cek,
    verify_issued,
)
from verdictd.tees.sev.ecdsa import verify_ecdsa_signature
from verdictd.tees.sev.roots import ARK_SHA256, SEVRoots, amd_sev_roots, parse_sev_root
from verdictd.tees.sev.vendor_certificate import parse_vendor_certificate

pytestmark = [needs_vectors, pytest.mark.vectors]
ROOTS = SEVRoots(amd_sev_roots())
PLATFORMS = ("naples", "rome")


def builtin(product: str, name: str) -> bytes:
    return vector(f"sev/virtee-sev/src/certs/sev/builtin/{product}/{name}.cert")


@cache
def recorded(platform: str, name: str) -> bytes:
    return vector(f"sev/virtee-sev/tests/{platform}/{name}.cert")


def ask_of(product: str) -> VerifiedASK:
    return verify_ask(builtin(product, "ask") + builtin(product, "ark"), ROOTS)


@pytest.mark.parametrize("product", ARK_SHA256)
def test_every_ark_signs_itself_and_is_pinned(product: str) -> None:
    root = parse_sev_root(builtin(product, "ark"), product)
    assert root.fingerprint == ARK_SHA256[product]


@pytest.mark.parametrize("product", ARK_SHA256)
def test_every_ask_is_signed_by_its_ark(product: str) -> None:
    assert ask_of(product).root.label == f"AMD ARK {product}"


@pytest.mark.parametrize("product", ARK_SHA256)
def test_no_ask_is_signed_by_the_ark_of_another_product(product: str) -> None:
    for other in ARK_SHA256:
        if other != product:
            with pytest.raises(AuthenticityError):
                verify_ask(builtin(product, "ask") + builtin(other, "ark"), ROOTS)


def test_the_old_form_of_the_ark_of_naples_is_the_same_root() -> None:
    """It is the certificate without its signature, which is a file of its own."""
    old, signature = (vector(f"sev/virtee-sev/tests/naples/ark.cert.{end}") for end in ("bad", "sig"))
    assert old + signature == builtin("naples", "ark")
    assert ROOTS.find(parse_vendor_certificate(old, "the old ARK")) == ROOTS.roots[0]
    assert verify_ask(builtin("naples", "ask") + old, ROOTS) == ask_of("naples")


@pytest.mark.parametrize("platform", PLATFORMS)
def test_recorded_platforms_have_a_chain_that_holds(platform: str) -> None:
    cek = verify_cek(recorded(platform, "cek"), ask_of(platform))
    pek = verify_issued(recorded(platform, "pek"), KeyUsage.PEK, cek)
    oca = read_platform_key(recorded(platform, "oca"), KeyUsage.OCA)
    assert verify_issued(recorded(platform, "oca"), KeyUsage.OCA, oca) == oca
    by_owner = verify_issued(recorded(platform, "pek"), KeyUsage.PEK, oca)
    assert by_owner.certificate == pek.certificate
    assert pek.certificate.firmware[0] == 0


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_pek_signs_the_pdh(platform: str) -> None:
    """Keys for the exchange of secrets are no part of evidence; that the PEK signs them shows its key is read right."""
    pdh = parse_platform_certificate(recorded(platform, "pdh"), "the PDH")
    signature = find_signature(pdh, KeyUsage.PEK, "the PDH")
    pek = read_platform_key(recorded(platform, "pek"), KeyUsage.PEK)
    verify_ecdsa_signature(pek.key, signature.value, pdh.signed, "the signature of the PDH")


def test_a_chain_of_two_platforms_does_not_hold() -> None:
    with pytest.raises(VerdictdError):
        verify_cek(recorded("naples", "cek"), ask_of("rome"))
    cek = verify_cek(recorded("rome", "cek"), ask_of("rome"))
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify_issued(recorded("naples", "pek"), KeyUsage.PEK, cek)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", ["cek", "pek", "oca"])
@pytest.mark.parametrize("byte", [4, 21, 164, 1043, 1052, 1052 + 72 + 5])
def test_a_flipped_bit_of_a_recorded_certificate_is_noticed(platform: str, name: str, byte: int) -> None:
    data = bytearray(recorded(platform, name))
    data[byte] ^= 0x10
    with pytest.raises(VerdictdError):
        _verify_all({**{each: recorded(platform, each) for each in ("cek", "pek", "oca")}, name: bytes(data)}, platform)


def _verify_all(certificates: dict[str, bytes], platform: str) -> PlatformKey:
    cek = verify_cek(certificates["cek"], ask_of(platform))
    oca = read_platform_key(certificates["oca"], KeyUsage.OCA)
    verify_issued(certificates["oca"], KeyUsage.OCA, oca)
    verify_issued(certificates["pek"], KeyUsage.PEK, oca)
    return verify_issued(certificates["pek"], KeyUsage.PEK, cek)
