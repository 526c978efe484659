from base64 import encodebytes
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from tests.unit.collateral.endorser import APPRAISED, Endorser
from tests.unit.collateral.fake_pccs import (
    Answer,
    Clock,
    FakePCCS,
    chain_header,
    der_of,
    document_answer,
    filled,
    http_client,
    serving,
)
from verdictd.collateral.attempts import LONGEST_RETRY_AFTER_S
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.http_client import HTTPAnswer
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName, verify_item
from verdictd.collateral.pccs_client import PCCSClient, require_success
from verdictd.collateral.pccs_urls import UpdateType, parse_pccs_url
from verdictd.core.errors import (
    CollateralUnavailableError,
    LimitExceededError,
    MalformedError,
    VerdictdError,
)
from verdictd.core.limits import MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES
from verdictd.tees.dcap.memory import FactMemory

MEMORY = FactMemory()


@contextmanager
def client_of(
    pccs: FakePCCS, *, path: str = "/sgx/certification/v4/", update: UpdateType | None = None
) -> Iterator[PCCSClient]:
    with serving(pccs):
        yield PCCSClient(parse_pccs_url(pccs.url + path), http_client(), update=update)


def fetch(client: PCCSClient, name: ItemName) -> CollateralItem:
    (item,) = client.fetch(name, Deadline.after(10, Clock()))
    return item


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("kind", APPRAISED)
def test_each_item_is_fetched_and_verifies(endorser: Endorser, kind: ItemKind, version: int) -> None:
    pccs = filled(endorser, version=version)
    with client_of(pccs, path=f"/sgx/certification/v{version}/") as client:
        item = fetch(client, endorser.key(kind).name)
        assert item.raw.issuer_chain == endorser.item(kind).raw.issuer_chain
        assert verify_item(item, endorser.roots, MEMORY).key == endorser.key(kind)
        assert item.source == f"PCCS {pccs.url}{pccs.requests[0]}"
        assert client.name == f"PCCS {pccs.url}/sgx/certification/v{version}/"
        assert client.at_hand == ()


def test_either_header_name_is_read_in_either_version(endorser: Endorser) -> None:
    pccs = filled(endorser, version=4)
    path = f"/sgx/certification/v4/tcb?fmspc={endorser.fmspc.hex().upper()}"
    pccs.answers[path] = document_answer(endorser.tcb_info(), "SGX-TCB-Info-Issuer-Chain")
    with client_of(pccs) as client:
        assert fetch(client, endorser.key(ItemKind.TCB_INFO).name).raw.issuer_chain


@pytest.mark.parametrize("kind", [ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL])
@pytest.mark.parametrize("encoding", ["der", "hex", "pem"])
def test_crls_are_read_in_whatever_encoding_they_come(endorser: Endorser, kind: ItemKind, encoding: str) -> None:
    item = endorser.item(kind)
    der = der_of(item)
    body = {
        "der": der,
        "hex": der.hex().upper().encode() + b"\n",
        "pem": b"-----BEGIN X509 CRL-----\n" + encodebytes(der) + b"-----END X509 CRL-----\n",
    }[encoding]
    pccs = FakePCCS()
    pccs.answers = {
        "/sgx/certification/v4/pckcrl?ca=platform&encoding=der": Answer(
            body=body, headers=chain_header("SGX-PCK-CRL-Issuer-Chain", item)
        ),
        "/sgx/certification/v4/rootcacrl": Answer(body=body),
    }
    with client_of(pccs) as client:
        assert der_of(fetch(client, endorser.key(kind).name)) == der


def test_updates_are_asked_for_by_their_type(endorser: Endorser) -> None:
    pccs = FakePCCS()
    with client_of(pccs, update="early") as client:
        for kind in (ItemKind.TCB_INFO, ItemKind.QE_IDENTITY):
            with pytest.raises(CollateralUnavailableError):
                fetch(client, endorser.key(kind).name)
    assert pccs.requests == [
        f"/sgx/certification/v4/tcb?fmspc={endorser.fmspc.hex().upper()}&update=early",
        "/sgx/certification/v4/qe/identity?update=early",
    ]


