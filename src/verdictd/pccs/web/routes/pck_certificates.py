"""``pckcert``: the certificate for a platform at the TCB that it says it has."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime
from time import monotonic
from typing import Final, NamedTuple

from verdictd.pccs.model import PCKCertificate, PCKSet, PlatformKey, RawTCB
from verdictd.pccs.ports import PCKCache
from verdictd.pccs.web.http.answers import PEM, Answer, encode_chain, make_answer
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.parameters import read_hex, read_qe_id
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.routes.collateral import HitCounter

KEPT_S: Final = 1.0
"""For how long an answer is given again unasked. Another process may have changed the platform meanwhile."""
MAX_ANSWERS: Final = 2048
_KIND: Final = "pck_certificate"


class _Asked(NamedTuple):
    key: PlatformKey
    raw_tcb: RawTCB
    enc_ppid: bytes


class _Made(NamedTuple):
    answer: "asyncio.Future[Answer]"
    until: float


class PCKCertificateRoute:
    """Answers from memory what was asked for a moment ago. Those who ask for the same at once share one look-up."""

    def __init__(
        self,
        cache: PCKCache,
        clock: Callable[[], datetime],
        look_ups: Threads,
        threads: Threads,
        counter: HitCounter,
        *,
        ticks: Callable[[], float] = monotonic,
    ) -> None:
        self._cache = cache
        self._clock = clock
        self._look_ups = look_ups
        self._threads = threads
        self._counter = counter
        self._ticks = ticks
        self._answers: OrderedDict[bytes, _Made] = OrderedDict()

    async def handle(self, exchange: Exchange) -> Answer:
        """Answer ``pckcert``."""
        made = self._answers.get(exchange.query)
        if made is not None and (not made.answer.done() or self._ticks() < made.until):
            self._counter.hit(_KIND)
            return await asyncio.shield(made.answer)
        asked = _read(exchange.parameters())
        self._counter.miss(_KIND)
        answer = asyncio.get_running_loop().create_task(self._look_up(asked))
        self._answers[exchange.query] = _Made(answer, self._ticks() + KEPT_S)
        self._answers.move_to_end(exchange.query)
        if len(self._answers) > MAX_ANSWERS:
            self._answers.popitem(last=False)
        try:
            return await asyncio.shield(answer)
        except BaseException:
            # A refusal is looked up again: the platform may be registered the next moment.
            self._answers.pop(exchange.query, None)
            raise

    async def _look_up(self, asked: _Asked) -> Answer:
        found = await self._look_ups.run(self._cache.held, asked.key, asked.raw_tcb, self._clock())
        if found is not None:
            return encode_certificate(*found)
        certificate, pck_set = await self._threads.run(
            self._cache.certificate, asked.key, asked.raw_tcb, asked.enc_ppid, self._clock()
        )
        return encode_certificate(certificate, pck_set)


def encode_certificate(certificate: PCKCertificate, pck_set: PCKSet) -> Answer:
    """Write a certificate as Intel's service does."""
    platform = pck_set.platform
    return make_answer(
        certificate.pem,
        PEM,
        headers=(
            (b"sgx-tcbm", str(certificate.tcb).encode("ascii")),
            (b"sgx-fmspc", platform.fmspc.hex().upper().encode("ascii")),
            (b"sgx-pck-certificate-ca-type", (platform.ca or "").upper().encode("ascii")),
            (b"sgx-pck-certificate-issuer-chain", encode_chain(pck_set.issuer_chain)),
        ),
    )


def _read(parameters: dict[str, str]) -> _Asked:
    qe_id = read_qe_id(parameters.get("qeid"), "qeid")
    cpu_svn = read_hex(parameters, "cpusvn", 32)
    pce_svn = read_hex(parameters, "pcesvn", 4)
    pce_id = read_hex(parameters, "pceid", 4)
    enc_ppid = read_hex(parameters, "encrypted_ppid", 768) if "encrypted_ppid" in parameters else b""
    return _Asked(
        PlatformKey(qe_id, pce_id.hex().upper()), RawTCB(cpu_svn, int.from_bytes(pce_svn, "little")), enc_ppid
    )
