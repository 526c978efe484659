"""Every seed through its harness, without the fuzzer: what the harnesses require holds for what is genuine."""

from datetime import datetime
from pathlib import Path

import pytest
from fuzz.registry import TARGETS
from fuzz.simulated import NOW, appraiser
from fuzz.target import CORPUS

from verdictd.appraisal.verifiers import SGX_VERIFIER, Verifiers
from verdictd.core.errors import VerdictdError
from verdictd.core.result import AppraisalResult
from verdictd.ratstls.certificate import parse_certificate

# Damaged serial numbers make the library of certificates say that it will refuse them one day.
pytestmark = pytest.mark.filterwarnings("ignore:Parsed a serial number")

FOUND = Path(__file__).resolve().parent / "found"
"""Inputs that once failed, by target."""


def inputs(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def name_of(path: Path) -> str:
    return f"{path.parent.name}-{path.name}"


@pytest.mark.parametrize("path", inputs(CORPUS), ids=name_of)
def test_a_seed_passes_its_harness(path: Path) -> None:
    TARGETS[path.parent.name].check(path.read_bytes())


@pytest.mark.parametrize("path", inputs(FOUND), ids=name_of)
def test_an_input_that_once_failed_passes_its_harness(path: Path) -> None:
    TARGETS[path.parent.name].check(path.read_bytes())


def test_every_target_has_seeds_and_every_seed_a_target() -> None:
    assert {path.name for path in CORPUS.iterdir()} == set(TARGETS)
    for target in TARGETS.values():
        assert {path.name for path in target.corpus.iterdir()} == set(target.seeds())


def test_the_corpus_is_small() -> None:
    assert sum(path.stat().st_size for path in inputs(CORPUS)) < 1024 * 1024


@pytest.mark.parametrize("name", ["v3", "v4", "v5", "endorsed"])
def test_genuine_certificates_among_the_seeds_are_accepted(name: str) -> None:
    """Else the fuzzer would never see what lies behind the last check."""
    data = (CORPUS / "appraisal" / name).read_bytes()
    result = appraiser().appraise_certificate(data, SGX_VERIFIER, NOW)
    assert result.allowed, [check.sentence for check in result.refusals]


ACCEPTED_COLLATERAL = {
    *("tcb_info", "qe_identity", "pck_crl", "root_ca_crl", "tcb_info_v2", "extension", "nothing_missing"),
    *("certificate_4", "certificate_6", "certificate_7"),
    *("tcb_info_OutOfDate", "tcb_info_ConfigurationAndSWHardeningNeeded"),
    "tcb_info_revoked",  # revoked are others
    "qe_identity_revoked",
}


def test_what_is_signed_again_is_accepted_where_it_is_genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[bytes] = []
    monkeypatch.setattr(
        "fuzz.targets.signed_collateral._check_accepted",
        lambda choice, body, _: accepted.append(bytes([choice]) + body),
    )
    for path in inputs(CORPUS / "signed_collateral"):
        TARGETS["signed_collateral"].check(path.read_bytes())
    found = {path.name for path in inputs(CORPUS / "signed_collateral") if path.read_bytes() in accepted}
    assert found == ACCEPTED_COLLATERAL


def test_quotes_that_are_signed_again_are_accepted_where_they_are_genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[int] = []
    monkeypatch.setattr("fuzz.targets.signed_quote._check_accepted", lambda _, quote, __: accepted.append(quote[0]))
    for path in inputs(CORPUS / "signed_quote"):
        TARGETS["signed_quote"].check(path.read_bytes())
    assert sorted(accepted) == [3, 3, 4, 5]


def test_a_recorded_flight_takes_a_certificate_to_the_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Though what the server answered was another random number each time."""
    asked: list[bytes] = []

    def recorded(_: object, data: bytes, verifier: Verifiers, at: datetime) -> AppraisalResult:
        asked.append(data)
        return judge(data, verifier, at)

    judge = appraiser().appraise_certificate
    monkeypatch.setattr("verdictd.appraisal.appraiser.Appraiser.appraise_certificate", recorded)
    TARGETS["tls_server"].check((CORPUS / "tls_server" / "tls12_evidence").read_bytes())
    assert len(asked) == 1
    assert parse_certificate(asked[0]).evidence is not None


@pytest.mark.parametrize("name", ["bare", "evidence"])
def test_both_sides_show_a_certificate_in_a_written_message_to_the_judge(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    named: list[bytes] = []

    def note(der: bytes) -> str:
        named.append(der)
        return "id"

    monkeypatch.setattr("fuzz.targets.tls_certificate.attestation_id", note)
    data = (CORPUS / "tls_certificate" / name).read_bytes()
    TARGETS["tls_certificate"].check(data)
    assert named == [data, data]


def test_a_harness_fails_where_a_parser_raises_what_it_must_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: bytes, __: str) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("fuzz.targets.qcnl.parse_qcnl", broken)
    with pytest.raises(KeyError, match="planted"):
        TARGETS["qcnl"].check(b"")


@pytest.mark.parametrize("message", ["", "x" * 5000, "\ud800"])
def test_a_harness_fails_where_an_error_says_nothing_or_too_much(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(_: bytes, __: str) -> None:
        raise VerdictdError(message)

    monkeypatch.setattr("fuzz.targets.qcnl.parse_qcnl", refusing)
    with pytest.raises((AssertionError, UnicodeEncodeError)):
        TARGETS["qcnl"].check(b"")


def test_the_appraisal_harness_fails_where_a_certificate_of_nobody_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fuzz.targets.appraisal._genuine", frozenset)
    with pytest.raises(AssertionError, match="nobody made"):
        TARGETS["appraisal"].check((CORPUS / "appraisal" / "v3").read_bytes())
