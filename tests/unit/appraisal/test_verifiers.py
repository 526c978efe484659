"""Which verifiers can be named, together and apart, and which evidence they judge."""

import pytest

from verdictd.appraisal.dcap_tees import DCAP_TEES
from verdictd.appraisal.guest_tees import GUEST_KINDS
from verdictd.appraisal.tee_claims import TEE_CLAIMS, claims_of
from verdictd.appraisal.verifiers import ANY, NULL_VERIFIER, SGX_VERIFIER, VerifierName, name_verifiers, parse_verifiers
from verdictd.core.errors import ConfigError, UnsupportedError
from verdictd.policy.pair_files import ACTIVE_PAIRS, load_shipped
from verdictd.ratstls.evidence import EvidenceKind


def test_several_are_read_in_any_form_and_any_order() -> None:
    both = name_verifiers(VerifierName.SGX_ECDSA, VerifierName.TDX_ECDSA)
    for texts in (["sgx_ecdsa", "tdx_ecdsa"], ["tdx_ecdsa,sgx_ecdsa"], ["tdx_ecdsa, sgx_ecdsa", "tdx_ecdsa"]):
        assert parse_verifiers(texts) == both
    assert str(both) == "sgx_ecdsa,tdx_ecdsa"
    assert parse_verifiers([str(both)]) == both
    assert both.kinds == (EvidenceKind.SGX_ECDSA, EvidenceKind.TDX_ECDSA)


def test_any_is_all_that_judge_and_never_the_one_that_does_not() -> None:
    everything = parse_verifiers([ANY])
    assert set(everything.names) == set(VerifierName) - {VerifierName.NULL}
    assert set(everything.kinds) == set(DCAP_TEES) | GUEST_KINDS == set(EvidenceKind)
    assert not everything.is_null


def test_the_same_judgement_under_two_names_judges_one_kind() -> None:
    assert parse_verifiers(["sgx_ecdsa", "sgx_ecdsa_qve"]).kinds == (EvidenceKind.SGX_ECDSA,)


@pytest.mark.parametrize("texts", [["nullverifier", "sgx_ecdsa"], ["nullverifier,any"], ["any", "nullverifier"]])
def test_judging_nothing_cannot_be_meant_beside_judging_something(texts: list[str]) -> None:
    with pytest.raises(ConfigError, match="nullverifier judges nothing"):
        parse_verifiers(texts)


@pytest.mark.parametrize("texts", [[], [""], ["x"], ["sgx_ecdsa,"], ["ANY"], ["CSV"], ["sev-snp"]])
def test_what_is_no_verifier_is_refused(texts: list[str]) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_verifiers(texts)
    assert "sgx_ecdsa" in refused.value.remedy


def test_the_null_verifier_judges_no_kind() -> None:
    assert NULL_VERIFIER.is_null
    assert NULL_VERIFIER.kinds == ()
    assert not SGX_VERIFIER.is_null


def test_whatever_is_judged_has_claims_for_policies_and_a_shipped_pair() -> None:
    for kind in parse_verifiers([ANY]).kinds:
        assert claims_of(kind).__name__ == TEE_CLAIMS[kind]  # type: ignore[attr-defined]
        assert load_shipped(ACTIVE_PAIRS[kind].policy)
        assert load_shipped(ACTIVE_PAIRS[kind].reference)
    with pytest.raises(UnsupportedError):
        claims_of("none")