def test_tdx_has_its_own_paths(endorser: Endorser) -> None:
    pccs = FakePCCS()
    pccs.answers["/tdx/certification/v4/qe/identity"] = document_answer(
        endorser.qe_identity(enclave_id="TD_QE"), "SGX-Enclave-Identity-Issuer-Chain"
    )
    with client_of(pccs, path="/sgx/certification/v3/") as client:
        item = fetch(client, ItemName(ItemKind.QE_IDENTITY, tee="TDX"))
    assert verify_item(item, endorser.roots, MEMORY).key.name.tee == "TDX"


@pytest.mark.parametrize("status", [400, 404, 405])
def test_a_cache_without_the_path_for_the_root_crl_is_asked_by_its_address(endorser: Endorser, status: int) -> None:
    pccs = FakePCCS()
    by_address = (
        "/sgx/certification/v4/crl?uri=https%3A%2F%2Fcertificates.trustedservices.intel.com%2FIntelSGXRootCA.der"
    )
    pccs.answers["/sgx/certification/v4/rootcacrl"] = Answer(status=status)
    pccs.answers[by_address] = Answer(body=der_of(endorser.root_ca_crl()))
    with client_of(pccs) as client:
        item = fetch(client, ItemName(ItemKind.ROOT_CA_CRL))
    assert item.source == f"PCCS {pccs.url}{by_address}"
    verify_item(item, endorser.roots, MEMORY)


def test_another_failure_to_get_the_root_crl_is_final(endorser: Endorser) -> None:
    pccs = FakePCCS()
    pccs.answers["/sgx/certification/v4/rootcacrl"] = Answer(status=500)
    with client_of(pccs) as client, pytest.raises(CollateralUnavailableError, match="rootcacrl answered 500"):
        fetch(client, ItemName(ItemKind.ROOT_CA_CRL))
    assert len(pccs.requests) == 1


@pytest.mark.parametrize(
    ("answer", "reason", "remedy"),
    [
        (
            Answer(status=404, body=b"No cache data for this platform."),
            "answered 404 (No cache data for this platform.)",
            "FMSPC",
        ),
        (
            Answer(status=461, body=b"The platform was not found in the cache."),
            "answered 461 (The platform was not",
            "FMSPC",
        ),
        (Answer(status=462), "answered 462", "FMSPC"),
        (Answer(status=401, body=b"<html>no</html>"), "answered 401", "check the address"),
        (Answer(status=410, body=b"Gone"), "answered 410 (Gone)", "/v4/"),
        (
            Answer(status=429, headers={"Error-Message": "Rate limit"}),
            "answered 429 (Rate limit)",
            "a PCCS of your own",
        ),
        (
            Answer(status=503, body=b"Server is currently\nunable"),
            "answered 503 (Server is currently unable)",
            "--collateral",
        ),
        (Answer(status=502, body=b"x" * 3000), f"answered 502 ({'x' * 160})", "--collateral"),
        (
            Answer(status=500, body=b"\x1b[31mred\r\nForged: log \xff"),
            "answered 500 ([31mred  Forged: log \ufffd)",
            "--collateral",
        ),
        (Answer(status=299), "answered 299", "--collateral"),
    ],
)
def test_a_refusal_is_told_with_the_servers_reason_and_a_remedy(
    endorser: Endorser, answer: Answer, reason: str, remedy: str
) -> None:
    pccs = FakePCCS()
    path = f"/sgx/certification/v4/tcb?fmspc={endorser.fmspc.hex().upper()}"
    pccs.answers[path] = answer
    with client_of(pccs) as client, pytest.raises(CollateralUnavailableError) as caught:
        fetch(client, endorser.key(ItemKind.TCB_INFO).name)
    assert caught.value.message.startswith(f"{pccs.url}{path} {reason.removesuffix(')')}")
    assert remedy in caught.value.remedy
    assert caught.value.message.isprintable()


@pytest.mark.parametrize("kind", [ItemKind.TCB_INFO, ItemKind.QE_IDENTITY, ItemKind.PCK_CRL])
def test_an_answer_without_its_chain_is_refused(endorser: Endorser, kind: ItemKind) -> None:
    pccs = filled(endorser)
    pccs.answers = {
        path: Answer(body=answer.body) for path, answer in pccs.answers.items() if isinstance(answer, Answer)
    }
    with client_of(pccs) as client, pytest.raises(MalformedError, match="answered without the header"):
        fetch(client, endorser.key(kind).name)


