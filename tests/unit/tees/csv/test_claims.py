"""What an appraisal hands to policies, and the forms that users need."""

import json
from base64 import b64decode, b64encode

from tests.unit.tees.csv.inputs import HYGON, REPORT_DATA, SPEC, Input, evidence
from verdictd.tees.csv.claims import build_policy_input, build_reference_fields
from verdictd.tees.psp.certificate import KeyUsage


def test_everything_appraised_is_there() -> None:
    claims = Input().appraise().claims
    cek = HYGON.key(KeyUsage.CEK).public_key
    assert claims["report_data"] == REPORT_DATA.hex()
    assert claims["measure"] == SPEC.measure.hex()
    assert claims["debug"] is False
    assert claims["hsk"] == {"key_id": HYGON.key_id(KeyUsage.VENDOR_SIGNING).hex(), "root": "hrk.cert"}
    assert claims["firmware"] == {"api_major": 1, "api_minor": 3}
    assert claims["unsigned"] == {"serial_number": "SIM00000000001", "anonce": SPEC.anonce.hex()}
    assert isinstance(claims["cek"], dict)
    assert len(bytes.fromhex(str(claims["cek"]["public_key_sm3"]))) == 32
    assert str(cek.encoded.hex()) not in json.dumps(claims)


def test_what_could_not_be_established_is_not_guessed() -> None:
    claims = Input(evidence()[:4096]).appraise().claims
    assert (claims["hsk"], claims["cek"], claims["firmware"]) == (None, None, None)
    assert claims["report_data"] == REPORT_DATA.hex()


def test_the_originals_field_stands_at_the_top_of_a_policys_input() -> None:
    claims = Input().appraise().claims
    given = build_policy_input(claims, {"key_0": b"value\0"})
    assert given["measure"] == b64encode(SPEC.measure).decode()
    assert given["csv"] == claims
    assert given["claims"] == {"key_0": b"value\0".hex()}
    assert json.loads(json.dumps(given)) == given


def test_reference_values_of_a_report() -> None:
    (measure,) = json.loads(json.dumps(build_reference_fields(Input().appraise().claims)))["measure"]
    assert b64decode(measure) == SPEC.measure
