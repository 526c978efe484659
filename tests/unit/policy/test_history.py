"""What was put in force is kept, listed and can be put in force again; within bounds, and damage is found."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.policy.rego import V1
from verdictd.core.errors import ConfigError, MalformedError, PolicyError
from verdictd.policy.active import UnusablePair
from verdictd.policy.history import LIST, PolicyHistory
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.pair_files import load_shipped
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.store import PolicyStore
from verdictd.policy.version import How, encode_list, parse_list

TEE = "sgx_ecdsa"
POLICY = (V1 + "allow if input.x == data.x\n").encode()
START = datetime(2026, 1, 31, tzinfo=UTC)


class Clock:
    """A minute later each time it is read."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        self.now += timedelta(minutes=1)
        return self.now


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "opa"


@pytest.fixture
def store(directory: Path, runner: PolicyRunner) -> PolicyStore:
    store = PolicyStore(directory, runner, clock=Clock())
    store.open()
    return store


def pair_of(number: int, size: int = 0, names: tuple[str, str] = ("p", "r")) -> PolicyPair:
    reference = json.dumps({"x": number, "filler": "y" * size}).encode()
    policy = Document.of(names[0], b"same")
    return PolicyPair(policy=policy, reference=Document.of(names[1], reference), values={}, members_read=())


def make_history(directory: Path, **bounds: int) -> PolicyHistory:
    history = PolicyHistory(directory, Clock(), **bounds)
    history.open()
    return history


def listed(store: PolicyStore) -> list[tuple[int, str, int | None, bool]]:
    return [(version.number, version.how.value, version.restored, in_force) for version, in_force in store.versions()]


def test_every_way_into_force_is_listed(store: PolicyStore, directory: Path) -> None:
    store.set_reference("sgxData", b'{"x": 1}')
    store.set_pair("sgxPolicy.rego", POLICY, "sgxData", b'{"x": 2}')
    (directory / "sgxData").write_bytes(b'{"x": 3}')
    store.reload()
    store.roll_back(2)
    store.set_pair("csvPolicy.rego", POLICY, "csvData", b"{}")
    assert listed(store) == [
        (1, "shipped", None, False),
        (2, "upload", None, False),
        (3, "upload", None, False),
        (4, "reload", None, False),
        (5, "rollback", 2, True),
        (6, "upload", None, True),
    ]
    assert [version.at for version, _ in store.versions()] == [START + timedelta(minutes=n) for n in range(1, 7)]
    assert store.export("sgxData") == b'{"x": 1}'
    assert store.export("sgxPolicy.rego") == load_shipped("sgxPolicy.rego")


def test_list_is_there_after_a_restart_and_nothing_is_listed_twice(
    store: PolicyStore, directory: Path, runner: PolicyRunner
) -> None:
    store.set_reference("sgxData", b'{"x": 1}')
    store.set_reference("sgxData", b'{"x": 1}')
    store.reload()
    again = PolicyStore(directory, runner, clock=Clock())
    again.open()
    assert again.versions() == store.versions()
    assert listed(again) == [(1, "shipped", None, False), (2, "upload", None, True)]
    again.set_reference("sgxData", b'{"x": 2}')
    assert listed(again)[-1] == (3, "upload", None, True)


def test_what_judges_nothing_is_not_listed(store: PolicyStore) -> None:
    store.set_policy("other.rego", POLICY)
    store.set_policy("csvPolicy.rego", POLICY)
    with pytest.raises(PolicyError):
        store.set_reference("sgxData", b'{"policy": 1}')
    assert isinstance(store.active("csv"), UnusablePair)
    assert len(store.versions()) == 1


def test_contents_of_a_version_are_those_that_were_uploaded(store: PolicyStore) -> None:
    store.set_pair("sgxPolicy.rego", POLICY, "sgxData", b'{"x": 2} ')
    version, policy, reference = store.load_version(2)
    assert (policy, reference) == (Document.of("sgxPolicy.rego", POLICY), Document.of("sgxData", b'{"x": 2} '))
    assert version.policy_digest == policy.digest


def test_rollback_is_in_force_on_disk_and_for_decisions(store: PolicyStore, runner: PolicyRunner) -> None:
    store.set_pair("sgxPolicy.rego", POLICY, "sgxData", b'{"x": 1}')
    store.set_pair("sgxPolicy.rego", POLICY + b"# other\n", "sgxData", b'{"x": 2}')
    before = store.active(TEE)
    assert isinstance(before, PolicyPair)
    upload = store.roll_back(2, before.key)
    pair = store.active(TEE)
    assert upload.pairs == (pair,)
    assert isinstance(pair, PolicyPair)
    assert (pair.policy.content, pair.reference.content) == (POLICY, b'{"x": 1}')
    assert (store.export("sgxPolicy.rego"), store.export("sgxData")) == (POLICY, b'{"x": 1}')
    assert runner.evaluate(pair, {"x": 1}).allow


