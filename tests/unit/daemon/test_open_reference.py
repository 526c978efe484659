"""The guard against reference values that name nobody."""

from dataclasses import replace
from pathlib import Path

from verdictd.appraisal.verifiers import NULL_VERIFIER
from verdictd.daemon.open_reference import explain_open_reference
from verdictd.daemon.policies import Policies
from verdictd.daemon.settings import Settings

STRICT = Settings(mutual=True)


def test_the_open_reference_refuses_and_the_remedy_can_be_typed_as_it_is() -> None:
    remedy = explain_open_reference(STRICT, is_open=True)
    assert remedy is not None
    assert f"verdict --client-api {STRICT.client_api} reference ENCLAVE --set sgxData" in remedy


def test_it_does_not_where_it_was_allowed_or_nobody_is_judged_or_somebody_is_named() -> None:
    assert explain_open_reference(replace(STRICT, allow_any_enclave=True), is_open=True) is None
    assert explain_open_reference(replace(STRICT, verifier=NULL_VERIFIER), is_open=True) is None
    assert explain_open_reference(STRICT, is_open=False) is None


def test_what_is_shipped_is_open_and_what_names_an_enclave_is_not(tmp_path: Path) -> None:
    policies = Policies(tmp_path)
    policies.open()
    try:
        assert policies.is_open()
        policies.store.set_reference("sgxData", b'{"mrEnclave": ["AA=="], "mrSigner": [], "productId": 0, "svn": 0}')
        assert not policies.is_open()
    finally:
        policies.close()
