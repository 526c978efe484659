"""What the vendor publishes for everybody, in the routes and forms that Intel's own service adds to a PCCS's."""

import json
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest
from cryptography import x509

from tests.unit.simulator.oracle import AT
from tests.vectors import needs_vectors, vector
from verdictd.simulator.family import FAMILIES
from verdictd.simulator.pcs_answers import PCSAnswer
from verdictd.simulator.pcs_api import answer
from verdictd.simulator.pki import PROCESSOR_CRL_URL
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.state import MAX_PAST_PUBLICATIONS
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.collateral import DocumentMember, RevocationList, SignedDocument, parse_signed_document
from verdictd.tees.dcap.ecdsa import verify_raw_signature
from verdictd.tees.dcap.endorsements import verify_pck_crl, verify_qe_identity, verify_root_ca_crl, verify_tcb_info
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

FMSPC = "53494D000000"
TDX_TCB_INFO = "tdx/tinfoil-verifier/collateral/tcb_info_90c06f000000.json"
EVALUATION_NUMBERS = "tdx/automata-dcap-attestation/evm/forge-test/assets/1025/tdxtcbeval.json"


def _get(platform: SimulatedPlatform, path: str, *, tee: str = "sgx", seconds: float | None = None) -> PCSAnswer:
    lifetime = None if seconds is None else timedelta(seconds=seconds)
    return answer(f"/{tee}/certification/v4/{path}", platform, AT, lifetime=lifetime)


def _roots(platform: SimulatedPlatform) -> TrustRoots:
    return TrustRoots(parse_trust_roots(platform.trust_root_pem, "simulated root"))


def _document(found: PCSAnswer, member: DocumentMember) -> SignedDocument:
    assert found.status == HTTPStatus.OK, found.body
    chain = unquote(found.headers[0][1]).encode("ascii")
    return parse_signed_document(found.body, member, issuer_chain=chain, source="it")


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return [(name, _shape(member)) for name, member in value.items()]
    if isinstance(value, list):
        return [_shape(value[0])] if value else []
    return type(value).__name__


def test_tdx_tcb_info_verifies(platform: SimulatedPlatform) -> None:
    found = _get(platform, f"tcb?fmspc={FMSPC}", tee="tdx")
    info = verify_tcb_info(_document(found, "tcbInfo"), _roots(platform)).info
    assert (info.tee_id, info.version) == ("TDX", 3)
    assert [name for name, _ in found.headers] == ["TCB-Info-Issuer-Chain"]


@needs_vectors
def test_tdx_tcb_info_has_the_genuine_shape(platform: SimulatedPlatform) -> None:
    ours, genuine = (
        json.loads(text)["tcbInfo"]
        for text in (_get(platform, f"tcb?fmspc={FMSPC}", tee="tdx").body, vector(TDX_TCB_INFO))
    )
    assert _shape(ours) == _shape(genuine)
    for document in (ours, genuine):
        assert [module["id"] for module in document["tdxModuleIdentities"]] == ["TDX_03", "TDX_01"]
        assert len(document["tcbLevels"][0]["tcb"]["tdxtcbcomponents"]) == 16
    kinds = [
        [(entry.get("category"), entry.get("type")) for entry in document["tcbLevels"][0]["tcb"]["tdxtcbcomponents"]]
        for document in (ours, genuine)
    ]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize(
    ("tee", "path", "enclave_id"), [("tdx", "qe/identity", "TD_QE"), ("sgx", "qve/identity", "QVE")]
)
def test_further_identities_verify(platform: SimulatedPlatform, tee: str, path: str, enclave_id: str) -> None:
    found = _get(platform, path, tee=tee)
    assert verify_qe_identity(_document(found, "enclaveIdentity"), _roots(platform)).identity.enclave_id == enclave_id


def test_each_family_has_tcb_info_of_its_own(platform: SimulatedPlatform) -> None:
    listed = json.loads(_get(platform, "fmspcs").body)
    assert [entry["platform"] for entry in listed] == [family.kind for family in FAMILIES]
    for entry, family in zip(listed, FAMILIES, strict=True):
        found = _get(platform, f"tcb?fmspc={entry['fmspc']}")
        info = verify_tcb_info(_document(found, "tcbInfo"), _roots(platform)).info
        assert info.fmspc == bytes.fromhex(entry["fmspc"])
        tdx = _get(platform, f"tcb?fmspc={entry['fmspc']}", tee="tdx").status
        assert tdx == (HTTPStatus.OK if family.has_tdx else HTTPStatus.NOT_FOUND)
    assert _get(platform, "tcb?fmspc=53494D000004").status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize(("asked", "count"), [("all", 4), ("E5", 2), ("E3", 1), ("client", 1)])
