"""A PCCS that is dead, slow, lying or rate-limiting: who is known is judged as ever, others are refused.

One PCCS knows one vendor's platforms of several families. What is held is held of one family; what only the PCCS can
give of another is what it misbehaves about.
"""

import json
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from itertools import count
from pathlib import Path

import pytest

from tests.e2e.attackers import present
from tests.e2e.conftest import TRUST
from tests.e2e.misbehaving_pccs import Behaviour, Exchange, MisbehavingPCCS
from tests.e2e.processes import Verifier, verifier
from verdictd.ratstls.certificate_builder import build_identity
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.platform import SimulatedPlatform

TCB, QE, PCK_CRL, ROOT_CRL = "/tcb?", "/qe/identity", "/pckcrl?", "/rootcacrl"
ITEMS = (TCB, QE, PCK_CRL, ROOT_CRL)
LET_IN = "LET IN"
_FAMILIES = count(1)


def new_platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(days=100))


@dataclass(frozen=True, slots=True)
class Scene:
    """A verdictd and the PCCS that it asks."""

    verdictd: Verifier
    pccs: MisbehavingPCCS

    def meet(self, platform: SimulatedPlatform) -> tuple[str, str]:
        """Attest as an enclave of a platform; return what came of it, and the attestation's id."""
        identity = build_identity(at=datetime.now(UTC), make_quote=SimulatedAttester(platform).quote)
        return present(self.verdictd.host, self.verdictd.port, identity), identity.attestation_id

    def accept(self, platform: SimulatedPlatform | None = None) -> None:
        """See that a platform is accepted, the known one where none is named."""
        outcome, _ = self.meet(platform or self.pccs.platform)
        assert outcome.startswith(LET_IN), outcome + "\n" + "\n".join(self.verdictd.service.lines[-5:])

    def refuse(self, platform: SimulatedPlatform) -> str:
        """See that a platform is refused, and return why."""
        outcome, attestation_id = self.meet(platform)
        assert outcome.startswith("turned away"), outcome
        line = self.verdictd.service.wait_for(
            rf'warning attestation id="{attestation_id}" .*verdict="refused" why="((?:[^"\\]|\\.)*)"'
        )
        return line[1].replace('\\"', '"')

    def unknown(self, behave: Behaviour) -> SimulatedPlatform:
        """A platform of a new family, about which the PCCS behaves so."""
        other = self.pccs.add_family(next(_FAMILIES))
        self.pccs.behaviours[other.hardware.fmspc.hex().upper()] = behave
        return other


@contextmanager
def scene(directory: Path, pccs: MisbehavingPCCS, *words: str) -> Iterator[Scene]:
    if not (directory / "platform").exists():
        pccs.platform.save(directory / "platform")
    flags = [*TRUST, "--pccs-url", pccs.url, "--allow-any-enclave"]
    with verifier(directory, *flags, *words) as running:
        yield Scene(running, pccs)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A verdictd of two workers that holds the known platform's collateral."""
    with (
        MisbehavingPCCS(new_platform()) as pccs,
        scene(tmp_path_factory.mktemp("known"), pccs, "--workers", "2") as running,
    ):
        with ThreadPoolExecutor(16) as pool:  # before anything is held, all at once, at both workers
            for outcome, _ in pool.map(running.meet, [pccs.platform] * 16):
                assert outcome.startswith(LET_IN), outcome
        yield running


def test_all_workers_together_ask_for_each_item_once(known: Scene) -> None:
    assert {part: known.pccs.asked(part) for part in ITEMS} == dict.fromkeys(ITEMS, 1) | {TCB: known.pccs.asked(TCB)}
    assert known.pccs.asked(known.pccs.platform.hardware.fmspc.hex().upper()) == 1
    status = json.loads(known.verdictd.verdict("status", "--json").stdout)
    assert status["counts"]["accepted"] >= 16


def test_another_family_of_an_honest_pccs_is_accepted(known: Scene) -> None:
    """So that what refuses the others below is the lie."""
    other = known.pccs.add_family(next(_FAMILIES))
    for _ in range(4):
        known.accept(other)
    assert known.pccs.asked(other.hardware.fmspc.hex().upper()) == 1


# --- lies ---


def _edited(edit: Callable[[bytes], bytes]) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        found = exchange.honest()
        assert edit(found.body) != found.body
        exchange.send(replace(found, body=edit(found.body)))

    return behave


def _flip_signature(body: bytes) -> bytes:
    place = body.index(b'"signature"') + len('"signature":"') + 8
    return body[:place] + (b"1" if body[place : place + 1] == b"0" else b"0") + body[place + 1 :]


def _with_headers(change: Callable[[tuple[tuple[str, str], ...]], tuple[tuple[str, str], ...]]) -> Behaviour:
    def behave(exchange: Exchange) -> None:
        found = exchange.honest()
        exchange.send(replace(found, headers=change(found.headers)))

    return behave


