"""Collateral on disk, and what a service makes of it after a restart: it is a help, and never a way around a check."""

import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from threading import Event

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.collateral.desk import until
from tests.unit.collateral.endorser import APPRAISED, DAY, START, Endorser, collateral_of, damaged
from verdictd.collateral.disk_cache import DiskCache
from verdictd.collateral.items import CollateralItem, ItemKey, ItemKind
from verdictd.collateral.service import CollateralService
from verdictd.collateral.store import OfferStatus
from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_CHAIN_BYTES, MAX_CRL_BYTES
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots

NOW = START + 10 * DAY
TCB_INFO = ItemKind.TCB_INFO
MEMORY = FactMemory()
REMEDY = "remove it: the item is fetched again"


def kept(directory: Path, endorser: Endorser, item: CollateralItem, *, is_from_peer: bool = False) -> Path:
    """Keep an item, and return its file."""
    before = set(directory.glob("*.json"))
    DiskCache(directory).keep(endorser.key(item.kind), item, is_from_peer=is_from_peer)
    (path,) = set(directory.glob("*.json")) - before
    return path


def service(directory: Path, roots: TrustRoots) -> CollateralService:
    """A service as it is after a restart, before it is told of anything; it has no source."""
    return CollateralService(roots=roots, memory=MEMORY, sources=(), cache=DiskCache(directory))


def numbers(holder: CollateralService, at: datetime = NOW) -> dict[ItemKind, int]:
    return {item.kind: item.sequence[0] for item in holder.held(at)}


def change(path: Path, **members: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | members))


# --- what is kept ---


@pytest.mark.parametrize("is_from_peer", [False, True])
@pytest.mark.parametrize("kind", list(ItemKind))
def test_an_item_comes_back_as_it_was(
    tmp_path: Path, endorser: Endorser, kind: ItemKind, *, is_from_peer: bool
) -> None:
    item = endorser.item(kind, source="PCCS https://[::1]/sgx/certification/v4/ «é»")
    path = kept(tmp_path, endorser, item, is_from_peer=is_from_peer)
    (found,) = DiskCache(tmp_path).load()
    assert (found.item, found.is_from_peer, found.path) == (item, is_from_peer, path)


def test_the_largest_items_that_are_accepted_come_back(tmp_path: Path, endorser: Endorser) -> None:
    crl = RevocationList(der=bytes(MAX_CRL_BYTES), issuer_chain=bytes(MAX_CHAIN_BYTES), source="s" * 2000)
    item = CollateralItem(kind=ItemKind.PCK_CRL, raw=crl)
    kept(tmp_path, endorser, item)
    assert [each.item for each in DiskCache(tmp_path).load()] == [item]


def test_an_item_takes_the_place_of_the_one_before_and_of_no_other(tmp_path: Path, endorser: Endorser) -> None:
    cache = DiskCache(tmp_path)
    first, second, other = endorser.items(1), endorser.items(2), endorser.tcb_info(fmspc=bytes(6))
    key = endorser.key(TCB_INFO)
    cache.keep(key._replace(name=key.name._replace(fmspc=bytes(6))), other, is_from_peer=False)
    for item in (*first, *second):
        cache.keep(endorser.key(item.kind), item, is_from_peer=False)
    found = [each.item for each in cache.load()]
    assert len(found) == 5
    assert all(item in found for item in (*second, other))


# --- what a restart knows ---


@pytest.mark.parametrize("kind", APPRAISED)
def test_what_was_newest_is_so_after_a_restart_although_it_has_expired(
    tmp_path: Path, endorser: Endorser, kind: ItemKind
) -> None:
    service(tmp_path, endorser.roots).offer(endorser.item(kind, 2, days=5, source="newer"), START + DAY)
    restarted = service(tmp_path, endorser.roots)
    assert [outcome.status for outcome in restarted.preload(NOW)] == [OfferStatus.KEPT]
    older = endorser.item(kind, 1, day=4, days=30)
    assert restarted.offer(older, NOW).status is OfferStatus.OLDER
    found = restarted.collateral_for(
        root=endorser.root, fmspc=endorser.fmspc, pck_ca="platform", peer=collateral_of(older), at=NOW
    )
    assert "newest known, from newer, expired" in found.reasons[kind]
    assert "the peer's own is older than that" in found.reasons[kind]