def test_rollback_of_what_was_replaced_meanwhile_is_refused(store: PolicyStore) -> None:
    shown = store.active(TEE)
    assert isinstance(shown, PolicyPair)
    store.set_reference("sgxData", b'{"x": 1}')
    before = store.versions()
    with pytest.raises(PolicyError, match="replaced meanwhile; look at the difference"):
        store.roll_back(1, shown.key)
    assert store.export("sgxData") == b'{"x": 1}'
    assert store.versions() == before


def test_rollback_saves_from_a_file_that_does_not_pass(store: PolicyStore, directory: Path) -> None:
    (directory / "sgxPolicy.rego").write_bytes(b"nonsense")
    store.reload()
    assert isinstance(store.active(TEE), UnusablePair)
    assert listed(store) == [(1, "shipped", None, False)]
    with pytest.raises(PolicyError, match="replaced meanwhile"):
        store.roll_back(1, b"x" * 64)
    store.roll_back(1, b"")
    assert isinstance(store.active(TEE), PolicyPair)
    assert store.export("sgxPolicy.rego") == load_shipped("sgxPolicy.rego")


def test_version_is_checked_anew(store: PolicyStore, directory: Path) -> None:
    """One that was put in force by a verdictd that knew another rule."""
    store.set_reference("sgxData", b'{"x": 1}')
    history = store._history
    policy = Document.of("sgxPolicy.rego", b"package policy\nallow := time.now_ns() > 0\n")
    reference = Document.of("sgxData", b"{}")
    history.record(PolicyPair(policy=policy, reference=reference, values={}, members_read=()), How.UPLOAD)
    before = (store.active(TEE), store.export("sgxData"), store.export("sgxPolicy.rego"), store.versions())
    for refused in (store.check_version, store.roll_back):
        with pytest.raises(PolicyError, match=r"time.now_ns must not be used: it reads the clock"):
            refused(3)
    assert (store.active(TEE), store.export("sgxData"), store.export("sgxPolicy.rego"), store.versions()) == before


def test_check_changes_nothing(store: PolicyStore) -> None:
    store.set_reference("sgxData", b'{"x": 1}')
    before = store.versions()
    kind, pair = store.check_version(1)
    assert (kind, pair.reference.content) == (TEE, load_shipped("sgxData"))
    assert (store.versions(), store.export("sgxData")) == (before, b'{"x": 1}')


def test_version_that_is_not_kept_or_judges_nothing_is_refused(store: PolicyStore) -> None:
    with pytest.raises(PolicyError, match="there is no version 2; kept are 1 to 1; see verdict policy history"):
        store.roll_back(2)
    store._history.record(pair_of(1), How.UPLOAD)
    with pytest.raises(PolicyError, match="p with r of version 2 judge nothing any more"):
        store.roll_back(2)


@pytest.mark.parametrize("damage", [b"", b"nonsense", None, b"x" * (8 * 2**20 + 1)])
def test_content_that_is_gone_or_damaged_is_not_put_in_force(store: PolicyStore, damage: bytes | None) -> None:
    store.set_reference("sgxData", b'{"x": 1}')
    version, _, _ = store.load_version(1)
    path = store._history._directory / version.reference_digest
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(PolicyError, match="sgxData of version 1 is gone or damaged; upload your own copy"):
        store.roll_back(1)
    assert store.export("sgxData") == b'{"x": 1}'
    # Whole again with the next upload of the same.
    store.set_reference("sgxData", load_shipped("sgxData"))
    assert store.load_version(1)[2].content == load_shipped("sgxData")


def test_upload_that_cannot_be_kept_is_refused(store: PolicyStore) -> None:
    path = store._history._directory
    path.rename(path.with_name("away"))
    path.write_bytes(b"in the way")
    with pytest.raises(ConfigError):
        store.set_reference("sgxData", b'{"x": 1}')
    with pytest.raises(ConfigError):
        store.roll_back(1)
    assert store.export("sgxData") == load_shipped("sgxData")
    pair = store.active(TEE)
    assert isinstance(pair, PolicyPair)
    assert pair.admits_any_enclave


def test_reload_that_cannot_be_kept_changes_nothing(store: PolicyStore, directory: Path) -> None:
    path = store._history._directory
    path.rename(path.with_name("away"))
    path.write_bytes(b"in the way")
    before = store.active(TEE)
    (directory / "sgxData").write_bytes(b'{"x": 3}')
    with pytest.raises(ConfigError):
        store.reload()
    assert store.active(TEE) is before


