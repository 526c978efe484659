"""The client of a PCCS, or of Intel's own PCS: asks for one item of collateral at a time.

Spec: Intel PCS API v4 and v3; what caches answer differently (hex for DER, other header names) is read as well.
"""

from http import HTTPStatus
from typing import Final

from verdictd.collateral.deadline import Deadline
from verdictd.collateral.encodings import decode_crl, decode_issuer_chain
from verdictd.collateral.http_client import BoundedHTTPClient, HTTPAnswer, read_retry_after
from verdictd.collateral.items import CollateralItem, ItemKind, ItemName
from verdictd.collateral.pccs_urls import PCCSAddress, Update
from verdictd.collateral.shown_urls import hide_machines
from verdictd.core.errors import CollateralUnavailableError, MalformedError
from verdictd.core.limits import MAX_CRL_BYTES, MAX_SIGNED_DOCUMENT_BYTES
from verdictd.tees.dcap.collateral import DocumentMember, RevocationList, parse_signed_document

_TCB_CHAINS: Final = ("tcb-info-issuer-chain", "sgx-tcb-info-issuer-chain")
_IDENTITY_CHAINS: Final = ("sgx-enclave-identity-issuer-chain",)
_PCK_CRL_CHAINS: Final = ("sgx-pck-crl-issuer-chain",)
_MAX_CRL_ANSWER_BYTES: Final = 2 * MAX_CRL_BYTES + 2
_MAX_REASON_CHARACTERS: Final = 160
_PATH_UNKNOWN: Final = frozenset({400, 404, 405})
"""What servers answer for a path that they do not have."""

_NOT_THERE: Final = "check that it serves this platform's family (FMSPC), or fill it"
_REMEDIES: Final = {
    401: "collateral needs no authentication: check the address",
    403: "collateral needs no authentication: check the address",
    404: _NOT_THERE,
    410: "this version of the API has ended there: use an address with /v4/",
    429: "it limits how often it is asked: use a PCCS of your own",
    461: _NOT_THERE,
    462: _NOT_THERE,
}
_SERVER_FAULT_REMEDY: Final = "see that server's log; meanwhile give collateral in files with --collateral"


