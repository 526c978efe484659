import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verdictd.core.errors import ConfigError
from verdictd.simulator.behaviour import Behaviour, Fault, encode_behaviour, parse_behaviour

_SECONDS = st.floats(0, 3600) | st.integers(0, 3600)
FAULTS = st.builds(
    Fault,
    route=st.text(),
    times=st.none() | st.integers(0, 1000),
    status=st.sampled_from([0, 200, 404, 429, 500, 503]),
    retry_after_s=st.none() | st.integers(0, 3600),
    delay_s=_SECONDS,
    drip_s=_SECONDS,
    resets=st.booleans(),
    body=st.none() | st.text(),
)
BEHAVIOURS = st.builds(
    Behaviour,
    faults=st.lists(FAULTS, max_size=3).map(tuple),
    rate_per_s=st.none() | st.integers(0, 1000),
    lifetime_s=st.none() | _SECONDS,
    frozen=st.booleans(),
)


@given(BEHAVIOURS)
def test_what_is_written_is_read_again(behaviour: Behaviour) -> None:
    assert parse_behaviour(encode_behaviour(behaviour)) == behaviour


def test_what_is_left_out_is_as_usual() -> None:
    assert parse_behaviour(b"{}") == Behaviour()
    assert parse_behaviour(b'{"faults": [{}]}') == Behaviour(faults=(Fault(),))


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "not a JSON object"),
        (b'{"faults": {}}', "not a list"),
        (b'{"faults": [1]}', "not a JSON object"),
        (b'{"fault": []}', "has the member 'fault'"),
        (b'{"faults": [{"statu": 500}]}', "has the member 'statu'"),
        (b'{"faults": [{"status": "500"}]}', "of another type"),
        (b'{"faults": [{"status": true}]}', "of another type"),
        (b'{"faults": [{"status": null}]}', "of another type"),
        (b'{"faults": [{"status": 999}]}', "no status of HTTP"),
        (b'{"faults": [{"times": -1}]}', "out of range"),
        (b'{"faults": [{"delay_s": 3601}]}', "out of range"),
        (b'{"faults": [{"delay_s": NaN}]}', "out of range"),
        (b'{"faults": [{"retry_after_s": 1.5}]}', "of another type"),
        (b'{"faults": [{"resets": 1}]}', "of another type"),
        (b'{"frozen": "yes"}', "of another type"),
        (b'{"rate_per_s": 0.5}', "of another type"),
    ],
)
def test_what_is_no_behaviour_is_refused(document: bytes, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as refusal:
        parse_behaviour(document)
    assert refusal.value.remedy


_NAMES = st.sampled_from([field.name for kind in (Behaviour, Fault) for field in dataclasses.fields(kind)])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | _NAMES, inner),
    max_leaves=8,
)


@given(st.binary() | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_document_is_a_behaviour_or_refused(document: bytes) -> None:
    try:
        behaviour = parse_behaviour(document)
    except ConfigError:
        return
    assert parse_behaviour(encode_behaviour(behaviour)) == behaviour


@pytest.mark.parametrize(
    ("pattern", "is_meant"),
    [("*", True), ("*/tcb", True), ("/sgx/certification/v4/tcb", True), ("*/TCB", False), ("*identity", False)],
)
def test_route_is_a_pattern_for_the_path(pattern: str, is_meant: bool) -> None:
    assert Fault(route=pattern).concerns("/sgx/certification/v4/tcb") is is_meant
