"""An SEV appraisal as a whole: refused for what nobody can check, and what no bytes can do."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.sev.inputs import UNBOUND, Input, evidence, flipped, roots, with_report
from verdictd.core.checks import CheckResult
from verdictd.tees.sev.acceptance import SEVAcceptance
from verdictd.tees.sev.chain import SEVEndorsements
from verdictd.tees.sev.requirements import REQUIREMENTS
from verdictd.tees.sev.verifier import appraise_sev

LENIENT = replace(UNBOUND, allow_debug=True)
CEK, PEK, OCA = 208, 2292, 4376
SIGNED = [
    *range(8 * 52),  # the report's fields
    *range(8 * 64, 8 * 208),  # its signature
    *(bit for start in (CEK, PEK, OCA) for bit in range(8 * start, 8 * (start + 1044))),
    *range(8 * (CEK + 1052), 8 * (CEK + 1052 + 256)),  # the ASK's signature, with a key of 2048 bits
    *(bit for start in (PEK + 1052, PEK + 1572, OCA + 1052) for bit in range(8 * start, 8 * (start + 144))),
]


@pytest.mark.parametrize("accepted", [frozenset(), frozenset({"csv"}), frozenset({"SEV"}), frozenset({""})])
def test_genuine_evidence_is_refused_because_it_is_bound_to_no_key(accepted: frozenset[str]) -> None:
    result = Input(acceptance=SEVAcceptance(accept_unbound_evidence=accepted)).appraise()
    (refusal,) = result.refusals
    assert refusal.name == "evidence.key_binding"
    assert "--accept-unbound-evidence sev" in refusal.remedy


def test_where_that_is_accepted_the_result_says_so() -> None:
    result = Input().appraise()
    assert result.allowed
    (unmade,) = [check for check in result.checks if check.result is not CheckResult.PASS]
    assert (unmade.name, unmade.result, unmade.mandatory) == ("evidence.key_binding", CheckResult.NOT_MADE, False)
    assert "whoever has seen it can present it" in unmade.found
    assert "--accept-unbound-evidence sev" in unmade.found
    assert result.claims["report_data"] == ""


def test_debugging_has_to_be_accepted() -> None:
    assert not with_report(policy=0).appraise().allowed
    accepted = replace(with_report(policy=0), acceptance=LENIENT).appraise()
    assert accepted.allowed
    assert accepted.claims["debug"] is True
    unneeded = Input(acceptance=LENIENT).appraise()
    assert unneeded.claims["debug"] is False
    assert "--allow-debug" not in next(check.found for check in unneeded.checks if check.name == "guest.debug")


@pytest.mark.parametrize("size", [0, 208, 6460, 6462])
def test_what_cannot_be_read_is_refused(size: int) -> None:
    result = Input(evidence().ljust(size, b"\0")[:size]).appraise()
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert result.checks[0].result is CheckResult.FAIL
    assert {check.result for check in result.checks[1:]} == {CheckResult.NOT_MADE}
    assert not result.allowed
    assert not result.claims


def test_sources_say_where_amds_certificates_come_from() -> None:
    assert Input().appraise().sources == {"ask_ark": "a file"}
    assert Input(ask_ark=None).appraise().sources == {}


def test_a_clock_without_zone_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="aware"):
        appraise_sev(
            b"",
            endorsements=SEVEndorsements(),
            roots=roots(),
            acceptance=UNBOUND,
            at=datetime.min,  # noqa: DTZ901 - that is the point
        )


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(SIGNED))
def test_any_flipped_bit_of_what_is_signed_is_refused(bit: int) -> None:
    assert not Input(flipped(evidence(), bit), acceptance=LENIENT).appraise().allowed


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 6460), st.binary(min_size=1, max_size=40)), min_size=1, max_size=4))
def test_damaged_evidence_gives_a_result(damage: list[tuple[int, bytes]]) -> None:
    data = bytearray(evidence())
    for offset, octets in damage:
        data[offset : offset + len(octets)] = octets
    assert [check.name for check in Input(bytes(data)).appraise().checks] == list(REQUIREMENTS)


@settings(deadline=None, max_examples=200)
@given(st.binary(max_size=2000), st.integers(0, 1664))
def test_any_endorsements_give_a_result(data: bytes, genuine: int) -> None:
    present = Input()
    assert present.ask_ark is not None
    result = replace(present, ask_ark=present.ask_ark[:genuine] + data).appraise()
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
