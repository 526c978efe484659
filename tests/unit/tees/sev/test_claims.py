"""What an appraisal hands to policies."""

import json

from tests.unit.tees.sev.inputs import SPEC, Input
from verdictd.tees.sev.claims import build_policy_input, build_reference_fields


def test_everything_appraised_is_there() -> None:
    claims = Input().appraise().claims
    assert claims["launch_digest"] == SPEC.launch_digest.hex()
    assert claims["mnonce"] == SPEC.mnonce.hex()
    assert (claims["root"], claims["firmware"]) == ("ark.cert", {"api_major": 0, "api_minor": 24})
    assert claims["unsigned"] == {"device_type": 1}
    assert (claims["report_data"], claims["debug"]) == ("", False)


def test_what_could_not_be_established_is_not_guessed() -> None:
    claims = Input(ask_ark=None).appraise().claims
    assert (claims["root"], claims["firmware"]) == (None, None)


def test_the_forms_for_policies() -> None:
    claims = Input().appraise().claims
    given = build_policy_input(claims, {"key": b"v"})
    assert given == {"sev": claims, "claims": {"key": "76"}}
    assert json.loads(json.dumps(given)) == given
    assert build_reference_fields(claims) == {"launchDigest": [SPEC.launch_digest.hex()]}
