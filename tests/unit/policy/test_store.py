import json
import os
import stat
from pathlib import Path

import pytest

from tests.unit.policy.rego import V1
from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError, PolicyError, VerdictdError
from verdictd.durable.files import JOURNAL
from verdictd.policy.active import UnusablePair
from verdictd.policy.pair import PolicyPair
from verdictd.policy.pair_files import ACTIVE_PAIRS, check_name, load_shipped
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.store import PolicyStore

POLICY = (V1 + "allow if input.x == data.x\n").encode()
REFERENCE = b'{"x": 1}'


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "data" / "opa"


@pytest.fixture
def store(directory: Path, runner: PolicyRunner) -> PolicyStore:
    store = PolicyStore(directory, runner)
    assert store.open() == ()
    return store


def active(store: PolicyStore) -> PolicyPair:
    pair = store.active("sgx_ecdsa")
    assert isinstance(pair, PolicyPair), pair
    return pair


def content(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def test_first_start_writes_what_is_shipped(store: PolicyStore, directory: Path) -> None:
    assert content(directory) == {name: load_shipped(name) for name in ("sgxPolicy.rego", "sgxData")}
    assert store.names() == ("sgxData", "sgxPolicy.rego")
    assert active(store).admits_any_enclave
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o644}
    unusable = store.active("csv")
    assert isinstance(unusable, UnusablePair)
    assert "no csvPolicy.rego" in unusable.reason
    assert unusable.remedy == "upload it: verdict --set-opa-policy csvPolicy.rego FILE"


def test_later_start_keeps_what_is_there_and_writes_what_is_missing(
    store: PolicyStore, directory: Path, runner: PolicyRunner
) -> None:
    store.set_reference("sgxData", REFERENCE)
    (directory / "sgxPolicy.rego").unlink()
    again = PolicyStore(directory, runner)
    again.open()
    assert again.export("sgxData") == REFERENCE
    assert again.export("sgxPolicy.rego") == load_shipped("sgxPolicy.rego")


def test_uploads_are_in_force_and_on_disk_when_they_return(store: PolicyStore, directory: Path) -> None:
    upload = store.set_policy("sgxPolicy.rego", POLICY)
    assert active(store).policy.content == POLICY
    assert (directory / "sgxPolicy.rego").read_bytes() == POLICY
    assert upload.notes == ("sgxPolicy.rego reads data.x, which sgxData does not have",)
    upload = store.set_reference("sgxData", REFERENCE)
    assert active(store).values == {"x": 1}
    assert (directory / "sgxData").read_bytes() == REFERENCE
    assert upload.notes == ()
    assert upload.documents[0].digest == active(store).reference.digest
    assert not active(store).admits_any_enclave
    assert stat.S_IMODE((directory / "sgxData").stat().st_mode) == 0o644


def test_pair_in_one_step(store: PolicyStore, directory: Path) -> None:
    upload = store.set_pair("sgxPolicy.rego", POLICY, "sgxData", REFERENCE)
    assert upload.pairs == (active(store),)
    assert content(directory) == {"sgxPolicy.rego": POLICY, "sgxData": REFERENCE}


def test_one_half_can_come_before_the_other(store: PolicyStore) -> None:
    upload = store.set_policy("csvPolicy.rego", POLICY)
    assert upload.notes == (
        "every peer is refused: there is no csvData; upload it: verdict --set-opa-reference csvData FILE",
    )
    assert isinstance(store.active("csv"), UnusablePair)
    assert store.set_reference("csvData", REFERENCE).notes == ()
    assert isinstance(store.active("csv"), PolicyPair)


def test_other_names_are_stored_and_judge_nothing(store: PolicyStore) -> None:
    before = active(store)
    assert store.set_policy("mine.rego", POLICY).pairs == ()
    assert store.set_reference("mine", REFERENCE).pairs == ()
    assert store.set_pair("a.rego", POLICY, "a", REFERENCE).pairs == ()
    assert active(store) is before
    assert store.export("mine.rego") == POLICY
    assert store.names() == ("a", "a.rego", "mine", "mine.rego", "sgxData", "sgxPolicy.rego")


