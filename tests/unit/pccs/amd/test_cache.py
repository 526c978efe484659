"""The rules of AMD's cache: what is asked for and when, what is taken, what is handed out."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.pccs.amd.conftest import CHAIN, CHIP, CRL, KDS, LEAF, NOW, VLEK, Clock, Process
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.core.errors import AuthenticityError, VerdictdError
from verdictd.pccs.amd.cache import StoredAMDCache
from verdictd.pccs.errors import UnavailableError
from verdictd.pccs.model import Mode
from verdictd.simulator.amd_certificates import AMDTCB, PSS, SHA384, issue_amd_crl, issue_endorsement_key
from verdictd.simulator.amd_pki import AMDPKI

Start = Callable[..., Process]
SVNS = AMDTCB(bootloader=3, snp=8, microcode=115)


def crl(pki: AMDPKI, number: int, *serials: int) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(pki.ark.certificate.subject)
        .last_update(NOW - timedelta(days=1))
        .next_update(NOW + timedelta(days=365))
        .add_extension(x509.CRLNumber(number), critical=False)
    )
    for serial in serials:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(NOW)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(pki.ark.key, SHA384, rsa_padding=PSS).public_bytes(Encoding.DER)


def refused(process: Process, name: AMDCertificateName, at: Clock) -> tuple[int, str]:
    with pytest.raises(UnavailableError) as caught:
        process.cache.find(name, at())
    assert caught.value.remedy
    return caught.value.status, caught.value.problem


def test_a_leaf_comes_with_its_chain_and_is_asked_for_once(start: Start, kds: KDS, clock: Clock) -> None:
    one, two = start(), start()
    assert one.cache.held(LEAF, clock()) is None
    leaf = one.cache.find(LEAF, clock())
    assert leaf.name == LEAF
    assert leaf.expires_at.year == 2033
    assert one.cache.held(LEAF, clock()) == leaf
    assert two.cache.find(LEAF, clock()) == leaf
    assert two.cache.find(CHAIN, clock()).content == kds.pki.chain("vcek")
    assert kds.asked == [
        "/vcek/v1/Milan/cert_chain",
        f"/vcek/v1/Milan/{CHIP.hex()}?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115",
    ]


def test_a_vlek_is_of_its_own_chain(start: Start, kds: KDS, clock: Clock) -> None:
    start().cache.find(VLEK, clock())
    assert kds.asked == ["/vlek/v1/Milan/cert_chain", "/vlek/v1/Milan/cert?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"]


def test_what_is_in_time_is_handed_out_although_upstream_is_down(start: Start, kds: KDS, clock: Clock) -> None:
    first = [start().cache.find(name, clock()) for name in (LEAF, CRL)]
    kds.is_down = True
    clock.pass_by(days=300)
    process = start()
    assert [process.cache.find(name, clock()) for name in (LEAF, CRL)] == first
    assert refused(process, VLEK, clock) == (502, "upstream-down")


def test_nothing_is_handed_out_past_its_time(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    kds.lifetime = timedelta(days=10)
    first = process.cache.find(CRL, clock())
    clock.pass_by(days=10, seconds=-1)
    assert process.cache.find(CRL, clock()) == first
    clock.pass_by(seconds=1)
    assert process.cache.held(CRL, clock()) is None
    kds.is_down = True
    assert refused(process, CRL, clock) == (502, "upstream-down")
    kds.is_down = False
    clock.pass_by(seconds=10)
    assert process.cache.find(CRL, clock()).expires_at == clock() + timedelta(days=10)


def test_what_upstream_gives_past_or_before_its_time_is_refused(start: Start, kds: KDS, clock: Clock) -> None:
    kds.instead["crl"] = issue_amd_crl(
        kds.pki.ark.certificate.subject,
        kds.pki.ark.key,
        number=1,
        this_update=NOW - timedelta(days=2),
        next_update=NOW - timedelta(days=1),
    )
    assert refused(start(), CRL, clock) == (404, "expired")
    early = kds.pki.spec("vcek", CHIP, SVNS, NOW + timedelta(hours=1))
    kds.instead[f"{CHIP.hex()}?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"] = issue_endorsement_key(
        early, kds.pki.ask.key
    )
    assert refused(start(), LEAF, clock) == (404, "expired")


@pytest.mark.parametrize(
    ("chip_id", "svns"), [(bytes(63) + b"\1", SVNS), (CHIP, AMDTCB(bootloader=4, snp=8, microcode=115))]
)
def test_a_leaf_of_another_chip_or_tcb_is_refused(
    start: Start, kds: KDS, clock: Clock, chip_id: bytes, svns: AMDTCB
) -> None:
    wrong = issue_endorsement_key(kds.pki.spec("vcek", chip_id, svns, NOW), kds.pki.ask.key)
    kds.instead[f"{CHIP.hex()}?blSPL=03&teeSPL=00&snpSPL=08&ucodeSPL=115"] = wrong
    process = start()
    assert refused(process, LEAF, clock) == (460, "integrity")
    assert process.storage.amd.get(LEAF) is None


def test_what_another_amd_issued_is_refused(start: Start, kds: KDS, clock: Clock, other: AMDPKI) -> None:
    process = start()
    kds.pki = other
    for name in (LEAF, CHAIN, CRL):
        assert refused(process, name, clock) == (460, "integrity")
    assert not [*process.storage.amd.items()]


def test_the_chain_of_another_kind_of_key_is_refused(start: Start, kds: KDS, clock: Clock) -> None:
    kds.instead["cert_chain"] = kds.pki.chain("vlek")
    assert refused(start(), CHAIN, clock) == (460, "integrity")


@pytest.mark.parametrize(("headers", "pause"), [({}, 30), ({"retry-after": "300"}, 300)])
def test_all_processes_leave_alone_what_was_asked_too_often(
    start: Start, kds: KDS, clock: Clock, headers: dict[str, str], pause: int
) -> None:
    one, two = start(), start()
    kds.status, kds.headers = 429, headers
    assert refused(one, CRL, clock) == (503, "rate-limited")
    kds.status = 200
    clock.pass_by(seconds=pause - 1)
    with pytest.raises(UnavailableError) as caught:
        two.cache.find(VLEK, clock())
    assert (caught.value.status, caught.value.retry_after_s) == (503, 1)
    assert len(kds.asked) == 1
    clock.pass_by(seconds=1)
    assert two.cache.find(CRL, clock()).name == CRL
    assert one.cache.find(VLEK, clock()).name == VLEK


@pytest.mark.parametrize(("status", "expected"), [(404, (404, "no-cache-data")), (500, (502, "upstream-down"))])
def test_what_upstream_answers_is_told(
    start: Start, kds: KDS, clock: Clock, status: int, expected: tuple[int, str]
) -> None:
    kds.status = status
    assert refused(start(), CRL, clock) == expected


def test_nobody_is_asked_offline(start: Start, kds: KDS, clock: Clock) -> None:
    item = start().cache.find(CRL, clock())
    kds.asked.clear()
    process = start(Mode.OFFLINE)
    assert process.cache.find(CRL, clock()) == item
    assert refused(process, LEAF, clock) == (404, "offline")
    with pytest.raises(UnavailableError, match="never asked"):
        process.cache.refresh(clock())
    process.cache.refresh_due(clock.pass_by(days=30))
    assert not kds.asked


def test_what_stands_under_a_revoked_intermediate_is_refused(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    process.cache.find(LEAF, clock())
    process.cache.offer(CRL, crl(kds.pki, 5, 0x10001), clock())
    assert process.cache.held(LEAF, clock()) is None
    for name in (LEAF, CHAIN):
        assert refused(process, name, clock) == (404, "revoked")
        assert refused(start(Mode.OFFLINE), name, clock) == (404, "revoked")
    assert process.cache.find(VLEK, clock()).name == VLEK
    process.cache.offer(CRL, crl(kds.pki, 6), clock())
    assert process.cache.find(LEAF, clock()).name == LEAF


def test_another_process_hears_of_a_revocation_within_a_minute(start: Start, kds: KDS, clock: Clock) -> None:
    one, two = start(), start()
    one.cache.find(LEAF, clock())
    two.cache.offer(CRL, crl(kds.pki, 5, 0x10001), clock())
    assert one.cache.held(LEAF, clock()) is not None
    assert one.cache.held(LEAF, clock.pass_by(seconds=60)) is None
    assert refused(one, LEAF, clock) == (404, "revoked")


def test_a_crl_stays_before_an_older_one(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    newer = process.cache.offer(CRL, crl(kds.pki, 5), clock())
    assert process.cache.offer(CRL, crl(kds.pki, 4), clock()).sequence == 4
    assert process.cache.refresh(clock()) == [("the CRL for a Milan VCEK", "")]  # the simulator's has the number 1
    assert process.cache.find(CRL, clock()).content == newer.content


def test_a_leaf_is_offered_after_its_chain(start: Start, kds: KDS, clock: Clock, other: AMDPKI) -> None:
    leaf = issue_endorsement_key(kds.pki.spec("vcek", CHIP, SVNS, NOW), kds.pki.ask.key)
    process = start(Mode.OFFLINE)
    with pytest.raises(UnavailableError, match="is not held"):
        process.cache.offer(LEAF, leaf, clock())
    with pytest.raises(AuthenticityError, match="trusted"):
        process.cache.offer(CHAIN, other.chain("vcek"), clock())
    process.cache.offer(CHAIN, kds.pki.chain("vcek"), clock())
    assert start(Mode.OFFLINE).cache.offer(LEAF, leaf, clock()).content == leaf
    assert process.cache.find(LEAF, clock()).content == leaf
    for name in (LEAF._replace(tcb=bytes(8)), LEAF._replace(chip_id=bytes(64)), VLEK):
        with pytest.raises(VerdictdError):
            process.cache.offer(name, leaf, clock())
    shorter = kds.pki.spec("vcek", CHIP, SVNS, NOW - timedelta(days=400))
    process.cache.offer(LEAF, issue_endorsement_key(shorter, kds.pki.ask.key), clock())
    assert start().cache.find(LEAF, clock()).content == leaf


def test_crls_that_are_held_are_refreshed(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    assert process.cache.refresh(clock()) == []
    process.cache.find(CRL, clock())
    process.cache.find(LEAF, clock())
    kds.asked.clear()
    process.cache.refresh_due(clock.pass_by(hours=23))
    assert not kds.asked
    kds.is_down = True
    for _ in range(2):
        process.cache.refresh_due(clock.pass_by(hours=1, minutes=1))
        process.cache.refresh_due(clock.pass_by(minutes=1))
    assert kds.asked == ["/vcek/v1/Milan/crl"] * 2
    ((name, failure),) = process.cache.refresh(clock())
    assert name == "the CRL for a Milan VCEK"
    assert "cannot be reached" in failure
    kds.is_down = False
    process.cache.refresh_due(clock.pass_by(minutes=11))
    assert process.storage.amd.get(CRL).fetched_at == clock()  # type: ignore[union-attr]


def test_those_who_ask_together_cause_one_request(start: Start, kds: KDS, clock: Clock) -> None:
    processes = [start(), start()]
    all_asking = threading.Event()
    kds.before = lambda: all_asking.wait(5)
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(processes[n % 2].cache.find, CRL, clock()) for n in range(8)]
        all_asking.set()
        assert len({answer.result().content for answer in answers}) == 1
    assert len(kds.asked) == 1


def test_what_was_changed_in_the_database_is_passed_over(start: Start, clock: Clock) -> None:
    process = start()
    item = process.cache.find(CRL, clock())
    for changed in ({"expires_at": item.expires_at + timedelta(days=1)}, {"sequence": 0}, {"name": CHAIN}):
        fields = {name: getattr(item, name) for name in ("name", "content", "expires_at", "sequence", "fetched_at")}
        with pytest.raises(VerdictdError):
            process.verifier(type(item)(**(fields | changed)))
    process.verifier(item)


def test_what_is_offered_under_a_revoked_intermediate_is_refused(start: Start, kds: KDS, clock: Clock) -> None:
    process = start(Mode.OFFLINE)
    process.cache.offer(CRL, crl(kds.pki, 5, 0x10001), clock())
    with pytest.raises(UnavailableError, match="revokes"):
        process.cache.offer(CHAIN, kds.pki.chain("vcek"), clock())
    assert process.storage.amd.get(CHAIN) is None


def test_the_crl_of_another_product_is_refused(start: Start, kds: KDS, clock: Clock) -> None:
    with pytest.raises(AuthenticityError, match="expected that of Genoa"):
        start().cache.offer(CRL._replace(product="Genoa"), crl(kds.pki, 5), clock())


def test_a_chain_that_another_process_has_renewed_is_read_anew(
    start: Start, kds: KDS, clock: Clock, other: AMDPKI
) -> None:
    one, two = start(), start()
    two.cache.find(CHAIN, clock())
    old = kds.pki.ask.certificate
    builder = x509.CertificateBuilder(
        old.issuer, old.subject, other.ask.key.public_key(), 0x10002, NOW, NOW + timedelta(days=10_000)
    )
    for extension in old.extensions:
        builder = builder.add_extension(extension.value, critical=extension.critical)
    renewed = builder.sign(kds.pki.ark.key, SHA384, rsa_padding=PSS).public_bytes(Encoding.PEM) + kds.pki.ark.pem
    one.cache.offer(CHAIN, renewed, clock())
    leaf = issue_endorsement_key(kds.pki.spec("vcek", CHIP, SVNS, NOW), other.ask.key)
    assert two.cache.offer(LEAF, leaf, clock()).content == leaf
    assert two.cache.find(CHAIN, clock.pass_by(seconds=60)).content == renewed


def test_caches_that_started_together_do_not_refresh_together(start: Start, kds: KDS, clock: Clock) -> None:
    process = start()
    process.cache.find(CRL, clock())
    early = StoredAMDCache(
        process.storage.amd,
        process.cache._held,
        process.cache._fetcher,
        process.verifier,
        mode=Mode.LAZY,
        random=lambda: 0.0,
    )
    clock.pass_by(hours=19.2)
    kds.asked.clear()
    process.cache.refresh_due(clock())
    assert not kds.asked
    early.refresh_due(clock())
    assert kds.asked == ["/vcek/v1/Milan/crl"]
