"""SIGSTRUCTs of real enclaves: they hold, and say what an independent reader found in them."""

import base64
import json
from typing import Any

import pytest

from tests.vectors import VECTORS, needs_vectors, vector
from verdictd.enclave.sigstruct import parse_sigstruct
from verdictd.enclave.sigstruct_checks import check_sigstruct

pytestmark = [pytest.mark.vectors, needs_vectors]


def _load() -> list[dict[str, Any]]:
    if not VECTORS.is_dir():
        return []
    return [item for item in json.loads(vector("MANIFEST.json"))["items"] if item.get("kind") == "sigstruct"]


@pytest.mark.parametrize("item", _load(), ids=lambda item: item["path"])
def test_a_recorded_sigstruct_holds_and_reads_as_recorded(item: dict[str, Any]) -> None:
    data, recorded = vector(item["path"]), item["sigstruct"]
    assert recorded["signature_ok"]
    assert [check.sentence for check in check_sigstruct(data) if check.refuses] == []
    sigstruct = parse_sigstruct(data)
    assert sigstruct.mr_enclave.hex() == recorded["mrenclave"]
    assert sigstruct.mr_signer.hex() == recorded["mrsigner"]
    assert (sigstruct.isv_prod_id, sigstruct.isv_svn) == (recorded["isvprodid"], recorded["isvsvn"])
    assert sigstruct.attributes.hex() == recorded["attributes"]
    assert sigstruct.attribute_mask.hex() == recorded["attribute_mask"]
    assert (sigstruct.day, f"{sigstruct.vendor:08x}") == (recorded["date"], recorded["vendor"])


def test_the_signer_of_the_stub_enclave_is_the_one_of_the_walk_through() -> None:
    """Its packages are signed with the sample key of Intel's SDK, as this enclave is."""
    sigstruct = parse_sigstruct(vector("sgx-enclave/oasis-core/go/common/sgx/sig1.sigstruct.bin"))
    assert base64.b64encode(sigstruct.mr_signer) == b"g9cZ533qyhRw9rr2Kk13QwPImdtpAg+ccO4d/AjHzp4="


def test_all_recorded_sigstructs_are_there() -> None:
    assert len(_load()) >= 4
