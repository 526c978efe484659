import json
from http import HTTPStatus
from urllib.parse import quote, unquote

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.simulator.oracle import AT
from verdictd.simulator.pcs_answers import PCSAnswer
from verdictd.simulator.pcs_api import answer
from verdictd.simulator.pki import PCK_CRL_URL, ROOT_CRL_URL
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import DocumentMember, RevocationList, SignedDocument, parse_signed_document
from verdictd.tees.dcap.endorsements import verify_pck_crl, verify_qe_identity, verify_root_ca_crl, verify_tcb_info
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

FMSPC = "53494D000000"


def _get(platform: SimulatedPlatform, path: str, version: str = "v4") -> PCSAnswer:
    return answer(f"/sgx/certification/{version}/{path}", platform, AT)


def _roots(platform: SimulatedPlatform) -> TrustRoots:
    return TrustRoots(parse_trust_roots(platform.trust_root_pem, "simulated root"))


def _pck_path(platform: SimulatedPlatform, **changes: str) -> str:
    hardware = platform.hardware
    parameters = {
        "encrypted_ppid": "00" * 384,
        "qeid": hardware.qe_id.hex().upper(),
        "cpusvn": hardware.cpu_svn.hex(),
        "pcesvn": "0d00",
        "pceid": "0000",
    } | changes
    return "pckcert?" + "&".join(f"{name}={value}" for name, value in parameters.items() if value)


@pytest.mark.parametrize(
    ("version", "header", "document_version"),
    [("v3", "SGX-TCB-Info-Issuer-Chain", 2), ("v4", "TCB-Info-Issuer-Chain", 3)],
)
def test_tcb_info_has_the_form_and_header_of_each_api(
    platform: SimulatedPlatform, version: str, header: str, document_version: int
) -> None:
    for fmspc in (FMSPC, FMSPC.lower()):
        found = _get(platform, f"tcb?fmspc={fmspc}&update=early", version)
        assert (found.status, found.content_type) == (HTTPStatus.OK, "application/json")
        assert [name for name, _ in found.headers] == [header]
        document = _document(found, "tcbInfo")
        assert verify_tcb_info(document, _roots(platform)).info.version == document_version


def _document(found: PCSAnswer, member: DocumentMember) -> SignedDocument:
    chain = unquote(found.headers[0][1]).encode("ascii")
    return parse_signed_document(found.body, member, issuer_chain=chain, source="it")


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_qe_identity(platform: SimulatedPlatform, version: str) -> None:
    found = _get(platform, "qe/identity?update=standard", version)
    assert [name for name, _ in found.headers] == ["SGX-Enclave-Identity-Issuer-Chain"]
    assert verify_qe_identity(_document(found, "enclaveIdentity"), _roots(platform)).identity.enclave_id == "QE"
    assert (b"advisoryIDs" in found.body) is (version == "v4")


@pytest.mark.parametrize("version", ["v3", "v4"])
@pytest.mark.parametrize("path", ["pckcrl?ca=platform", "rootcacrl"])
def test_crl_comes_in_three_forms(platform: SimulatedPlatform, path: str, version: str) -> None:
    joint = "&" if "?" in path else "?"
    as_hex, as_der, as_pem = (
        _get(platform, path + suffix, version) for suffix in ("", f"{joint}encoding=DER", f"{joint}encoding=pem")
    )
    crls = [
        x509.load_der_x509_crl(bytes.fromhex(as_hex.body.decode("ascii"))),
        x509.load_der_x509_crl(as_der.body),
        x509.load_pem_x509_crl(as_pem.body),
    ]
    assert len({crl.tbs_certlist_bytes for crl in crls}) == 1
    assert as_der.content_type == "application/pkix-crl"


def test_pck_crl_brings_its_issuer_s_chain(platform: SimulatedPlatform) -> None:
    found = _get(platform, "pckcrl?ca=PLATFORM&encoding=der")
    ((name, chain),) = found.headers
    assert name == "SGX-PCK-CRL-Issuer-Chain"
    crl = RevocationList(der=found.body, issuer_chain=unquote(chain).encode("ascii"), source="it")
    assert verify_pck_crl(crl, _roots(platform)).number == 1


def test_issuer_chains_travel_without_a_byte_that_headers_do_not_bear(platform: SimulatedPlatform) -> None:
    for path in (f"tcb?fmspc={FMSPC}", "qe/identity", "pckcrl?ca=platform", _pck_path(platform)):
        for _, value in _get(platform, path).headers:
            assert value.isascii()
            assert not set(value) & set("\r\n +/=")


@pytest.mark.parametrize(("url", "issuer"), [(ROOT_CRL_URL, "Root CA"), (PCK_CRL_URL, "Platform CA")])
def test_crl_is_found_by_the_point_that_certificates_name(platform: SimulatedPlatform, url: str, issuer: str) -> None:
    found = _get(platform, f"crl?uri={quote(url, safe='')}")
    assert found.status == HTTPStatus.OK
    assert issuer in x509.load_der_x509_crl(found.body).issuer.rfc4514_string()


