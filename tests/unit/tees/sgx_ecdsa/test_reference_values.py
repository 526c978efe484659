"""Reference values: what is allowed after each step, and what is refused because it would allow more than was meant."""

import base64
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import ConfigError, MalformedError, VerdictdError
from verdictd.core.result import JSONValue
from verdictd.tees.sgx_ecdsa.reference_values import (
    EnclaveValues,
    add_to_reference,
    describe_difference,
    make_reference,
    take_from_reference,
)

SHIPPED: Mapping[str, JSONValue] = {"mrEnclave": [], "mrSigner": [], "productId": 0, "svn": 0}


def enclave(name: int, signer: int = 0xAA, product: int = 0, svn: int = 0) -> EnclaveValues:
    return EnclaveValues(
        mr_enclave=bytes([name]) * 32, mr_signer=bytes([signer]) * 32, isv_prod_id=product, isv_svn=svn
    )


def digest(value: int) -> str:
    return base64.b64encode(bytes([value]) * 32).decode()


def allows(reference: Mapping[str, Any], one: EnclaveValues) -> bool:
    """The rule of the shipped policy, written down a second time."""
    evidence: dict[str, Any] = one.as_evidence()
    return (
        (not reference["mrEnclave"] or evidence["mrEnclave"] in reference["mrEnclave"])
        and (not reference["mrSigner"] or evidence["mrSigner"] in reference["mrSigner"])
        and evidence["productId"] >= reference["productId"]
        and evidence["svn"] >= reference["svn"]
    )


def test_a_reference_has_the_form_of_the_original() -> None:
    made = make_reference([enclave(1, product=3, svn=4)])
    assert made.reference == {"mrEnclave": [digest(1)], "mrSigner": [digest(0xAA)], "productId": 3, "svn": 4}
    assert list(made.reference) == list(SHIPPED)
    assert made.notes == ()


def test_of_several_enclaves_the_lowest_numbers_are_taken_and_said() -> None:
    made = make_reference([enclave(1, product=3, svn=4), enclave(2, product=1, svn=9)])
    assert (made.reference["productId"], made.reference["svn"]) == (1, 4)
    assert any("ISVPRODID 1, 3" in note for note in made.notes)
    assert any("ISVSVN 4, 9" in note for note in made.notes)


def test_the_same_enclave_twice_is_named_once() -> None:
    assert make_reference([enclave(1), enclave(1)]).reference["mrEnclave"] == [digest(1)]


def test_signer_only_allows_any_enclave_of_the_signer_and_says_so() -> None:
    made = make_reference([enclave(1, svn=2)], signer_only=True)
    assert made.reference == {"mrEnclave": [], "mrSigner": [digest(0xAA)], "productId": 0, "svn": 2}
    assert any("any enclave is allowed" in note for note in made.notes)


def test_nothing_makes_no_reference() -> None:
    with pytest.raises(ValueError, match="one enclave or more"):
        make_reference([])


def test_adding_allows_old_and_new() -> None:
    old, new = enclave(1, svn=3), enclave(2, signer=0xBB, svn=2)
    added = add_to_reference(make_reference([old]).reference, [new])
    assert allows(added.reference, old)
    assert allows(added.reference, new)
    assert not allows(added.reference, enclave(3))
    assert any("ISVSVN is lowered from 3 to 2" in note for note in added.notes)


def test_adding_a_newer_version_does_not_shut_out_the_older() -> None:
    added = add_to_reference(make_reference([enclave(1, svn=1)]).reference, [enclave(2, svn=2)])
    assert added.reference["svn"] == 1
    assert added.notes == ()


def test_adding_to_the_shipped_reference_replaces_what_allowed_anything() -> None:
    added = add_to_reference(SHIPPED, [enclave(1, svn=5)])
    assert added.reference == make_reference([enclave(1, svn=5)]).reference
    assert any("allowed any enclave" in note for note in added.notes)


def test_adding_keeps_what_else_is_in_the_file() -> None:
    existing: dict[str, JSONValue] = {**make_reference([enclave(1)]).reference, "mine": {"a": 1}}
    assert add_to_reference(existing, [enclave(2)]).reference["mine"] == {"a": 1}
    assert take_from_reference({**existing, "mrEnclave": [digest(1), digest(2)]}, [enclave(2)]).reference["mine"]


def test_adding_an_enclave_to_what_allows_any_of_a_signer_is_refused() -> None:
    existing = make_reference([enclave(1)], signer_only=True).reference
    with pytest.raises(ConfigError, match="would no longer if it named one"):
        add_to_reference(existing, [enclave(2)])


def test_adding_a_signer_to_what_names_enclaves_is_refused() -> None:
    with pytest.raises(ConfigError, match="would still allow no other"):
        add_to_reference(make_reference([enclave(1)]).reference, [enclave(2)], signer_only=True)


