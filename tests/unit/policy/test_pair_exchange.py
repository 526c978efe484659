"""Pairs on their way to another process arrive as they were, or not at all."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import MalformedError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.policy import pair_exchange
from verdictd.policy.active import PairNames, UnusablePair
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.pair_exchange import decode_pairs, encode_pairs

PAIR = PolicyPair(
    policy=Document.of("sgxPolicy.rego", b"package policy\n"),
    reference=Document.of("sgxData", '{"mrEnclave": ["A"], "ü": 1}'.encode()),
    values={"mrEnclave": ["A"], "ü": 1},
    members_read=("mrEnclave", "ü"),
    is_repeatable=True,
)
UNUSABLE = UnusablePair(PairNames("csvPolicy.rego", "csvData"), "there is no csvPolicy.rego", "upload “it”")
PAIRS: dict[str, PolicyPair | UnusablePair] = {"sgx_ecdsa": PAIR, "csv": UNUSABLE}
GOOD = {
    "names": ["p", "r"],
    "sizes": [3, 2],
    "members_read": ["a"],
    "is_repeatable": True,
}


def message(described: object, contents: bytes = b"") -> bytes:
    text = json.dumps(described).encode()
    return struct.pack("<I", len(text)) + text + contents


def test_pairs_arrive_as_they_were() -> None:
    assert decode_pairs(encode_pairs(PAIRS)) == PAIRS
    assert decode_pairs(encode_pairs({})) == {}


def test_whether_a_policy_is_repeatable_arrives() -> None:
    pair = PolicyPair(policy=PAIR.policy, reference=PAIR.reference, values=PAIR.values, members_read=())
    arrived = decode_pairs(encode_pairs({"csv": pair, "sgx_ecdsa": PAIR}))
    assert [isinstance(item, PolicyPair) and item.is_repeatable for item in arrived.values()] == [False, True]


def test_digests_are_those_of_what_arrived() -> None:
    data = encode_pairs(PAIRS)
    (pair,) = (pair for pair in decode_pairs(data.replace(b'["A"]', b'["B"]')).values() if isinstance(pair, PolicyPair))
    assert pair.reference == Document.of("sgxData", pair.reference.content) != PAIR.reference
    assert pair.values["mrEnclave"] == ["B"]


def test_largest_pair_of_each_kind_fits() -> None:
    pair = PolicyPair(
        policy=Document.of("p", b"#" * MAX_POLICY_BYTES),
        reference=Document.of("r", b'{"x":"' + b"y" * (MAX_REFERENCE_BYTES - 8) + b'"}'),
        values={"x": "y" * (MAX_REFERENCE_BYTES - 8)},
        # Each of them stands in the policy, behind "data.".
        members_read=tuple(f"{number:06}" for number in range(MAX_POLICY_BYTES // 12)),
    )
    assert decode_pairs(encode_pairs({"a": pair, "b": pair})) == {"a": pair, "b": pair}


def test_what_is_larger_than_the_limit_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = encode_pairs(PAIRS)
    monkeypatch.setattr(pair_exchange, "MAX_BYTES", len(data))
    assert decode_pairs(data) == PAIRS
    monkeypatch.setattr(pair_exchange, "MAX_BYTES", len(data) - 1)
    with pytest.raises(MalformedError, match="expected 4 to"):
        decode_pairs(data)


@pytest.mark.parametrize("cut", range(len(encode_pairs(PAIRS))))
def test_what_is_cut_off_is_refused(cut: int) -> None:
    with pytest.raises(MalformedError):
        decode_pairs(encode_pairs(PAIRS)[:cut])


def test_form_is_accepted_where_nothing_is_wrong() -> None:
    assert decode_pairs(message({"x": GOOD}, b"abc{}"))


@pytest.mark.parametrize(
    ("described", "contents"),
    [
        ([], b""),
        ({"x": 1}, b""),
        ({"x": {}}, b""),
        ({"x": GOOD | {"names": ["p"]}}, b"abc{}"),
        ({"x": GOOD | {"names": ["p", 1]}}, b"abc{}"),
        ({"x": GOOD | {"sizes": [3]}}, b"abc{}"),
        ({"x": GOOD | {"sizes": [3, "2"]}}, b"abc{}"),
        ({"x": GOOD | {"sizes": [True, 4]}}, b"abc{}"),
        ({"x": GOOD | {"sizes": [-1, 6]}}, b"abc{}"),
        ({"x": GOOD | {"members_read": [1]}}, b"abc{}"),
        ({"x": GOOD | {"members_read": "a"}}, b"abc{}"),
        ({"x": GOOD | {"is_repeatable": 1}}, b"abc{}"),
        ({"x": GOOD | {"more": 1}}, b"abc{}"),
        ({"x": GOOD}, b"abc{}x"),
        ({"x": GOOD}, b"abc[]"),
        ({"x": GOOD}, b"abc\xff\xff"),
        ({"x": GOOD | {"sizes": [3, 14]}}, b'abc{"policy": 12}'),
        ({"x": GOOD | {"sizes": [MAX_POLICY_BYTES + 1, 2]}}, b"#" * (MAX_POLICY_BYTES + 1) + b"{}"),
        ({"x": {"names": ["p", "r"], "reason": "x"}}, b""),
        ({"x": {"names": ["p", "r"], "reason": "x", "remedy": None}}, b""),
        ({"x": {"names": ["p", "r"], "reason": "x", "remedy": "", "more": 1}}, b""),
    ],
)
def test_what_is_not_of_the_form_is_refused(described: object, contents: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_pairs(message(described, contents))


@given(st.binary(max_size=64), st.integers(0, len(encode_pairs(PAIRS)) - 1))
def test_no_bytes_raise_anything_else(noise: bytes, place: int) -> None:
    data = encode_pairs(PAIRS)
    for damaged in (noise, data[:place] + noise + data[place + len(noise) :]):
        try:
            decode_pairs(damaged)
        except MalformedError:
            continue