def test_root_crl_verifies(platform: SimulatedPlatform) -> None:
    found = _get(platform.with_revoked("platform-ca"), "rootcacrl?encoding=der")
    crl = verify_root_ca_crl(RevocationList(der=found.body, issuer_chain=b"", source="it"), _roots(platform))
    assert crl.number == 2
    assert crl.revocation_date(platform.pki.platform_ca.certificate.serial_number) == AT


def test_pck_certificate(platform: SimulatedPlatform) -> None:
    found = _get(platform, _pck_path(platform))
    headers = dict(found.headers)
    chain = found.body + unquote(headers["SGX-PCK-Certificate-Issuer-Chain"]).encode("ascii")
    assert chain == platform.pki.chain("pck")
    assert headers["SGX-TCBm"] == "0E0E0303FFFF010000000000000000000D00"
    assert headers["SGX-FMSPC"] == FMSPC
    assert headers["SGX-PCK-Certificate-CA-Type"] == "platform"


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("tcb?fmspc=00906ED50000", HTTPStatus.NOT_FOUND, "53494d000000"),
        ("tcb", HTTPStatus.BAD_REQUEST, "'fmspc' is missing"),
        ("tcb?fmspc=", HTTPStatus.BAD_REQUEST, "'fmspc' is missing"),
        ("tcb?fmspc=53494D00000", HTTPStatus.BAD_REQUEST, "12 hex digits"),
        ("tcb?fmspc=53494D00000g", HTTPStatus.BAD_REQUEST, "12 hex digits"),
        ("tcb?fmspc=53494D000000&fmspc=53494D000000", HTTPStatus.BAD_REQUEST, "more than once"),
        ("pckcrl", HTTPStatus.BAD_REQUEST, "'ca' is missing"),
        ("pckcrl?ca=root", HTTPStatus.BAD_REQUEST, "not platform or processor"),
        ("pckcrl?ca=platform&encoding=xml", HTTPStatus.BAD_REQUEST, "'encoding'"),
        ("crl", HTTPStatus.BAD_REQUEST, "'uri' is missing"),
        ("crl?uri=https://certificates.trustedservices.intel.com/x", HTTPStatus.NOT_FOUND, "no CRL distribution point"),
        ("pckcert", HTTPStatus.BAD_REQUEST, "'encrypted_ppid' is missing"),
        ("qae/identity", HTTPStatus.NOT_FOUND, "qe/identity"),
        ("", HTTPStatus.NOT_FOUND, "is not served"),
        ("tcb/?fmspc=53494D000000", HTTPStatus.NOT_FOUND, "is not served"),
        ("tcb?" + "&".join(f"a{number}=1" for number in range(20)), HTTPStatus.BAD_REQUEST, "cannot be read"),
    ],
)
def test_request_that_cannot_be_answered_gets_a_reason(
    platform: SimulatedPlatform, path: str, status: HTTPStatus, reason: str
) -> None:
    found = _get(platform, path)
    assert found.status == status
    assert reason in found.body.decode()
    told = {"Error-Code": "InvalidRequestSyntax", "Error-Message": found.body.decode().removesuffix("\n")}
    assert dict(found.headers) == (told if status == HTTPStatus.BAD_REQUEST else {})


@pytest.mark.parametrize("changes", [{"qeid": "00" * 16}, {"pceid": "0001"}])
def test_pck_certificate_of_another_platform_is_not_there(platform: SimulatedPlatform, changes: dict[str, str]) -> None:
    assert _get(platform, _pck_path(platform, **changes)).status == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("changes", [{"qeid": "00"}, {"cpusvn": ""}, {"pcesvn": "0d"}, {"pceid": "xxxx"}])
def test_pck_certificate_is_asked_for_by_whole_ids(platform: SimulatedPlatform, changes: dict[str, str]) -> None:
    assert _get(platform, _pck_path(platform, **changes)).status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("target", ["/", "/sgx/certification/v2/rootcacrl", "/tdx/certification/v4/tcb", "*", "//["])
def test_other_paths_are_not_served(platform: SimulatedPlatform, target: str) -> None:
    assert answer(target, platform, AT).status in {HTTPStatus.NOT_FOUND, HTTPStatus.BAD_REQUEST}


@given(st.one_of(st.text(), st.text().map(lambda text: f"/sgx/certification/v4/{text}")))
def test_any_target_gets_an_answer(platform: SimulatedPlatform, target: str) -> None:
    found = answer(target, platform, AT)
    assert found.status in HTTPStatus
    assert found.body


def test_documents_are_issued_for_the_instant_of_the_request(platform: SimulatedPlatform) -> None:
    document = json.loads(_get(platform, f"tcb?fmspc={FMSPC}").body)["tcbInfo"]
    assert document["issueDate"] == "2026-03-01T11:50:00Z"
