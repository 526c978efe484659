"""Every route of Intel's reference service: status, headers and body of what it answers."""

import json
from dataclasses import dataclass, field
from urllib.parse import quote, unquote_to_bytes

import pytest

from tests.unit.pccs.web.desk import (
    ADMIN_HEADERS,
    CERTIFICATE,
    CHAIN,
    ENC_PPID,
    FMSPC,
    PCE_ID,
    PCK_CRL,
    PCK_QUERY,
    PROBLEMS,
    QE_ID,
    QE_IDENTITY,
    QVE_IDENTITY,
    ROOT_CRL,
    TCB_INFO,
    TD_QE_IDENTITY,
    TDX,
    TDX_TCB_INFO,
    USER_HEADERS,
    V3,
    V4,
    Desk,
    der_of,
)
from verdictd.collateral.items import VerifiedItem
from verdictd.collateral.pccs_urls import INTEL_ROOT_CRL_URL
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import Mode, RegistrationState
from verdictd.pccs.web.app import V3_WARNING
from verdictd.tees.dcap.collateral import DocumentMember, SignedDocument, encode_signed_document

JSON, PEM, CRL, TEXT = "application/json", "application/x-pem-file", "application/pkix-crl", "text/plain; charset=utf-8"
SUCCESS = b"Operation successful."
REGISTRATION = {
    "qe_id": QE_ID.lower(),
    "pce_id": PCE_ID,
    "cpu_svn": "0b" * 16,
    "pce_svn": "0d00",
    "enc_ppid": ENC_PPID.lower(),
    "platform_manifest": "",
}


def document(item: VerifiedItem, member: DocumentMember) -> bytes:
    assert isinstance(item.item.raw, SignedDocument)
    return encode_signed_document(item.item.raw, member)


def chain(item: VerifiedItem) -> str:
    return quote(item.item.raw.issuer_chain.decode(), safe="")


@dataclass(frozen=True)
class Case:
    target: str
    body: bytes
    content_type: str
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    send: dict[str, str] = field(default_factory=dict)
    content: bytes = b""

    def __str__(self) -> str:
        return f"{self.method} {self.target[:60]}"


TCB_BODY, TDX_TCB_BODY = document(TCB_INFO, "tcbInfo"), document(TDX_TCB_INFO, "tcbInfo")
PCK_HEADERS = {
    "sgx-tcbm": "0A" * 16 + "0B00",
    "sgx-fmspc": FMSPC.upper(),
    "sgx-pck-certificate-ca-type": "PLATFORM",
    "sgx-pck-certificate-issuer-chain": quote(CHAIN.decode(), safe=""),
}
ROOT_HEX, PCK_HEX = (der_of(item).hex().encode() for item in (ROOT_CRL, PCK_CRL))
CRL_URI = quote(INTEL_ROOT_CRL_URL, safe="")


def both(make: object) -> list[Case]:
    """A case for each version of the SGX API."""
    assert callable(make)
    return [make(V3, "sgx-tcb-info-issuer-chain"), make(V4, "tcb-info-issuer-chain")]