def test_adding_a_signer_to_signers_allows_both() -> None:
    existing = make_reference([enclave(1)], signer_only=True).reference
    added = add_to_reference(existing, [enclave(2, signer=0xBB)], signer_only=True).reference
    assert added["mrSigner"] == [digest(0xAA), digest(0xBB)]
    assert added["mrEnclave"] == []


def test_adding_to_named_enclaves_of_any_signer_leaves_the_signer_open() -> None:
    existing: dict[str, JSONValue] = {"mrEnclave": [digest(1)], "mrSigner": [], "productId": 0, "svn": 0}
    added = add_to_reference(existing, [enclave(2)])
    assert added.reference["mrSigner"] == []
    assert any("any signer" in note for note in added.notes)


def test_removing_takes_the_enclave_and_nothing_else() -> None:
    existing = make_reference([enclave(1), enclave(2, signer=0xBB)]).reference
    left = take_from_reference(existing, [enclave(1)])
    assert left.reference == {**existing, "mrEnclave": [digest(2)]}
    assert left.notes == ("signers, ISVPRODID and ISVSVN stay as they were",)


def test_removing_the_last_enclave_is_refused_as_it_would_allow_any() -> None:
    with pytest.raises(ConfigError, match="an empty list allows any"):
        take_from_reference(make_reference([enclave(1)]).reference, [enclave(1)])


def test_removing_the_last_signer_is_refused_as_it_would_allow_any() -> None:
    with pytest.raises(ConfigError, match="an empty list allows any"):
        take_from_reference(make_reference([enclave(1)]).reference, [enclave(1)], signer_only=True)


def test_removing_a_signer_leaves_the_enclaves() -> None:
    existing = make_reference([enclave(1), enclave(2, signer=0xBB)]).reference
    left = take_from_reference(existing, [enclave(9, signer=0xBB)], signer_only=True)
    assert left.reference == {**existing, "mrSigner": [digest(0xAA)]}


def test_removing_what_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not name the enclave"):
        take_from_reference(make_reference([enclave(1), enclave(2)]).reference, [enclave(3)])


BROKEN: list[dict[str, JSONValue]] = [
    {},
    {**SHIPPED, "mrEnclave": "x"},
    {**SHIPPED, "mrEnclave": [1]},
    {**SHIPPED, "mrEnclave": ["e30="]},
    {**SHIPPED, "mrEnclave": [digest(1) + "="]},
    {**SHIPPED, "mrEnclave": ["ä" * 44]},
    {**SHIPPED, "mrSigner": None},
    {**SHIPPED, "productId": True},
    {**SHIPPED, "productId": "0"},
    {**SHIPPED, "svn": -1},
    {**SHIPPED, "svn": 65536},
    {**SHIPPED, "svn": 1.0},
    {name: value for name, value in SHIPPED.items() if name != "svn"},
]


@pytest.mark.parametrize("broken", BROKEN, ids=range(len(BROKEN)))
def test_what_is_no_reference_is_not_changed(broken: dict[str, JSONValue]) -> None:
    with pytest.raises(MalformedError, match="reference"):
        add_to_reference(broken, [enclave(1)])
    with pytest.raises(MalformedError, match="reference"):
        take_from_reference(broken, [enclave(1)])


ENCLAVES = st.builds(enclave, st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(0, 3))


@given(st.lists(ENCLAVES, min_size=1, max_size=4), st.lists(ENCLAVES, min_size=1, max_size=4), ENCLAVES)
def test_adding_never_shuts_out_and_removing_never_lets_in(
    held: list[EnclaveValues], added: list[EnclaveValues], other: EnclaveValues
) -> None:
    before = make_reference(held).reference
    after = add_to_reference(before, added).reference
    assert all(allows(after, each) for each in (*held, *added))
    try:
        less = take_from_reference(after, added).reference
    except VerdictdError:
        return
    assert not any(allows(less, each) for each in added)
    assert allows(after, other) or not allows(less, other)


def test_the_difference_names_what_is_gained_and_lost() -> None:
    before = make_reference([enclave(1), enclave(2)]).reference
    after: dict[str, JSONValue] = {**before, "mrEnclave": [digest(2), digest(3)], "svn": 7, "new": True}
    assert describe_difference(before, after) == [
        f"- mrEnclave: {digest(1)}",
        f"+ mrEnclave: {digest(3)}",
        "- svn: 0",
        "+ svn: 7",
        "+ new: True",
    ]
    assert describe_difference(before, before) == []


def test_the_difference_warns_of_a_list_that_becomes_empty() -> None:
    lines = describe_difference(make_reference([enclave(1)]).reference, SHIPPED)
    assert "! mrEnclave: the list is empty now, any is allowed" in lines


def test_true_is_not_one() -> None:
    assert describe_difference({"svn": 1}, {"svn": True}) == ["- svn: 1", "+ svn: True"]
