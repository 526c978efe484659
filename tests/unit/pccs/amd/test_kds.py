"""The addresses of AMD's service are those that the cache itself reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.kds import kds_target
from verdictd.pccs.model import AMDProduct
from verdictd.pccs.web.routes.amd import read_amd_tcb

RESERVED = {"Milan": (2, 3, 4, 5), "Genoa": (2, 3, 4, 5), "Turin": (4, 5, 6)}


@given(product=st.sampled_from(["Milan", "Genoa", "Turin"]), octets=st.binary(min_size=8, max_size=8))
def test_a_tcb_comes_back_as_it_went(product: AMDProduct, octets: bytes) -> None:
    tcb = bytes(0 if place in RESERVED[product] else octet for place, octet in enumerate(octets))
    path, _, query = kds_target(AMDCertificateName("vcek", product, "leaf", b"\xab" * 8, tcb)).partition("?")
    assert path == f"/vcek/v1/{product}/abababababababab"
    assert read_amd_tcb(dict(pair.split("=") for pair in query.split("&")), product) == tcb


@pytest.mark.parametrize("what", ["cert_chain", "crl"])
def test_what_is_above_leaves(what: str) -> None:
    name = AMDCertificateName("vlek", "Genoa", what)  # type: ignore[arg-type]
    assert kds_target(name) == f"/vlek/v1/Genoa/{what}"
