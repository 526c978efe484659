"""What of a platform is told, in both TEEs' words alike; and nothing where nothing holds."""

import json

from tests.unit.tees import inputs as sgx
from tests.unit.tees.simulated import platform
from tests.unit.tees.tdx_ecdsa import inputs as tdx


def test_both_tees_tell_the_same_of_one_platform() -> None:
    ours, theirs = sgx.Input().appraise().claims, tdx.Input().appraise().claims
    assert ours["platform"] == theirs["platform"]
    told = theirs["platform"]
    assert isinstance(told, dict)
    assert told["fmspc"] == platform().hardware.fmspc.hex()
    assert told["ppid"] == platform().hardware.ppid.hex()
    tcb = theirs["tcb"]
    assert isinstance(tcb, dict)
    assert (tcb["status"], tcb["platform_status"], tcb["qe_status"]) == ("UpToDate",) * 3
    assert json.loads(json.dumps(theirs)) == theirs


def test_of_a_chain_that_does_not_hold_nothing_is_told() -> None:
    claims = tdx.with_parts(certification_data=b"x").appraise().claims
    assert claims["platform"] is None
    tcb = claims["tcb"]
    assert isinstance(tcb, dict)
    assert tcb["status"] is None
    assert claims["qe"], "what the quote itself says is there"
