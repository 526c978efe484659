"""Each rule for a parameter, by a request that it alone refuses: one step away from one that is answered."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message

from tests.unit.pccs.web.caller import acall
from tests.unit.pccs.web.desk import (
    ADMIN_HEADERS,
    CPU_SVN,
    ENC_PPID,
    FMSPC,
    PCE_ID,
    PCE_SVN,
    PCK_QUERY,
    PROBLEMS,
    QE_ID,
    TDX,
    USER_HEADERS,
    V3,
    V4,
    Desk,
)
from tests.unit.pccs.web.test_contract import REGISTRATION
from verdictd.pccs.web.http.exchange import MAX_BODY_BYTES, MAX_PARAMETERS, MAX_PATH_BYTES, MAX_QUERY_BYTES

ROOT_CRL_PATH = "certificates.trustedservices.intel.com/IntelSGXRootCA.der"
REFUSED = [
    "tcb",
    "tcb?fmspc=",
    f"tcb?fmspc={FMSPC[:-1]}",
    f"tcb?fmspc={FMSPC}0",
    f"tcb?fmspc={FMSPC[:-1]}g",
    f"tcb?fmspc={FMSPC[:-1]}%0a",
    f"tcb?FMSPC={FMSPC}",
    f"tcb?fmspc=zz&fmspc={FMSPC}",
    f"tcb?fmspc={FMSPC}&update=",
    f"tcb?fmspc={FMSPC}&update=all",
    f"tcb?fmspc={FMSPC}&update=standard&tcbEvaluationDataNumber=17",
    f"tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=",
    f"tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=0",
    f"tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=-1",
    f"tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=%D9%A1",
    f"tcb?fmspc={FMSPC}&tcbEvaluationDataNumber=4294967296",
    f"tcb?fmspc={FMSPC}&tcbEvaluationDataNumber={'9' * 5000}",
    "qe/identity?update=late",
    "qe/identity?update=early&tcbEvaluationDataNumber=17",
    "qve/identity?update=late",
    "pckcrl",
    "pckcrl?ca=root",
    "pckcrl?ca=",
    "crl",
    "crl?uri=",
    f"crl?uri=http://{ROOT_CRL_PATH}",
    f"crl?uri=https://example.org/{ROOT_CRL_PATH}",
    f"crl?uri=https://x.{ROOT_CRL_PATH}",
    "crl?uri=https://certificates.trustedservices.intel.com/Other.der",
    f"crl?uri=https://{ROOT_CRL_PATH}%0a",
    f"crl?uri=https://{ROOT_CRL_PATH}%C3%A9",
    f"crl?uri=https://{ROOT_CRL_PATH}{'x' * 1992}",
    "crl?uri=https://api.trustedservices.intel.com/sgx/certification/v0/pckcrl?ca=platform",
    "crl?uri=https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl",
    *(f"pckcert?{PCK_QUERY}".replace(f"{name}=", f"not_{name}=") for name in ("qeid", "cpusvn", "pcesvn", "pceid")),
    f"pckcert?{PCK_QUERY}".replace(QE_ID, ""),
    f"pckcert?{PCK_QUERY}".replace(QE_ID, "A" * 261),
    f"pckcert?{PCK_QUERY}".replace(QE_ID, "%00"),
    f"pckcert?{PCK_QUERY}".replace(CPU_SVN, CPU_SVN[1:]),
    f"pckcert?{PCK_QUERY}".replace(CPU_SVN, "g" + CPU_SVN[1:]),
    f"pckcert?{PCK_QUERY}".replace(f"pcesvn={PCE_SVN}", "pcesvn=0D0"),
    f"pckcert?{PCK_QUERY}".replace(f"pceid={PCE_ID}", "pceid=00000"),
    f"pckcert?{PCK_QUERY}".replace(ENC_PPID, ""),
    f"pckcert?{PCK_QUERY}".replace(ENC_PPID, ENC_PPID[2:]),
    "appraisalpolicy",
    f"appraisalpolicy?fmspc={FMSPC}0",
    "tcb?" + "&".join(f"x{n}=" for n in range(MAX_PARAMETERS)) + f"&fmspc={FMSPC}",
]


@pytest.mark.parametrize("target", REFUSED, ids=lambda target: target[:70])
def test_refused(target: str) -> None:
    desk = Desk()
    desk.fill()
    reply = desk.get(f"{V4}/{target}")
    assert (reply.status, reply.text) == (400, "Invalid request parameters.")
    assert reply.headers["error-code"] == "invalid-parameter"
    assert desk.pck.asked == []


def test_the_last_parameter_that_may_be_is_read() -> None:
    desk = Desk()
    desk.fill()
    many = "&".join(f"x{n}=" for n in range(MAX_PARAMETERS - 1))
    assert desk.get(f"{V4}/tcb?{many}&fmspc={FMSPC}").status == 200


@pytest.mark.parametrize("query", ["update=early", "tcbEvaluationDataNumber=17"])
def test_version_3_never_had_more_than_the_standard_update(query: str) -> None:
    reply = Desk().get(f"{V3}/tcb?fmspc={FMSPC}&{query}")
    assert reply.status == 410
    assert reply.text.startswith("The Intel PCS API version 3 reached planned EOL.")


@pytest.mark.parametrize("uri", [
    f"https://sbx-{ROOT_CRL_PATH}",
    "https://certprx.adsdcsp.com/IntelSGXRootCA.crl",
    "https://api.trustedservices.intel.com/sgx/certification/v4/pckcrl?ca=platform%26encoding=der",
    "https://sbx.api.trustedservices.intel.com/sgx/certification/v3/pckcrl?ca=processor",
    "https://x.az.sgxprod.adsdcsp.com/sgx/certification/v10/pckcrl?",
])  # fmt: skip
def test_addresses_that_the_cache_is_asked_for(uri: str) -> None:
    assert Desk().get(f"{V4}/crl?uri={uri}").status == 404


def test_a_certificate_without_an_encrypted_ppid() -> None:
    desk = Desk()
    desk.fill()
    assert desk.get(f"{V4}/pckcert?{PCK_QUERY}".replace(f"&encrypted_ppid={ENC_PPID}", "")).status == 200
    assert desk.pck.asked[0][2] == b""


REFUSED_REGISTRATIONS: list[Any] = [
    [],
    "text",
    *({name: value for name, value in REGISTRATION.items() if name != missing} for missing in list(REGISTRATION)[:5]),
    *(REGISTRATION | {name: 5} for name in REGISTRATION),
    *(REGISTRATION | {name: None} for name in list(REGISTRATION)[:5]),
    REGISTRATION | {"qe_id": ""},
    REGISTRATION | {"qe_id": "A" * 261},
    REGISTRATION | {"qe_id": "\udc80"},
    REGISTRATION | {"pce_id": "000"},
    REGISTRATION | {"cpu_svn": "0b" * 15},
    REGISTRATION | {"pce_svn": ""},
    REGISTRATION | {"enc_ppid": ENC_PPID + "00"},
    REGISTRATION | {"platform_manifest": "0"},
    REGISTRATION | {"platform_manifest": "zz"},
    REGISTRATION | {"platform_manifest": "00", "cpu_svn": ""},
]


@pytest.mark.parametrize("document", REFUSED_REGISTRATIONS, ids=lambda document: str(document)[:60])
def test_registrations_refused(document: Any) -> None:
    desk = Desk()
    reply = desk.ask("POST", f"{V4}/platforms", USER_HEADERS, json.dumps(document).encode())
    assert (reply.status, reply.text) == (400, "Invalid request parameters.")
    assert desk.pck.registered == []


@pytest.mark.parametrize("change", [{"platform_manifest": None}, {"unknown": 1}, {"qe_id": "A" * 260}])
def test_registrations_taken(change: dict[str, Any]) -> None:
    body = json.dumps(REGISTRATION | change).encode()
    assert Desk().ask("POST", f"{V4}/platforms", USER_HEADERS, body).status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"qe_id": ' + b"9" * 5000 + b"}", b'{"a":' * 5000 + b"1" + b"}" * 5000],
)
def test_bodies_that_are_no_document(body: bytes) -> None:
    assert Desk().ask("POST", f"{V4}/platforms", USER_HEADERS, body).status == 400


@pytest.mark.parametrize("query", ["update=", "update=both"])
def test_updates_of_a_registration(query: str) -> None:
    body = json.dumps(REGISTRATION).encode()
    assert Desk().ask("POST", f"{V4}/platforms?{query}", USER_HEADERS, body).status == 400


@pytest.mark.parametrize(
    "query",
    [
        "platforms?source=other",
        "platforms?source=[",
        "platforms?source=]",
        f"platforms?source=[{FMSPC}",
        f"platforms?source=[{FMSPC},]",
        "platforms?source=[" + "%20" * 4000,
        "refresh?type=collateral",
        "refresh?type=certs",
        "refresh?type=certs&fmspc=all",
    ],
    ids=lambda query: query[:50],
)
def test_what_administrators_may_not_ask(query: str) -> None:
    desk = Desk()
    assert desk.ask("GET", f"{V4}/{query}", ADMIN_HEADERS).status == 400
    assert (desk.pck.refreshed, desk.collateral.refreshes) == ([], 0)


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    headers = ADMIN_HEADERS | {"content-length": str(MAX_BODY_BYTES + 1)}
    reply = asyncio.run(acall(Desk().app, f"{V4}/platformcollateral", method="PUT", headers=headers, parts=[]))
    assert (reply.status, reply.text) == (413, "Content too large.")


@pytest.mark.parametrize(("size", "status"), [(MAX_BODY_BYTES, 200), (MAX_BODY_BYTES + 1, 413)])
def test_a_body_is_read_in_parts_up_to_its_limit(size: int, status: int) -> None:
    half = size // 2
    parts: list[Message] = [
        {"type": "http.request", "body": bytes(half), "more_body": True},
        {"type": "http.request", "body": bytes(size - half), "more_body": False},
    ]
    desk = Desk()
    reply = asyncio.run(acall(desk.app, f"{V4}/platformcollateral", method="PUT", headers=ADMIN_HEADERS, parts=parts))
    assert reply.status == status
    assert [len(body) for body in desk.imported] == ([size] if status == 200 else [])


def test_how_large_a_body_may_be_is_for_the_operator_to_say() -> None:
    desk = Desk(max_body_bytes=1024)
    assert desk.ask("PUT", f"{V4}/platformcollateral", ADMIN_HEADERS, bytes(1024)).status == 200
    refused = desk.ask("PUT", f"{V4}/platformcollateral", ADMIN_HEADERS, bytes(1025))
    assert refused.status == 413
    assert "1024 bytes" in refused.headers["error-message"]
    assert desk.ask("PUT", f"{V4}/appraisalpolicy", ADMIN_HEADERS, bytes(1025)).status == 413
    assert desk.ask("POST", f"{V4}/platforms", USER_HEADERS, bytes(1025)).status == 413
    larger = Desk(max_body_bytes=2 * MAX_BODY_BYTES)
    assert larger.ask("PUT", f"{V4}/platformcollateral", ADMIN_HEADERS, bytes(MAX_BODY_BYTES + 1)).status == 200


def test_a_client_that_hangs_up_is_not_answered() -> None:
    gone: list[Message] = [{"type": "http.request", "body": b"{", "more_body": True}, {"type": "http.disconnect"}]
    desk = Desk()
    call = acall(desk.app, f"{V4}/platformcollateral", method="PUT", headers=ADMIN_HEADERS, parts=gone)
    assert asyncio.run(call).status == 0
    assert desk.imported == []


def test_compressed_bodies_are_refused() -> None:
    reply = Desk().ask("PUT", f"{V4}/platformcollateral", ADMIN_HEADERS | {"content-encoding": "gzip"}, b"x")
    assert (reply.status, reply.headers["error-code"]) == (415, "compressed")


@pytest.mark.parametrize(
    "target", [f"{V4}/tcb?fmspc={FMSPC}&x=" + "x" * MAX_QUERY_BYTES, f"{V4}/" + "x" * MAX_PATH_BYTES]
)
def test_addresses_that_are_too_long(target: str) -> None:
    reply = Desk().get(target)
    assert (reply.status, reply.headers["error-code"]) == (414, "uri-too-long")


def test_a_refusal_names_what_was_expected_and_what_was_found() -> None:
    problem = Desk().get(f"{TDX}/tcb?fmspc=123", **PROBLEMS).document
    assert problem["detail"] == "the parameter fmspc should be 12 hex digits, but it is '123'"
