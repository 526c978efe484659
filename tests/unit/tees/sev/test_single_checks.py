"""Each check alone refuses an input that all others accept."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.unit.tees.sev.inputs import (
    SPEC,
    UNBOUND,
    Input,
    ask_ark,
    by_ask,
    by_cek,
    by_oca,
    flipped,
    other,
    sim,
    with_certificate,
    with_report,
)
from verdictd.core.checks import CheckResult
from verdictd.simulator.sev_platform import issue_vendor_certificate
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sev.acceptance import SEVAcceptance
from verdictd.tees.sev.requirements import REQUIREMENTS
from verdictd.tees.sev.roots import SEVRoots, amd_sev_roots

CEK, PEK, OCA = KeyUsage.CEK, KeyUsage.PEK, KeyUsage.OCA


def with_ask(*, usage: int = KeyUsage.VENDOR_SIGNING, version: int = 1, names: int = 0, own: bool = False) -> Input:
    issuer = sim().ask if own else sim().ark
    ids = sim().key_ids
    ask = issue_vendor_certificate(usage, sim().ask, issuer, key_id=ids[1], issuer_id=ids[names], version=version)
    return Input(ask_ark=ask + sim().ark_certificate)


def report_of_another() -> Input:
    stolen = replace(sim(), pek=other().pek).report(SPEC)
    return Input(stolen + sim().evidence(SPEC)[208:])


FAILURES: dict[str, tuple[str, Callable[[], Input], str]] = {
    "usage of the signature": ("report.signer", lambda: with_report(signature_usage=0x1003), "usage 0x1003"),
    "algorithm of the signature": ("report.signer", lambda: with_report(signature_algorithm=0x102), "algorithm 258"),
    "a root that is not trusted": ("ask.chain", lambda: Input(roots=SEVRoots(amd_sev_roots())), "not trusted"),
    "no certificates of AMD's": ("ask.chain", lambda: Input(ask_ark=None), "none at hand"),
    "an ASK for something else": ("ask.chain", lambda: with_ask(usage=0x14), "usage 0x14"),
    "an ASK of another version": ("ask.chain", lambda: with_ask(version=2), "version 2"),
    "an ASK that names itself": ("ask.chain", lambda: with_ask(names=1), "signs it"),
    "an ASK that signs itself": ("ask.chain", lambda: with_ask(own=True), "does not verify"),
    "a CEK of another ASK": ("cek.chain", lambda: with_certificate(CEK, by_ask(other())), "does not verify"),
    "a CEK of another version": ("cek.chain", lambda: with_certificate(CEK, by_ask(), version=2), "version 2"),
    "a CEK for something else": ("cek.chain", lambda: with_certificate(CEK, by_ask(), usage=0x1003), "usage 0x1003"),
    "a CEK that cannot sign": ("cek.chain", lambda: with_certificate(CEK, by_ask(), algorithm=3), "algorithm 0x3"),
    "a CEK on another curve": ("cek.chain", lambda: with_certificate(CEK, by_ask(), curve=1), "curve 1"),
    "a CEK signed by nobody": ("cek.chain", lambda: with_certificate(CEK, by_ask(usage=0x1000)), "0 signatures"),
    "a CEK signed otherwise": ("cek.chain", lambda: with_certificate(CEK, by_ask(algorithm=0x101)), "0x101"),
    "a PEK of another chip": ("pek.chain", lambda: with_certificate(PEK, by_oca(), by_cek(other())), "by the CEK"),
    "a PEK that no chip signed": ("pek.chain", lambda: with_certificate(PEK, by_oca()), "0 signatures"),
    "a PEK of another owner": ("pek.owner", lambda: with_certificate(PEK, by_oca(other()), by_cek()), "by the OCA"),
    "a PEK that no owner signed": ("pek.owner", lambda: with_certificate(PEK, by_cek()), "0 signatures"),
    "an OCA that another signed": ("oca.signature", lambda: with_certificate(OCA, by_oca(other())), "does not verify"),
    "an OCA for something else": ("oca.signature", lambda: with_certificate(OCA, by_oca(), usage=0x1004), "0x1004"),
    "old firmware": (
        "pek.firmware",
        lambda: Input(acceptance=replace(UNBOUND, min_firmware=(0, 25))),
        "API 0.24",
    ),
    "a report of another PEK": ("report.signature", report_of_another, "does not verify"),
    "evidence that is bound to nothing": (
        "evidence.key_binding",
        lambda: Input(acceptance=SEVAcceptance()),
        "bound to no key",
    ),
    "a guest that may be debugged": ("guest.debug", lambda: with_report(policy=0), "which allows debugging"),
}
AFTER = {
    "ask.chain": ("cek.chain", "pek.chain", "pek.firmware"),
    "cek.chain": ("pek.chain", "pek.firmware"),
    "pek.chain": ("pek.firmware",),
    "oca.signature": ("pek.owner",),
}


def test_the_input_is_accepted_where_nothing_is_changed() -> None:
    result = Input().appraise()
    assert result.allowed
    assert [check.name for check in result.checks if check.result is not CheckResult.PASS] == ["evidence.key_binding"]
    assert [check.name for check in result.checks] == list(REQUIREMENTS)


@pytest.mark.parametrize("what", FAILURES)
def test_one_check_refuses_and_no_other(what: str) -> None:
    name, make, found = FAILURES[what]
    result = make().appraise()
    assert not result.allowed
    assert [check.name for check in result.refusals] == [name, *AFTER.get(name, ())]
    refusal = result.refusals[0]
    assert refusal.result is CheckResult.FAIL
    assert found in refusal.found
    assert refusal.remedy


def test_every_check_is_refused_by_one_of_these_inputs() -> None:
    assert {name for name, _, _ in FAILURES.values()} == set(REQUIREMENTS) - {"report.format"}


def test_a_root_is_the_whole_certificate_and_not_its_id() -> None:
    """Whoever makes a root of their own can give it the id of AMD's."""
    impostor = replace(other(), key_ids=sim().key_ids, ask=sim().ask)
    refused = Input(ask_ark=impostor.ask_ark).appraise()
    assert refused.refusals[0].name == "ask.chain"
    assert "not trusted" in refused.refusals[0].found


@pytest.mark.parametrize("data", [b"", bytes(63), bytes(64), bytes(1664), bytes(5000)])
def test_endorsements_that_are_none_are_refused(data: bytes) -> None:
    assert Input(ask_ark=data).appraise().refusals[0].name == "ask.chain"


def test_an_ask_without_a_signature_is_refused() -> None:
    body = ask_ark()[: 64 + 512]
    assert Input(ask_ark=body + ask_ark()[832:]).appraise().refusals[0].name == "ask.chain"


@pytest.mark.parametrize("bit", range(0, 8 * (64 + 512), 97))
def test_a_flipped_bit_of_ask_or_ark_is_refused(bit: int) -> None:
    for offset in (0, 832 * 8):
        assert Input(ask_ark=flipped(ask_ark(), offset + bit)).appraise().refusals[0].name == "ask.chain"
