"""The history over a real gRPC server, and `verdict policy history|rollback` in front of it."""

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
import pytest

from verdictd.cli.verdict import policy_rollback
from verdictd.cli.verdict.main import _build_parser
from verdictd.daemon.client_api import MAX_MESSAGE_BYTES, PairService
from verdictd.daemon.policy_history_api import PolicyHistoryAPI
from verdictd.daemon.proto import policy_history_pb2 as messages
from verdictd.daemon.proto.policy_history_pb2_grpc import (
    PolicyHistoryServiceStub,
    add_PolicyHistoryServiceServicer_to_server,
)
from verdictd.daemon.proto.verdictd_pb2_grpc import add_PolicyServiceServicer_to_server
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.pair_files import load_shipped
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.store import PolicyStore
from verdictd.policy.version import How

POLICY = b"package policy\n\nallow { input.svn >= data.svn }\n"
START = datetime(2026, 1, 31, tzinfo=UTC)


@pytest.fixture(scope="module")
def runner() -> Iterator[PolicyRunner]:
    with PolicyRunner(workers=1) as runner:
        yield runner


@pytest.fixture
def store(tmp_path: Path, runner: PolicyRunner) -> PolicyStore:
    store = PolicyStore(tmp_path / "opa", runner, clock=lambda: START + timedelta(hours=1))
    store.open()
    store.set_pair("sgxPolicy.rego", POLICY, "sgxData", b'{"svn": 1}')
    store.set_reference("sgxData", b'{"svn": 2}')
    return store


