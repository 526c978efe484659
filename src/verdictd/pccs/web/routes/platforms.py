"""``platforms``: POST registers a platform, GET lists those that wait, or those that are cached.

Spec: Intel PCCS, service/services/platformsRegService.js and PLATFORM_REG_SCHEMA.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime

from verdictd.core.result import JSONValue
from verdictd.pccs.model import Platform, PlatformKey, RawTCB, Registration, RegistrationState
from verdictd.pccs.ports import PCKCache, Storage
from verdictd.pccs.web.http.answers import JSON, SUCCESS_TEXT, TEXT, Answer, make_answer
from verdictd.pccs.web.http.exchange import Exchange
from verdictd.pccs.web.http.parameters import read_fmspc, read_hex, read_qe_id, read_updates
from verdictd.pccs.web.http.refusals import RequestRefusedError, refuse_parameter
from verdictd.pccs.web.http.threads import Threads
from verdictd.pccs.web.http.tokens import TokenHashes


class PlatformRoutes:
    """Answers from the registrations and platforms that are stored."""

    def __init__(
        self,
        storage: Storage,
        pck: PCKCache,
        tokens: TokenHashes,
        clock: Callable[[], datetime],
        threads: tuple[Threads, Threads],
    ) -> None:
        """Make the routes.

        Args:
            storage: what waits, and what is cached.
            pck: takes registrations.
            tokens: of users and administrators.
            clock: tells the time (aware).
            threads: in which upstream is asked for what registers, and in which lists are made.
        """
        self._storage = storage
        self._pck = pck
        self._tokens = tokens
        self._clock = clock
        self._asking, self._listing = threads

    async def register(self, exchange: Exchange) -> Answer:
        """Answer POST."""
        self._tokens.require_user(exchange)
        updates = read_updates(exchange.parameters())
        registration = read_registration(await exchange.read_json_object())
        await self._asking.run(self._pck.register, registration, self._clock(), updates=updates)
        return make_answer(SUCCESS_TEXT, TEXT)

    async def show(self, exchange: Exchange) -> Answer:
        """Answer GET. Those that wait are handed out once: whoever asks is to fetch their collateral."""
        self._tokens.require_admin(exchange)
        source = exchange.parameters().get("source") or RegistrationState.NEW.value
        if source in {RegistrationState.NEW.value, RegistrationState.NOT_AVAILABLE.value}:
            taken = await self._listing.run(self._storage.registrations.take, RegistrationState(source))
            return _list([_describe_registration(registration) for registration in taken])
        fmspcs = _read_fmspcs(source)
        return await self._listing.run(self._list_cached, fmspcs)

    def _list_cached(self, fmspcs: tuple[bytes, ...]) -> Answer:
        platforms = self._storage.platforms.platforms(fmspcs)
        return _list([_describe(platform, raw_tcb) for platform, raw_tcbs in platforms for raw_tcb in raw_tcbs])


def read_registration(document: Mapping[str, JSONValue]) -> Registration:
    """Read what a platform says of itself. Members that are not known are passed over, as Intel's service does.

    Raises:
        RequestRefusedError: 400.
    """
    texts = {name: _read_text(document, name) for name in ("qe_id", "pce_id", "cpu_svn", "pce_svn", "enc_ppid")}
    given = {name: text for name, text in texts.items() if text is not None}
    key = PlatformKey(read_qe_id(given.get("qe_id"), "qe_id"), read_hex(given, "pce_id", 4).hex().upper())
    # The form of every member counts, also of those that a manifest makes superfluous.
    cpu_svn = read_hex(given, "cpu_svn", 32) if "cpu_svn" in given else b""
    pce_svn = read_hex(given, "pce_svn", 4) if "pce_svn" in given else b""
    enc_ppid = read_hex(given, "enc_ppid", 768) if "enc_ppid" in given else b""
    manifest = _read_manifest(document)
    if manifest:
        return Registration(platform=Platform(key=key, manifest=manifest), raw_tcb=None)
    for name in ("cpu_svn", "pce_svn", "enc_ppid"):
        if name not in given:
            raise refuse_parameter(name, "there, or platform_manifest instead", None)
    raw_tcb = RawTCB(cpu_svn, int.from_bytes(pce_svn, "little"))
    return Registration(platform=Platform(key=key, enc_ppid=enc_ppid), raw_tcb=raw_tcb)


def _read_text(document: Mapping[str, JSONValue], name: str) -> str | None:
    if name not in document:
        return None
    value = document[name]
    if not isinstance(value, str):
        raise refuse_parameter(name, "text", type(value).__name__)
    return value


def _read_manifest(document: Mapping[str, JSONValue]) -> bytes:
    if document.get("platform_manifest") is None:
        return b""
    text = _read_text(document, "platform_manifest") or ""
    if not re.fullmatch(r"(?:[0-9A-Fa-f]{2})*", text):
        raise refuse_parameter("platform_manifest", "bytes in hex", text)
    return bytes.fromhex(text)


def _read_fmspcs(source: str) -> tuple[bytes, ...]:
    if len(source) < 2 or source[0] != "[" or source[-1] != "]":
        raise refuse_parameter("source", "reg, reg_na or [FMSPC,...]", source)
    listed = source[1:-1].strip()
    try:
        return tuple(read_fmspc({"fmspc": text}) for text in listed.split(",")) if listed else ()
    except RequestRefusedError as error:
        raise refuse_parameter("source", "reg, reg_na or [FMSPC,...] of 12 hex digits each", source) from error


def _describe_registration(registration: Registration) -> JSONValue:
    return _describe(registration.platform, registration.raw_tcb)


def _describe(platform: Platform, raw_tcb: RawTCB | None) -> JSONValue:
    return {
        "qe_id": platform.key.qe_id,
        "pce_id": platform.key.pce_id,
        "cpu_svn": "" if raw_tcb is None else raw_tcb.cpu_svn.hex().upper(),
        "pce_svn": "" if raw_tcb is None else raw_tcb.pce_svn.to_bytes(2, "little").hex().upper(),
        "platform_manifest": platform.manifest.hex().upper(),
        "enc_ppid": platform.enc_ppid.hex().upper(),
    }


def _list(platforms: list[JSONValue]) -> Answer:
    count = (b"platform-count", str(len(platforms)).encode("ascii"))
    return make_answer(json.dumps(platforms).encode("ascii"), JSON, headers=(count,))
