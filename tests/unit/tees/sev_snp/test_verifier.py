"""Appraisals as a whole: whatever the bytes, a result; whatever bit is flipped, a refusal."""

from dataclasses import replace
from datetime import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.unit.tees.sev_snp.inputs import (
    AT,
    CHIP_ID,
    REPORT_DATA,
    TCB,
    failures,
    item,
    key_certificate,
    make_input,
    other_pki,
    pki,
    platform,
    refusals,
)
from verdictd.core.checks import CheckResult
from verdictd.core.result import AppraisalResult
from verdictd.simulator.amd_certificates import AMDKeyType, AMDProduct
from verdictd.simulator.snp_platform import SNPPlatform
from verdictd.simulator.snp_report_builder import encode_certificate_table
from verdictd.tees.amd.pem import decode_pem
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.sev_snp.endorsements import (
    FROM_EVIDENCE,
    SNPEndorsements,
    WantedKey,
    name_wanted_key,
    read_certificates,
)
from verdictd.tees.sev_snp.report import parse_report
from verdictd.tees.sev_snp.requirements import REQUIREMENTS
from verdictd.tees.sev_snp.verifier import appraise_snp

GIVEN = make_input()
REPORT = GIVEN.report
MEMORY = FactMemory()
BITS = len(REPORT) * 8


def appraise(evidence: bytes) -> AppraisalResult:
    return replace(GIVEN, evidence=evidence).appraise(MEMORY)


def table_of(sim: SNPPlatform, *, pem: bool = False) -> dict[str, bytes]:
    """What a host gives its guest: the certificates, and a CRL."""
    issuer = sim.pki.issuer(sim.key_type)
    ask, ark = (issuer.pem, sim.pki.ark.pem) if pem else decode_pem(sim.chain(), "it")
    return {"ark": ark, "ask": ask, sim.key_type: key_certificate(sim), "crl": sim.crl(AT)}


def test_every_flipped_byte_is_refused() -> None:
    for offset in range(len(REPORT)):
        assert not appraise(REPORT[:offset] + bytes([REPORT[offset] ^ 0xFF]) + REPORT[offset + 1 :]).allowed


@settings(max_examples=500, deadline=None)
@given(st.integers(0, BITS - 1))
@example(0x2A0 * 8 - 1)
@example(BITS - 1)
def test_any_flipped_bit_is_refused(bit: int) -> None:
    damaged = bytearray(REPORT)
    damaged[bit // 8] ^= 1 << bit % 8
    result = appraise(bytes(damaged))
    assert not result.allowed
    assert {"report.format", "report.signature"} & failures(result)


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=3000), st.binary(max_size=3000).map(REPORT.__add__)))
@example(b"")
@example(REPORT + encode_certificate_table({}))
def test_any_bytes_give_a_result_that_lists_every_check(evidence: bytes) -> None:
    result = appraise(evidence)
    assert [check.name for check in result.checks] == [*REQUIREMENTS]
    if result.allowed:
        assert evidence[: len(REPORT)] == REPORT


@settings(deadline=None)
@given(st.tuples(st.binary(max_size=300), st.binary(max_size=300), st.binary(max_size=300)))
def test_any_endorsements_give_a_result(contents: tuple[bytes, bytes, bytes]) -> None:
    key_certificate_, chain, crl = (item(content) if content else None for content in contents)
    for under in (chain, GIVEN.endorsements.chain):
        endorsements = SNPEndorsements(key_certificate=key_certificate_, chain=under, crl=crl)
        result = replace(GIVEN, endorsements=endorsements).appraise(MEMORY)
        assert not result.allowed
        assert [check.name for check in result.checks] == [*REQUIREMENTS]


@pytest.mark.parametrize("key_type", ["vcek", "vlek"])
@pytest.mark.parametrize("product", ["Milan", "Turin"])
def test_every_product_and_kind_of_key(product: AMDProduct, key_type: AMDKeyType) -> None:
    sim = platform(key_type, product)
    for version in (3, 5):
        result = make_input(sim, version=version).appraise()
        assert result.allowed, [check.sentence for check in result.refusals]
        assert result.claims["product"] == product


