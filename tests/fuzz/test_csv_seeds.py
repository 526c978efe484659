"""Genuine CSV reports among the seeds are accepted: else the fuzzer would never see what lies behind the signatures."""

import pytest
from fuzz.registry import TARGETS

from verdictd.core.result import AppraisalResult


def test_reports_that_are_signed_again_are_accepted_where_they_are_genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[AppraisalResult] = []
    monkeypatch.setattr("fuzz.targets.csv_evidence._check_accepted", lambda result, _: accepted.append(result))
    target = TARGETS["csv_evidence"]
    for name in sorted(target.seeds()):
        target.check((target.corpus / name).read_bytes())
    assert len(accepted) == 2


def test_the_harness_fails_where_a_guest_that_may_be_debugged_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verdictd.tees.csv.policy.GuestPolicy.allows_debugging", False)
    fields = bytearray((TARGETS["csv_evidence"].corpus / "signed_unmasked").read_bytes())
    fields[1 + 176] ^= 1
    with pytest.raises(AssertionError, match="may be debugged is accepted"):
        TARGETS["csv_evidence"].check(bytes(fields))
