"""TCB info, identities and CRLs: ``tcb``, ``qe/identity``, ``qve/identity``, ``pckcrl``, ``rootcacrl`` and ``crl``."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final, Literal, Protocol, TypeAlias

from verdictd.collateral.items import TEE, ItemKind, ItemName, VerifiedItem
from verdictd.collateral.pccs_urls import APIVersion
from verdictd.pccs.model import STANDARD, Edition
from verdictd.pccs.ports import CollateralCache
from verdictd.pccs.web.http.answers import CRL, JSON, PEM, Answer, encode_chain, make_answer
from verdictd.pccs.web.http.endpoint import Handler
from verdictd.pccs.web.http.exchange import Exchange, parse_query
from verdictd.pccs.web.http.parameters import read_crl_uri, read_edition, read_fmspc, read_pck_ca
from verdictd.pccs.web.http.threads import Threads
from verdictd.tees.dcap.collateral import SignedDocument, encode_signed_document

Form: TypeAlias = Literal["v3", "v4", "hex", "root-hex", "der"]
"""In which form an item is written: as the API of a version has its documents, or in one of two encodings of CRLs."""

MAX_ENCODED: Final = 256
_REMEMBERED_QUERIES: Final = 1024
_TCB_INFO_CHAINS: Final = {"v3": b"sgx-tcb-info-issuer-chain", "v4": b"tcb-info-issuer-chain"}
_IDENTITY_CHAIN: Final = b"sgx-enclave-identity-issuer-chain"
_PCK_CRL_CHAIN: Final = b"sgx-pck-crl-issuer-chain"


class HitCounter(Protocol):
    """Counts from where answers came."""

    def hit(self, kind: str) -> None:
        """Count one that was in memory."""

    def miss(self, kind: str) -> None:
        """Count one that had to be looked for."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a request asks for, and in which form."""

    edition: Edition
    name: ItemName
    form: Form


class EncodedItems:
    """The answers that were made of items lately. An item that is replaced is another object, and falls out in time."""

    def __init__(self, size: int = MAX_ENCODED) -> None:
        self._size = size
        # The item is kept beside its answer, so that no other can have its id meanwhile.
        self._answers: OrderedDict[tuple[int, Form], tuple[VerifiedItem, Answer]] = OrderedDict()

    def answer(self, item: VerifiedItem, form: Form) -> Answer:
        """Return an item as it is answered."""
        key = (id(item), form)
        made = self._answers.get(key)
        if made is not None:
            self._answers.move_to_end(key)
            return made[1]
        answer = encode_item(item, form)
        self._answers[key] = (item, answer)
        if len(self._answers) > self._size:
            self._answers.popitem(last=False)
        return answer


def encode_item(item: VerifiedItem, form: Form) -> Answer:
    """Write an item as Intel's service does."""
    raw = item.item.raw
    chain = encode_chain(raw.issuer_chain)
    if isinstance(raw, SignedDocument):
        if item.key.name.kind is ItemKind.TCB_INFO:
            return make_answer(encode_signed_document(raw, "tcbInfo"), JSON, headers=((_TCB_INFO_CHAINS[form], chain),))
        return make_answer(encode_signed_document(raw, "enclaveIdentity"), JSON, headers=((_IDENTITY_CHAIN, chain),))
    match form:
        case "root-hex":
            return make_answer(raw.der.hex().encode("ascii"), CRL)
        case "hex":
            return make_answer(raw.der.hex().encode("ascii"), PEM, headers=((_PCK_CRL_CHAIN, chain),))
        case _:
            return make_answer(raw.der, CRL, headers=((_PCK_CRL_CHAIN, chain),))


class CollateralRoutes:
    """Answers from the cache: what is in memory at once, the rest from a thread."""

    def __init__(
        self, cache: CollateralCache, clock: Callable[[], datetime], threads: Threads, counter: HitCounter
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._threads = threads
        self._counter = counter
        self._encoded = EncodedItems()

    def tcb(self, tee: TEE, version: APIVersion) -> Handler:
        """Make the handler of ``tcb``."""

        @lru_cache(_REMEMBERED_QUERIES)
        def read(query: bytes) -> Wanted:
            parameters = parse_query(query)
            fmspc = read_fmspc(parameters)
            name = ItemName(ItemKind.TCB_INFO, tee=tee, fmspc=fmspc)
            return Wanted(read_edition(parameters, version), name, "v3" if version == 3 else "v4")

        return self._handle(read)

    def qe_identity(self, tee: TEE, version: APIVersion) -> Handler:
        """Make the handler of ``qe/identity``."""
        return self._identity(ItemName(ItemKind.QE_IDENTITY, tee=tee), version)

    def qve_identity(self, version: APIVersion) -> Handler:
        """Make the handler of ``qve/identity``."""
        return self._identity(ItemName(ItemKind.QVE_IDENTITY), version)

    def _identity(self, name: ItemName, version: APIVersion) -> Handler:
        @lru_cache(_REMEMBERED_QUERIES)
        def read(query: bytes) -> Wanted:
            return Wanted(read_edition(parse_query(query), version), name, "v3" if version == 3 else "v4")

        return self._handle(read)

    def pck_crl(self) -> Handler:
        """Make the handler of ``pckcrl``."""

        @lru_cache(_REMEMBERED_QUERIES)
        def read(query: bytes) -> Wanted:
            parameters = parse_query(query)
            name = ItemName(ItemKind.PCK_CRL, pck_ca=read_pck_ca(parameters))
            return Wanted(STANDARD, name, "der" if parameters.get("encoding", "").lower() == "der" else "hex")

        return self._handle(read)

    def root_ca_crl(self) -> Handler:
        """Make the handler of ``rootcacrl``."""
        wanted = Wanted(STANDARD, ItemName(ItemKind.ROOT_CA_CRL), "root-hex")

        def read(query: bytes) -> Wanted:
            parse_query(query)
            return wanted

        return self._handle(read)

    async def crl(self, exchange: Exchange) -> Answer:
        """Answer ``crl``."""
        uri = read_crl_uri(exchange.parameters())
        der = await self._threads.run(self._cache.crl_at, uri, self._clock())
        return make_answer(der, CRL)

    def _handle(self, read: Callable[[bytes], Wanted]) -> Handler:
        async def handle(exchange: Exchange) -> Answer:
            wanted = read(exchange.query)
            item = self._cache.held(wanted.edition, wanted.name, self._clock())
            if item is None:
                self._counter.miss(wanted.name.kind.value)
                item = await self._threads.run(self._cache.find, wanted.edition, wanted.name, self._clock())
            else:
                self._counter.hit(wanted.name.kind.value)
            return self._encoded.answer(item, wanted.form)

        return handle