CASES = [
    *both(lambda at, name: Case(f"{at}/tcb?fmspc={FMSPC}", TCB_BODY, JSON, headers={name: chain(TCB_INFO)})),
    *both(lambda at, name: Case(f"{at}/tcb?fmspc={FMSPC.upper()}&update=Standard", TCB_BODY, JSON)),
    *both(
        lambda at, _: Case(
            f"{at}/qe/identity",
            document(QE_IDENTITY, "enclaveIdentity"),
            JSON,
            headers={"sgx-enclave-identity-issuer-chain": chain(QE_IDENTITY)},
        )
    ),
    *both(
        lambda at, _: Case(
            f"{at}/qve/identity?update=standard",
            document(QVE_IDENTITY, "enclaveIdentity"),
            JSON,
            headers={"sgx-enclave-identity-issuer-chain": chain(QVE_IDENTITY)},
        )
    ),
    *both(
        lambda at, _: Case(
            f"{at}/pckcrl?ca=platform", PCK_HEX, PEM, headers={"sgx-pck-crl-issuer-chain": chain(PCK_CRL)}
        )
    ),
    *both(
        lambda at, _: Case(
            f"{at}/pckcrl?ca=PLATFORM&encoding=DER",
            der_of(PCK_CRL),
            CRL,
            headers={"sgx-pck-crl-issuer-chain": chain(PCK_CRL)},
        )
    ),
    *both(lambda at, _: Case(f"{at}/pckcrl?ca=platform&encoding=", PCK_HEX, PEM)),
    *both(lambda at, _: Case(f"{at}/pckcrl?ca=platform&encoding=pem", PCK_HEX, PEM)),
    *both(lambda at, _: Case(f"{at}/rootcacrl", ROOT_HEX, CRL)),
    *both(lambda at, _: Case(f"{at}/crl?uri={CRL_URI}", der_of(ROOT_CRL), CRL)),
    *both(lambda at, _: Case(f"{at}/pckcert?{PCK_QUERY}", CERTIFICATE, PEM, headers=PCK_HEADERS)),
    *both(lambda at, _: Case(f"{at}/pckcert?{PCK_QUERY.lower()}", CERTIFICATE, PEM, headers=PCK_HEADERS)),
    *both(
        lambda at, _: Case(
            f"{at}/platforms?update=all",
            SUCCESS,
            TEXT,
            method="POST",
            send=USER_HEADERS,
            content=json.dumps(REGISTRATION).encode(),
        )
    ),
    *both(lambda at, _: Case(f"{at}/platforms", b"[]", JSON, headers={"platform-count": "0"}, send=ADMIN_HEADERS)),
    *both(lambda at, _: Case(f"{at}/platforms?source=[]", b"[]", JSON, send=ADMIN_HEADERS)),
    *both(
        lambda at, _: Case(
            f"{at}/platformcollateral", SUCCESS, TEXT, method="PUT", send=ADMIN_HEADERS, content=b'{"any": 1}'
        )
    ),
    *both(lambda at, _: Case(f"{at}/refresh", SUCCESS, TEXT, send=ADMIN_HEADERS)),
    *both(lambda at, _: Case(f"{at}/refresh", SUCCESS, TEXT, method="POST", send=ADMIN_HEADERS)),
    *both(lambda at, _: Case(f"{at}/refresh?type=certs&fmspc={FMSPC}", SUCCESS, TEXT, send=ADMIN_HEADERS)),
    Case(f"{V4}/tcb?fmspc={FMSPC}&update=early", TCB_BODY, JSON),
    Case(f"{V4}/tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=17", TCB_BODY, JSON),
    Case(f"{V4}/tcb?fmspc={FMSPC}&fmspc=ffffffffffff", TCB_BODY, JSON),
    Case(f"{V4}/tcb/?fmspc={FMSPC}", TCB_BODY, JSON),
    Case(f"{V4.upper().replace('V4', 'v4')}/TCB?fmspc={FMSPC}", TCB_BODY, JSON),
    Case(f"{TDX}/tcb?fmspc={FMSPC}", TDX_TCB_BODY, JSON, headers={"tcb-info-issuer-chain": chain(TDX_TCB_INFO)}),
    Case(f"{TDX}/qe/identity?update=EARLY", document(TD_QE_IDENTITY, "enclaveIdentity"), JSON),
    Case(f"{TDX}/qe/identity?tcbEvaluationDataNumber=17", document(TD_QE_IDENTITY, "enclaveIdentity"), JSON),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_route(case: Case) -> None:
    desk = Desk()
    desk.fill()
    reply = desk.ask(case.method, case.target, case.send, case.content)
    assert reply.status == 200, reply.body
    assert reply.body == case.body
    assert reply.headers["content-type"] == case.content_type
    assert case.headers.items() <= reply.headers.items()
    assert (reply.headers.get("warning", "") == V3_WARNING.decode()) is case.target.startswith(V3)
    assert len(reply.headers["request-id"]) == 32


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"{V4}/platforms"),
        ("GET", f"{V4}/platforms"),
        ("PUT", f"{V3}/platformcollateral"),
        ("GET", f"{V3}/refresh"),
        ("POST", f"{V4}/refresh"),
        ("PUT", f"{V4}/appraisalpolicy"),
    ],
)
def test_a_token_comes_before_anything_else_is_looked_at(method: str, path: str) -> None:
    reply = Desk().ask(method, path + "?source=nonsense&update=nonsense&type=nonsense", body=b"{")
    assert (reply.status, reply.text) == (401, "Authentication failed.")
    assert reply.headers["error-code"] == "unauthorized"


