"""What a PCCS answers: status, headers and body of whatever kind, to whatever was asked."""

import time

from fuzz.parts import join, selector, take
from fuzz.pem import encode_pem
from fuzz.simulated import collateral, platform
from fuzz.target import FuzzTarget, attempt
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.http_client import BoundedHTTPClient, HTTPAnswer
from verdictd.collateral.items import ItemKind, ItemName
from verdictd.collateral.pccs_client import PCCSClient
from verdictd.collateral.pccs_urls import parse_pccs_url
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument, encode_signed_document

_NAMES = (
    ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=bytes(6)),
    ItemName(ItemKind.QE_IDENTITY, tee="SGX"),
    ItemName(ItemKind.PCK_CRL, pck_ca="platform"),
    ItemName(ItemKind.ROOT_CA_CRL),
)
_HEADERS = ("tcb-info-issuer-chain", "sgx-enclave-identity-issuer-chain", "sgx-pck-crl-issuer-chain", "error-message")
_STATUSES = (200, 400, 404, 429, 500)


class _Answering(BoundedHTTPClient):
    """Answers each request with what it was given."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self._answer = status, headers, body

    def get(self, url: str, *, max_bytes: int, deadline: Deadline, body: bytes | None = None) -> HTTPAnswer:
        del deadline, body
        status, headers, answered = self._answer
        return HTTPAnswer(url=url, status=status, headers=headers, body=answered[:max_bytes])


def check(data: bytes) -> None:
    """An answer gives an item of the kind that was asked for, or is refused."""
    wanted, rest = selector(data, len(_NAMES))
    status, rest = selector(rest, len(_STATUSES))
    header, body = take(rest)
    headers = dict.fromkeys(_HEADERS, header.decode("latin-1")) if header else {}
    client = PCCSClient(parse_pccs_url("https://pccs.invalid:8081/"), _Answering(_STATUSES[status], headers, body))
    items = attempt(client.fetch, _NAMES[wanted], Deadline.after(1, time.monotonic))
    assert items is None or [item.kind for item in items] == [_NAMES[wanted].kind]


def seeds() -> dict[str, bytes]:
    ours = collateral()
    bodies = (
        _answer(ours.tcb_info),
        _answer(ours.qe_identity, is_identity=True),
        _der(ours.pck_crl),
        _der(ours.root_ca_crl).hex().encode("ascii"),
    )
    chain = platform().pki.chain("tcb-signing").replace(b" ", b"%20").replace(b"\n", b"%0A")
    found = {
        name.kind.value: bytes((number, 0)) + join(chain, body)
        for number, (name, body) in enumerate(zip(_NAMES, bodies, strict=True))
    }
    pem = encode_pem(_der(ours.pck_crl), "X509 CRL")
    return {
        **found,
        "pem": b"\x02\x00" + join(chain, pem),
        "not_there": b"\x00\x02" + join(b"No cache data", b"<html>"),
        "silent": b"\x03\x04" + join(b"", b"busy"),
    }


def _answer(document: SignedDocument | None, *, is_identity: bool = False) -> bytes:
    assert document is not None
    return encode_signed_document(document, "enclaveIdentity" if is_identity else "tcbInfo")


def _der(crl: RevocationList | None) -> bytes:
    assert crl is not None
    return crl.der


TARGET = FuzzTarget(
    name="pccs_answers",
    modules=("verdictd.collateral.pccs_client", "verdictd.collateral.encodings", "verdictd.tees.dcap.collateral"),
    check=check,
    seeds=seeds,
)
