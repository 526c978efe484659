"""AMD's certificates, at the paths of AMD's own key distribution service.

Spec: AMD 57230, Versioned Chip Endorsement Key Certificate and KDS Interface, chapter 4.
"""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.pccs.model import AMDItem, AMDKeyType, AMDProduct
from verdictd.pccs.ports import AMDCache
from verdictd.pccs.web.http.answers import CERTIFICATE, CRL, PEM, Answer, make_answer
from verdictd.pccs.web.http.endpoint import Handler
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.refusals import NO_SUCH_PATH, RequestRefusedError, refuse_parameter
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.routes.collateral import HitCounter

PRODUCTS: Final[dict[str, AMDProduct]] = {"milan": "Milan", "genoa": "Genoa", "turin": "Turin"}
_CHIP_ID_BYTES: Final[dict[AMDProduct, int]] = {"Milan": 64, "Genoa": 64, "Turin": 8}
_TCB_BYTES: Final[dict[str, int]] = {"blSPL": 0, "teeSPL": 1, "snpSPL": 6, "ucodeSPL": 7}
_TURIN_TCB_BYTES: Final[dict[str, int]] = {"fmcSPL": 0, "blSPL": 1, "teeSPL": 2, "snpSPL": 3, "ucodeSPL": 7}
"""Where each number of the query stands in the TCB of a report."""
_NUMBER: Final = re.compile(r"[0-9]{1,3}")
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_CONTENT_TYPES: Final = {"leaf": CERTIFICATE, "cert_chain": PEM, "crl": CRL}


class AMDRoutes:
    """Answers from the cache: what is in memory at once, the rest from a thread."""

    def __init__(self, cache: AMDCache, clock: Callable[[], datetime], threads: Threads, counter: HitCounter) -> None:
        self._cache = cache
        self._clock = clock
        self._threads = threads
        self._counter = counter

    def chain(self, key_type: AMDKeyType) -> Handler:
        """Make the handler of ``cert_chain``."""

        async def handle(exchange: Exchange) -> Answer:
            return await self._answer(AMDCertificateName(key_type, _read_product(exchange), "cert_chain"))

        return handle

    def crl(self, key_type: AMDKeyType) -> Handler:
        """Make the handler of ``crl``."""

        async def handle(exchange: Exchange) -> Answer:
            return await self._answer(AMDCertificateName(key_type, _read_product(exchange), "crl"))

        return handle

    async def vcek(self, exchange: Exchange) -> Answer:
        """Answer with the certificate of a chip."""
        product = _read_product(exchange)
        chip_id = _read_chip_id(exchange.path_parameter("chip_id"), product)
        tcb = read_amd_tcb(exchange.parameters(), product)
        return await self._answer(AMDCertificateName("vcek", product, "leaf", chip_id, tcb))

    async def vlek(self, exchange: Exchange) -> Answer:
        """Answer with the certificate of a cloud's key."""
        product = _read_product(exchange)
        tcb = read_amd_tcb(exchange.parameters(), product)
        return await self._answer(AMDCertificateName("vlek", product, "leaf", b"", tcb))

    async def _answer(self, name: AMDCertificateName) -> Answer:
        kind = f"{name.key_type}_{name.what}"
        item = self._cache.held(name, self._clock())
        if item is None:
            self._counter.miss(kind)
            item = await self._threads.run(self._cache.find, name, self._clock())
        else:
            self._counter.hit(kind)
        return _encode(item)


def read_amd_tcb(parameters: Mapping[str, str], product: AMDProduct) -> bytes:
    """Return the 8 bytes of the TCB that the query names; what it does not name is 0, as AMD's service has it.

    Raises:
        RequestRefusedError: 400.
    """
    places = _TURIN_TCB_BYTES if product == "Turin" else _TCB_BYTES
    tcb = bytearray(8)
    for name, place in places.items():
        text = parameters.get(name, "0")
        if not _NUMBER.fullmatch(text) or int(text) > 0xFF:
            raise refuse_parameter(name, "a number from 0 to 255", text)
        tcb[place] = int(text)
    if "fmcSPL" in parameters and "fmcSPL" not in places:
        raise refuse_parameter("fmcSPL", f"absent for {product}", parameters["fmcSPL"])
    return bytes(tcb)


def _read_product(exchange: Exchange) -> AMDProduct:
    text = exchange.path_parameter("product")
    product = PRODUCTS.get(text.lower())
    if product is None:
        raise RequestRefusedError(
            f"{text[:40]!a} is no product whose certificates are known here",
            status=404,
            problem=NO_SUCH_PATH,
            remedy=f"name one of {', '.join(PRODUCTS.values())}",
        )
    return product


def _read_chip_id(text: str, product: AMDProduct) -> bytes:
    size = _CHIP_ID_BYTES[product]
    if not _HEX.fullmatch(text) or len(text) not in {2 * size, 128}:
        raise refuse_parameter("the chip id", f"{2 * size} hex digits for {product}", text)
    # A report of Turin has the 8 bytes with zeros after them; its chips are named by the 8 alone.
    chip_id = bytes.fromhex(text)
    if any(chip_id[size:]):
        raise refuse_parameter("the chip id", f"{2 * size} hex digits for {product}", text)
    return chip_id[:size]


def _encode(item: AMDItem) -> Answer:
    return make_answer(item.content, _CONTENT_TYPES[item.name.what])
