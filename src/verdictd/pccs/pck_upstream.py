"""Asks an upstream for PCK certificates: Intel's PCS for those of all TCB levels, another cache for one at a time.

Spec: Intel PCS API v4, "Get PCK Certificates"; Intel PCCS design guide, "Get PCK Certificate".
"""

import json
from collections.abc import Callable
from datetime import datetime
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote_to_bytes

from verdictd.collateral.deadline import Deadline
from verdictd.collateral.http_client import BoundedHTTPClient, HTTPAnswer
from verdictd.collateral.pccs_client import read_issuer_chain, require_success
from verdictd.collateral.pccs_urls import PCCSAddress
from verdictd.core.errors import CollateralUnavailableError, MalformedError
from verdictd.pccs.model import Platform, RawTCB
from verdictd.pccs.pck_offers import MAX_CERTIFICATES, OfferedPCKSet

_MAX_ANSWER_BYTES: Final = 2 * 1024 * 1024
_MAX_PEM_BYTES: Final = 16 * 1024
_CHAIN: Final = ("sgx-pck-certificate-issuer-chain",)
_NOT_AVAILABLE: Final = "Not available"
_TCBM_BYTES: Final = 18
_NO_SUCH_PATH: Final = frozenset({400, 404, 405})
"""What a cache, which has no path for all certificates of a platform, may answer there."""


class PCKUpstream:
    """An upstream for PCK certificates. Safe to share between threads. What it gives is untrusted."""

    def __init__(self, address: PCCSAddress, http: BoundedHTTPClient, clock: Callable[[], datetime]) -> None:
        """Make a client; nothing is asked yet.

        Args:
            address: of a PCS or a PCCS; which of them it is shows in what it answers.
            http: how to ask.
            clock: tells the time (aware).
        """
        self._address = address
        self._http = http
        self._clock = clock

    @property
    def name(self) -> str:
        """What to call it, for the operator."""
        return f"{'Intel PCS' if self._address.is_intel else 'PCCS'} {self._address}"

    def fetch(self, platform: Platform, raw_tcb: RawTCB | None, deadline: Deadline) -> OfferedPCKSet:
        """Ask for the certificates of a platform.

        Args:
            platform: with its encrypted PPID or its manifest.
            raw_tcb: for which a cache is asked; ``None`` where it is not known.
            deadline: when to give up.
        Raises:
            CollateralUnavailableError: no answer in time, or one that is not a success.
            MalformedError, LimitExceededError: an answer that is not what was asked for.
        """
        answer = self._ask_for_all(platform, deadline)
        if answer.status not in _NO_SUCH_PATH or self._address.is_intel or raw_tcb is None or platform.manifest:
            return self._read_all(require_success(answer), platform)
        one = self._ask_for_one(platform, raw_tcb, deadline)
        return self._read_one(require_success(one), platform)

    def _ask_for_all(self, platform: Platform, deadline: Deadline) -> HTTPAnswer:
        key, manifest = platform.key, platform.manifest
        url = self._address.pck_certificates(b"" if manifest else platform.enc_ppid, key.pce_id)
        named = {"platformManifest": manifest.hex().upper(), "pceid": key.pce_id}
        body = json.dumps(named).encode("ascii") if manifest else None
        return self._http.get(url, max_bytes=_MAX_ANSWER_BYTES, deadline=deadline, body=body)

    def _ask_for_one(self, platform: Platform, raw_tcb: RawTCB, deadline: Deadline) -> HTTPAnswer:
        key = platform.key
        url = self._address.pck_certificate(key.qe_id, platform.enc_ppid, bytes.fromhex(str(raw_tcb)), key.pce_id)
        return self._http.get(url, max_bytes=_MAX_PEM_BYTES, deadline=deadline)

    def _read_all(self, answer: HTTPAnswer, platform: Platform) -> OfferedPCKSet:
        try:
            entries = json.loads(answer.body)
        except (ValueError, RecursionError) as error:
            raise MalformedError(f"the answer of {self.name} for PCK certificates is not JSON: {error}") from error
        if not isinstance(entries, list) or len(entries) > MAX_CERTIFICATES:
            raise MalformedError(
                f"the answer of {self.name} for PCK certificates is no list of at most {MAX_CERTIFICATES} of them"
            )
        certificates: list[tuple[RawTCB, bytes]] = []
        unavailable: list[RawTCB] = []
        for entry in entries:
            match entry:
                case {"tcbm": str(tcbm), "cert": str(text)} if text == _NOT_AVAILABLE:
                    unavailable.append(self._read_tcb(tcbm))
                case {"tcbm": str(tcbm), "cert": str(text)}:
                    certificates.append((self._read_tcb(tcbm), unquote_to_bytes(text.encode("utf-8", "replace"))))
                case _:
                    raise MalformedError(f"the answer of {self.name} has an entry that is no PCK certificate")
        if not certificates:
            raise CollateralUnavailableError(
                f"{self.name} has no PCK certificate for any TCB level of the platform", status=HTTPStatus.NOT_FOUND
            )
        return self._offer(answer, platform, certificates, unavailable, is_complete=True)

    def _read_one(self, answer: HTTPAnswer, platform: Platform) -> OfferedPCKSet:
        tcb = self._read_tcb(answer.headers.get("sgx-tcbm", ""))
        return self._offer(answer, platform, [(tcb, answer.body)], [], is_complete=False)

    def _offer(
        self,
        answer: HTTPAnswer,
        platform: Platform,
        certificates: list[tuple[RawTCB, bytes]],
        unavailable: list[RawTCB],
        *,
        is_complete: bool,
    ) -> OfferedPCKSet:
        return OfferedPCKSet(
            platform=platform,
            certificates=tuple(certificates),
            unavailable=tuple(unavailable),
            issuer_chain=read_issuer_chain(answer, _CHAIN),
            is_complete=is_complete,
            fetched_at=self._clock(),
        )

    def _read_tcb(self, tcbm: str) -> RawTCB:
        try:
            octets = bytes.fromhex(tcbm)
        except ValueError as error:
            raise MalformedError(f"{self.name} names the TCB {tcbm!r:.60}, which is not hex") from error
        if len(octets) != _TCBM_BYTES:
            raise MalformedError(f"{self.name} names a TCB of {len(octets)} bytes, expected {_TCBM_BYTES}")
        return RawTCB(octets[:16], int.from_bytes(octets[16:], "little"))
