"""What is remembered of a chain's CAs makes another chain cheaper to verify, and never gives it another verdict."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import permutations

import pytest
from cryptography import x509

from verdictd.core.errors import AuthenticityError
from verdictd.simulator.keys import generate_key
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.certificates import VerifiedChain, verify_pem_chain
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

AT = datetime(2026, 1, 1, tzinfo=UTC)
PLATFORM = SimulatedPlatform.create(at=AT)
ROOTS = TrustRoots(parse_trust_roots(PLATFORM.trust_root_pem, "simulated"))
SIBLING = PLATFORM.with_certificate(
    "pck",
    replace(PLATFORM.certificate_spec("pck"), serial_number=x509.random_serial_number()),
    key=generate_key(),
)
LEAF, OTHER_LEAF = PLATFORM.pki.pck.pem, SIBLING.pki.pck.pem
CA, ROOT = PLATFORM.pki.platform_ca.pem, PLATFORM.pki.root_ca.pem


def verify(pem: bytes, memory: FactMemory) -> VerifiedChain:
    return verify_pem_chain(pem, ROOTS, "the chain", memory)


def test_issuers_of_one_leaf_are_known_for_the_next() -> None:
    memory = FactMemory()
    verify(LEAF + CA + ROOT, memory)
    facts = len(memory)
    chain = verify(OTHER_LEAF + CA + ROOT, memory)
    assert chain == verify(OTHER_LEAF + CA + ROOT, FactMemory())
    assert len(memory) == facts


def test_known_issuers_do_not_vouch_for_a_leaf_that_they_did_not_sign() -> None:
    memory = FactMemory()
    verify(LEAF + CA + ROOT, memory)
    forged = PLATFORM.with_certificate("pck", PLATFORM.certificate_spec("pck"), signer=generate_key())
    with pytest.raises(AuthenticityError, match="does not verify under its issuer's key"):
        verify(forged.pki.pck.pem + CA + ROOT, memory)


@pytest.mark.parametrize(
    "first", [LEAF + CA + ROOT, LEAF + CA, LEAF + LEAF + CA + ROOT, CA + ROOT, CA, ROOT + LEAF + CA]
)
def test_any_chain_has_the_verdict_that_it_has_without_memory(first: bytes) -> None:
    memory = FactMemory()
    verify(first, memory)
    names = {LEAF: "leaf", OTHER_LEAF: "other leaf", CA: "CA", ROOT: "root"}
    for count in range(1, 5):
        for parts in permutations([LEAF, LEAF, OTHER_LEAF, CA, ROOT], count):
            pem = b"".join(parts)
            assert outcome(pem, memory) == outcome(pem, FactMemory()), [names[part] for part in parts]


def outcome(pem: bytes, memory: FactMemory) -> VerifiedChain | str:
    try:
        return verify(pem, memory)
    except AuthenticityError as error:
        return str(error)