@pytest.mark.parametrize(
    ("policy", "error"),
    [
        (b"package policy\nallow := nosuch(1)\n", PolicyError),
        (b"package policy\nallow := \n", MalformedError),
        (b"\xff", MalformedError),
        (b"", MalformedError),
        (b"#" * 1_100_000, LimitExceededError),
    ],
)
def test_refused_policy_leaves_what_was_there(
    store: PolicyStore, directory: Path, policy: bytes, error: type[VerdictdError]
) -> None:
    before, files = active(store), content(directory)
    with pytest.raises(error):
        store.set_policy("sgxPolicy.rego", policy)
    with pytest.raises(error):
        store.set_pair("sgxPolicy.rego", policy, "sgxData", REFERENCE)
    assert active(store) is before
    assert content(directory) == files


@pytest.mark.parametrize(
    ("reference", "error"),
    [
        (b"[]", MalformedError),
        (b"", MalformedError),
        (b'{"policy": {"allow": true}}', PolicyError),
        (b'{"x": 1, "x": 2}', MalformedError),
        (b'{"x": "' + b"y" * 8_400_000 + b'"}', LimitExceededError),
    ],
)
def test_refused_reference_leaves_what_was_there(
    store: PolicyStore, directory: Path, reference: bytes, error: type[VerdictdError]
) -> None:
    before, files = active(store), content(directory)
    with pytest.raises(error):
        store.set_reference("sgxData", reference)
    with pytest.raises(error):
        store.set_pair("sgxPolicy.rego", POLICY, "sgxData", reference)
    assert active(store) is before
    assert content(directory) == files


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "/etc/passwd",
        ".hidden",
        ".journal",
        "-x",
        "_x",
        "a b",
        "a\n",
        "a\0",
        "é",
        "x" * 65,
        "a\\b",
    ],
)
def test_names_are_identifiers(store: PolicyStore, directory: Path, name: str) -> None:
    files = content(directory)
    for action in (
        lambda: check_name(name),
        lambda: store.set_policy(name, POLICY),
        lambda: store.set_reference(name, REFERENCE),
        lambda: store.set_pair("a.rego", POLICY, name, REFERENCE),
        lambda: store.export(name),
    ):
        with pytest.raises(PolicyError, match="is not a name"):
            action()
    assert content(directory) == files
    assert sorted(path.name for path in directory.parent.iterdir()) == ["opa", "opa-history"]


@pytest.mark.parametrize("name", ["a", "9", "sgxPolicy.rego", "A-b_c.d", "x" * 64])
def test_usual_names_are_names(name: str) -> None:
    assert check_name(name) == name


def test_a_policy_is_no_reference(store: PolicyStore) -> None:
    for names in ACTIVE_PAIRS.values():
        with pytest.raises(PolicyError, match="name of a reference"):
            store.set_policy(names.reference, POLICY)
        with pytest.raises(PolicyError, match="name of a policy"):
            store.set_reference(names.policy, REFERENCE)
    with pytest.raises(PolicyError, match="the same name"):
        store.set_pair("same", POLICY, "same", REFERENCE)


def test_export_of_nothing_says_what_there_is(store: PolicyStore) -> None:
    with pytest.raises(PolicyError, match=r"no policy and no reference nosuch; there are: sgxData, sgxPolicy\.rego"):
        store.export("nosuch")


def test_edit_by_hand_is_in_force_after_reload(store: PolicyStore, directory: Path) -> None:
    before = active(store)
    (directory / "sgxData").write_bytes(REFERENCE)
    assert active(store) is before
    assert store.reload() == ()
    assert active(store).values == {"x": 1}


