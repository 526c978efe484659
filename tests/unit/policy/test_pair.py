import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.policy.rego import ENGINE
from verdictd.core.errors import LimitExceededError, MalformedError, PolicyError, VerdictdError
from verdictd.core.limits import MAX_REFERENCE_BYTES
from verdictd.policy.engine import Dialect
from verdictd.policy.json_document import MAX_DEPTH, encode_input, parse_json_object
from verdictd.policy.pair import Document, PolicyPair, is_open_reference, parse_reference

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)  # fmt: skip


def nested(depth: int) -> bytes:
    return b'{"a":' * depth + b"1" + b"}" * depth


@pytest.mark.parametrize(
    ("data", "error", "message"),
    [
        (b"[]", MalformedError, "not a JSON object"),
        (b"1", MalformedError, "not a JSON object"),
        (b'"x"', MalformedError, "not a JSON object"),
        (b"null", MalformedError, "not a JSON object"),
        (b"", MalformedError, "line 1, column 1"),
        (b'{\n  "a": 1,\n}', MalformedError, "line 3, column 1"),
        (b'{"a": 1} x', MalformedError, "line 1, column 10"),
        (b'{"a": 1}\0', MalformedError, "not JSON"),
        (b'\xef\xbb\xbf{"a": 1}', MalformedError, "not JSON|cannot be used"),
        (b'{"a": "\xff"}', MalformedError, "not UTF-8"),
        (b'{"a": 1, "a": 1}', MalformedError, "the member 'a' twice"),
        (b'{"x": [{"b": 1, "a": 1, "b": 2}]}', MalformedError, "the member 'b' twice"),
        (b'{"a": NaN}', MalformedError, "NaN"),
        (b'{"a": -Infinity}', MalformedError, "Infinity"),
        (b'{"a": 1e999}', MalformedError, "too large"),
        (b'{"a": 18446744073709551616}', MalformedError, "more than 64 bits"),
        (b'{"a": -9223372036854775809}', MalformedError, "more than 64 bits"),
        (b'{"a": ' + b"9" * 101 + b"}", MalformedError, "101 digits"),
        (b'{"a": 0.' + b"9" * 101 + b"}", MalformedError, "103 digits"),
        (b'{"a": "\\ud800"}', MalformedError, "half a surrogate pair"),
        (b'{"\\ud800": 1}', MalformedError, "half a surrogate pair"),
        (nested(MAX_DEPTH), LimitExceededError, "more than 64 deep"),
        (nested(100_000), LimitExceededError, "deep"),
        (b'{"a": "' + b"x" * MAX_REFERENCE_BYTES + b'"}', LimitExceededError, "the limit is 8388608"),
        (b'{"policy": {"allow": true}}', PolicyError, "a member policy"),
        (b'{"a": 1, "policy": null}', PolicyError, "a member policy"),
        (b'{"\\u0070olicy": 1}', PolicyError, "a member policy"),
    ],
)
def test_reference_is_refused(data: bytes, error: type[VerdictdError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_reference(data)


@pytest.mark.parametrize(
    "data",
    [
        b"{}",
        b' {"a" : [1, 2.5, null, true, {"policy": 1}]}\n',
        b'{"Policy": 1}',
        b'{"a": 18446744073709551615, "b": -9223372036854775808}',
        b'{"a": "\\ud83d\\ude00", "\xc3\xa9": "\\u0000"}',
        nested(MAX_DEPTH - 1),
    ],
)
def test_reference_is_accepted(data: bytes) -> None:
    assert parse_reference(data) == json.loads(data)


@given(st.dictionaries(st.text().filter(lambda name: name != "policy"), JSON, max_size=5))
def test_what_is_accepted_the_engine_takes_and_shows_unchanged(values: dict[str, object]) -> None:
    data = json.dumps(values).encode()
    assert parse_reference(data) == values
    prepared = ENGINE.prepare(
        "package policy\nallow := data.wanted == input.wanted\n", Dialect.V1, json.dumps({"wanted": values})
    )
    assert '"allow": true' in prepared.evaluate(json.dumps({"wanted": values}))
    ENGINE.prepare("package policy\nallow := true\n", Dialect.V1, data.decode())


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_give_a_value_or_one_of_our_errors(data: bytes) -> None:
    for document in (data, b'{"a":' + data + b"}"):
        try:
            values = parse_json_object(document, "the input", 1000)
        except (MalformedError, LimitExceededError):
            continue
        assert isinstance(values, dict)


def test_many_members_cost_no_more_than_their_number() -> None:
    members = b",".join(b'"%d": 0' % number for number in range(300_000))
    started = time.monotonic()
    with pytest.raises(MalformedError, match="the member '299999' twice"):
        parse_reference(b"{" + members + b', "299999": 0}')
    assert time.monotonic() - started < 20


def test_a_member_named_at_any_length_is_told_briefly() -> None:
    name = b'"' + b"x" * 1_000_000 + b'"'
    with pytest.raises(MalformedError, match="twice") as refused:
        parse_reference(b"{" + name + b":1," + name + b":2}")
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**30])
@pytest.mark.parametrize("place", [lambda n: {"a": n}, lambda n: {"a": [{"b": [n]}]}], ids=["top", "deep"])
def test_integers_that_the_engine_would_round_are_no_input(number: int, place: object) -> None:
    assert callable(place)
    with pytest.raises(LimitExceededError, match="more than 64 bits"):
        encode_input(place(number))


def test_hex_digits_are_no_integers() -> None:
    assert encode_input({"a": "1" * 64, "b": 2**64 - 1, "c": -(2**63)})


@pytest.mark.parametrize("given", [{"a": float("nan")}, {"a": float("inf")}])
def test_input_that_is_no_json_is_a_mistake_of_the_caller(given: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="JSON compliant"):
        encode_input(dict(given))


@pytest.mark.parametrize(
    ("values", "is_open"),
    [
        ({"mrEnclave": [], "mrSigner": [], "productId": 0, "svn": 0}, True),
        ({"mrEnclave": [], "mrSigner": []}, True),
        # Whoever builds an enclave chooses its product id and version.
        ({"mrEnclave": [], "mrSigner": [], "productId": 7, "svn": 9}, True),
        ({"mrEnclave": {}, "mrSigner": ""}, True),
        ({"mrEnclave": ["x"], "mrSigner": []}, False),
        ({"mrEnclave": [], "mrSigner": ["x"]}, False),
        ({"mrEnclave": []}, False),
        ({"mrSigner": []}, False),
        ({"mrEnclave": None, "mrSigner": []}, False),
        ({"mrEnclave": 0, "mrSigner": False}, False),
        ({}, False),
    ],
)
def test_open_reference(values: dict[str, object], *, is_open: bool) -> None:
    assert is_open_reference(parse_reference(json.dumps(values).encode())) is is_open


def test_pair_is_told_by_its_exact_bytes() -> None:
    policy, reference = Document.of("p", b"a"), Document.of("r", b'{"x": 1}')
    pair = PolicyPair(policy=policy, reference=reference, values={"x": 1}, members_read=("x", "y"))
    assert policy.digest == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
    assert pair.key.hex() == policy.digest + reference.digest
    assert pair.missing_members == ("y",)
    assert Document.of("r", b'{"x":1}').digest != reference.digest