def test_what_is_not_in_memory_is_looked_for() -> None:
    desk = Desk()
    desk.fill()
    desk.collateral.stored, desk.collateral.memory = desk.collateral.memory, {}
    assert desk.get(f"{V4}/tcb?fmspc={FMSPC}").body == TCB_BODY


def test_why_there_is_nothing() -> None:
    reply = Desk().get(f"{V4}/tcb?fmspc={FMSPC}")
    assert (reply.status, reply.text) == (404, "No cache data for this platform.")
    assert reply.headers["error-code"] == "no-cache-data"
    assert reply.headers["error-message"] == "there is none, and upstream has been down; fill the cache"


def test_a_platform_that_is_unknown() -> None:
    desk = Desk()
    reply = desk.get(f"{V4}/pckcert?{PCK_QUERY}")
    assert (reply.status, reply.text) == (461, "The platform was not found in the cache.")
    assert desk.pck.asked[0][2] == bytes.fromhex(ENC_PPID)


def test_version_3_warns_with_every_refusal_too() -> None:
    assert Desk().get(f"{V3}/tcb?fmspc={FMSPC}").headers["warning"] == V3_WARNING.decode()


@pytest.mark.parametrize(
    "path", [f"{TDX}/pckcert", f"{TDX}/qve/identity", "/tdx/certification/v3/tcb", "/", "/sgx/certification/v5/tcb"]
)
def test_what_there_is_not(path: str) -> None:
    reply = Desk().get(path)
    assert (reply.status, reply.text, reply.headers["error-code"]) == (404, "Not Found.", "no-such-path")


def test_methods_that_there_are_not() -> None:
    reply = Desk().ask("DELETE", f"{V4}/platforms")
    assert reply.status == 405
    assert reply.headers["allow"] == "GET, HEAD, POST"


def test_registration_reaches_the_cache_decoded() -> None:
    desk = Desk()
    reply = desk.ask("POST", f"{V4}/platforms?update=all", USER_HEADERS, json.dumps(REGISTRATION).encode())
    assert reply.body == SUCCESS
    [(registration, updates)] = desk.pck.registered
    assert updates == ("standard", "early")
    assert registration.platform.key == (QE_ID, PCE_ID)
    assert registration.platform.enc_ppid == bytes.fromhex(ENC_PPID)
    assert registration.raw_tcb == (bytes.fromhex("0b" * 16), 13)
    assert registration.state is RegistrationState.NEW


def test_a_manifest_blanks_the_rest_of_a_registration() -> None:
    desk = Desk()
    document = REGISTRATION | {"platform_manifest": "00ff"}
    assert desk.ask("POST", f"{V4}/platforms", USER_HEADERS, json.dumps(document).encode()).status == 200
    [(registration, updates)] = desk.pck.registered
    assert updates == ("standard",)
    assert (registration.platform.manifest, registration.platform.enc_ppid, registration.raw_tcb) == (
        b"\0\xff",
        b"",
        None,
    )


