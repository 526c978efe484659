"""Chains of PCK certificates: as they come, and with a certificate signed by its issuer whatever is in it."""

from functools import cache

from cryptography.hazmat.primitives.serialization import Encoding

from fuzz.parts import after_selector, selector, signed_part
from fuzz.pem import encode_pem
from fuzz.simulated import NOW, platform, private_key, roots, sign_der
from fuzz.target import FuzzTarget, attempt
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import VerifiedPCK, verify_pck_chain
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

_BEGIN = b"-----BEGIN CERTIFICATE-----"
_AS_IT_COMES, _LEAF, _CA = range(3)


def check(data: bytes) -> None:
    """A chain holds or not, whatever else is known or trusted; its leaf's key is one that the CA certified."""
    choice, body = selector(data, 3)
    pem, warm = _chain_of(choice, body), FactMemory()
    verify_pck_chain(platform().pki.chain("pck"), roots(), warm)
    found = attempt(verify_pck_chain, pem, roots(), FactMemory())
    again = attempt(verify_pck_chain, pem, roots(), warm)
    among = attempt(verify_pck_chain, pem, _roots_of_one_name(), FactMemory())
    assert (found is None) is (again is None) is (among is None)
    for other in (again, among):
        assert found is None or other is None or _summary(found) == _summary(other)
    if found is not None and choice != _LEAF:
        assert found.key == private_key("pck").public_key()


def _summary(found: VerifiedPCK) -> tuple[object, ...]:
    chain = found.chain
    return found.platform, found.ca_type, chain.leaf.der, chain.not_before, chain.not_after, chain.root.fingerprint


@cache
def _roots_of_one_name() -> TrustRoots:
    """The platform's root, and another vendor's of the same name."""
    other = SimulatedPlatform.create(at=NOW).trust_root_pem
    return TrustRoots(parse_trust_roots(other, "another") + roots().roots)


def _chain_of(choice: int, body: bytes) -> bytes:
    pki = platform().pki
    if choice == _LEAF:
        return encode_pem(sign_der(body, private_key("platform-ca"))) + pki.chain("platform-ca")
    if choice == _CA:
        return pki.pck.pem + encode_pem(sign_der(body, private_key("root-ca"))) + pki.root_ca.pem
    return body


def seeds() -> dict[str, bytes]:
    pki = platform().pki
    blocks = pki.chain("pck").split(_BEGIN)[1:]
    chains = {
        "chain": pki.chain("pck"),
        "reversed": b"".join(_BEGIN + block for block in reversed(blocks)),
        "leaf": pki.pck.pem,
        "signer": pki.chain("tcb-signing"),
        "too_much": pki.chain("pck") + pki.tcb_signing.pem,
    }
    return {
        **{name: bytes([_AS_IT_COMES]) + chain for name, chain in chains.items()},
        "leaf_body": bytes([_LEAF]) + signed_part(pki.pck.certificate.public_bytes(Encoding.DER)),
        "ca_body": bytes([_CA]) + signed_part(pki.platform_ca.certificate.public_bytes(Encoding.DER)),
    }


TARGET = FuzzTarget(
    name="pck_chain",
    modules=(
        "verdictd.tees.dcap.certificates",
        "verdictd.tees.dcap.pck",
        "verdictd.tees.dcap.x509_names",
        "verdictd.tees.dcap.memory",
    ),
    check=check,
    seeds=seeds,
    structure=after_selector,
)
