"""Two hundred hostile peers of each kind: an honest one among them is served, and nothing of them stays."""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from OpenSSL import SSL

from tests.e2e import hostile_peers
from tests.e2e.attackers import certificate_with_extension
from tests.e2e.conftest import TRUST, write_collateral
from tests.e2e.hostile_peers import Attack, Swarm
from tests.e2e.processes import Verifier, verifier
from tests.e2e.resources import Resources, measure
from tests.e2e.test_concurrent_peers import attest
from tests.unit.ratstls.peers import make_context
from verdictd.core.limits import MAX_CERTIFICATE_BYTES
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.ratstls.channel import Role
from verdictd.ratstls.limits import ServerLimits
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.platform import SimulatedPlatform

PEERS = 200
HONEST_S = 10.0
"""Ten times what an honest client may have to wait."""
WARM_UP = 60
REMEMBERED = 20
NEAR_BYTES = 90 * 1024
OPEN_KIB = 128
"""For a connection of which little has come: OpenSSL's state, buffers, our tasks, and as much again."""
FULL_KIB = 512
"""For one that makes us hold what it may: the largest handshake, or a whole read, in several forms at a time."""
LEFT_KIB = 16 * 1024
"""What the allocators may keep of a round beyond the round before; each of the 200 has sent or cost more than that
in all, but for those that are silent."""

LATE_THREADS = 8
"""Which pools that are not full yet may start in the second round; a thread for each peer would be 200."""


@dataclass(frozen=True, slots=True)
class Target:
    """A verdictd that has been at work for a while, and the identity of an honest client."""

    verdictd: Verifier
    honest: Identity

    @property
    def address(self) -> tuple[str, int]:
        return self.verdictd.host, int(self.verdictd.port)

    def measure(self) -> Resources:
        return measure(self.verdictd.service.process.pid)

    def serve_an_honest_client(self) -> None:
        began = time.monotonic()
        assert attest(self.honest, *self.address)
        assert time.monotonic() - began < HONEST_S

    def wait_until_all_are_gone(self) -> None:
        deadline = time.monotonic() + 20
        while (found := self.count_connections()) > 0:
            assert time.monotonic() < deadline, f"{found} connections are left"

    def measure_when_back_at(self, before: Resources) -> Resources:
        """Measure once no more is open than before: the client API's own connections close a moment after their end."""
        deadline = time.monotonic() + 20
        while (found := self.measure()).descriptors > before.descriptors or found.processes > before.processes:
            assert time.monotonic() < deadline, f"{found} is left, there was {before}"
            time.sleep(0.05)
        return found

    def count_connections(self) -> int:
        status = self.verdictd.verdict("status").stdout
        found = re.search(r"open connections (\d+)", status)
        assert found is not None, status
        return int(found[1])


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    place = tmp_path_factory.mktemp("hostile")
    platform = SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1))
    platform.save(place / "platform")
    write_collateral(place, platform)
    honest = build_identity(at=datetime.now(UTC), make_quote=SimulatedAttester(platform).quote)
    limits = ["--max-connections-per-address", "5000", "--handshake-threads", "2"]
    small = ["--workers", "2", "--attestation-history", str(REMEMBERED)]
    with verifier(place, *TRUST, "--collateral", "collateral.json", *small, *limits) as verdictd:
        verdictd.name_reference()
        ready = Target(verdictd, honest)
        for _ in range(WARM_UP):
            ready.serve_an_honest_client()
        yield ready
        assert verdictd.service.stop() == 0
        assert [line for line in verdictd.service.lines if "fault in" in line or "worker ended" in line] == []


def contexts_of(attack: Attack, honest: Identity) -> list[SSL.Context]:
    """TLS contexts with the certificates that an attack shows, in turns."""
    if attack is hostile_peers.show_a_huge_certificate:
        sizes = (NEAR_BYTES, ServerLimits().max_handshake_bytes + 1024, MAX_CERTIFICATE_BYTES + 1024)
        shown = [certificate_with_extension("1.2.3.4", bytes(size)) for size in sizes]
        return [make_context(Role.CLIENT, [certificate], key) for certificate, key in shown]
    return [make_context(Role.CLIENT, [honest.certificate_der], honest.private_key)]


@pytest.mark.parametrize(
    ("attack", "kib_each"),
    [
        (hostile_peers.be_silent, OPEN_KIB),
        (hostile_peers.send_half_a_hello, OPEN_KIB),
        (hostile_peers.send_a_byte_per_second, OPEN_KIB),
        (hostile_peers.send_garbage, FULL_KIB),
        (hostile_peers.show_a_huge_certificate, FULL_KIB),
        (hostile_peers.close_at_a_step, OPEN_KIB),
        (hostile_peers.never_read_the_handshake, OPEN_KIB),
        (hostile_peers.never_read_an_answer, FULL_KIB),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_an_honest_client_among_hostile_ones_is_served_and_nothing_of_them_stays(
    target: Target, attack: Attack, kib_each: int
) -> None:
    contexts = contexts_of(attack, target.honest)
    first = attack_once(target, attack, contexts, kib_each)
    second = attack_once(target, attack, contexts, kib_each)
    assert second.processes == first.processes
    assert second.threads <= first.threads + LATE_THREADS
    assert second.memory_kib < first.memory_kib + LEFT_KIB


def attack_once(target: Target, attack: Attack, contexts: list[SSL.Context], kib_each: int) -> Resources:
    """Have them attack, and an honest client come among them; return what is taken when they are gone."""
    before = target.measure()
    with Swarm(*target.address) as swarm:
        attacking = swarm.send_in(attack, PEERS, *contexts)
        target.serve_an_honest_client()  # while they come
        attacking.result()
        target.serve_an_honest_client()  # while they are there
        during = target.measure()
        swarm.withdraw()
    target.wait_until_all_are_gone()
    assert during.memory_kib - before.memory_kib < PEERS * kib_each
    return target.measure_when_back_at(before)


def test_hostile_peers_of_all_kinds_at_once_keep_no_honest_one_away(target: Target) -> None:
    before = target.measure()
    with Swarm(*target.address) as swarm:
        attacks = [
            swarm.send_in(attack, PEERS, *contexts_of(attack, target.honest))
            for attack in (
                hostile_peers.be_silent,
                hostile_peers.send_half_a_hello,
                hostile_peers.send_a_byte_per_second,
                hostile_peers.send_garbage,
                hostile_peers.show_a_huge_certificate,
                hostile_peers.close_at_a_step,
                hostile_peers.never_read_the_handshake,
                hostile_peers.never_read_an_answer,
            )
        ]
        while not all(attack.done() for attack in attacks):
            target.serve_an_honest_client()
        for attack in attacks:
            attack.result()
        assert target.count_connections() > 4 * PEERS, "they are there, or the test shows nothing"
        target.serve_an_honest_client()
    target.wait_until_all_are_gone()
    assert target.measure_when_back_at(before).processes == before.processes


def test_the_attacks_are_what_they_say(target: Target) -> None:
    """A peer that holds its position has a connection there; were they turned away, tests above would show little."""
    for attack in (
        hostile_peers.be_silent,
        hostile_peers.send_half_a_hello,
        hostile_peers.send_a_byte_per_second,
        hostile_peers.never_read_the_handshake,
        hostile_peers.never_read_an_answer,
    ):
        with Swarm(*target.address) as swarm:
            swarm.send_in(attack, 3, *contexts_of(attack, target.honest)).result()
            assert target.count_connections() == 3, attack
        target.wait_until_all_are_gone()