def test_fmspcs_are_listed_by_kind(platform: SimulatedPlatform, asked: str, count: int) -> None:
    assert len(json.loads(_get(platform, f"fmspcs?platform={asked}").body)) == count
    assert _get(platform, "fmspcs?platform=e5").status == HTTPStatus.BAD_REQUEST


def test_processor_crl_verifies_and_is_found_by_its_url(platform: SimulatedPlatform) -> None:
    found = _get(platform, "pckcrl?ca=processor&encoding=der")
    crl = RevocationList(der=found.body, issuer_chain=unquote(found.headers[0][1]).encode(), source="it")
    assert verify_pck_crl(crl, _roots(platform)).number == 1
    by_url = _get(platform, f"crl?uri={quote(PROCESSOR_CRL_URL, safe='')}").body
    issuers = {x509.load_der_x509_crl(der).issuer.rfc4514_string() for der in (found.body, by_url)}
    assert len(issuers) == 1
    assert "Processor CA" in issuers.pop()


@pytest.mark.parametrize("path", ["/IntelSGXRootCA.der", "/SimulatedSGXRootCA.der"])
def test_root_crl_is_a_file_as_well(platform: SimulatedPlatform, path: str) -> None:
    found = answer(path, platform, AT)
    assert found.content_type == "application/pkix-crl"
    crl = RevocationList(der=found.body, issuer_chain=b"", source="it")
    assert verify_root_ca_crl(crl, _roots(platform)).number == 1


def _number(found: PCSAnswer) -> int:
    assert found.status == HTTPStatus.OK, found.body
    document = next(iter(json.loads(found.body).values()))
    return int(document["tcbEvaluationDataNumber"])


@pytest.mark.parametrize(
    ("tee", "path"),
    [
        ("sgx", f"tcb?fmspc={FMSPC}&"),
        ("tdx", f"tcb?fmspc={FMSPC}&"),
        ("sgx", "qe/identity?"),
        ("sgx", "qve/identity?"),
        ("tdx", "qe/identity?"),
    ],
)
def test_publication_is_named_by_update_or_number(platform: SimulatedPlatform, tee: str, path: str) -> None:
    there = platform.with_tcb_status(TCBStatus.SW_HARDENING_NEEDED).with_early_tcb_status(TCBStatus.OUT_OF_DATE)

    def number(query: str) -> int:
        return _number(_get(there, path + query, tee=tee))

    assert [number(""), number("update=standard"), number("update=early")] == [18, 18, 19]
    assert [number(f"tcbEvaluationDataNumber={wanted}") for wanted in (17, 18, 19)] == [17, 18, 19]
    statuses = {
        "tcbEvaluationDataNumber=20": HTTPStatus.NOT_FOUND,
        "tcbEvaluationDataNumber=16": HTTPStatus.GONE,
        "tcbEvaluationDataNumber=x": HTTPStatus.BAD_REQUEST,
        "update=late": HTTPStatus.BAD_REQUEST,
        "update=early&tcbEvaluationDataNumber=19": HTTPStatus.BAD_REQUEST,
    }
    assert {query: _get(there, path + query, tee=tee).status for query in statuses} == statuses


def test_early_is_what_standard_is_where_nothing_came_early(platform: SimulatedPlatform) -> None:
    assert _number(_get(platform, f"tcb?fmspc={FMSPC}&update=early")) == 17


def test_early_tcb_info_finds_the_platform_outdated_by_components_that_it_names(platform: SimulatedPlatform) -> None:
    there = platform.with_early_tcb_status(TCBStatus.OUT_OF_DATE)
    own = platform.hardware.components

    def levels(query: str) -> list[tuple[bytes, str]]:
        found = _get(there, f"tcb?fmspc={FMSPC}{query}")
        info = verify_tcb_info(_document(found, "tcbInfo"), _roots(platform)).info
        return [(level.components, level.status) for level in info.levels]

    assert levels("")[0] == (own, TCBStatus.UP_TO_DATE)
    newest, second, _ = levels("&update=early")
    assert second == (own, TCBStatus.OUT_OF_DATE)
    assert [index for index, (wanted, has) in enumerate(zip(newest[0], own, strict=True)) if wanted > has] == [0, 1]


def test_standard_follows_early(platform: SimulatedPlatform) -> None:
    early = platform.with_early_tcb_status(TCBStatus.OUT_OF_DATE)
    assert (early.standard, early.newest) == ((17, TCBStatus.UP_TO_DATE), (18, TCBStatus.OUT_OF_DATE))
    later = early.with_standard_following()
    assert (later.standard, later.newest) == ((18, TCBStatus.OUT_OF_DATE), (18, TCBStatus.OUT_OF_DATE))
    assert later.publications == ((17, TCBStatus.UP_TO_DATE), (18, TCBStatus.OUT_OF_DATE))
    assert later.with_standard_following() == later


