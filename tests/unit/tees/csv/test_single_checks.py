"""Each check alone refuses an input that all others accept."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.tees.csv.inputs import (
    HSK_BYTES,
    HYGON,
    OTHER,
    SPEC,
    Input,
    evidence,
    flipped,
    hsk_cek,
    pek,
    root_of,
    with_cek,
    with_chain,
    with_hsk,
    with_pek,
    with_report,
)
from verdictd.core.checks import CheckResult
from verdictd.simulator.hygon_certificates import Signer, issue_platform_certificate
from verdictd.simulator.hygon_platform import join_evidence
from verdictd.tees.csv.acceptance import CSVAcceptance
from verdictd.tees.csv.requirements import REQUIREMENTS
from verdictd.tees.csv.roots import HygonRoots, hygon_root
from verdictd.tees.psp.certificate import KeyUsage

_HMAC = 2516


def signer(of: KeyUsage, **changes: Any) -> Signer:
    return replace(HYGON.signer(of), **changes)


def by_other(usage: KeyUsage) -> Signer:
    return OTHER.signer(usage)


FAILURES: dict[str, tuple[str, Input, str]] = {
    "usage of the report's signature": ("report.signer", with_report(signature_usage=0x1003), "usage 0x1003"),
    "algorithm of the report's signature": ("report.signer", with_report(signature_algorithm=5), "algorithm 5"),
    "an HSK of another vendor": ("hsk.chain", with_hsk(lambda spec: spec, OTHER), "does not verify"),
    "a root that is not trusted": ("hsk.chain", Input(roots=HygonRoots((hygon_root(),))), "trusted is 3ae86a97"),
    "an HSK that is for something else": ("hsk.chain", with_hsk(lambda s: replace(s, usage=0x14)), "usage 0x14"),
    "an HSK that is a root": ("hsk.chain", with_hsk(lambda s: replace(s, usage=0)), "usage 0x0"),
    "an HSK of another version": ("hsk.chain", with_hsk(lambda s: replace(s, version=2)), "version 2"),
    "an HSK that names another issuer": ("hsk.chain", with_hsk(lambda s: replace(s, issuer_id=bytes(16))), "0000"),
    "a CEK of another HSK": ("cek.chain", with_cek(by_other(KeyUsage.VENDOR_SIGNING)), "does not verify"),
    "a CEK that is for something else": ("cek.chain", with_cek(usage=KeyUsage.PEK), "usage 0x1002"),
    "a CEK of another version": ("cek.chain", with_cek(version=3), "version 3"),
    "a CEK that cannot sign": ("cek.chain", with_cek(algorithm=5), "algorithm 5"),
    "a CEK that names another HSK": ("cek.chain", with_cek(issuer_id=b"x" * 16), "7878"),
    "a CEK that names an owner as its signer": (
        "cek.chain",
        with_cek(signer(KeyUsage.VENDOR_SIGNING, usage=KeyUsage.OCA)),
        "0 signatures",
    ),
    "a CEK that the HSK signed twice": (
        "cek.chain",
        with_cek(signer(KeyUsage.VENDOR_SIGNING), signer(KeyUsage.VENDOR_SIGNING)),
        "2 signatures",
    ),
    "a CEK signed in another way": (
        "cek.chain",
        with_cek(signer(KeyUsage.VENDOR_SIGNING, algorithm=2)),
        "algorithm 2",
    ),
    "a PEK of another chip": ("pek.chain", with_pek(by_other(KeyUsage.CEK)), "does not verify"),
    "a PEK that only its owner signed": ("pek.chain", with_pek(signer(KeyUsage.OCA)), "0 signatures"),
    "a PEK signed in another way": ("pek.chain", with_pek(signer(KeyUsage.CEK, algorithm=1)), "algorithm 1"),
    "old firmware": ("pek.firmware", Input(acceptance=CSVAcceptance(min_firmware=(1, 4))), "API 1.3"),
    "a report signed by another PEK": (
        "report.signature",
        Input(join_evidence(HYGON.report(SPEC, pek=pek(), signer=OTHER.key(KeyUsage.PEK)), hsk_cek())),
        "does not verify",
    ),
    "a code that does not hold": (
        "report.hmac",
        Input(flipped(with_report(clears_reserved=False).evidence, 8 * _HMAC)),
        "another",
    ),
    "a guest that may be debugged": ("guest.debug", with_report(policy=0x04), "which allows debugging"),
}
AFTER = {"hsk.chain": ("cek.chain", "pek.chain", "pek.firmware"), "cek.chain": ("pek.chain", "pek.firmware")}
AFTER["pek.chain"] = ("pek.firmware",)


def test_the_input_is_accepted_where_nothing_is_changed() -> None:
    result = Input().appraise()
    assert result.allowed
    assert [check.name for check in result.checks] == list(REQUIREMENTS)
    assert {check.name for check in result.checks if check.result is not CheckResult.PASS} == {
        "report.hmac",
        "report.anonce",
    }


@pytest.mark.parametrize("what", FAILURES)
def test_one_check_refuses_and_no_other(what: str) -> None:
    name, given, found = FAILURES[what]
    result = given.appraise()
    assert not result.allowed
    assert [check.name for check in result.refusals] == [name, *AFTER.get(name, ())]
    refusal = result.refusals[0]
    assert refusal.result is CheckResult.FAIL
    assert found in refusal.found
    assert refusal.remedy
    assert [check.name for check in result.checks] == list(REQUIREMENTS)


def test_every_check_is_refused_by_one_of_these_inputs_or_says_that_it_never_refuses() -> None:
    assert {name for name, _, _ in FAILURES.values()} == set(REQUIREMENTS) - {"report.format", "report.anonce"}


def test_a_pek_that_cannot_sign_is_refused_twice() -> None:
    """The report's signature is by its key, so that there is none that holds either."""
    for given, found in (
        (with_pek(algorithm=5), "algorithm 5"),
        (with_chain(hsk_cek()), ""),
    ):
        names = [check.name for check in given.appraise().refusals]
        assert names == (["pek.chain", "pek.firmware", "report.signature"] if found else [])