def test_waiting_platforms_are_handed_out_once() -> None:
    desk = Desk(mode=Mode.OFFLINE)
    desk.ask("POST", f"{V4}/platforms", USER_HEADERS, json.dumps(REGISTRATION).encode())
    desk.storage.registrations.add(desk.pck.registered[0][0])
    assert desk.ask("GET", f"{V4}/platforms?source=reg_na", ADMIN_HEADERS).document == []
    reply = desk.ask("GET", f"{V4}/platforms?source=reg", ADMIN_HEADERS)
    assert reply.headers["platform-count"] == "1"
    assert reply.document == [
        {
            "qe_id": QE_ID,
            "pce_id": PCE_ID,
            "cpu_svn": "0B" * 16,
            "pce_svn": "0D00",
            "platform_manifest": "",
            "enc_ppid": ENC_PPID,
        }
    ]
    assert desk.ask("GET", f"{V4}/platforms", ADMIN_HEADERS).document == []


def test_cached_platforms_are_listed_by_family() -> None:
    desk = Desk()
    desk.fill()
    [(certificate, pck_set)] = desk.pck.sets.values()
    desk.storage.platforms.known.append((pck_set.platform, (certificate.tcb, certificate.tcb)))
    assert len(desk.ask("GET", f"{V4}/platforms?source=[]", ADMIN_HEADERS).document) == 2
    assert len(desk.ask("GET", f"{V4}/platforms?source=[{FMSPC},ffffffffffff]", ADMIN_HEADERS).document) == 2
    assert desk.ask("GET", f"{V4}/platforms?source=[ffffffffffff]", ADMIN_HEADERS).document == []


def test_collateral_is_taken_in_with_notes() -> None:
    desk = Desk()
    desk.notes = ["one was expired", "another\nwas too"]
    reply = desk.ask("PUT", f"{V4}/platformcollateral", ADMIN_HEADERS, b"the document")
    assert (reply.status, reply.body) == (200, SUCCESS)
    assert reply.headers["error-message"] == "one was expired; another was too"
    assert desk.imported == [b"the document"]


def test_a_refresh_tells_what_failed() -> None:
    desk = Desk()
    desk.collateral.outcomes = [("SGX TCB info", ""), ("SGX QE identity", "it answered 500")]
    reply = desk.ask("POST", f"{V4}/refresh", ADMIN_HEADERS)
    assert reply.status == 502
    assert reply.text.startswith("Unable to retrieve the collateral from the Intel SGX PCS.\n")
    assert "it answered 500" in reply.text
    assert "TCB info" not in reply.text
    problem = desk.ask("POST", f"{V4}/refresh", ADMIN_HEADERS | PROBLEMS).document
    assert problem["problem"] == "refresh-incomplete"
    assert problem["failed"] == [{"item": "SGX QE identity", "failure": "it answered 500"}]


def test_a_refresh_tells_all_outcomes_to_who_takes_json() -> None:
    desk = Desk()
    desk.collateral.outcomes = [("SGX TCB info", "")]
    reply = desk.ask("POST", f"{V4}/refresh", ADMIN_HEADERS | {"accept": "application/json"})
    assert reply.document == {"items": [{"item": "SGX TCB info", "failure": ""}]}


@pytest.mark.parametrize(("query", "family"), [(f"&fmspc={FMSPC}", bytes.fromhex(FMSPC)), ("&fmspc=", b"")])
def test_certificates_are_refreshed_apart(query: str, family: bytes) -> None:
    desk = Desk()
    assert desk.ask("GET", f"{V4}/refresh?type=certs{query}", ADMIN_HEADERS).status == 200
    assert (desk.pck.refreshed, desk.collateral.refreshes) == ([family], 0)


def test_nothing_is_refreshed_offline() -> None:
    desk = Desk(mode=Mode.OFFLINE)
    desk.collateral.refresh_error = UnavailableError("never asked", status=503, problem="offline", remedy="import it")
    reply = desk.ask("POST", f"{V4}/refresh", ADMIN_HEADERS)
    assert (reply.status, reply.text) == (503, "Server is currently unable to process the request.")
    assert reply.headers["error-code"] == "offline"


def test_a_chain_is_decoded_to_what_was_encoded() -> None:
    desk = Desk()
    desk.fill()
    header = desk.get(f"{V4}/pckcert?{PCK_QUERY}").headers["sgx-pck-certificate-issuer-chain"]
    assert unquote_to_bytes(header) == CHAIN
    assert not set("+/=\n ") & set(header)
