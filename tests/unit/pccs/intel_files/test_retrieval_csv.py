"""The CSV of Intel's PCKIDRetrievalTool, in each of its forms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.pccs.model import Platform, PlatformKey, RawTCB, Registration
from verdictd.pccs.retrieval_csv import MAX_CSV_BYTES, encode_retrieval_csv, parse_retrieval_csv

PPID, CPU_SVN, QE_ID = "ab" * 384, "0e0e0303ffff01000000000000000000", "00112233445566778899aabbccddeeff"
LINE = f"{PPID},0000,{CPU_SVN},0d00,{QE_ID}"
KEY = PlatformKey(QE_ID.upper(), "0000")
SINGLE = Registration(
    platform=Platform(key=KEY, enc_ppid=bytes.fromhex(PPID)), raw_tcb=RawTCB(bytes.fromhex(CPU_SVN), 13)
)
NAMED = Platform(key=PlatformKey("4D59", "0000"), manifest=b"\x01\x02")
MULTI = Registration(platform=Platform(key=KEY, manifest=b"\x01\x02"), raw_tcb=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (LINE, [SINGLE]),  # the tool ends its line with nothing
        (f"{LINE}\n", [SINGLE]),
        (f"{LINE}\r\n\r\n{LINE}\r\n", [SINGLE, SINGLE]),
        (f"{LINE},\n", [SINGLE]),
        (f"\ufeff{LINE}", [SINGLE]),
        (f"{LINE},0102", [MULTI]),
        (f",0000,,,{QE_ID},0102", [MULTI]),
        (
            ",0000,,,4D59,0102",
            [Registration(platform=NAMED, raw_tcb=None)],
        ),
    ],
)
def test_each_form_is_read(text: str, expected: list[Registration]) -> None:
    assert list(parse_retrieval_csv(text.encode())) == expected


def test_pcesvn_is_little_endian_and_the_pce_id_stays_as_it_is_sent() -> None:
    (found,) = parse_retrieval_csv(f"{PPID},0100,{CPU_SVN},0102,{QE_ID}".encode())
    assert found.raw_tcb is not None
    assert found.raw_tcb.pce_svn == 0x0201
    assert found.platform.key.pce_id == "0100"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no platform"),
        (" \n \n", "no platform"),
        (f"{LINE},00,00", "7 columns"),
        (f"0000,{CPU_SVN},0d00,{QE_ID}", "4 columns"),
        (f"{PPID},0000,{CPU_SVN},0d00,", "QE id has 0"),
        (f"{PPID},0000,{CPU_SVN},0d00,{'0' * 261}", "QE id has 261"),
        (f"{PPID},,{CPU_SVN},0d00,{QE_ID}", "PCE id has 0"),
        (f"{PPID},000000,{CPU_SVN},0d00,{QE_ID}", "PCE id has 6"),
        (f"{PPID}00,0000,{CPU_SVN},0d00,{QE_ID}", "encrypted PPID has 770"),
        (f"{PPID},0000,{CPU_SVN}00,0d00,{QE_ID}", "CPUSVN has 34"),
        (f"{PPID},0000,{CPU_SVN},0d,{QE_ID}", "PCESVN has 2"),
        (f"{PPID},0000,,0d00,{QE_ID}", "no platform manifest"),
        (f",0000,,,{QE_ID}", "no platform manifest"),
        (f"{LINE},012", "an odd number or too many"),
        (f"{LINE},{'00' * 65537}", "an odd number or too many"),
        (f"{LINE}\n{LINE}x", "line 2: the QE id is not hex"),
        ("encrypted_ppid,pce_id,cpu_svn,pce_svn,qe_id", "line 1: the encrypted PPID is not hex"),
        ("\u00e9", "neither a bundle"),
    ],
)
def test_each_thing_that_is_wrong_is_named_by_its_line(text: str, why: str) -> None:
    with pytest.raises(MalformedError, match=why) as caught:
        parse_retrieval_csv(text.encode())
    assert PPID[:20] not in str(caught.value)


def test_too_much_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        parse_retrieval_csv(b"0" * (MAX_CSV_BYTES + 1))


KEYS = st.builds(
    PlatformKey,
    st.text("0123456789ABCDEF", min_size=1, max_size=260),
    st.text("0123456789ABCDEF", min_size=4, max_size=4),
)
TCBS = st.builds(RawTCB, st.binary(min_size=16, max_size=16), st.integers(0, 0xFFFF))
SINGLES = st.builds(
    lambda key, ppid, tcb: Registration(platform=Platform(key=key, enc_ppid=ppid), raw_tcb=tcb),
    KEYS,
    st.binary(min_size=384, max_size=384),
    TCBS,
)
MULTIS = st.builds(
    lambda key, manifest: Registration(platform=Platform(key=key, manifest=manifest), raw_tcb=None),
    KEYS,
    st.binary(min_size=1, max_size=99),
)


@given(st.lists(SINGLES | MULTIS, min_size=1, max_size=4))
def test_what_is_written_is_read(registrations: list[Registration]) -> None:
    assert list(parse_retrieval_csv(encode_retrieval_csv(registrations).encode())) == registrations


@given(st.binary() | st.text('0123456789abcdef,\n\r"', max_size=200).map(str.encode))
def test_any_bytes_give_a_value_or_our_error(data: bytes) -> None:
    try:
        found = parse_retrieval_csv(data)
    except MalformedError:
        return
    assert list(parse_retrieval_csv(encode_retrieval_csv(found).encode())) == list(found)