@pytest.mark.parametrize(
    "data", [b"", b"\0", bytes(4096), bytes(7016), evidence()[:-1], evidence() + b"\0", evidence()[:4097]]
)
def test_what_cannot_be_read_is_refused(data: bytes) -> None:
    result = Input(data).appraise()
    assert [check.result for check in result.checks] == [CheckResult.FAIL] + [CheckResult.NOT_MADE] * 9
    assert not result.allowed
    assert result.checks[0].remedy
    assert not result.claims


def test_a_stated_length_that_is_another_is_refused() -> None:
    for length in (0, 2915, 2917, 2916 << 8):
        result = Input(evidence()[:-4] + length.to_bytes(4, "little")).appraise()
        assert result.refusals[0].name == "report.format"
        assert str(length) in result.refusals[0].found


def test_the_cek_may_be_signed_in_either_place() -> None:
    spec = HYGON.platform_spec(KeyUsage.CEK)
    nobody = signer(KeyUsage.OCA, usage=KeyUsage.NONE)
    cek = issue_platform_certificate(spec, nobody, signer(KeyUsage.VENDOR_SIGNING))
    assert with_chain(hsk_cek()[:HSK_BYTES] + cek).appraise().allowed


def test_a_cek_that_names_no_hsk_is_that_of_version_1() -> None:
    assert with_cek(version=1, issuer_id=bytes(16)).appraise().allowed


def test_two_roots_of_one_id_are_both_tried() -> None:
    impostor = replace(root_of(OTHER), key_id=root_of(HYGON).key_id)
    for roots in ((impostor, root_of(HYGON)), (root_of(HYGON), impostor)):
        assert Input(roots=HygonRoots(roots)).appraise().allowed
    assert not Input(roots=HygonRoots((impostor,))).appraise().allowed
    assert not Input(roots=HygonRoots((impostor, impostor))).appraise().allowed
