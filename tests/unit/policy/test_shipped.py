"""The shipped policy against its meaning, written in Python."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.policy.rego import ENGINE, check
from verdictd.policy.engine import Dialect
from verdictd.policy.pair import is_open_reference, parse_reference
from verdictd.policy.pair_files import SHIPPED, load_shipped

POLICY = load_shipped(SHIPPED.policy).decode()
CHECKED = check(POLICY)
MEASUREMENTS = st.sampled_from(["AAAA", "BBBB", "CCCC", "", "A\0"])
NUMBERS = st.integers(0, 3) | st.integers(0, 65535)
ODD: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.text(max_size=2) | st.lists(NUMBERS, max_size=1) | st.just({})
)


def oracle(evidence: dict[str, object], reference: dict[str, object]) -> bool:
    """Whether the shipped policy lets an enclave in; anything odd refuses."""

    def listed(name: str) -> bool:
        known = reference.get(name)
        return isinstance(known, list) and (not known or (name in evidence and evidence[name] in known))

    def at_least(name: str) -> bool:
        found, minimum = evidence.get(name), reference.get(name)
        if isinstance(found, bool) or isinstance(minimum, bool):
            return False
        return isinstance(found, int) and isinstance(minimum, int) and found >= minimum

    return listed("mrEnclave") and listed("mrSigner") and at_least("productId") and at_least("svn")


def decide(evidence: dict[str, object], reference: dict[str, object]) -> object:
    prepared = ENGINE.prepare(CHECKED.text, CHECKED.dialect, json.dumps(reference))
    result = json.loads(prepared.evaluate(json.dumps(evidence)))
    return result["result"][0]["expressions"][0]["value"]["allow"]


EVIDENCE = st.fixed_dictionaries(
    {"mrEnclave": MEASUREMENTS, "mrSigner": MEASUREMENTS, "productId": NUMBERS, "svn": NUMBERS}
)
REFERENCE = st.fixed_dictionaries(
    {
        "mrEnclave": st.lists(MEASUREMENTS, max_size=3),
        "mrSigner": st.lists(MEASUREMENTS, max_size=3),
        "productId": NUMBERS,
        "svn": NUMBERS,
    }
)


@settings(max_examples=300)
@given(EVIDENCE, REFERENCE)
def test_means_what_it_says(evidence: dict[str, object], reference: dict[str, object]) -> None:
    assert decide(evidence, reference) is oracle(evidence, reference)


@settings(max_examples=200)
@given(EVIDENCE, REFERENCE, st.data())
def test_odd_or_missing_values_refuse(
    evidence: dict[str, object], reference: dict[str, object], data: st.DataObject
) -> None:
    document = data.draw(st.sampled_from([evidence, reference]))
    name = data.draw(st.sampled_from(sorted(document)))
    odd = data.draw(ODD)
    if data.draw(st.booleans()):
        document[name] = odd
    else:
        del document[name]
    assert decide(evidence, reference) is oracle(evidence, reference)


@pytest.mark.parametrize(
    ("changes", "allowed"),
    [
        ({}, True),
        ({"mrEnclave": "other"}, False),
        ({"mrSigner": "other"}, False),
        ({"productId": 0}, False),
        ({"svn": 1}, False),
    ],
)
def test_each_condition_alone_refuses(changes: dict[str, object], *, allowed: bool) -> None:
    reference: dict[str, object] = {"mrEnclave": ["AAAA"], "mrSigner": ["BBBB"], "productId": 1, "svn": 2}
    evidence: dict[str, object] = {"mrEnclave": "AAAA", "mrSigner": "BBBB", "productId": 1, "svn": 2}
    assert decide({**evidence, **changes}, reference) is allowed


def test_shipped_reference_is_the_one_of_the_original_byte_for_byte() -> None:
    data = load_shipped(SHIPPED.reference)
    assert data == b'{\n    "mrEnclave": [],\n    "mrSigner": [],\n    "productId": 0,\n    "svn": 0\n}'
    assert is_open_reference(parse_reference(data))


def test_shipped_policy_is_written_for_the_original_engine() -> None:
    assert CHECKED.dialect is Dialect.V0
    assert CHECKED.report.members_read == ("mrEnclave", "mrSigner", "productId", "svn")
    assert CHECKED.text == POLICY
