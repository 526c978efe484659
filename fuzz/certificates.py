"""Certificates of a simulated peer, for seeds."""

from fuzz.simulated import NOW, platform, private_key
from verdictd.ratstls.certificate_builder import build_certificate
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.tees.dcap.collateral import Collateral


def make_certificate(*, quote_version: int = 3, debug: bool = False, endorsements: Collateral | None = None) -> bytes:
    """A certificate in the interoperable format, with a claim of the peer's own; DER."""
    attester = SimulatedAttester(platform(), EnclaveSpec(debug=debug), quote_version)
    return build_certificate(
        private_key("peer"),
        at=NOW,
        make_quote=attester.quote,
        custom_claims={"tenant": b"blue"},
        endorsements=endorsements,
    )
