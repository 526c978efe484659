"""Genuine certificates and CRLs under AMD's own roots."""

from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, utils

from tests.vectors import needs_vectors, vector
from verdictd.core.errors import AuthenticityError
from verdictd.tees.amd.certificates import verify_chain, verify_leaf
from verdictd.tees.amd.extensions import AMDKeyType, AMDProduct
from verdictd.tees.amd.pem import decode_pem
from verdictd.tees.amd.revocation import verify_crl
from verdictd.tees.amd.roots import ARK_SHA256, AMDRoots, amd_roots

pytestmark = [needs_vectors, pytest.mark.vectors]
TRUSTEE = "coco-trustee/verifier"
CHAINS = {
    ("Milan", "vcek"): "virtee-sev/tests/certs_data/cert_chain_milan",
    ("Milan", "vlek"): "edgeless-constellation/aws/snp/certchain.pem",
    ("Genoa", "vcek"): "google-go-sev-guest/trust/ask_ark_genoa.pem",
    ("Genoa", "vlek"): "google-go-sev-guest/trust/ask_ark_genoa_vlek.pem",
    ("Turin", "vcek"): "virtee-sev/tests/certs_data/cert_chain_turin",
    ("Turin", "vlek"): "google-go-sev-guest/trust/ask_ark_turin_vlek.pem",
}
LEAVES = [
    ("virtee-sev/tests/certs_data/vcek_milan.der", "Milan", "vcek", "Milan-B0", "0300000000000873", "d49554ec717f4e5b"),
    ("virtee-sev/tests/certs_data/vcek_turin.der", "Turin", "vcek", "Turin", "0000000000000009", "1e550a8ee5cf9f4d"),
    (f"{TRUSTEE}/az-snp-vtpm/vcek-genoa.pem", "Genoa", "vcek", "Genoa", "0a00000000001754", "0506ffba875e939c"),
    ("enarx/vcek.der", "Milan", "vcek", "Milan-B0", "000000000000031d", "8ba826b2dd6ab65e"),
    (f"{TRUSTEE}/snp/test-vlek.der", "Milan", "vlek", "Milan", "04000000000018d9", ""),
    ("edgeless-constellation/aws/snp/vlek.pem", "Milan", "vlek", "Milan", "04000000000018d9", ""),
]  # fmt: skip


def recorded(path: str) -> bytes:
    return vector(f"sev-snp/{path}")


def own_roots() -> AMDRoots:
    return AMDRoots(amd_roots())


def recorded_crls() -> dict[str, bytes]:
    """The CRLs that a request for a certificate brought along, by their addresses."""
    request = recorded("enarx-steward/snp/milan.signed.crl.csr")
    found: dict[str, bytes] = {}
    for product in ("Milan", "Genoa"):
        _, _, rest = request.partition(f"https://kdsintf.amd.com/vcek/v1/{product}/crl".encode())
        found[product] = rest[: 4 + int.from_bytes(rest[2:4], "big")]
    return found


def test_the_shipped_roots_are_the_recorded_ones() -> None:
    for product in ARK_SHA256:
        (ark,) = decode_pem(recorded(f"virtee-sev/src/certs/snp/builtin/{product.lower()}/ark.pem"), "it")
        assert own_roots().find(ark) is not None


@pytest.mark.parametrize(("product", "key_type"), CHAINS)
def test_chains_hold(product: AMDProduct, key_type: AMDKeyType) -> None:
    chain = verify_chain(recorded(CHAINS[product, key_type]), own_roots())
    assert (chain.product, chain.key_type) == (product, key_type)
    assert chain.root.is_amd
    assert chain.not_after > datetime(2045, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(("path", "product", "key_type", "name", "tcb", "chip_id"), LEAVES)
def test_leaves_hold(path: str, product: AMDProduct, key_type: AMDKeyType, name: str, tcb: str, chip_id: str) -> None:  # noqa: PLR0917 - the columns of the table
    content = recorded(path)
    (der,) = decode_pem(content, "it") if content.startswith(b"--") else [content]
    leaf = verify_leaf(der, verify_chain(recorded(CHAINS[product, key_type]), own_roots()))
    assert leaf.endorsed.product_name == name
    assert leaf.endorsed.tcb.hex() == tcb
    assert leaf.endorsed.chip_id.hex()[:16] == chip_id
    assert leaf.endorsed.csp_id.startswith("CN=cc-" if key_type == "vlek" else "")
    assert leaf.not_before < leaf.not_after < leaf.chain.not_after


@pytest.mark.parametrize("name", ["new", "legacy"])
def test_a_changed_leaf_is_refused(name: str) -> None:
    chain = verify_chain(recorded(CHAINS["Milan", "vcek"]), own_roots())
    with pytest.raises(AuthenticityError, match="does not verify"):
        verify_leaf(recorded(f"{TRUSTEE}/snp/test-vcek-invalid-{name}.der"), chain)


def test_crls_hold() -> None:
    milan, genoa = (verify_crl(der, own_roots()) for der in recorded_crls().values())
    assert (milan.product, milan.number, dict(milan.revoked)) == ("Milan", 3, {})
    assert (genoa.product, genoa.number, [*genoa.revoked]) == ("Genoa", 2, [0x20001])
    assert milan.expires_at == datetime(2023, 5, 9, 23, tzinfo=UTC)


def test_a_report_is_signed_by_the_key_of_its_certificate() -> None:
    leaf = verify_leaf(
        recorded(f"{TRUSTEE}/snp/test-vcek.der"),
        verify_chain(recorded(CHAINS["Milan", "vcek"]), own_roots()),
    )
    report = recorded(f"{TRUSTEE}/snp/test-report.bin")
    r, s = (int.from_bytes(report[start : start + 72], "little") for start in (0x2A0, 0x2E8))
    leaf.key.verify(utils.encode_dss_signature(r, s), report[:0x2A0], ec.ECDSA(hashes.SHA384()))
    assert report[0x180:0x188] == leaf.endorsed.tcb
    assert report[0x1A0:0x1E0] == leaf.endorsed.chip_id