class PCCSClient:
    """A `CollateralSource` that asks a PCCS. Safe to share between threads."""

    def __init__(
        self,
        address: PCCSAddress,
        http: BoundedHTTPClient,
        *,
        update: Update | None = None,
        warnings: tuple[str, ...] = (),
    ) -> None:
        self._address = address
        self._http = http
        self._update = update
        self._warnings = warnings

    @property
    def name(self) -> str:
        """What to call it, for the operator."""
        return f"{'Intel PCS' if self._address.is_intel else 'PCCS'} {self._address}"

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the operator should be told about it at start."""
        return (*((self._address.warning,) if self._address.warning else ()), *self._warnings)

    @property
    def at_hand(self) -> tuple[CollateralItem, ...]:
        """Nothing: it has to be asked."""
        return ()

    def fetch(self, name: ItemName, deadline: Deadline) -> tuple[CollateralItem, ...]:
        """Ask for one item.

        Raises:
            CollateralUnavailableError: no answer in time, or one that is not a success.
            MalformedError: an answer that is not what was asked for.
            LimitExceededError: an answer that is too large.
        """
        match name:
            case ItemName(kind=ItemKind.TCB_INFO, tee=tee, fmspc=fmspc) if tee is not None:
                url = self._address.tcb(tee, fmspc, self._update)
                return (self._fetch_document(ItemKind.TCB_INFO, url, "tcbInfo", _TCB_CHAINS, deadline),)
            case ItemName(kind=ItemKind.QE_IDENTITY, tee=tee) if tee is not None:
                return (self._fetch_identity(name.kind, self._address.qe_identity(tee, self._update), deadline),)
            case ItemName(kind=ItemKind.QVE_IDENTITY):
                return (self._fetch_identity(name.kind, self._address.qve_identity(self._update), deadline),)
            case ItemName(kind=ItemKind.PCK_CRL, pck_ca=pck_ca) if pck_ca is not None:
                answer = self._get(self._address.pck_crl(pck_ca), _MAX_CRL_ANSWER_BYTES, deadline)
                return (self._read_crl(ItemKind.PCK_CRL, answer, read_issuer_chain(answer, _PCK_CRL_CHAINS)),)
            case ItemName(kind=ItemKind.ROOT_CA_CRL):
                return (self._fetch_root_ca_crl(deadline),)
            case _:
                raise ValueError(f"{name!r} does not name an item")

    def _fetch_identity(self, kind: ItemKind, url: str, deadline: Deadline) -> CollateralItem:
        return self._fetch_document(kind, url, "enclaveIdentity", _IDENTITY_CHAINS, deadline)

    def _fetch_document(
        self, kind: ItemKind, url: str, member: DocumentMember, chains: tuple[str, ...], deadline: Deadline
    ) -> CollateralItem:
        answer = self._get(url, MAX_SIGNED_DOCUMENT_BYTES, deadline)
        document = parse_signed_document(
            answer.body, member, issuer_chain=read_issuer_chain(answer, chains), source=self._source(answer)
        )
        return CollateralItem(kind=kind, raw=document)

    def _fetch_root_ca_crl(self, deadline: Deadline) -> CollateralItem:
        *first, last = self._address.root_ca_crls()
        for url in first:
            answer = self._http.get(url, max_bytes=_MAX_CRL_ANSWER_BYTES, deadline=deadline)
            if answer.status not in _PATH_UNKNOWN:
                return self._read_crl(ItemKind.ROOT_CA_CRL, require_success(answer), b"")
        return self._read_crl(ItemKind.ROOT_CA_CRL, self._get(last, _MAX_CRL_ANSWER_BYTES, deadline), b"")

    def _read_crl(self, kind: ItemKind, answer: HTTPAnswer, issuer_chain: bytes) -> CollateralItem:
        der = decode_crl(answer.body, f"the answer of {answer.url}")
        return CollateralItem(
            kind=kind, raw=RevocationList(der=der, issuer_chain=issuer_chain, source=self._source(answer))
        )

    def _get(self, url: str, max_bytes: int, deadline: Deadline) -> HTTPAnswer:
        return require_success(self._http.get(url, max_bytes=max_bytes, deadline=deadline))

    def _source(self, answer: HTTPAnswer) -> str:
        return f"{'Intel PCS' if self._address.is_intel else 'PCCS'} {answer.url}"


def require_success(answer: HTTPAnswer) -> HTTPAnswer:
    """Return an answer that is a success; else raise CollateralUnavailableError with what the server says."""
    if answer.status == HTTPStatus.OK:
        return answer
    reason = _server_reason(answer)
    raise CollateralUnavailableError(
        f"{answer.url} answered {answer.status}{f' ({reason})' if reason else ''}",
        remedy=_REMEDIES.get(answer.status, _SERVER_FAULT_REMEDY),
        retry_after_s=read_retry_after(answer),
        status=answer.status,
    )


def read_issuer_chain(answer: HTTPAnswer, names: tuple[str, ...]) -> bytes:
    """Return the PEM chain in the first of these headers that is there; raise MalformedError where none is."""
    for name in names:
        if name in answer.headers:
            return decode_issuer_chain(answer.headers[name].encode("latin-1"), f"the header {name} of {answer.url}")
    raise MalformedError(f"{answer.url} answered without the header {names[0]}")


def _server_reason(answer: HTTPAnswer) -> str:
    """Return what the server says of a failure: one line of plain text, or nothing. Safe to log."""
    text = answer.headers.get("error-message") or answer.body.decode("utf-8", errors="replace")
    line = "".join(character if character.isprintable() else " " for character in text).strip()
    return "" if line.startswith("<") else hide_machines(line)[:_MAX_REASON_CHARACTERS]
