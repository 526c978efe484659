"""Each check is proven by an input that this check alone refuses, everything around it being signed and in order.

Where a check fails, what could not be made for want of it is listed beside it, and nothing else refuses.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.unit.tees.amd.test_certificates import crl as crl_of
from tests.unit.tees.sev_snp.inputs import (
    AT,
    CHIP_ID,
    TCB,
    Input,
    crl,
    failures,
    key_certificate,
    make_input,
    other_pki,
    pki,
    platform,
    refusals,
    roots_of,
    tcb,
)
from verdictd.core.checks import CheckResult
from verdictd.simulator.snp_report_builder import encode_report_body
from verdictd.tees.amd.pem import decode_pem
from verdictd.tees.sev_snp.requirements import REQUIREMENTS
from verdictd.tees.sev_snp.tcb import TCBVersion

NOTHING: frozenset[str] = frozenset()
NEEDS_KEY = frozenset({"key.validity", "key.tcb", "key.chip_id", "report.signature"})
"""Without the certificate there is no key, and nothing that says of what it is."""
NEEDS_CRL = frozenset({"crl.validity", "chain.revocation"})
NEEDS_CHAIN = NEEDS_KEY | NEEDS_CRL | {"chain.key_type", "chain.product", "crl.signature", "key.certificate"}
"""The product is known all the same, as the report states it."""
NEEDS_TCBS = frozenset({"tcb.order", "tcb.launch", "tcb.committed", "tcb.minimum"})
ALL_BUT_FORMAT = frozenset(REQUIREMENTS) - {"report.format"}
DEBUG, MIGRATION_AGENT = 1 << 19, 1 << 18
FLOOR = TCBVersion(fmc=0, bootloader=4, tee=1, snp=24, microcode=219)


class Case(NamedTuple):
    """An input that is refused by `check`, and by what cannot be made for want of it."""

    check: str
    what: str
    change: Callable[[Input], Input]
    without: frozenset[str] = NOTHING


def damaged(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes([data[offset] ^ 1]) + data[offset + 1 :]


def damaged_evidence(offset: int) -> Callable[[Input], Input]:
    return lambda given: replace(given, evidence=damaged(given.report, offset))


def damaged_leaf(given: Input) -> Input:
    return given.endorsed(key_certificate=damaged(key_certificate(platform()), -1 % len(key_certificate(platform()))))


def damaged_chain(given: Input) -> Input:
    ask, ark = decode_pem(platform().chain(), "it")
    return given.endorsed(chain=damaged(ask, len(ask) - 1) + ark)


def later(days: int) -> Callable[[Input], Input]:
    return lambda given: replace(given, at=AT + timedelta(days=days))


def signed_by_another(given: Input) -> Input:
    return replace(given, key=ec.generate_private_key(ec.SECP384R1()))


CASES = [
    Case("report.format", "cut off", lambda given: replace(given, evidence=given.report[:-1]), ALL_BUT_FORMAT),
    Case("report.format", "nothing", lambda given: replace(given, evidence=b""), ALL_BUT_FORMAT),
    Case("report.format", "version 4", lambda given: given.saying(version=4), ALL_BUT_FORMAT),
    Case("report.format", "algorithm 2", lambda given: given.saying(signature_algorithm=2), ALL_BUT_FORMAT),
    Case("report.format", "no table", lambda given: replace(given, evidence=given.report + b"\1"), ALL_BUT_FORMAT),
    Case("report.format", "reserved signature byte", damaged_evidence(0x2A0 + 144), ALL_BUT_FORMAT),
    Case("report.signing_key", "masked", lambda given: given.saying(flags=2)),
    Case("chain.signature", "none", lambda given: given.endorsed(chain=None), NEEDS_CHAIN),
    Case("chain.signature", "damaged", damaged_chain, NEEDS_CHAIN),
    Case("chain.signature", "another's", lambda given: given.endorsed(chain=other_pki().chain("vcek")), NEEDS_CHAIN),
    Case("chain.signature", "not trusted", lambda given: replace(given, roots=roots_of(other_pki())), NEEDS_CHAIN),
    Case("chain.signature", "no chain at all", lambda given: given.endorsed(chain=b"\0"), NEEDS_CHAIN),
    Case("chain.key_type", "a VLEK stated", lambda given: given.saying(flags=1 << 2)),
    Case("chain.product", "Genoa stated", lambda given: given.saying(cpuid=(0x19, 0x11, 1))),
    Case("crl.signature", "none", lambda given: given.endorsed(crl=None), NEEDS_CRL),
    Case("crl.signature", "damaged", lambda given: given.endorsed(crl=damaged(crl(), len(crl()) - 1)), NEEDS_CRL),
    Case(
        "crl.signature",
        "by another root that is trusted",
        lambda given: replace(given.endorsed(crl=crl_of(other_pki())), roots=roots_of(pki(), other_pki())),
        NEEDS_CRL,
    ),
    Case("crl.validity", "expired", later(181)),
    Case(
        "crl.validity",
        "not yet issued",
        lambda given: given.endorsed(crl=platform().crl(AT + timedelta(days=1))),
    ),
    Case("chain.revocation", "the ASK", lambda given: given.endorsed(crl=crl_of(pki(), 0x10001))),
    Case("chain.revocation", "the ARK", lambda given: given.endorsed(crl=crl_of(pki(), 0x10000))),
    Case("key.certificate", "none", lambda given: given.endorsed(key_certificate=None), NEEDS_KEY),
    Case("key.certificate", "damaged", damaged_leaf, NEEDS_KEY),
    Case(
        "key.certificate",
        "two",
        lambda given: given.endorsed(key_certificate=key_certificate(platform()) * 2),
        NEEDS_KEY,
    ),
    Case("key.certificate", "another's", lambda given: given.endorsed(key_certificate=pki().ask.pem), NEEDS_KEY),
    Case("key.validity", "expired", lambda given: given.certified(not_after=AT)),
    Case("key.validity", "not yet valid", lambda given: given.certified(not_before=AT + timedelta(seconds=1))),
    *(
        Case("key.tcb", name, lambda given, name=name: given.certified(tcb=TCB._replace(**{name: 5})))  # type: ignore[misc]
        for name in ("bootloader", "tee", "snp", "microcode")
    ),
    Case("key.chip_id", "another", lambda given: given.saying(chip_id=CHIP_ID[:-1])),
    Case("key.chip_id", "masked", lambda given: given.saying(chip_id=b"")),
    Case("report.signature", "another's", signed_by_another),
    Case("report.signature", "report data changed", damaged_evidence(0x50)),
    Case("report.signature", "r changed", damaged_evidence(0x2A0)),
    Case("report.signature", "s changed", damaged_evidence(0x2E8)),
    Case(
        "report.signature",
        "zeros",
        lambda given: replace(given, evidence=encode_report_body(given.spec) + bytes(512)),
    ),
    Case("guest.policy", "bit 17", lambda given: given.saying(policy=0x10000)),
    Case("guest.policy", "bit 26", lambda given: given.saying(policy=0x30000 | 1 << 26)),
    Case("guest.policy", "bit 63", lambda given: given.saying(policy=0x30000 | 1 << 63)),
    Case("guest.debug", "allowed", lambda given: given.saying(policy=0x30000 | DEBUG)),
    Case("guest.migration_agent", "allowed", lambda given: given.saying(policy=0x30000 | MIGRATION_AGENT)),
    Case("guest.vmpl", "1", lambda given: given.saying(vmpl=1)),
    Case("guest.vmpl", "0 where 1 is accepted", lambda given: given.accepting(vmpls=frozenset({1}))),
    Case("guest.vmpl", "of the host", lambda given: given.saying(vmpl=0xFFFFFFFF)),
    Case(
        "tcb.layout",
        "of Turin's form",
        lambda given: given.saying(launch_tcb=bytes([0, 4, 1, 1, 0, 0, 0, 219])),
        NEEDS_TCBS,
    ),
    Case("tcb.order", "committed below reported", lambda given: given.saying(committed_tcb=tcb(microcode=218))),
    Case(
        "tcb.order",
        "current below committed",
        lambda given: given.saying(current_tcb=tcb(microcode=218), launch_tcb=tcb(microcode=218)),
    ),
    Case(
        "tcb.order",
        "firmware older than committed",
        lambda given: given.saying(current_version=(1, 54, 30)).accepting(allow_provisional_firmware=True),
    ),
    *(
        Case(
            "tcb.launch",
            name,
            lambda given, name=name: given.saying(launch_tcb=tcb(**{name: getattr(TCB, name) + 1})),  # type: ignore[misc]
        )
        for name in ("bootloader", "tee", "snp", "microcode")
    ),
    Case("tcb.committed", "another build runs", lambda given: given.saying(current_version=(1, 55, 30))),
    Case("tcb.committed", "another minor runs", lambda given: given.saying(current_version=(1, 56, 29))),
    Case("tcb.committed", "another major runs", lambda given: given.saying(current_version=(2, 55, 29))),
    Case("tcb.committed", "newer SNP firmware", lambda given: given.saying(current_tcb=tcb(snp=25))),
    Case("tcb.committed", "newer boot loader", lambda given: given.saying(current_tcb=tcb(bootloader=5))),
    *(
        Case(
            "tcb.minimum",
            name,
            lambda given, name=name: given.accepting(  # type: ignore[misc]
                min_tcb={"Milan": FLOOR._replace(**{name: getattr(FLOOR, name) + 1})}
            ),
        )
        for name in FLOOR._fields
    ),
    Case(
        "tcb.minimum",
        "more in one component for less in another",
        lambda given: given.accepting(min_tcb={"Milan": FLOOR._replace(bootloader=3, tee=2)}),
    ),
    Case("tcb.minimum", "none for Milan", lambda given: given.accepting(min_tcb={"Genoa": FLOOR})),
    Case(
        "tcb.mitigations",
        "not at the launch",
        lambda given: given.saying(current_mitigations=3, launch_mitigations=1).accepting(required_mitigations=3),
    ),
    Case(
        "tcb.mitigations",
        "not now",
        lambda given: given.saying(current_mitigations=1, launch_mitigations=3).accepting(required_mitigations=2),
    ),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.check}: {case.what}")
def test_an_input_that_one_check_alone_refuses(case: Case) -> None:
    result = case.change(make_input()).appraise()
    assert not result.allowed
    assert failures(result) == {case.check}
    assert refusals(result) == {case.check} | case.without
    assert [check.name for check in result.checks] == [*REQUIREMENTS]
    (check,) = (check for check in result.checks if check.result is CheckResult.FAIL)
    assert check.expected == REQUIREMENTS[case.check]
    assert check.found
    assert check.remedy


def test_every_check_is_proven() -> None:
    assert {case.check for case in CASES} == set(REQUIREMENTS)


def test_what_all_cases_start_from_is_allowed() -> None:
    for version in (2, 3, 5):
        for sim in (platform(), platform("vlek")):
            result = make_input(sim, version=version).appraise()
            assert result.allowed, [check.sentence for check in result.refusals]


EVERYTHING = {
    "allow_debug": True,
    "allow_migration_agent": True,
    "allow_masked_chip_id": True,
    "allow_provisional_firmware": True,
    "allow_expired_collateral": True,
}
ACCEPTED: list[tuple[str, Callable[[Input], Input], dict[str, object], str]] = [
    ("guest.debug", lambda given: given.saying(policy=0x30000 | DEBUG), {"allow_debug": True}, "--allow-debug"),
    (
        "guest.migration_agent",
        lambda given: given.saying(policy=0x30000 | MIGRATION_AGENT),
        {"allow_migration_agent": True},
        "--allow-migration-agent",
    ),
    (
        "key.chip_id",
        lambda given: given.saying(chip_id=b""),
        {"allow_masked_chip_id": True},
        "--allow-masked-chip-id",
    ),
    (
        "tcb.committed",
        lambda given: given.saying(current_version=(1, 55, 30), current_tcb=tcb(snp=25)),
        {"allow_provisional_firmware": True},
        "--allow-provisional-firmware",
    ),
    ("crl.validity", later(181), {"allow_expired_collateral": True}, "--allow-expired-collateral"),
    (
        "key.validity",
        lambda given: given.certified(not_after=AT),
        {"allow_expired_collateral": True},
        "--allow-expired-collateral",
    ),
    ("guest.vmpl", lambda given: given.saying(vmpl=3), {"vmpls": frozenset({0, 3})}, "VMPL 3"),
    ("tcb.minimum", lambda given: given, {"min_tcb": {"Milan": FLOOR}}, "lowest accepted"),
    (
        "tcb.mitigations",
        lambda given: given.saying(current_mitigations=7, launch_mitigations=3),
        {"required_mitigations": 3},
        "required 0x3",
    ),
]


@pytest.mark.parametrize(("name", "change", "settings", "said"), ACCEPTED, ids=lambda value: str(value)[:24])
def test_a_setting_accepts_its_own_check_and_says_so(
    name: str, change: Callable[[Input], Input], settings: dict[str, object], said: str
) -> None:
    result = change(make_input()).accepting(**settings).appraise()
    assert result.allowed, [check.sentence for check in result.refusals]
    (check,) = (check for check in result.checks if check.name == name)
    assert said in check.found


def test_what_is_accepted_without_need_does_not_claim_the_setting() -> None:
    result = make_input().accepting(**EVERYTHING).appraise()
    assert result.allowed
    assert not [check for check in result.checks if "accepted by" in check.found]


def test_no_setting_accepts_what_is_not_genuine() -> None:
    relaxed = {"guest.debug", "guest.migration_agent", "tcb.committed", "crl.validity", "key.validity", "key.chip_id"}
    for case in CASES:
        if case.check not in relaxed:
            result = case.change(make_input()).accepting(**EVERYTHING).appraise()
            assert case.check in refusals(result), case
    assert not make_input().saying(chip_id=CHIP_ID[:-1]).accepting(**EVERYTHING).appraise().allowed
    assert not make_input().certified(not_before=AT + timedelta(days=1)).accepting(**EVERYTHING).appraise().allowed