def _give_the_known_platforms(exchange: Exchange) -> None:
    exchange.target = exchange.target.split("fmspc=")[0] + "fmspc=" + exchange.pccs.platform.hardware.fmspc.hex()
    exchange.send(exchange.honest())


def _give_a_strangers(exchange: Exchange) -> None:
    mine = exchange.pccs.platform_of(exchange.target)
    stranger = replace(new_platform(), hardware=mine.hardware)
    exchange.send(exchange.honest(platform=stranger))


def _give_the_quoting_enclaves(exchange: Exchange) -> None:
    exchange.target = exchange.target.split("tcb?")[0] + "qe/identity"
    exchange.send(exchange.honest())


def _at(days: int) -> Behaviour:
    return lambda exchange: exchange.send(exchange.honest(at=datetime.now(UTC) + timedelta(days=days)))


def _say(body: bytes) -> Behaviour:
    return lambda exchange: exchange.send(replace(exchange.honest(), body=body))


def _never_end(exchange: Exchange) -> None:
    exchange.send(replace(exchange.honest(), body=b"{"), length=10**12)
    while not exchange.pccs.over.is_set():
        exchange.send_raw(b" " * 65536)  # until the other side has had enough


def _cut_off(exchange: Exchange) -> None:
    exchange.send(exchange.honest(), length=10**6)
    exchange.hang_up()


def _send_a_chain_without_end(exchange: Exchange) -> None:
    exchange.send(replace(exchange.honest(), headers=(("TCB-Info-Issuer-Chain", "A" * 300_000),)))


def _speak_otherwise(exchange: Exchange) -> None:
    exchange.send_raw(b"220 mail.example ESMTP\r\n")
    exchange.hang_up()


def _fail(exchange: Exchange) -> None:
    text = 'database is down\nwarning attestation id="00000000" verdict="accepted"'
    exchange.send_text(HTTPStatus.INTERNAL_SERVER_ERROR, text)


LIES: dict[str, tuple[Behaviour, str]] = {
    "another platform's item": (_give_the_known_platforms, "it gave the SGX TCB info for FMSPC 53494d000000"),
    "an item of another kind": (_give_the_quoting_enclaves, "chain"),
    "another vendor's item": (_give_a_strangers, "is refused"),
    "a changed text": (_edited(lambda body: body.replace(b"UpToDate", b"Revoked ", 1)), "does not verify"),
    "a changed signature": (_edited(_flip_signature), "does not verify"),
    "an item of the future": (_at(+9), "valid only from"),
    "nothing": (_say(b""), "does not begin with"),
    "garbage": (_say(bytes(range(256)) * 16), "JSON"),
    "a page": (_say(b"<html>Please log in</html>"), "does not begin with"),
    "a deep text": (_say(b"[" * 100_000), "does not begin with"),
    "a text without end": (_never_end, "more than 1048576 bytes"),
    "no issuer chain": (_with_headers(lambda _: ()), "without the header tcb-info-issuer-chain"),
    "a chain of nothing": (_with_headers(lambda _: (("TCB-Info-Issuer-Chain", "%00%ff"),)), "chain"),
    "an encoding": (_with_headers(lambda headers: (*headers, ("Content-Encoding", "gzip"))), "not asked for"),
    "a failure": (_fail, "answered 500 .database is down"),
}


@pytest.mark.parametrize("lie", LIES)
def test_who_is_lied_about_is_refused_with_the_reason_and_nobody_else(known: Scene, lie: str) -> None:
    behave, why = LIES[lie]
    other = known.unknown(behave)
    refusal = known.refuse(other)
    assert re.search(why, refusal), refusal
    assert f"SGX TCB info for FMSPC {other.hardware.fmspc.hex()}" in refusal
    assert known.pccs.url in refusal, "it names who was asked"
    assert "asked again in" not in refusal, "it was asked"
    known.accept()


def test_an_expired_item_is_no_collateral(known: Scene) -> None:
    refusal = known.refuse(known.unknown(_at(-60)))
    assert refusal.startswith("refused: check tcb_info.validity failed: found expired at "), refusal
    known.accept()


def test_who_was_lied_about_is_accepted_once_the_pccs_is_honest(known: Scene) -> None:
    """What is no answer at all comes last: after it the PCCS is not asked for anything for a while."""
    others = [known.unknown(behave) for behave in (_cut_off, _speak_otherwise, _send_a_chain_without_end)]
    with ThreadPoolExecutor(3) as pool:
        refusals = list(pool.map(known.refuse, others))
    for other, refusal in zip(others, refusals, strict=True):
        assert f"fmspc={other.hardware.fmspc.hex().upper()} did not answer in HTTP" in refusal
    known.accept()
    known.pccs.behaviours.clear()
    deadline = time.monotonic() + 60  # it is asked again after five seconds
    while not (outcome := known.meet(other)[0]).startswith(LET_IN):
        assert time.monotonic() < deadline, outcome
        known.pccs.over.wait(0.25)


# --- older than what is held ---