def test_what_only_a_peer_brought_stays_a_peers(tmp_path: Path, endorser: Endorser) -> None:
    service(tmp_path, endorser.roots).offer_from_peer(endorser.tcb_info(3), NOW)
    restarted = service(tmp_path, endorser.roots)
    restarted.preload(NOW)
    own, peers = restarted.known()
    assert (own, [item.sequence[0] for item in peers]) == ((), [3])


def test_a_peer_cannot_have_the_newest_known_replaced_on_disk(tmp_path: Path, endorser: Endorser) -> None:
    before = service(tmp_path, endorser.roots)
    before.offer(endorser.tcb_info(2), NOW)
    assert before.offer_from_peer(endorser.tcb_info(1), NOW).status is OfferStatus.KEPT, "it is the peers' newest"
    restarted = service(tmp_path, endorser.roots)
    restarted.preload(NOW)
    own, peers = restarted.known()
    assert ([item.sequence[0] for item in own], [item.sequence[0] for item in peers]) == ([2], [1])


class SlowCache(DiskCache):
    """A cache whose first write is held up, as a disk may hold it up."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.is_writing, self.go_on, self._is_first = Event(), Event(), True

    def keep(self, key: ItemKey, item: CollateralItem, *, is_from_peer: bool) -> None:
        if self._is_first:
            self._is_first = False
            self.is_writing.set()
            assert self.go_on.wait(10)
        super().keep(key, item, is_from_peer=is_from_peer)


def test_of_two_items_that_come_at_once_the_newer_one_is_on_disk_in_the_end(tmp_path: Path, endorser: Endorser) -> None:
    cache = SlowCache(tmp_path)
    holder = CollateralService(roots=endorser.roots, memory=MEMORY, sources=(), cache=cache)
    with ThreadPoolExecutor(2) as pool:
        older = pool.submit(holder.offer, endorser.tcb_info(1), NOW)
        assert cache.is_writing.wait(10)
        newer = pool.submit(holder.offer, endorser.tcb_info(2), NOW)
        until(lambda: numbers(holder) == {TCB_INFO: 2})
        cache.go_on.set()
        assert older.result(10).status is newer.result(10).status is OfferStatus.KEPT
    restarted = service(tmp_path, endorser.roots)
    restarted.preload(NOW)
    assert numbers(restarted) == {TCB_INFO: 2}


# --- nothing on disk counts because it is there ---


@pytest.mark.parametrize("kind", list(ItemKind))
def test_what_was_changed_on_disk_is_refused_and_the_file_named(
    tmp_path: Path, endorser: Endorser, kind: ItemKind
) -> None:
    path = kept(tmp_path, endorser, damaged(endorser.item(kind)))
    restarted = service(tmp_path, endorser.roots)
    (outcome,) = restarted.preload(NOW)
    assert outcome.status is OfferStatus.REFUSED
    assert str(path) in outcome.reason
    assert "does not verify" in outcome.reason
    assert outcome.reason.endswith(REMEDY)
    assert restarted.held(NOW) == ()


def test_what_is_under_a_root_that_is_not_trusted_is_refused(
    tmp_path: Path, endorser: Endorser, stranger: Endorser
) -> None:
    kept(tmp_path, endorser, stranger.tcb_info())  # under the name of ours, as a forger would
    kept(tmp_path, stranger, stranger.tcb_info(2))
    kept(tmp_path, endorser, endorser.root_ca_crl())
    restarted = service(tmp_path, endorser.roots)
    statuses = sorted(outcome.status for outcome in restarted.preload(NOW))
    assert statuses == [OfferStatus.KEPT, OfferStatus.REFUSED, OfferStatus.REFUSED]
    assert numbers(restarted) == {ItemKind.ROOT_CA_CRL: 1}


def test_what_is_kept_under_the_name_of_another_is_what_was_signed(tmp_path: Path, endorser: Endorser) -> None:
    path = kept(tmp_path, endorser, endorser.tcb_info(fmspc=bytes(6)))  # under the name of our platform
    restarted = service(tmp_path, endorser.roots)
    restarted.preload(NOW)
    assert [item.name for item in restarted.held(NOW)] == ["SGX TCB info for FMSPC 000000000000"], path


def test_what_is_not_yet_valid_is_refused(tmp_path: Path, endorser: Endorser) -> None:
    kept(tmp_path, endorser, endorser.tcb_info(day=20))
    restarted = service(tmp_path, endorser.roots)
    assert [outcome.status for outcome in restarted.preload(NOW)] == [OfferStatus.REFUSED]


def test_a_clock_that_was_behind_at_one_start_does_not_bring_an_older_item_back(
    tmp_path: Path, endorser: Endorser
) -> None:
    kept(tmp_path, endorser, endorser.tcb_info(2, day=5))
    behind = START + 2 * DAY
    confused = service(tmp_path, endorser.roots)
    assert [outcome.status for outcome in confused.preload(behind)] == [OfferStatus.REFUSED]
    assert confused.offer(endorser.tcb_info(1, day=0), behind).status is OfferStatus.KEPT
    restarted = service(tmp_path, endorser.roots)
    restarted.preload(NOW)
    assert numbers(restarted) == {ItemKind.TCB_INFO: 2}
    assert restarted.offer(endorser.tcb_info(1, day=0), NOW).status is OfferStatus.OLDER


# --- files that are nothing ---


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _symlink(path: Path) -> None:
    genuine = path.rename(path.with_name("elsewhere"))
    path.symlink_to(genuine)


def _dangle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _overfill(path: Path) -> None:
    change(path, comment=" " * 2 * (MAX_CHAIN_BYTES + MAX_CRL_BYTES))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: path.write_bytes(b""), "no kept collateral"),
    "truncated": (_truncate, "no kept collateral"),
    "not text": (lambda path: path.write_bytes(b"\xff\xfe\x00" * 99), "no kept collateral"),
    "deep": (lambda path: path.write_bytes(b"[" * 200_000), "no kept collateral"),
    "of something else": (lambda path: path.write_text('{"tcbInfo": {}}'), "no kept collateral"),
    "no object": (lambda path: path.write_text("[1]"), "no kept collateral"),
    "another form": (lambda path: change(path, form=2), "no kept collateral"),
    "no kind": (lambda path: change(path, kind="tcb"), "no kind of collateral"),
    "a number for a flag": (lambda path: change(path, is_from_peer=1), "no kept collateral"),
    "no base64": (lambda path: change(path, body="e30=!"), "no kept collateral"),
    "no hex": (lambda path: change(path, signature="0"), "no kept collateral"),
    "a source that is no text": (lambda path: change(path, source="\ud800"), "no kept collateral"),
    "a source of two lines": (lambda path: change(path, source="PCCS\ntrusted"), "no kept collateral"),
    "oversized": (_overfill, "larger than"),
    "a symbolic link": (_symlink, "symbolic link"),
    "a link to nothing": (_dangle, "symbolic link"),
    "a directory": (_directory, "not a file"),
    "a pipe": (_pipe, "not a file"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_is_nothing_is_passed_over_with_a_warning(
    tmp_path: Path, endorser: Endorser, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    spoil, why = DAMAGES[damage]
    path = kept(tmp_path, endorser, endorser.tcb_info())
    kept(tmp_path, endorser, endorser.root_ca_crl())
    spoil(path)
    restarted = service(tmp_path, endorser.roots)
    with caplog.at_level(logging.WARNING):
        restarted.preload(NOW)
    assert numbers(restarted) == {ItemKind.ROOT_CA_CRL: 1}
    (warning,) = caplog.messages
    assert warning.startswith(f"{path} is passed over: ")
    assert why in warning
    assert warning.endswith(REMEDY)


def test_what_is_not_a_file_costs_no_descriptor(tmp_path: Path) -> None:
    (tmp_path / "x.json").mkdir()
    cache = DiskCache(tmp_path)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        assert list(cache.load()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_files_of_other_names_are_left_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    foreign = ["README", "x.json.bak", ".journal"]
    for name in foreign:
        (tmp_path / name).write_text("{")
    with caplog.at_level(logging.WARNING):
        assert list(DiskCache(tmp_path).load()) == []
    assert caplog.messages == []
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(foreign)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.dictionaries(
            st.sampled_from(["form", "kind", "source", "is_from_peer", "body", "signature", "issuer_chain"]),
            st.one_of(st.just(1), st.booleans(), st.text(max_size=8), st.sampled_from(list(ItemKind)), st.just("e30=")),
        ).map(lambda members: json.dumps({"form": 1, **members}).encode()),
    )
)
def test_whatever_is_in_a_file_the_start_goes_on(tmp_path: Path, endorser: Endorser, content: bytes) -> None:
    genuine = kept_once(tmp_path, endorser)
    (tmp_path / "a.json").write_bytes(content)
    restarted = service(tmp_path, endorser.roots)
    restarted.preload(NOW)
    assert numbers(restarted) == {TCB_INFO: 1}, genuine


def kept_once(directory: Path, endorser: Endorser) -> Path:
    DiskCache(directory).keep(endorser.key(TCB_INFO), endorser.tcb_info(), is_from_peer=False)
    return directory


# --- a disk that does not do its part ---


def test_a_full_cache_takes_no_more_files_and_still_replaces_its_own(
    tmp_path: Path, endorser: Endorser, caplog: pytest.LogCaptureFixture
) -> None:
    cache = DiskCache(tmp_path, max_files=2)
    for kind in (TCB_INFO, ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL):
        cache.keep(endorser.key(kind), endorser.item(kind), is_from_peer=False)
    (warning,) = caplog.messages
    assert warning == (
        f"CRL of the root CA is not kept on disk: {tmp_path} holds 2 files already; remove what is not needed there"
    )
    cache.keep(endorser.key(TCB_INFO), endorser.tcb_info(2), is_from_peer=False)
    assert {each.item.kind for each in cache.load()} == {TCB_INFO, ItemKind.PCK_CRL}
    assert endorser_numbers(cache, endorser) == {TCB_INFO: 2, ItemKind.PCK_CRL: 1}


def endorser_numbers(cache: DiskCache, endorser: Endorser) -> dict[ItemKind, int]:
    holder = CollateralService(roots=endorser.roots, memory=MEMORY, sources=(), cache=cache)
    holder.preload(NOW)
    return numbers(holder)


def test_no_more_files_are_read_than_there_may_be(
    tmp_path: Path, endorser: Endorser, caplog: pytest.LogCaptureFixture
) -> None:
    for item in endorser.items():
        kept(tmp_path, endorser, item)
    assert len(list(DiskCache(tmp_path, max_files=3).load())) == 3
    assert caplog.messages == [f"{tmp_path} holds 4 files, only 3 are read"]


def test_a_cache_takes_no_more_bytes_than_it_may_and_still_replaces_its_own(
    tmp_path: Path, endorser: Endorser, caplog: pytest.LogCaptureFixture
) -> None:
    size = kept(tmp_path, endorser, endorser.tcb_info()).stat().st_size
    crl = endorser.pck_crl()
    cache = DiskCache(tmp_path, max_bytes=size + 100)
    cache.keep(endorser.key(crl.kind), crl, is_from_peer=False)
    (warning,) = caplog.messages
    assert warning == (
        f"CRL of the PCK platform CA is not kept on disk: {tmp_path} holds {size} bytes already, of {size + 100};"
        " remove what is not needed there"
    )
    cache.keep(endorser.key(TCB_INFO), endorser.tcb_info(2), is_from_peer=False)
    assert endorser_numbers(cache, endorser) == {TCB_INFO: 2}
    roomy = DiskCache(tmp_path, max_bytes=4 * size)
    roomy.keep(endorser.key(crl.kind), crl, is_from_peer=False)
    assert endorser_numbers(roomy, endorser) == {TCB_INFO: 2, ItemKind.PCK_CRL: 1}


def test_no_more_bytes_are_read_than_there_may_be(
    tmp_path: Path, endorser: Endorser, caplog: pytest.LogCaptureFixture
) -> None:
    sizes = {path: path.stat().st_size for path in (kept(tmp_path, endorser, item) for item in endorser.items())}
    first, second = (sizes[path] for path in sorted(sizes)[:2])
    assert len(list(DiskCache(tmp_path, max_bytes=sum(sizes.values())).load())) == 4
    assert len(list(DiskCache(tmp_path, max_bytes=first + second).load())) == 2
    assert caplog.messages == [f"{tmp_path} holds more than {first + second} bytes, only 2 files are read"]


def test_a_cache_that_cannot_be_written_keeps_nobody_from_the_item(
    tmp_path: Path, endorser: Endorser, caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "collateral"
    holder = service(directory, endorser.roots)
    directory.rmdir()
    assert holder.preload(NOW) == ()
    assert holder.offer(endorser.tcb_info(), NOW).status is OfferStatus.KEPT
    assert numbers(holder) == {TCB_INFO: 1}
    assert f"no collateral is read from {directory}: No such file or directory" in caplog.messages
    (warning,) = (message for message in caplog.messages if "cannot be kept on disk" in message)
    assert warning.startswith(f"SGX TCB info for FMSPC {endorser.fmspc.hex()} cannot be kept on disk")


def test_a_place_that_cannot_be_a_directory_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "collateral").write_text("")
    with pytest.raises(ConfigError, match=r"cannot be made.*--data-dir"):
        DiskCache(tmp_path / "collateral")


PROGRAM = """
import resource, sys
from pathlib import Path
from verdictd.collateral.disk_cache import DiskCache
from verdictd.collateral.items import CollateralItem, ItemKey, ItemKind, ItemName
from verdictd.tees.dcap.collateral import SignedDocument