@pytest.fixture
def address(store: PolicyStore) -> Iterator[str]:
    server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.max_receive_message_length", MAX_MESSAGE_BYTES)])
    add_PolicyHistoryServiceServicer_to_server(PolicyHistoryAPI(store), server)
    add_PolicyServiceServicer_to_server(PairService(store), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


@pytest.fixture
def service(address: str) -> Iterator[PolicyHistoryServiceStub]:
    with grpc.insecure_channel(address) as channel:
        yield PolicyHistoryServiceStub(channel)


def verdict(address: str, *words: str) -> tuple[int, str]:
    line = ["-c", address, "policy", *words]
    arguments = _build_parser(line).parse_args(line)
    out = io.StringIO()
    code = arguments.run(arguments, out, datetime.now(UTC))
    return code, out.getvalue()


def rollback(
    service: PolicyHistoryServiceStub, number: int, **members: bool | messages.PairDigests
) -> messages.RollbackResponse:
    request = messages.RollbackRequest(number=number, dry_run=members.get("dry_run") is True)
    expected = members.get("expected")
    if isinstance(expected, messages.PairDigests):
        request.expected.CopyFrom(expected)
    return service.Rollback(request)


def test_versions_are_listed_with_what_is_in_force(service: PolicyHistoryServiceStub) -> None:
    versions = service.ListVersions(messages.ListVersionsRequest()).versions
    assert [(version.number, version.in_force) for version in versions] == [(1, False), (2, False), (3, True)]
    assert [version.origin for version in versions] == [
        messages.VERSION_ORIGIN_SHIPPED,
        messages.VERSION_ORIGIN_UPLOAD,
        messages.VERSION_ORIGIN_UPLOAD,
    ]
    assert versions[0].recorded_at.ToDatetime(UTC) == START + timedelta(hours=1)
    assert versions[2].reference_digest == Document.of("", b'{"svn": 2}').digest
    assert (versions[2].policy_name, versions[2].reference_name) == ("sgxPolicy.rego", "sgxData")


def test_a_version_comes_with_its_contents(service: PolicyHistoryServiceStub) -> None:
    contents = service.GetVersion(messages.GetVersionRequest(number=2)).ok
    assert (contents.policy, contents.reference) == (POLICY, b'{"svn": 1}')
    assert (contents.version.number, contents.version.in_force) == (2, False)
    assert service.GetVersion(messages.GetVersionRequest(number=3)).ok.version.in_force
    error = service.GetVersion(messages.GetVersionRequest(number=9)).error
    assert (error.message, error.remedy) == ("there is no version 9; kept are 1 to 3", "see verdict policy history")


def test_dry_run_says_what_would_change_and_changes_nothing(
    service: PolicyHistoryServiceStub, store: PolicyStore
) -> None:
    before = store.versions()
    would = rollback(service, 1, dry_run=True).ok
    assert (would.version.policy, would.version.reference) == (load_shipped("sgxPolicy.rego"), load_shipped("sgxData"))
    assert (would.replaced_policy, would.replaced_reference) == (POLICY, b'{"svn": 2}')
    assert would.replaced.policy_digest == Document.of("", POLICY).digest
    assert (store.versions(), store.export("sgxData")) == (before, b'{"svn": 2}')


def test_rollback_replaces_what_was_expected_and_nothing_else(
    service: PolicyHistoryServiceStub, store: PolicyStore
) -> None:
    would = rollback(service, 2, dry_run=True).ok
    for wrong in (
        messages.PairDigests(),
        messages.PairDigests(policy_digest="0" * 64, reference_digest=would.replaced.reference_digest),
        messages.PairDigests(policy_digest="no", reference_digest="digests"),
    ):
        assert rollback(service, 2, expected=wrong).error.message
        assert store.export("sgxData") == b'{"svn": 2}'
    done = rollback(service, 2, expected=would.replaced)
    assert (done.WhichOneof("outcome"), store.export("sgxData")) == ("ok", b'{"svn": 1}')
    # Without an expectation, whatever is in force.
    assert rollback(service, 1).WhichOneof("outcome") == "ok"
    assert store.export("sgxPolicy.rego") == load_shipped("sgxPolicy.rego")


def test_restored_version_may_be_the_one_that_goes(service: PolicyHistoryServiceStub, store: PolicyStore) -> None:
    store._history._max_versions = 3
    done = rollback(service, 1)
    assert (done.WhichOneof("outcome"), done.ok.version.version.number) == ("ok", 1)
    assert [version.number for version, _ in store.versions()] == [2, 3, 4]


def test_history_for_a_person(address: str, store: PolicyStore) -> None:
    store.roll_back(2)
    code, text = verdict(address, "history")
    policy, reference = (Document.of("", content).digest[:16] for content in (POLICY, b'{"svn": 1}'))
    lines = text.splitlines()
    assert (code, len(lines), lines[-1]) == (0, 5, "* is in force")
    assert lines[0].split()[:3] == ["1", "2026-01-31T01:00:00Z", "shipped"]
    assert lines[3].split() == [
        *("*", "4", "2026-01-31T01:00:00Z", "rollback", "of", "2"),
        *("sgxPolicy.rego", policy, "sgxData", reference),
    ]
    assert [line[0] for line in lines] == [" ", " ", " ", "*", "*"]


def test_history_for_machines(address: str) -> None:
    code, text = verdict(address, "history", "--json")
    versions = json.loads(text)
    assert (code, [version["number"] for version in versions]) == (0, [1, 2, 3])
    assert versions[2] == {
        "number": 3,
        "recorded_at": "2026-01-31T01:00:00Z",
        "how": "upload",
        "restored": None,
        "policy": "sgxPolicy.rego",
        "policy_digest": Document.of("", POLICY).digest,
        "reference": "sgxData",
        "reference_digest": Document.of("", b'{"svn": 2}').digest,
        "in_force": True,
    }


def test_rollback_shows_the_difference_first(address: str, store: PolicyStore) -> None:
    code, text = verdict(address, "rollback", "2", "--dry-run")
    assert (code, store.export("sgxData")) == (0, b'{"svn": 2}')
    assert text.splitlines()[1:] == [
        "sgxPolicy.rego: no difference",
        "--- sgxData in force",
        "+++ sgxData of version 2",
        "@@ -1 +1 @@",
        '-{"svn": 2}',
        '+{"svn": 1}',
        "a dry run, nothing was changed",
    ]
    code, again = verdict(address, "rollback", "2")
    assert (code, store.export("sgxData")) == (0, b'{"svn": 1}')
    assert again.splitlines()[:-1] == text.splitlines()[:-1]
    assert again.splitlines()[-1] == "version 2 is in force again"


def test_rollback_to_what_is_in_force_does_nothing(address: str, store: PolicyStore) -> None:
    before = store.versions()
    code, text = verdict(address, "rollback", "3")
    assert (code, text.splitlines()[-1]) == (0, "version 3 is in force already, nothing was changed")
    assert store.versions() == before


def test_rollback_that_is_refused_says_why(address: str, store: PolicyStore) -> None:
    assert verdict(address, "rollback", "7") == (
        1,
        "refused, nothing was changed: there is no version 7; kept are 1 to 3; see verdict policy history\n",
    )
    policy = Document.of("sgxPolicy.rego", b"package policy\nallow := time.now_ns() > 0\n")
    pair = PolicyPair(policy=policy, reference=Document.of("sgxData", b"{}"), values={}, members_read=())
    store._history.record(pair, How.UPLOAD)
    code, text = verdict(address, "rollback", "4")
    assert code == 1
    assert "refused, nothing was changed: line 2, column 10: the function time.now_ns must not be used" in text


def test_upload_between_difference_and_rollback_is_not_undone(
    address: str, store: PolicyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    show = policy_rollback._compare

    def and_upload(would: messages.RollbackDone) -> Iterator[str]:
        store.set_reference("sgxData", b'{"svn": 9}')
        return show(would)

    monkeypatch.setattr(policy_rollback, "_compare", and_upload)
    code, text = verdict(address, "rollback", "2")
    assert (code, store.export("sgxData")) == (1, b'{"svn": 9}')
    assert "refused, nothing was changed: what is in force was replaced meanwhile; look at the difference" in text


def test_rollback_where_nothing_can_be_used(address: str, store: PolicyStore, tmp_path: Path) -> None:
    (tmp_path / "opa" / "sgxData").write_bytes(b"nonsense")
    store.reload()
    code, text = verdict(address, "rollback", "3")
    assert (code, text.splitlines()[-1]) == (0, "version 3 is in force again")
    assert "nothing that can be used is in force; all of the version is new" in text
    assert store.export("sgxData") == b'{"svn": 2}'


def test_difference_does_nothing_to_a_terminal_and_has_bounds(address: str, store: PolicyStore) -> None:
    store.set_policy("sgxPolicy.rego", POLICY + "# \x1b[2J\u202eü\t\r\n#".encode() + b"x" * 1000)
    _, text = verdict(address, "rollback", "2", "--dry-run")
    assert "-# \\u001b[2J\\u202eü\t\\u000d\n" in text
    assert max(map(len, text.splitlines())) < 420
    store.set_policy("sgxPolicy.rego", POLICY + b"# a line\n" * 5000)
    _, text = verdict(address, "rollback", "2", "--dry-run")
    assert "sgxPolicy.rego: 45048 bytes in force, 48 bytes in version 2; too many lines to show" in text


def test_note_says_what_the_reference_lacks(address: str, store: PolicyStore) -> None:
    store.set_reference("sgxData", b"{}")
    store.set_reference("sgxData", b'{"svn": 3}')
    _, text = verdict(address, "rollback", "4", "--dry-run")
    assert "note: sgxPolicy.rego reads data.svn, which sgxData does not have" in text
    _, text = verdict(address, "rollback", "4")
    assert "note: sgxPolicy.rego reads data.svn, which sgxData does not have" in text


@pytest.mark.parametrize("number", ["0", "-1", "x", "1.5", "9" * 19, "٣", ""])
def test_numbers_that_are_none_are_usage_errors(address: str, number: str) -> None:
    with pytest.raises(SystemExit) as error:
        verdict(address, "rollback", "--", number)
    assert error.value.code == 2


def test_set_is_in_the_group_still(address: str, store: PolicyStore, tmp_path: Path) -> None:
    (tmp_path / "p").write_bytes(POLICY)
    (tmp_path / "r").write_bytes(b'{"svn": 8}')
    code, _ = verdict(address, "set", "--policy", str(tmp_path / "p"), "--reference", str(tmp_path / "r"))
    assert (code, store.export("sgxData")) == (0, b'{"svn": 8}')