def test_a_pccs_that_goes_back_to_an_unrevoked_past_is_not_followed_not_even_after_a_restart(tmp_path: Path) -> None:
    past = new_platform()
    with MisbehavingPCCS(past.with_revoked("pck")) as pccs:
        with scene(tmp_path, pccs, "--workers", "1") as now:
            assert "pck.revocation" in now.refuse(past)
            pccs.platform = past
            now.verdictd.reload()
            assert pccs.asked(PCK_CRL) == 2
            assert "pck.revocation" in now.refuse(past)
        with scene(tmp_path, pccs, "--workers", "1") as restarted:
            assert "pck.revocation" in restarted.refuse(past)


# --- dead ---


def test_while_the_pccs_is_dead_who_is_known_is_accepted_also_after_a_restart_and_others_are_refused(
    tmp_path: Path,
) -> None:
    with MisbehavingPCCS(new_platform()) as pccs:
        stranger = pccs.add_family(next(_FAMILIES))
        with scene(tmp_path, pccs, "--workers", "2") as running:
            running.accept()
            pccs.die()
            running.accept()
            assert re.search("127.0.0.1:[0-9]+.* cannot be reached", running.refuse(stranger))
        with scene(tmp_path, pccs, "--workers", "2") as restarted:
            for _ in range(4):
                restarted.accept()
            assert "cannot be reached" in restarted.refuse(stranger)
        files = sorted((tmp_path / "data" / "collateral").glob("*.json"))
        assert len(files) == 4
        spoiled, *_ = (path for path in files if json.loads(path.read_bytes())["kind"] == "tcb_info")
        spoiled.write_bytes(spoiled.read_bytes().replace(b'"signature": "', b'"signature": "00', 1))
        with scene(tmp_path, pccs, "--workers", "1") as spoilt:
            spoilt.verdictd.service.wait_for(f"{spoiled.name} it is of no use: .*remove it: the item is fetched again")
            assert "SGX TCB info for FMSPC 53494d000000: none" in spoilt.refuse(pccs.platform)


# --- slow ---


def test_while_the_pccs_is_slow_who_is_known_waits_for_nobody(tmp_path: Path) -> None:
    """Thirty unknown platforms are more than there are threads for handshakes. Nobody's wait is measured."""
    with MisbehavingPCCS(new_platform()) as pccs, scene(tmp_path, pccs, "--workers", "2") as running:
        running.accept()
        strangers = [running.unknown(_stay_silent) for _ in range(15)] + [running.unknown(_drip) for _ in range(15)]
        with ThreadPoolExecutor(30) as pool:
            refusals = [pool.submit(running.refuse, stranger) for stranger in strangers]
            running.verdictd.service.wait_for("others wait for collateral already")
            for _ in range(10):
                running.accept()
            assert _unfinished(refusals) >= 2, "those that wait wait still"
            reasons = [refusal.result(30) for refusal in refusals]
        running.accept()
    assert all(re.search("others wait for collateral|in time|within [0-9]+ s|asked again in", why) for why in reasons)
    assert any("in time" in why or "within" in why for why in reasons)


def _unfinished(refusals: list[Future[str]]) -> int:
    return sum(not refusal.done() for refusal in refusals)


def _stay_silent(exchange: Exchange) -> None:
    exchange.pccs.over.wait(60)


def _drip(exchange: Exchange) -> None:
    exchange.send(replace(exchange.honest(), body=b"{"), length=10**5)
    while not exchange.pccs.over.wait(0.2):
        exchange.send_raw(b" ")


# --- rate-limiting ---


def _limit(wish: Callable[[], str]) -> Behaviour:
    return lambda exchange: exchange.send_text(HTTPStatus.TOO_MANY_REQUESTS, "slow down", ("Retry-After", wish()))


def _in_half_an_hour() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(minutes=30), usegmt=True)


def test_a_pccs_that_wishes_to_be_left_alone_is_and_who_is_known_is_accepted(tmp_path: Path) -> None:
    with MisbehavingPCCS(new_platform()) as pccs, scene(tmp_path, pccs, "--workers", "2") as running:
        running.accept()
        stranger = running.unknown(_limit(_in_half_an_hour))
        first = running.refuse(stranger)
        assert "answered 429 (slow down); it limits how often it is asked: use a PCCS of your own" in first
        asked = len(pccs.requests)
        for number in range(6):
            assert "429" in running.refuse(stranger)
            assert "asked to wait" in running.refuse(pccs.add_family(10_000 + number))
            running.accept()
        assert len(pccs.requests) == asked, "nothing is asked of it meanwhile, whoever comes"


def test_a_pccs_that_wishes_a_moment_is_given_it_and_the_peer_accepted(tmp_path: Path) -> None:
    with MisbehavingPCCS(new_platform()) as pccs, scene(tmp_path, pccs, "--workers", "1") as running:
        limits = iter([_limit(lambda: "1")])

        def limit_once(exchange: Exchange) -> None:
            behave = next(limits, None)
            if behave is None:
                exchange.send(exchange.honest())
            else:
                behave(exchange)

        pccs.behaviours[TCB] = limit_once
        running.accept()
        assert pccs.asked(TCB) == 2