def test_a_memory_does_not_change_the_result() -> None:
    memory = FactMemory()
    first = GIVEN.appraise(memory)
    assert len(memory) == 3  # the chain, the CRL, the key: nothing that anybody can make up
    assert replace(first, at=AT) == GIVEN.appraise(memory) == GIVEN.appraise()
    for evidence in (b"", REPORT[:-1], REPORT.replace(REPORT_DATA, bytes(64))):
        assert replace(GIVEN, evidence=evidence).appraise(memory) == replace(GIVEN, evidence=evidence).appraise()
    assert len(memory) == 3


def test_what_does_not_verify_is_not_remembered() -> None:
    memory = FactMemory()
    other = other_pki()
    changed = GIVEN.endorsed(chain=other.chain("vcek"), crl=bytes(600), key_certificate=b"\0" * 600)
    assert not changed.appraise(memory).allowed
    assert len(memory) == 0


@pytest.mark.parametrize("pem", [False, True])
def test_what_is_not_at_hand_is_taken_from_the_evidence(pem: bool) -> None:
    for key_type in ("vcek", "vlek"):
        sim = platform(key_type)
        evidence = make_input(sim).report + encode_certificate_table(table_of(sim, pem=pem))
        result = replace(make_input(sim), evidence=evidence, endorsements=SNPEndorsements()).appraise()
        assert result.allowed, [check.sentence for check in result.refusals]
        assert set(result.sources.values()) == {FROM_EVIDENCE}


def test_what_the_evidence_brings_replaces_nothing() -> None:
    """An older CRL is genuine too, and is what a revoked platform would bring along."""
    table = encode_certificate_table(table_of(platform()) | {"vcek": b"?", "ask": b"?"})
    result = replace(GIVEN, evidence=REPORT + table).appraise()
    assert result.allowed
    assert set(result.sources.values()) == {"simulated"}


def test_a_table_has_to_bring_both_certificates_of_the_chain() -> None:
    for name in ("ark", "ask"):
        contents = {key: value for key, value in table_of(platform()).items() if key != name}
        evidence = REPORT + encode_certificate_table(contents)
        result = replace(GIVEN, evidence=evidence, endorsements=SNPEndorsements()).appraise()
        assert failures(result) == {"chain.signature"}
        assert "chain" not in result.sources


def test_the_key_of_the_other_kind_is_left_in_the_table() -> None:
    contents = table_of(platform()) | {"vlek": key_certificate(platform("vlek"))}
    del contents["vcek"]
    evidence = REPORT + encode_certificate_table(contents)
    result = replace(GIVEN, evidence=evidence, endorsements=SNPEndorsements()).appraise()
    assert failures(result) == {"key.certificate"}


@pytest.mark.parametrize(
    ("flags", "failed"),
    [
        (7 << 2, {"report.signing_key", "chain.key_type"}),
        (2 << 2, {"report.signing_key", "chain.key_type"}),
        (1 << 2 | 2, {"chain.key_type"}),  # a host that masks the chip's key has to load a VLEK
        (1, set()),
    ],
)
def test_flags(flags: int, failed: set[str]) -> None:
    assert failures(GIVEN.saying(flags=flags).appraise()) == failed


def test_a_vlek_stands_also_where_the_chip_is_masked() -> None:
    given_ = make_input(platform("vlek")).saying(flags=1 << 2 | 2, chip_id=b"")
    assert given_.appraise().allowed


def test_a_processor_that_is_not_known_is_refused() -> None:
    result = GIVEN.saying(cpuid=(0x1B, 0x02, 0)).appraise()
    assert failures(result) == {"chain.product"}
    assert result.claims["product"] == "Milan"  # as the chain has it: what is asserted of a refusal is for reading