@pytest.mark.parametrize(
    ("name", "damage", "reason"),
    [
        ("sgxData", b"{", "sgxData is not JSON: line 1, column 2"),
        ("sgxData", b'{"policy": 1}', "a member policy"),
        ("sgxPolicy.rego", b"package policy\nallow := nosuch(1)\n", "function nosuch is not known"),
        ("sgxPolicy.rego", b"x" * 1_100_000, "larger than 1048576 bytes"),
    ],
)
def test_bad_edit_by_hand_refuses_everybody_until_it_is_repaired(
    store: PolicyStore, directory: Path, name: str, damage: bytes, reason: str
) -> None:
    good = (directory / name).read_bytes()
    (directory / name).write_bytes(damage)
    (unusable,) = store.reload()
    assert store.active("sgx_ecdsa") == unusable
    assert reason in unusable.reason
    fresh = PolicyStore(directory, store._runner)
    assert [reason in pair.reason for pair in fresh.open()] == [True]
    # The other half can be replaced meanwhile, and the damaged one repaired by an upload.
    if name == "sgxData":
        store.set_policy("sgxPolicy.rego", POLICY)
        assert isinstance(store.active("sgx_ecdsa"), UnusablePair)
        store.set_reference(name, good)
    else:
        store.set_reference("sgxData", REFERENCE)
        assert isinstance(store.active("sgx_ecdsa"), UnusablePair)
        store.set_policy(name, good)
    assert isinstance(store.active("sgx_ecdsa"), PolicyPair)


def test_what_is_no_file_is_not_read(store: PolicyStore, directory: Path) -> None:
    (directory / "sgxData").unlink()
    os.mkfifo(directory / "sgxData")
    (unusable,) = store.reload()
    assert "is not a file" in unusable.reason
    (directory / "sgxData").unlink()
    (directory / "sgxData").mkdir()
    (unusable,) = store.reload()
    assert "cannot be read" in unusable.reason or "is not a file" in unusable.reason


def test_missing_files_refuse_everybody(store: PolicyStore, directory: Path) -> None:
    (directory / "sgxData").unlink()
    (unusable,) = store.reload()
    assert unusable.reason == "there is no sgxData"
    (directory / "sgxPolicy.rego").unlink()
    assert store.reload() == ()
    assert isinstance(store.active("sgx_ecdsa"), UnusablePair)


def test_link_is_replaced_and_not_followed_when_written(store: PolicyStore, directory: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(REFERENCE)
    (directory / "sgxData").unlink()
    (directory / "sgxData").symlink_to(outside)
    store.set_reference("sgxData", b'{"x": 2}')
    assert outside.read_bytes() == REFERENCE
    assert not (directory / "sgxData").is_symlink()


def test_interrupted_pair_is_finished_at_start(store: PolicyStore, directory: Path, runner: PolicyRunner) -> None:
    (directory / JOURNAL).write_text(
        json.dumps({"sgxPolicy.rego": POLICY.decode(), "sgxData": REFERENCE.decode()}), encoding="utf-8"
    )
    (directory / ".sgxDatax1.tmp").write_bytes(b"half")
    again = PolicyStore(directory, runner)
    again.open()
    assert content(directory) == {"sgxPolicy.rego": POLICY, "sgxData": REFERENCE}
    assert active(again).values == {"x": 1}


@pytest.mark.parametrize("journal", [b"{", b"[]", b'{"sgxData": 1}', b"\xff"])
def test_damaged_journal_is_told_and_nothing_is_decided(
    store: PolicyStore, directory: Path, runner: PolicyRunner, journal: bytes
) -> None:
    (directory / JOURNAL).write_bytes(journal)
    with pytest.raises(ConfigError, match="is damaged"):
        PolicyStore(directory, runner).open()
    with pytest.raises(ConfigError, match="is damaged"):
        store.set_reference("sgxData", REFERENCE)
    store.reload()
    assert isinstance(store.active("sgx_ecdsa"), UnusablePair)


def test_directory_that_cannot_be_written_is_told_with_the_remedy(
    tmp_path: Path, runner: PolicyRunner, store: PolicyStore, directory: Path
) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConfigError, match="--data-dir"):
        PolicyStore(tmp_path / "file" / "opa", runner).open()
    before = active(store)
    moved = directory.rename(tmp_path / "moved")
    with pytest.raises(ConfigError):
        store.set_reference("sgxData", REFERENCE)
    assert store.active("sgx_ecdsa") is before or isinstance(store.active("sgx_ecdsa"), UnusablePair)
    moved.rename(directory)
    store.reload()
    assert active(store).key == before.key
