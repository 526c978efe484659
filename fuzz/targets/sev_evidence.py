"""SEV evidence, AMD's certificates for it, and local SGX reports, as they come: none of them is ever accepted.

Keys of this vendor cannot be derived from names, so that every run makes its own; seeds are signed by those of others.
"""

from functools import cache

from fuzz.parts import join, selector, take
from fuzz.simulated import NOW
from fuzz.target import FuzzTarget, attempt
from fuzz.verdicts import check_result
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.local_reports import SimulatedSGXMachine
from verdictd.simulator.sev_platform import SEVReportSpec, SimulatedSEV
from verdictd.tees.sev.acceptance import SEVAcceptance
from verdictd.tees.sev.chain import SEVEndorsements
from verdictd.tees.sev.evidence import read_product
from verdictd.tees.sev.roots import SEVRoots, parse_sev_root
from verdictd.tees.sev.verifier import appraise_sev
from verdictd.tees.sgx_la.acceptance import SGXLocalAcceptance
from verdictd.tees.sgx_la.verifier import appraise_sgx_la

_WITH_ITS_OWN, _WITH_GENUINE, _LOCAL = range(3)
_LENIENT = SEVAcceptance(accept_unbound_evidence=frozenset({"sev"}), allow_debug=True)


@cache
def _sim() -> SimulatedSEV:
    return SimulatedSEV()


@cache
def _ask_ark() -> bytes:
    return _sim().ask_ark


@cache
def _roots() -> SEVRoots:
    return SEVRoots((parse_sev_root(_sim().ark_certificate, "ark.cert"),))


def check(data: bytes) -> None:
    """Nothing that another vendor's keys signed, or nobody's, is accepted."""
    choice, value = selector(data, 3)
    if choice == _LOCAL:
        result = appraise_sgx_la(
            value, checker=SimulatedSGXMachine(), acceptance=SGXLocalAcceptance(allow_debug=True), at=NOW
        )
    else:
        ask_ark, evidence = take(value) if choice == _WITH_ITS_OWN else (_ask_ark(), value)
        attempt(read_product, evidence)
        endorsements = SEVEndorsements(ask_ark=ask_ark)
        result = appraise_sev(evidence, endorsements=endorsements, roots=_roots(), acceptance=_LENIENT, at=NOW)
    check_result(result)
    assert not result.allowed


def seeds() -> dict[str, bytes]:
    other = SimulatedSEV()
    evidence = other.evidence(SEVReportSpec())
    return {
        "with_its_own": bytes([_WITH_ITS_OWN]) + join(other.ask_ark, evidence),
        "with_genuine": bytes([_WITH_GENUINE]) + evidence,
        "local": bytes([_LOCAL]) + SimulatedSGXMachine().report(EnclaveSpec(), bytes(64)),
    }


TARGET = FuzzTarget(
    name="sev_evidence",
    modules=(
        "verdictd.tees.sev.chain",
        "verdictd.tees.sev.ecdsa",
        "verdictd.tees.sev.evidence",
        "verdictd.tees.sev.vendor_certificate",
        "verdictd.tees.sev.verifier",
        "verdictd.tees.sgx_la.verifier",
    ),
    check=check,
    seeds=seeds,
)
