"""TD report bodies of both sizes, and the quotes that carry them."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.tees.simulated import REPORT_DATA, platform, quote
from tests.unit.tees.tdx_ecdsa.inputs import td_report
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError
from verdictd.core.limits import MAX_QUOTE_BYTES
from verdictd.tees.dcap.quote import parse_quote
from verdictd.tees.tdx_ecdsa.td_report import TDReport, parse_td_quote, parse_td_report

FIELDS = {
    "tee_tcb_svn": 16,
    "mr_seam": 48,
    "mr_signer_seam": 48,
    "seam_attributes": 8,
    "td_attributes": 8,
    "xfam": 8,
    "mr_td": 48,
    "mr_config_id": 48,
    "mr_owner": 48,
    "mr_owner_config": 48,
    "rtmr0": 48,
    "rtmr1": 48,
    "rtmr2": 48,
    "rtmr3": 48,
    "report_data": 64,
}


@pytest.mark.parametrize("version", [4, 5])
def test_every_field_is_where_the_layout_has_it(version: int) -> None:
    told = {name: bytes([number]) * size for number, (name, size) in enumerate(FIELDS.items(), 1)}
    added = {"tee_tcb_svn2": b"\xa0" * 16, "mr_service_td": b"\xa1" * 48} if version == 5 else {}
    body = td_report(version, **told, **added).encode()
    assert len(body) == (648 if version == 5 else 584)
    assert parse_td_report(body) == TDReport(**told, **added)


@given(st.binary(max_size=700))
def test_a_body_of_another_size_is_malformed(data: bytes) -> None:
    if len(data) not in {584, 648}:
        with pytest.raises(MalformedError):
            parse_td_report(data)


@pytest.mark.parametrize("bit", range(8))
def test_any_of_the_bits_that_open_a_td_is_debug(bit: int) -> None:
    assert parse_td_report(td_report(td_attributes=bytes([1 << bit]) + bytes(7)).encode()).is_debug
    assert not parse_td_report(td_report(td_attributes=bytes(1) + b"\xff" * 7).encode()).is_debug


@pytest.mark.parametrize("version", [4, 5])
def test_a_quote_cut_off_anywhere_is_malformed(version: int) -> None:
    data = platform().td_quote(report_data=REPORT_DATA, quote_version=version)
    for size in range(0, len(data), 17):
        with pytest.raises(MalformedError):
            parse_td_quote(data[:size])


def test_each_tees_parser_refuses_the_others_quotes() -> None:
    with pytest.raises(UnsupportedError, match="SGX quote, expected a TDX quote"):
        parse_td_quote(quote(4))
    with pytest.raises(UnsupportedError, match="TDX quote, expected an SGX quote"):
        parse_quote(platform().td_quote(report_data=REPORT_DATA))


def test_a_quote_may_not_be_longer_than_any_is() -> None:
    data = platform().td_quote(report_data=REPORT_DATA)
    with pytest.raises(LimitExceededError):
        parse_td_quote(data + bytes(MAX_QUOTE_BYTES))


@given(st.binary(max_size=1500), st.integers(0, 700))
def test_any_bytes_give_a_value_or_our_error(data: bytes, offset: int) -> None:
    genuine = platform().td_quote(report_data=REPORT_DATA)
    for given_bytes in (data, genuine[:offset] + data + genuine[offset + len(data) :]):
        with suppress(MalformedError, UnsupportedError, LimitExceededError):
            parse_td_quote(given_bytes)