KEY = ItemKey("root", ItemName(ItemKind.QE_IDENTITY, tee="SGX"))

def item(letter, size):
    raw = SignedDocument(body=letter.encode() * size, signature=bytes(64), issuer_chain=b"", source="s")
    return CollateralItem(kind=ItemKind.QE_IDENTITY, raw=raw)

cache = DiskCache(Path(sys.argv[1]))
"""


def test_a_disk_without_room_leaves_what_was_there(tmp_path: Path) -> None:
    body = """
cache.keep(KEY, item("a", 1000), is_from_peer=False)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
cache.keep(KEY, item("b", 100_000), is_from_peer=False)
print([(each.item.raw.body[:1], len(each.item.raw.body)) for each in cache.load()])
"""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + body, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[(b'a', 1000)]\n"
    assert "SGX QE identity cannot be kept on disk" in done.stderr
    assert len(list(tmp_path.iterdir())) == 1


def test_killed_at_every_step_of_keeping_it_leaves_the_old_item_or_the_new(tmp_path: Path) -> None:
    """A step is a call into the operating system or its return; at each, a fork of the program is killed."""
    body = """
import io, os, signal

def keep_killed_at(wanted):
    taken = 0
    def profile(frame, event, function):
        nonlocal taken
        owner = getattr(function, "__self__", None)
        if event in ("c_call", "c_return") and (
            getattr(function, "__module__", None) == "posix" or isinstance(owner, io.IOBase)
        ):
            taken += 1
            if taken == wanted:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.setprofile(profile)
    cache.keep(KEY, item("b", 3000), is_from_peer=False)
    sys.setprofile(None)