def test_history_is_there_before_anything_is_in_force(directory: Path, runner: PolicyRunner) -> None:
    seen: list[int] = []
    store = PolicyStore(
        directory,
        runner,
        on_change=lambda _: seen.append(len(parse_list((directory.parent / "opa-history" / LIST).read_bytes()))),
        clock=Clock(),
    )
    store.open()
    store.set_reference("sgxData", b'{"x": 1}')
    store.roll_back(1)
    assert seen == [1, 2, 3]


def test_oldest_goes_where_there_are_too_many(tmp_path: Path) -> None:
    history = make_history(tmp_path, max_versions=3)
    for number in range(5):
        history.record(pair_of(number), How.UPLOAD)
        assert [version.number for version in history.versions] == list(range(max(1, number - 1), number + 2))
    with pytest.raises(PolicyError, match="no version 2; kept are 3 to 5"):
        history.find(2)
    # The list, the one policy and three references.
    assert len(list(tmp_path.iterdir())) == 5
    assert make_history(tmp_path).versions == history.versions


def test_oldest_goes_where_they_are_too_large(tmp_path: Path) -> None:
    size = len(pair_of(1, 1000).reference.content)
    history = make_history(tmp_path, max_content_bytes=3 * size + 4)
    for number in range(1, 4):
        history.record(pair_of(number, 1000), How.UPLOAD)
    # The policy is the same, and counts once.
    assert [version.number for version in history.versions] == [1, 2, 3]
    history.record(pair_of(4, 1001), How.UPLOAD)
    assert [version.number for version in history.versions] == [3, 4]
    assert sum(path.stat().st_size for path in tmp_path.iterdir() if path.name != LIST) == 2 * size + 1 + 4


def test_newest_of_other_names_stays(tmp_path: Path) -> None:
    history = make_history(tmp_path, max_versions=2)
    history.record(pair_of(0, names=("a", "b")), How.UPLOAD)
    for number in range(4):
        history.record(pair_of(number), How.UPLOAD)
    assert [version.number for version in history.versions] == [1, 5]
    assert history.load(history.find(1))


def test_numbers_do_not_come_again(tmp_path: Path) -> None:
    history = make_history(tmp_path, max_versions=1)
    for number in range(3):
        history.record(pair_of(number), How.UPLOAD)
    again = make_history(tmp_path, max_versions=1)
    again.record(pair_of(9), How.UPLOAD)
    assert [version.number for version in again.versions] == [4]


def test_start_removes_what_is_not_listed(tmp_path: Path) -> None:
    history = make_history(tmp_path)
    history.record(pair_of(1), How.UPLOAD)
    before = sorted(tmp_path.iterdir())
    (tmp_path / ("0" * 64)).write_bytes(b"left")
    (tmp_path / ".left.tmp").write_bytes(b"left")
    make_history(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


ENTRY = {
    "number": 1,
    "at": "2026-01-31T00:00:00+00:00",
    "how": "upload",
    "restored": None,
    "policy_name": "p",
    "policy_digest": "0" * 64,
    "policy_size": 1,
    "reference_name": "r",
    "reference_digest": "1" * 64,
    "reference_size": 1,
}


def test_list_of_the_form_is_read() -> None:
    versions = parse_list(json.dumps({"versions": [ENTRY, ENTRY | {"number": 7, "how": "rollback"}]}).encode())
    assert [version.number for version in versions] == [1, 7]
    assert parse_list(encode_list(versions)) == versions


@pytest.mark.parametrize(
    "entries",
    [
        {},
        None,
        [1],
        [{}],
        [ENTRY | {"number": "1"}],
        [ENTRY | {"at": "2026-01-31T00:00:00"}],
        [ENTRY | {"at": "yesterday"}],
        [ENTRY | {"how": "magic"}],
        [ENTRY | {"restored": "1"}],
        [ENTRY | {"policy_digest": "../../../etc/passwd"}],
        [ENTRY | {"policy_digest": "A" * 64}],
        [ENTRY | {"reference_digest": "0" * 63}],
        [ENTRY | {"reference_digest": "0" * 62 + "/."}],
        [ENTRY, ENTRY],
        [ENTRY | {"number": 2}, ENTRY],
    ],
)
def test_damaged_list_is_refused_at_start(tmp_path: Path, entries: object) -> None:
    content = json.dumps({"versions": entries}).encode()
    with pytest.raises(MalformedError):
        parse_list(content)
    (tmp_path / LIST).write_bytes(content)
    with pytest.raises(ConfigError, match=r"versions.json is damaged: .*; move .* away; verdictd then begins another"):
        make_history(tmp_path)


def test_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="--data-dir"):
        make_history(tmp_path / "file" / "history")
