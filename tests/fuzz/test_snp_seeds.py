"""Genuine SEV-SNP reports among the seeds are accepted: else the fuzzer would not see behind the signature."""

import pytest
from fuzz.registry import TARGETS

TARGET = TARGETS["snp_evidence"]


def test_reports_that_are_signed_again_are_accepted_where_they_are_genuine(monkeypatch: pytest.MonkeyPatch) -> None:
    accepted: list[bytes] = []
    monkeypatch.setattr("fuzz.targets.snp_evidence._check_accepted", accepted.append)
    for name in sorted(TARGET.seeds()):
        TARGET.check((TARGET.corpus / name).read_bytes())
    assert [body[0] for body in accepted] == [2, 3, 5]


def test_the_harness_fails_where_a_guest_that_may_be_debugged_is_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verdictd.tees.sev_snp.guest_policy.GuestPolicy.allows_debug", False)
    seed = bytearray((TARGET.corpus / "signed_v5").read_bytes())
    seed[1 + 8 + 2] |= 1 << 3
    with pytest.raises(AssertionError, match="may be debugged is accepted"):
        TARGET.check(bytes(seed))
