"""Evidence is read as it was written."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.tees.sev.inputs import evidence, sim
from verdictd.core.errors import MalformedError
from verdictd.simulator.sev_platform import SEVReportSpec
from verdictd.tees.sev.evidence import EVIDENCE_BYTES, parse_sev_evidence, read_product


@settings(deadline=None, max_examples=20)
@given(
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=16, max_size=16),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
)
def test_what_was_written_is_read(digest: bytes, mnonce: bytes, policy: int, usage: int, algorithm: int) -> None:
    spec = SEVReportSpec(
        launch_digest=digest,
        mnonce=mnonce,
        policy=policy,
        signature_usage=usage,
        signature_algorithm=algorithm,
    )
    parsed = parse_sev_evidence(sim().report(spec) + evidence()[208:])
    assert (parsed.launch_digest, parsed.mnonce, parsed.policy.value) == (digest, mnonce, policy)
    assert (parsed.signature_usage, parsed.signature_algorithm) == (usage, algorithm)
    assert parsed.cek + parsed.pek + parsed.oca == evidence()[208:-1]
    assert parsed.signed == mnonce + digest + policy.to_bytes(4, "little")


@pytest.mark.parametrize("size", [0, EVIDENCE_BYTES - 1, EVIDENCE_BYTES + 1, 7016])
def test_other_lengths_are_refused(size: int) -> None:
    with pytest.raises(MalformedError, match=f"this is {size}"):
        parse_sev_evidence(bytes(size))


@pytest.mark.parametrize(("number", "product"), [(0, "rome"), (1, "naples"), (2, "milan"), (3, None), (255, None)])
def test_the_product_whose_certificates_to_get(number: int, product: str | None) -> None:
    assert read_product(evidence()[:-1] + bytes([number])) == product
