"""The SGX extension in its usual form is read at once, and then says what reading it member by member says."""

from typing import cast

from cryptography import x509
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.recorded.cases import sgx_cases
from tests.vectors import needs_vectors
from verdictd.core.errors import MalformedError
from verdictd.simulator.sgx_extension import SGXExtensionSpec, encode_sgx_extension
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import (
    SGX_EXTENSION,
    PlatformIdentity,
    _parse_any_form,
    _parse_usual_form,
    parse_sgx_extension,
    verify_pck_chain,
)
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.dcap.trust_roots import TrustRoots, intel_trust_root

sixteen = st.binary(min_size=16, max_size=16)
specs = st.builds(
    SGXExtensionSpec,
    ppid=sixteen,
    components=sixteen,
    pce_svn=st.integers(0, 0xFFFF),
    cpu_svn=sixteen,
    pce_id=st.binary(min_size=2, max_size=2),
    fmspc=st.binary(min_size=6, max_size=6),
    sgx_type=st.integers(0, 2),
    platform_instance_id=st.none() | sixteen,
    configuration=st.none() | st.tuples(st.booleans(), st.booleans(), st.booleans()),
)


def any_form(der: bytes) -> PlatformIdentity | None:
    try:
        return _parse_any_form(der)
    except MalformedError:
        return None


@settings(deadline=None)
@given(specs)
def test_both_ways_of_reading_agree(spec: SGXExtensionSpec) -> None:
    der = encode_sgx_extension(spec)
    said = _parse_any_form(der)
    assert parse_sgx_extension(der) == said
    assert said.components == spec.components
    is_usual = spec.pce_svn < 256 and (spec.platform_instance_id is None) == (spec.configuration is None)
    assert _parse_usual_form(der) == (said if is_usual else None)


@settings(deadline=None, max_examples=300)
@given(specs, st.data())
def test_what_is_damaged_is_never_read_otherwise_for_being_read_at_once(
    spec: SGXExtensionSpec, data: st.DataObject
) -> None:
    der = bytearray(encode_sgx_extension(spec))
    for _ in range(data.draw(st.integers(1, 2))):
        der[data.draw(st.integers(0, len(der) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    damaged = bytes(der)
    assert _parse_usual_form(damaged) in {None, any_form(damaged)}


@settings(deadline=None)
@given(specs, st.data())
def test_what_is_cut_off_or_goes_on_is_not_read_at_once(spec: SGXExtensionSpec, data: st.DataObject) -> None:
    der = encode_sgx_extension(spec)
    assert _parse_usual_form(der[: data.draw(st.integers(0, len(der) - 1))]) is None
    assert _parse_usual_form(der + data.draw(st.binary(min_size=1, max_size=3))) is None


@needs_vectors
def test_every_recorded_certificate_has_the_usual_form() -> None:
    roots = TrustRoots((intel_trust_root(),))
    for case in sgx_cases():
        pck = verify_pck_chain(parse_quote(case.quote).certification_data, roots, FactMemory())
        extension = pck.chain.leaf.certificate.extensions.get_extension_for_oid(SGX_EXTENSION)
        assert _parse_usual_form(cast("x509.UnrecognizedExtension", extension.value).value) == pck.platform