def test_an_early_publication_can_be_replaced_before_standard_follows(platform: SimulatedPlatform) -> None:
    twice = platform.with_early_tcb_status(TCBStatus.OUT_OF_DATE).with_early_tcb_status(TCBStatus.REVOKED)
    assert (twice.standard.number, twice.newest.number) == (17, 19)
    assert sorted(publication.number for publication in twice.publications) == [17, 18, 19]
    at_once = twice.with_tcb_status(TCBStatus.UP_TO_DATE)
    assert (at_once.standard.number, at_once.early) == (20, None)


def test_what_was_published_long_ago_is_gone(platform: SimulatedPlatform) -> None:
    there = platform
    for _ in range(MAX_PAST_PUBLICATIONS + 1):
        there = there.with_tcb_status(TCBStatus.UP_TO_DATE)
    query = "qe/identity?tcbEvaluationDataNumber="
    assert _get(there, f"{query}17").status == HTTPStatus.GONE
    assert _number(_get(there, f"{query}18")) == 18


@pytest.mark.parametrize("tee", ["sgx", "tdx"])
def test_evaluation_numbers_are_told_and_signed(platform: SimulatedPlatform, tee: str) -> None:
    there = platform.with_tcb_status(TCBStatus.OUT_OF_DATE).with_early_tcb_status(TCBStatus.REVOKED)
    found = _get(there, "tcbevaluationdatanumbers", tee=tee)
    assert [name for name, _ in found.headers] == ["TCB-Evaluation-Data-Numbers-Issuer-Chain"]
    answered = json.loads(found.body)
    document = answered["tcbEvaluationDataNumbers"]
    assert document["id"] == tee.upper()
    entries = document["tcbEvalNumbers"]
    assert [entry["tcbEvaluationDataNumber"] for entry in entries] == [19, 18, 17]
    days = [entry["tcbRecoveryEventDate"] for entry in entries]
    assert days == sorted(days, reverse=True)
    a_year_ago = (AT - timedelta(days=365)).isoformat()
    assert [day < a_year_ago for day in days] == [False, True, True]  # the standard one is the newest that is that old
    text = json.dumps(document, separators=(",", ":")).encode()
    assert text in found.body
    key = platform.pki.tcb_signing.key.public_key()
    verify_raw_signature(key, bytes.fromhex(answered["signature"]), text, "the signature")


@needs_vectors
def test_evaluation_numbers_have_the_genuine_shape(platform: SimulatedPlatform) -> None:
    ours = json.loads(_get(platform, "tcbevaluationdatanumbers", tee="tdx").body)
    assert _shape(ours) == _shape(json.loads(vector(EVALUATION_NUMBERS)))


@pytest.mark.parametrize("path", [f"tcb?fmspc={FMSPC}", "qe/identity", "qve/identity", "tcbevaluationdatanumbers"])
def test_documents_can_be_short_lived(platform: SimulatedPlatform, path: str) -> None:
    document = next(iter(json.loads(_get(platform, path, seconds=5).body).values()))
    assert (document["issueDate"], document["nextUpdate"]) == ("2026-03-01T11:50:00Z", "2026-03-01T12:00:05Z")


@pytest.mark.parametrize(
    "path", ["rootcacrl?encoding=der", "pckcrl?ca=platform&encoding=der", "pckcrl?ca=processor&encoding=der"]
)
def test_crls_can_be_short_lived(platform: SimulatedPlatform, path: str) -> None:
    crl = x509.load_der_x509_crl(_get(platform, path, seconds=5).body)
    assert crl.next_update_utc == AT + timedelta(seconds=5)


@pytest.mark.parametrize(
    "path", ["/sgx/certification/v3/pckcerts", "/sgx/certification/v3/fmspcs", "/tdx/certification/v3/tcb"]
)
def test_what_api_v3_has_not_is_not_served_there(platform: SimulatedPlatform, path: str) -> None:
    assert answer(path, platform, AT).status == HTTPStatus.NOT_FOUND


def test_api_v3_knows_the_standard_update_alone(platform: SimulatedPlatform) -> None:
    there = platform.with_early_tcb_status(TCBStatus.OUT_OF_DATE)
    assert _number(answer(f"/sgx/certification/v3/tcb?fmspc={FMSPC}&update=early", there, AT)) == 17


def test_publications_are_kept(platform: SimulatedPlatform, tmp_path: Path) -> None:
    there = platform.with_tcb_status(TCBStatus.REVOKED).with_early_tcb_status(TCBStatus.OUT_OF_DATE)
    there.save(tmp_path / "p")
    loaded = SimulatedPlatform.load(tmp_path / "p")
    assert loaded.publications == there.publications
    assert loaded.early == there.early
    assert replace(loaded, early=None).newest == there.standard
