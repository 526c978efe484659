"""What a package has to say of its TEE, and that it may leave out the attester."""

from datetime import UTC, datetime

import pytest

from verdictd.core.result import AppraisalResult
from verdictd.core.tee import TEE


def appraise(evidence: bytes, *, at: datetime, allow_debug: bool, allow_expired_collateral: bool) -> AppraisalResult:
    del evidence, allow_debug, allow_expired_collateral
    return AppraisalResult(tee="mine", checks=(), at=at)


def test_a_tee_is_what_was_said_and_cannot_be_changed() -> None:
    tee = TEE(
        name="mine",
        evidence_tag=99,
        appraise=appraise,
        build_policy_input=lambda claims, custom: {"mine": dict(claims), "claims": sorted(custom)},  # type: ignore[dict-item]
        build_reference_fields=lambda claims: {"measurement": [claims["measurement"]]},
        policy=b"package policy\n",
        reference=b"{}",
    )
    assert tee.open_attester is None
    result = tee.appraise(b"", at=datetime.now(UTC), allow_debug=False, allow_expired_collateral=False)
    assert not result.allowed
    with pytest.raises(AttributeError):
        tee.name = "other"  # type: ignore[misc]
