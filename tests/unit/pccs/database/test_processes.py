"""Several processes on one database, and processes that are killed: nothing that was acknowledged is lost."""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import START, Endorser
from tests.unit.pccs.database.samples import pck_set, verified
from verdictd.collateral.items import ItemKind
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.model import STANDARD, PlatformKey, RegistrationState

ROOT = Path(__file__).resolve().parents[4]
WRITER = "tests.unit.pccs.database.writer"


@pytest.fixture(scope="module")
def directory(endorser: Endorser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The platform whose collateral the writers issue."""
    directory = tmp_path_factory.mktemp("platform") / "platform"
    endorser.platform.save(directory)
    return directory


@contextmanager
def writer(what: str, url: str, directory: Path, *arguments: object) -> "Iterator[subprocess.Popen[str]]":
    process = subprocess.Popen(
        [sys.executable, "-m", WRITER, what, url, directory, *map(str, arguments)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def acknowledged(process: "subprocess.Popen[str]") -> Iterator[object]:
    assert process.stdout is not None
    for line in process.stdout:
        if line.endswith("\n"):  # what was cut off was not acknowledged
            yield json.loads(line)


def test_of_several_that_write_at_once_nothing_is_lost(
    storage: DatabaseStorage, url: str, endorser: Endorser, directory: Path
) -> None:
    number, writers = 12, 4
    with ExitStack() as stack:
        processes = [
            stack.enter_context(writer("items", url, directory, each, writers, number)) for each in range(writers)
        ]
        newest, revisions = 0, [0]
        while any(process.poll() is None for process in processes):  # a reader beside them, as another process would
            for stored in storage.items.changed_since(revisions[-1]):
                assert stored.revision > revisions[-1]
                revisions.append(stored.revision)
                if stored.item.key.name.kind is ItemKind.TCB_INFO:
                    assert stored.item.sequence[0] >= newest, "the newest known never goes back"
                    newest = stored.item.sequence[0]
        outcomes = [list(acknowledged(process)) for process in processes]
        assert [process.wait(60) for process in processes] == [0] * writers
    assert [len(outcome) for outcome in outcomes] == [number] * writers
    held = storage.items.get(STANDARD, endorser.key(ItemKind.TCB_INFO))
    assert held is not None
    assert held.item.sequence[0] == number * writers
    assert storage.platforms.count() == number * writers + 1
    shared = storage.platforms.get(PlatformKey("5A", "0000"))
    assert shared is not None
    assert len(shared.certificates) == number * writers, "what each added to the same platform is there"
    assert storage.registrations.count(RegistrationState.NEW) == number * writers


def test_revisions_are_seen_in_their_order_also_while_others_write(
    storage: DatabaseStorage, url: str, directory: Path
) -> None:
    """Whoever follows the revisions sees the last state of every item, although it asks only for what came after."""
    followed: dict[bytes, int] = {}
    with ExitStack() as stack:
        processes = [stack.enter_context(writer("families", url, directory, each, 15)) for each in range(3)]
        newest = 0
        is_last_round = False
        while not is_last_round:
            is_last_round = all(process.poll() is not None for process in processes)
            for stored in storage.items.changed_since(newest):
                newest = stored.revision
                followed[stored.item.key.name.fmspc] = stored.item.sequence[0]
        assert [process.wait(60) for process in processes] == [0] * 3
    held = {stored.item.key.name.fmspc: stored.item.sequence[0] for stored in storage.items.changed_since(0)}
    assert followed == held
    assert len(held) == 3


def test_what_a_killed_process_had_acknowledged_is_there(
    storage: DatabaseStorage, url: str, endorser: Endorser, directory: Path
) -> None:
    expected: set[str] = set()
    for turn in range(6):
        with writer("platforms", url, directory, turn) as process:
            for qe_id in acknowledged(process):
                assert isinstance(qe_id, str)
                expected.add(qe_id)
                if len(expected) % 7 == turn:  # wherever in a transaction it is by then
                    process.send_signal(signal.SIGKILL)
            process.wait(60)
        known = {each.key.qe_id for each, _ in storage.platforms.platforms()}
        assert expected <= known
        for qe_id in expected:
            pck = storage.platforms.get(PlatformKey(qe_id, "0000"))
            assert pck is not None
            assert len(pck.certificates) == 1
    assert expected
    storage.platforms.keep(pck_set(endorser, 1, qe_id="FF"))
    storage.items.keep(STANDARD, verified(endorser, endorser.tcb_info(1)), START)
    storage.ping()