def test_a_report_of_version_2_is_of_the_product_of_its_chain() -> None:
    given_ = make_input(version=2)
    assert given_.appraise().claims["product"] == "Milan"
    result = given_.endorsed(chain=None).appraise()
    assert result.claims["product"] is None
    assert "tcb.layout" in refusals(result)
    assert {check.result for check in result.checks if check.name.startswith("tcb.")} == {
        CheckResult.NOT_MADE,
        CheckResult.PASS,  # the mitigations, of which none are required
    }


def test_mitigations_need_a_report_that_states_them() -> None:
    for version in (2, 3):
        result = make_input(version=version).accepting(required_mitigations=1).appraise()
        assert failures(result) == {"tcb.mitigations"}


def test_a_chip_id_of_turin_is_compared_whole() -> None:
    given_ = make_input(platform("vcek", "Turin"))
    assert failures(given_.saying(chip_id=CHIP_ID[:9]).appraise()) == {"key.chip_id"}
    assert failures(given_.saying(chip_id=CHIP_ID[:7]).appraise()) == {"key.chip_id"}


def test_fmc_of_turin_counts() -> None:
    given_ = make_input(platform("vcek", "Turin"))
    tcb = given_.spec.reported_tcb
    lower, higher = (bytes([tcb[0] + change]) + tcb[1:] for change in (-1, 1))
    assert failures(given_.saying(committed_tcb=lower, launch_tcb=lower).appraise()) == {"tcb.order", "tcb.committed"}
    assert failures(given_.saying(launch_tcb=higher).appraise()) == {"tcb.launch"}
    assert failures(given_.saying(current_tcb=higher).appraise()) == {"tcb.committed"}


def test_microcode_that_the_kernel_loaded_is_not_provisional_firmware() -> None:
    tcb = GIVEN.spec.current_tcb
    assert GIVEN.saying(current_tcb=tcb[:7] + bytes([TCB.microcode + 1])).appraise().allowed


def test_the_earliest_expiry_is_of_what_was_used() -> None:
    result = GIVEN.appraise()
    assert result.earliest_expiry == AT.replace(hour=11, month=11, day=28)
    assert result.tcb_status is None


def test_the_instant_is_aware() -> None:
    with pytest.raises(ValueError, match="aware"):
        appraise_snp(
            REPORT,
            endorsements=GIVEN.endorsements,
            roots=GIVEN.roots,
            acceptance=GIVEN.acceptance,
            at=datetime(2026, 6, 1),  # noqa: DTZ001 - what is refused
        )


@pytest.mark.parametrize(
    ("key_type", "product", "chip_id"),
    [("vcek", "Milan", CHIP_ID), ("vcek", "Turin", CHIP_ID[:8]), ("vlek", "Milan", b"")],
)
def test_what_has_to_be_fetched(key_type: AMDKeyType, product: AMDProduct, chip_id: bytes) -> None:
    given_ = make_input(platform(key_type, product))
    wanted = name_wanted_key(parse_report(given_.report))
    assert wanted == WantedKey(key_type, product, chip_id, given_.spec.reported_tcb)


def test_what_has_to_be_fetched_is_as_much_as_the_report_tells() -> None:
    masked = name_wanted_key(parse_report(GIVEN.saying(chip_id=b"").report))
    assert masked is not None
    assert masked.chip_id == b""
    assert name_wanted_key(parse_report(GIVEN.saying(flags=7 << 2).report)) is None
    version_2 = name_wanted_key(parse_report(make_input(version=2).report))
    assert version_2 is not None
    assert (version_2.product, version_2.chip_id) == (None, CHIP_ID)


def test_certificates_are_read_in_either_form() -> None:
    ders = decode_pem(pki().chain("vcek"), "it")
    assert read_certificates(b"".join(ders), "it") == ders
    assert read_certificates(b"\n" + pki().chain("vcek"), "it") == ders
