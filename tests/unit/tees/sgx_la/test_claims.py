"""What a local report hands to policies: the same names as a quote."""

import json
from base64 import b64encode

from verdictd.simulator.enclave import DEFAULT_MR_ENCLAVE, EnclaveSpec
from verdictd.simulator.local_reports import SimulatedSGXMachine
from verdictd.tees.sgx_la.claims import build_claims, build_policy_input
from verdictd.tees.sgx_la.verifier import parse_local_report

CLAIMS = build_claims(parse_local_report(SimulatedSGXMachine().report(EnclaveSpec(isv_svn=3), bytes(64))).body)


def test_the_claims_are_those_of_the_enclave() -> None:
    assert CLAIMS["mr_enclave"] == DEFAULT_MR_ENCLAVE.hex()
    assert CLAIMS["isv_svn"] == 3
    assert CLAIMS["report_data"] == bytes(64).hex()


def test_policies_for_quotes_judge_local_reports_too() -> None:
    given = build_policy_input(CLAIMS, {"key": b"v"})
    assert given["mrEnclave"] == b64encode(DEFAULT_MR_ENCLAVE).decode()
    assert (given["productId"], given["svn"]) == (0, 3)
    assert given["sgx_la"] == CLAIMS
    assert given["claims"] == {"key": "76"}
    assert json.loads(json.dumps(given)) == given
