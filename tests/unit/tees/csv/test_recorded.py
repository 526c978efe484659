"""Recorded Hygon evidence has the verdict that its provider recorded."""

import json
from datetime import UTC, datetime
from functools import cache

import pytest

from tests.vectors import needs_vectors, vector
from verdictd.core.checks import CheckResult
from verdictd.core.errors import ConfigError
from verdictd.core.result import AppraisalResult
from verdictd.tees.csv.acceptance import CSVAcceptance
from verdictd.tees.csv.chain import CSVEndorsements
from verdictd.tees.csv.evidence import read_chip_id
from verdictd.tees.csv.masking import mask
from verdictd.tees.csv.roots import HygonRoots, hygon_root, parse_hygon_root
from verdictd.tees.csv.verifier import appraise_csv
from verdictd.tees.psp.certificate import CERTIFICATE_BYTES

pytestmark = [needs_vectors, pytest.mark.vectors]
NOW = datetime(2026, 6, 1, tzinfo=UTC)
TRUSTEE = "csv/coco-trustee/verifier"


@cache
def recorded() -> bytes:
    """A report of chip KPA64911240507, without HSK and CEK, whose attester took the mask off PEK and chip id."""
    return bytes(json.loads(vector(f"{TRUSTEE}/csv_evidence.json"))["attestation_report"]["data"])


def appraise(evidence: bytes) -> AppraisalResult:
    return appraise_csv(
        evidence,
        endorsements=CSVEndorsements(),
        roots=HygonRoots((hygon_root(),)),
        acceptance=CSVAcceptance(),
        at=NOW,
    )


def outcomes(result: AppraisalResult) -> dict[str, str]:
    return {check.name: str(check.result) for check in result.checks}


def test_the_recorded_report_is_signed_by_its_pek_and_refused_for_want_of_hsk_and_cek() -> None:
    result = appraise(recorded())
    assert outcomes(result) == {
        "report.format": "pass",
        "report.signer": "pass",
        "hsk.chain": "fail",
        "cek.chain": "not_made",
        "pek.chain": "not_made",
        "pek.firmware": "not_made",
        "report.signature": "pass",
        "report.hmac": "not_made",
        "report.anonce": "not_made",
        "guest.debug": "pass",
    }
    assert not result.allowed


def test_what_the_recorded_report_says() -> None:
    evidence = json.loads(vector(f"{TRUSTEE}/csv_evidence.json"))
    claims = appraise(recorded()).claims
    assert read_chip_id(recorded()) == bytes(evidence["serial_number"]).rstrip(b"\0").decode() == "KPA64911240507"
    assert claims["measure"] == "ae2a2cf1f41a485fa37bf9ae92f678783c59fbc79de7b5d237743d58f5538034"
    assert claims["report_data"] == bytes(64).hex()
    assert claims["policy"] == {
        "nodbg": 1,
        "noks": 0,
        "es": 1,
        "nosend": 0,
        "domain": 0,
        "csv": 0,
        "csv3": 1,
        "asid_reuse": 0,
        "hsk_version": 0,
        "cek_version": 0,
        "api_major": 0,
        "api_minor": 0,
    }
    assert claims["unsigned"] == {"serial_number": "KPA64911240507", "anonce": "26d7c75d"}


def test_the_mask_over_pek_and_chip_id_makes_no_difference() -> None:
    page = recorded()
    end = 336 + CERTIFICATE_BYTES + 64
    masked = page[:336] + mask(page[336:end], page[188:192]) + page[end:]
    assert masked != page
    assert appraise(masked) == appraise(page)


@pytest.mark.parametrize("bit", [0, 9 * 8, 100 * 8 + 3, 180 * 8 - 1, 192 * 8, 264 * 8 + 7])
def test_a_flipped_bit_of_the_recorded_report_or_of_its_signature_is_noticed(bit: int) -> None:
    page = bytearray(recorded())
    page[bit // 8] ^= 1 << bit % 8
    by_name = {check.name: check for check in appraise(bytes(page)).checks}
    assert by_name["report.signature"].result is CheckResult.FAIL


def test_the_recorded_root_is_the_one_that_is_pinned() -> None:
    recorded_root = parse_hygon_root(vector(f"{TRUSTEE}/src/csv/hrk.cert"), "hrk.cert")
    pinned = hygon_root()
    assert (recorded_root.key, recorded_root.key_id) == (pinned.key, pinned.key_id)


@pytest.mark.parametrize("bit", [4 * 8, 20 * 8, 36 * 8, 64 * 8, 68 * 8, 214 * 8, 575 * 8, 576 * 8, 648 * 8])
def test_a_flipped_bit_of_the_recorded_root_is_noticed(bit: int) -> None:
    certificate = bytearray(vector(f"{TRUSTEE}/src/csv/hrk.cert"))
    certificate[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ConfigError, match="not the certificate of an HRK"):
        parse_hygon_root(bytes(certificate), "hrk.cert")
