"""What is archived is read back as it was, and any other bytes are refused with this project's errors."""

import contextlib
import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.appraisal.platforms import roots
from tests.unit.archive.peers import SCENARIOS, judge
from verdictd.appraisal.verifiers import VerifierName, name_verifiers
from verdictd.archive.builder import build_entry
from verdictd.archive.entry import MAX_ENTRY_BYTES, ArchiveEntry, decode_entry, encode_entry
from verdictd.archive.material import (
    ArchivedSettings,
    Blob,
    Role,
    check_blob,
    decode_checks,
    decode_collateral,
    decode_policy_input,
    decode_roots,
    decode_settings,
    encode_checks,
    encode_collateral,
    encode_json,
    encode_roots,
    encode_settings,
)
from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import LimitExceededError, MalformedError, VerdictdError
from verdictd.policy.runner import PolicyRunner
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument

SETTINGS = ArchivedSettings(
    acceptance=Acceptance(
        tcb_statuses=frozenset({TCBStatus.UP_TO_DATE, TCBStatus.OUT_OF_DATE}),
        allow_debug=True,
        allow_expired_collateral=True,
        denied_advisories=frozenset({"INTEL-SA-00615"}),
        min_evaluation_data_number=17,
        max_collateral_age=timedelta(days=30),
    ),
    verifier=name_verifiers(VerifierName.SGX_ECDSA_QVE),
    is_guarded=True,
)


@given(
    body=st.binary(max_size=50),
    signature=st.binary(max_size=70),
    chain=st.binary(max_size=50),
    der=st.binary(max_size=50),
)
def test_any_collateral_is_read_back_to_the_byte(body: bytes, signature: bytes, chain: bytes, der: bytes) -> None:
    collateral = Collateral(
        tcb_info=SignedDocument(body=body, signature=signature, issuer_chain=chain, source="here"),
        qe_identity=SignedDocument(body=chain, signature=signature, issuer_chain=body, source="there"),
        pck_crl=RevocationList(der=der, issuer_chain=chain, source="here"),
    )
    blobs = {role: blob.content for role, blob in encode_collateral(collateral).items()}
    sources = {"tcb_info": "here", "qe_identity": "there", "pck_crl": "here"}
    assert decode_collateral(blobs, sources) == collateral


def test_parts_that_are_cut_elsewhere_are_another_blob() -> None:
    one = Collateral(pck_crl=RevocationList(der=b"ab", issuer_chain=b"c", source=""))
    two = Collateral(pck_crl=RevocationList(der=b"a", issuer_chain=b"bc", source=""))
    assert encode_collateral(one) != encode_collateral(two)


@pytest.mark.parametrize(
    ("role", "data"),
    [
        (Role.TCB_INFO, b""),
        (Role.TCB_INFO, b"verdictd.collateral/1 tcb_info 1 1\nab"),
        (Role.TCB_INFO, b"verdictd.collateral/1 qe_identity 1 1 1\nabc"),
        (Role.TCB_INFO, b"verdictd.collateral/1 tcb_info 1 1 1\nab"),
        (Role.TCB_INFO, b"verdictd.collateral/1 tcb_info 1 1 1\nabcd"),
        (Role.TCB_INFO, b"verdictd.collateral/1 tcb_info 1 1 -1\nab"),
        (Role.TCB_INFO, b"verdictd.collateral/1 tcb_info 1 1 9999999999\nab"),
        (Role.PCK_CRL, b"verdictd.collateral/1 pck_crl 1 1 1\nabc"),
        (Role.PCK_CRL, b"verdictd.collateral/2 pck_crl 1 1\nab"),
    ],
)
def test_collateral_in_another_form_is_refused(role: Role, data: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_collateral({role: data}, {})


def test_what_is_trusted_is_read_back() -> None:
    read = decode_roots(encode_roots(roots()).content)
    assert [(root.label, root.fingerprint) for root in read.roots] == [
        (root.label, root.fingerprint) for root in roots().roots
    ]


def test_a_root_that_is_none_is_refused() -> None:
    leaf = json.loads(encode_roots(roots()).content)
    leaf[0]["der"] = "AAAA"
    others: list[object] = [[], [{}], {}, [{"label": "x", "der": "é"}], [{"label": 1, "der": ""}]]
    for value in (leaf, *others):
        with pytest.raises(MalformedError):
            decode_roots(encode_json(value))


def test_settings_are_read_back_all_of_them() -> None:
    assert decode_settings(encode_settings(SETTINGS).content) == SETTINGS
    # Each is another than its default, so that none can be left out unnoticed.
    plain = Acceptance()
    assert [f.name for f in fields(plain) if getattr(plain, f.name) == getattr(SETTINGS.acceptance, f.name)] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcb_statuses", ["Fine"]),
        ("tcb_statuses", "UpToDate"),
        ("allow_debug", 1),
        ("allow_expired_collateral", None),
        ("denied_advisories", [1]),
        ("min_evaluation_data_number", True),
        ("min_evaluation_data_number", -1),
        ("max_collateral_age_s", 10**30),
        ("max_collateral_age_s", "1"),
        ("more", 1),
    ],
)
def test_settings_that_cannot_be_are_refused(name: str, value: object) -> None:
    members = json.loads(encode_settings(SETTINGS).content)
    members["acceptance"][name] = value
    with pytest.raises(MalformedError):
        decode_settings(encode_json(members))
    with pytest.raises(MalformedError):
        decode_settings(encode_json({**json.loads(encode_settings(SETTINGS).content), "verifier": "other"}))


