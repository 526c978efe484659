"""The archive over a real channel, and the two commands that use it: what is told, and every exit code."""

import contextlib
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import grpc
import pytest

from tests.unit.appraisal.platforms import NOW
from tests.unit.appraisal.schema import violations
from tests.unit.archive.peers import ACCEPTED, OPEN, SCENARIOS, judge
from verdictd.archive.builder import build_entry
from verdictd.archive.entry import decode_entry
from verdictd.archive.material import Role
from verdictd.archive.reader import ArchiveReader, Bundle
from verdictd.archive.store import ArchiveBounds, ArchiveStore
from verdictd.cli.verdict.main import main
from verdictd.daemon.archive_api import ArchiveAPI
from verdictd.daemon.proto import archive_pb2 as messages
from verdictd.daemon.proto.archive_pb2_grpc import ArchiveServiceStub, add_ArchiveServiceServicer_to_server
from verdictd.policy.pair_files import SHIPPED, load_shipped
from verdictd.policy.runner import PolicyRunner

NAMES = list(SCENARIOS)
FAR = "2030-01-01T00:00:00Z"


@contextlib.contextmanager
def served(archive: ArchiveReader | None) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(4))
    add_ArchiveServiceServicer_to_server(ArchiveAPI(archive), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(None).wait()


@contextlib.contextmanager
def asked(address: str) -> Iterator[ArchiveServiceStub]:
    with grpc.insecure_channel(address, options=[("grpc.enable_http_proxy", 0)]) as channel:
        yield ArchiveServiceStub(channel)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of every scenario; the number of each is its place from 1."""
    directory = tmp_path_factory.mktemp("archive")
    with PolicyRunner(workers=1) as runner, ArchiveStore(directory, ArchiveBounds()) as store:
        store.add([build_entry(judge(runner, name, number)) for number, name in enumerate(NAMES, 1)], NOW)
    return directory


@pytest.fixture
def address(directory: Path) -> Iterator[str]:
    with served(ArchiveReader(directory)) as address:
        yield address


def run(capsys: pytest.CaptureFixture[str], address: str, *words: str) -> tuple[int, str, str]:
    code = main(["--client-api", address, *words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("name", NAMES)
def test_each_is_judged_again_with_its_verdict(name: str, address: str, capsys: pytest.CaptureFixture[str]) -> None:
    which = f"audit:{NAMES.index(name) + 1}"
    code, out, err = run(capsys, address, "appraise", "--attestation", which)
    assert (code, err) == (0 if name in ACCEPTED else 1, "")
    assert out.endswith("the verdict is the one that is recorded\n")
    assert "DIFFERENT" not in out
    assert "NOT Intel's" in out
    code, out, _ = run(capsys, address, "appraise", "--attestation", which, "--json")
    report = json.loads(out)
    assert (report["same_verdict"], report["differences"]) == (True, [])
    assert (report["recorded_verdict"] == "allow") is (name in ACCEPTED) is (code == 0)
    assert violations(report["appraisal"]) == []


def test_an_attestation_is_found_by_its_id(address: str, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    identifier = next(iter(ArchiveReader(directory).newest(1))).entry.attestation_id
    code, out, _ = run(capsys, address, "appraise", "--attestation", identifier.upper()[:7], "--at", "then")
    assert code == 1
    assert f"attestation {identifier} of " in out


def test_for_another_instant_the_difference_is_shown_check_by_check(
    address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = run(capsys, address, "appraise", "--attestation", "audit:1", "--at", FAR)
    assert code == 1
    assert "DIFFERENT: tcb_info.validity: recorded pass, again fail" in out
    assert out.endswith("DIFFERENT: the verdict is not the one that is recorded\n")
    code, out, _ = run(capsys, address, "appraise", "--attestation", "audit:1", "--at", FAR, "--json")
    report = json.loads(out)
    assert (code, report["same_verdict"]) == (1, False)
    assert {"name": "tcb_info.validity", "recorded": "pass", "found": "fail"} in report["differences"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["--attestation", "ffffffffff"], "no such attestation is archived"),
        (["--attestation", "audit:999"], "no such attestation is archived"),
        (["--attestation", "audit:x"], "is no number of a record"),
        (["--attestation", "../.."], "is not the beginning of an attestation id"),
        (["--attestation", "audit:1", "--reference", "x"], "--reference is given beside --attestation"),
        (["--attestation", "audit:1", "--allow-debug"], "--allow-debug is given beside --attestation"),
        (["quote", "--at", "then"], "--at then is for what is archived alone"),
    ],
)
def test_what_cannot_be_is_2_and_a_sentence(
    words: list[str], why: str, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = run(capsys, address, "appraise", *words)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert why in err


def test_without_an_archive_the_answer_says_so(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    for archive in (None, ArchiveReader(tmp_path)):
        with served(archive) as address:
            code, out, err = run(capsys, address, "appraise", "--attestation", "00")
            assert (code, out) == (2, "")
            assert "start" in err
            assert "--archive" in err


def write_policy(place: Path, reference: dict[str, object]) -> list[str]:
    (place / "policy").write_bytes(load_shipped(SHIPPED.policy))
    (place / "reference").write_text(json.dumps(reference))
    return ["policy", "try", "--policy", str(place / "policy"), "--reference", str(place / "reference")]


def test_try_shows_exactly_the_changes_with_their_reasons(
    address: str, directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bundle = ArchiveReader(directory).find_number(1)
    assert bundle is not None
    ours = OPEN | {"mrSigner": [json.loads(bundle.blobs[Role.POLICY_INPUT])["mrSigner"]]}
    code, out, err = run(capsys, address, *write_policy(tmp_path, ours | {"svn": 9}))
    lines = out.splitlines()
    assert (code, err, len(lines)) == (1, "", 4)
    assert all("accepted -> REFUSED" in line and "svn 0 is below the 9" in line for line in lines[:3])
    assert f"of {len(NAMES)} attestations, 3 accepted -> REFUSED, 0 refused -> ACCEPTED; 1 stay accepted" in lines[3]
    code, out, _ = run(capsys, address, *write_policy(tmp_path, ours), "--json")
    report = json.loads(out)
    assert (code, report["newly_accepted"], report["newly_refused"]) == (1, 3, 0)
    changed = {NAMES[change["number"] - 1] for change in report["changes"]}
    assert changed == {"refused by the policy", "the shipped reference", "no usable policy"}


def test_try_is_0_where_nothing_changes(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The newest are refused whatever the policy is."""
    code, out, _ = run(capsys, address, *write_policy(tmp_path, OPEN), "--last", "4")
    assert code == 0
    assert out.startswith("of 4 attestations, 0 accepted -> REFUSED, 0 refused -> ACCEPTED; 0 stay accepted, 4 stay")


def test_a_policy_that_must_not_be_used_is_2(address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = write_policy(tmp_path, OPEN)
    (tmp_path / "policy").write_text("nonsense")
    code, out, err = run(capsys, address, *words)
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_an_archive_that_is_empty_says_that_nothing_is_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ArchiveStore(tmp_path, ArchiveBounds()).close()
    with served(ArchiveReader(tmp_path)) as address:
        code, out, _ = run(capsys, address, *write_policy(tmp_path, OPEN))
    assert (code, "nothing is known" in out) == (0, True)


def test_lists_are_bounded_and_their_arguments_checked(address: str) -> None:
    with asked(address) as service:
        newest = list(service.ListAttestations(messages.ListArchivedRequest(last=3, roles=["checks"])))
        numbers = [decode_entry(answer.entry_json).number for answer in newest]
        assert numbers == list(range(len(NAMES) - 2, len(NAMES) + 1))
        assert [[blob.role for blob in answer.blobs] for answer in newest] == [["checks"]] * 3
        for request in (
            messages.ListArchivedRequest(last=0),
            messages.ListArchivedRequest(last=2**32 - 1),
            messages.ListArchivedRequest(last=1, roles=["all"]),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                list(service.ListAttestations(request))
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        for which in (
            messages.GetArchivedRequest(),
            messages.GetArchivedRequest(id_prefix="x" * 65),
            messages.GetArchivedRequest(number=2**63),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                service.GetAttestation(which)
            assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_listings_leave_threads_for_everybody_else_and_give_them_back(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, entered = threading.Event(), threading.Semaphore(0)

    class Slow(ArchiveReader):
        def newest(self, count: int, roles: frozenset[Role] = frozenset()) -> Iterator[Bundle]:
            entered.release()
            assert go_on.wait(60)
            yield from super().newest(count, roles)

    request = messages.ListArchivedRequest(last=1)
    with served(Slow(directory)) as address, asked(address) as service:
        streams = [service.ListAttestations(request) for _ in range(2)]
        assert all(entered.acquire(timeout=60) for _ in streams)
        with pytest.raises(grpc.RpcError) as refused:
            list(service.ListAttestations(request))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        go_on.set()
        assert [len(list(stream)) for stream in streams] == [1, 1]
        assert len(list(service.ListAttestations(request))) == 1


def test_a_damaged_archive_is_data_loss(directory: Path, tmp_path: Path) -> None:
    bundle = ArchiveReader(directory).find_number(1)
    assert bundle is not None
    digests = {**bundle.entry.digests, Role.POLICY: "0" * 64}
    with PolicyRunner(workers=1) as runner, ArchiveStore(tmp_path, ArchiveBounds()) as store:
        built = build_entry(judge(runner, "accepted"))
        store.add([replace(built, entry=replace(built.entry, digests=digests))], NOW)
    with served(ArchiveReader(tmp_path)) as address, asked(address) as service:
        with pytest.raises(grpc.RpcError) as refused:
            service.GetAttestation(messages.GetArchivedRequest(number=1))
        assert refused.value.code() is grpc.StatusCode.DATA_LOSS