step = 0
while True:
    step += 1
    cache.keep(KEY, item("a", 5000), is_from_peer=False)
    child = os.fork()
    if child == 0:
        keep_killed_at(step)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    after = DiskCache(Path(sys.argv[1]))
    found = [(each.item.raw.body[:1].decode(), len(each.item.raw.body)) for each in after.load()]
    print(os.waitstatus_to_exitcode(status), found, len(os.listdir(sys.argv[1])), flush=True)
    if status == 0:
        break
"""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + body, str(tmp_path)], capture_output=True, text=True, timeout=60, check=True
    )
    *killed, finished = done.stdout.splitlines()
    old, new = "[('a', 5000)] 1", "[('b', 3000)] 1"
    assert finished == f"0 {new}"
    assert {line.removeprefix(f"{-signal.SIGKILL} ") for line in killed} == {old, new}
    assert len(killed) > 10
    assert done.stderr == "", "no file is ever half"


def test_items_that_cannot_hold_together_do_not_come_back(tmp_path: Path, endorser: Endorser) -> None:
    """A document under the name of a revocation list is DER that does not parse, and the other way round."""
    document, crl = kept(tmp_path, endorser, endorser.tcb_info()), kept(tmp_path, endorser, endorser.pck_crl())
    change(document, kind="pck_crl")
    change(crl, kind="tcb_info")
    restarted = service(tmp_path, endorser.roots)
    assert {outcome.status for outcome in restarted.preload(NOW)} == {OfferStatus.REFUSED}


def test_a_source_that_is_no_text_is_kept_under_a_name_that_is(tmp_path: Path, endorser: Endorser) -> None:
    """A file's name may be no text, or several lines. What was imported from it may be had from nowhere else."""
    raw = endorser.tcb_info().raw
    assert isinstance(raw, SignedDocument)
    item = CollateralItem(kind=TCB_INFO, raw=replace(raw, source="\udcff\n.json"))
    kept(tmp_path, endorser, item)
    (found,) = DiskCache(tmp_path).load()
    assert found.item.raw == replace(raw, source="\\udcff\\n.json")