@pytest.mark.parametrize("kind", APPRAISED)
@pytest.mark.parametrize("body", [b"", b"<html><body>It works!</body></html>", b"{}", b"\xff" * 100, b"0" * 7])
def test_an_answer_that_is_something_else_is_refused(endorser: Endorser, kind: ItemKind, body: bytes) -> None:
    pccs = filled(endorser)
    pccs.answers = {
        path: replace(answer, body=body) for path, answer in pccs.answers.items() if isinstance(answer, Answer)
    }
    with client_of(pccs) as client, pytest.raises(MalformedError, match=pccs.url):
        fetch(client, endorser.key(kind).name)


@pytest.mark.parametrize("chain", ["", "not a chain", "%2D%2D", "-----BEGIN%20PRIVATE%20KEY-----"])
def test_a_chain_that_is_none_is_refused(endorser: Endorser, chain: str) -> None:
    pccs = filled(endorser)
    path = f"/sgx/certification/v4/tcb?fmspc={endorser.fmspc.hex().upper()}"
    answer = pccs.answers[path]
    assert isinstance(answer, Answer)
    pccs.answers[path] = replace(answer, headers={"TCB-Info-Issuer-Chain": chain})
    with client_of(pccs) as client, pytest.raises(MalformedError, match="holds no certificate"):
        fetch(client, endorser.key(ItemKind.TCB_INFO).name)


@pytest.mark.parametrize("kind", APPRAISED)
def test_answers_are_limited_in_size(endorser: Endorser, kind: ItemKind) -> None:
    limit = MAX_SIGNED_DOCUMENT_BYTES if kind in {ItemKind.TCB_INFO, ItemKind.QE_IDENTITY} else 2 * MAX_CRL_BYTES + 2
    pccs = filled(endorser)
    pccs.answers = {
        path: replace(answer, body=b" " * (limit + 1))
        for path, answer in pccs.answers.items()
        if isinstance(answer, Answer)
    }
    with client_of(pccs) as client, pytest.raises(LimitExceededError, match=f"more than {limit} bytes"):
        fetch(client, endorser.key(kind).name)


def test_a_name_that_names_nothing_is_a_fault_of_the_caller() -> None:
    with client_of(FakePCCS()) as client, pytest.raises(ValueError, match="does not name an item"):
        fetch(client, ItemName(ItemKind.TCB_INFO))


def test_plain_http_elsewhere_and_what_settings_say_are_warned_of() -> None:
    http = http_client()
    client = PCCSClient(parse_pccs_url("http://pccs.example/"), http, warnings=("unchecked",))
    assert len(client.warnings) == 2
    assert client.warnings[1] == "unchecked"
    assert PCCSClient(parse_pccs_url("https://pccs.example/"), http).warnings == ()
    assert PCCSClient(parse_pccs_url("intel"), http).name == (
        "Intel PCS https://api.trustedservices.intel.com/sgx/certification/v4/"
    )


def test_damage_is_left_for_verification_to_find(endorser: Endorser) -> None:
    pccs = filled(endorser)
    path = f"/sgx/certification/v4/tcb?fmspc={endorser.fmspc.hex().upper()}"
    answer = pccs.answers[path]
    assert isinstance(answer, Answer)
    pccs.answers[path] = replace(answer, body=answer.body.replace(b"UpToDate", b"UpTodate", 1))
    with client_of(pccs) as client:
        item = fetch(client, endorser.key(ItemKind.TCB_INFO).name)
    with pytest.raises(VerdictdError, match="signature of TCB info does not verify"):
        verify_item(item, endorser.roots, MEMORY)


def test_nobody_is_told_to_wait_for_an_eternity() -> None:
    answer = HTTPAnswer(url="http://x/", status=429, headers={"retry-after": "9" * 400}, body=b"")
    with pytest.raises(CollateralUnavailableError) as caught:
        require_success(answer)
    assert caught.value.retry_after_s == LONGEST_RETRY_AFTER_S