def test_checks_are_read_back() -> None:
    checks = (
        Check("a", CheckResult.PASS, "", ""),
        Check("b", CheckResult.NOT_MADE, "", "", mandatory=False),
        Check("c", CheckResult.FAIL, "", ""),
    )
    assert decode_checks(encode_checks(checks).content) == tuple((c.name, c.result, c.mandatory) for c in checks)


@pytest.mark.parametrize(
    "value", [{}, [1], [["a", "fine", True]], [["a", "pass", 1]], [["a", "pass"]], [[1, "pass", True]]]
)
def test_checks_in_another_form_are_refused(value: object) -> None:
    with pytest.raises(MalformedError):
        decode_checks(encode_json(value))


def test_a_blob_is_taken_back_by_its_digest_alone() -> None:
    blob = Blob.of(b"content")
    assert check_blob(Role.POLICY, blob.digest, b"content") == blob
    with pytest.raises(MalformedError):
        check_blob(Role.POLICY, blob.digest.upper(), b"content")


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_our_errors(data: bytes) -> None:
    for decode in (decode_entry, decode_roots, decode_settings):
        with pytest.raises(VerdictdError):
            decode(data)
    for read in (decode_checks, decode_policy_input):
        with contextlib.suppress(VerdictdError):
            assert isinstance(read(data), tuple | dict)  # "[]" and "{}" are fine


DEEP = b"[" * 100_000


def test_json_that_is_deep_long_or_in_another_form_is_refused() -> None:
    for decode in (decode_entry, decode_roots, decode_settings, decode_checks, decode_policy_input):
        for data in (DEEP, b'{"a": 1}', b'{"a":NaN}', b"[1e999]", b"\xff"):
            with pytest.raises(VerdictdError):
                decode(data) if decode is not decode_policy_input else decode(data + b"x")
    with pytest.raises(LimitExceededError):
        decode_entry(b" " * (MAX_ENTRY_BYTES + 1))


@pytest.fixture(scope="module")
def entries(runner: PolicyRunner) -> list[ArchiveEntry]:
    return [build_entry(judge(runner, name, number)).entry for number, name in enumerate(SCENARIOS, 1)]


def test_every_entry_is_read_back(entries: list[ArchiveEntry]) -> None:
    for entry in entries:
        assert decode_entry(encode_entry(entry)) == entry
    assert {entry.is_policys_own for entry in entries} == {True, False}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("schema", "verdictd.archive/2"),
        ("number", -1),
        ("number", 2**63),
        ("number", True),
        ("at", "yesterday"),
        ("at", "2026-06-01T12:00:00"),
        ("is_allowed", 1),
        ("refusals", [{}]),
        ("refusals", {}),
        ("open_reference_remedy", 1),
        ("sources", {"tcb_info": 1}),
        ("digests", {"tcb_info": "abc"}),
        ("digests", {"other": "0" * 64}),
        ("peer", None),
    ],
)
def test_an_entry_that_cannot_be_is_refused(name: str, value: object, entries: list[ArchiveEntry]) -> None:
    members = json.loads(encode_entry(entries[0]))
    with pytest.raises(MalformedError):
        decode_entry(encode_json({**members, name: value}))
    del members[name]
    with pytest.raises(MalformedError):
        decode_entry(encode_json(members))


def test_what_a_peer_has_a_part_in_does_not_make_an_entry_too_large() -> None:
    huge = "\U0001f600" * 100_000
    check = Check("n", CheckResult.FAIL, huge, huge, huge)
    entry = ArchiveEntry(
        number=1,
        attestation_id="00000000",
        at=datetime(2026, 1, 1, tzinfo=UTC),
        peer=huge,
        tee=huge,
        is_allowed=False,
        refusals=(check,) * 1000,
        is_policys_own=False,
        open_reference_remedy=None,
        policy_name="p",
        reference_name="r",
        sources={"tcb_info": huge},
        digests={},
    )
    assert decode_entry(encode_entry(entry)).peer


def test_the_blobs_of_two_peers_of_one_platform_are_the_same_but_their_own(runner: PolicyRunner) -> None:
    one, two = (build_entry(judge(runner, "accepted", number)).entry.digests for number in (1, 2))
    assert {role for role in one if one[role] != two[role]} == {Role.CERTIFICATE, Role.POLICY_INPUT}
