"""Mutations that keep the form of what they change, and coverage that counts lines."""

import json
import random

import pytest
from fuzz.der_mutator import mutate_der
from fuzz.json_mutator import mutate_json
from fuzz.line_coverage import count_lines
from fuzz.parts import chunks, join, take
from fuzz.registry import TARGETS
from fuzz.structure_mutator import mutate_structure
from fuzz.target import CORPUS

from verdictd.core.der import read_single
from verdictd.core.errors import MalformedError

CERTIFICATE = (CORPUS / "certificate" / "interoperable").read_bytes()


def changed(data: bytes, _: int) -> bytes:
    return b"changed" + data[:3]


def is_der(data: bytes) -> bool:
    try:
        read_single(data)
    except MalformedError:
        return False
    return True


def test_a_certificate_stays_der_whatever_changes_in_it() -> None:
    mutants = {mutate_der(CERTIFICATE, 1 << 16, random.Random(seed), changed) for seed in range(200)}
    assert len(mutants) > 100
    assert sum(map(is_der, mutants)) > 0.95 * len(mutants)


def test_the_same_seed_changes_the_same() -> None:
    first, second = (mutate_der(CERTIFICATE, 1 << 16, random.Random(7), changed) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("data", [b"", b"\x30", b"\x30\x05\x00", b"\xff" * 9])
def test_what_is_no_der_is_left_to_the_fuzzer(data: bytes) -> None:
    assert mutate_der(data, 100, random.Random(1), changed) == changed(data, 100)


def test_a_document_stays_json_whatever_changes_in_it() -> None:
    body = (CORPUS / "documents" / "qe_identity").read_bytes()[1:]
    mutants = {mutate_json(json.loads(body), random.Random(seed), changed) for seed in range(200)}
    assert len(mutants) > 50
    for mutant in mutants:
        json.loads(mutant)


def test_a_mutant_is_no_longer_than_allowed_and_keeps_what_comes_before_its_structure() -> None:
    target, data = TARGETS["documents"], (CORPUS / "documents" / "qe_identity").read_bytes()
    mutants = [mutate_structure(data, 300, seed, lambda given, _: given, target) for seed in range(50)]
    assert sum(mutant[:1] == data[:1] for mutant in mutants) == len(mutants)
    assert sum(len(mutant) <= 300 for mutant in mutants) > 30


def test_parts_and_pieces_are_the_whole() -> None:
    assert take(join(b"first", b"second")) == (b"first", b"second")
    assert take(b"\xff\xffcut") == (b"cut", b"")
    assert b"".join(chunks(b"0123456789", b"\x03\x00")) == b"0123456789"
    assert chunks(b"01", b"") == [b"01"]


def test_only_lines_that_inputs_reach_are_counted() -> None:
    target = TARGETS["policy_protocol"]
    nothing, there = count_lines(target, [])
    some, _ = count_lines(target, [b""])
    more, _ = count_lines(target, [path.read_bytes() for path in target.corpus.iterdir()])
    assert 0 == nothing < some < more < there
