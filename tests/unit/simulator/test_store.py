import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest

from tests.unit.simulator.oracle import AT, REPORT_DATA, appraise
from verdictd.core.errors import ConfigError
from verdictd.simulator.keys import raw_public_key
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.state import RevocationTarget
from verdictd.tees.dcap.acceptance import TCBStatus


def test_what_was_saved_is_loaded(tmp_path: Path, platform: SimulatedPlatform) -> None:
    changed = platform.with_tcb_status(TCBStatus.OUT_OF_DATE).with_revoked("pck", since=AT).with_revoked("platform-ca")
    changed.save(tmp_path / "p")
    loaded = SimulatedPlatform.load(tmp_path / "p")
    for name in ("hardware", "created_at", "tcb_status", "evaluation_data_number", "revocations"):
        assert getattr(loaded, name) == getattr(changed, name), name
    assert (loaded.pck_crl_number, loaded.root_ca_crl_number) == (2, 2)
    assert loaded.pki.chain("pck") == changed.pki.chain("pck")
    assert loaded.pki.chain("tcb-signing") == changed.pki.chain("tcb-signing")
    assert raw_public_key(loaded.attestation_key) == raw_public_key(changed.attestation_key)


def test_loaded_platform_signs_as_the_saved_one(directory: Path, platform: SimulatedPlatform) -> None:
    loaded = SimulatedPlatform.load(directory)
    assert appraise(loaded.quote(report_data=REPORT_DATA), loaded.collateral(AT), platform).allowed


def test_owner_alone_may_read(directory: Path) -> None:
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


def test_mode_does_not_depend_on_the_umask(tmp_path: Path, platform: SimulatedPlatform) -> None:
    before = os.umask(0)
    try:
        platform.save(tmp_path / "p")
        SimulatedPlatform.update(tmp_path / "p", lambda present: present.with_revoked("pck"))
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "p").iterdir()} == {0o600}


def test_trust_root_is_where_the_documents_say(directory: Path, platform: SimulatedPlatform) -> None:
    assert (directory / "root-ca.pem").read_bytes() == platform.trust_root_pem


def test_empty_directory_and_missing_parents_will_do(tmp_path: Path, platform: SimulatedPlatform) -> None:
    (tmp_path / "empty").mkdir(mode=0o755)
    for directory in (tmp_path / "empty", tmp_path / "a" / "b"):
        platform.save(directory)
        assert SimulatedPlatform.load(directory).hardware == platform.hardware
        assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "empty"]  # no draft is left


def test_platform_is_not_overwritten(directory: Path, platform: SimulatedPlatform) -> None:
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    with pytest.raises(ConfigError, match="holds a simulated platform already"):
        SimulatedPlatform.create(at=AT).save(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before
    assert SimulatedPlatform.load(directory).trust_root_pem == platform.trust_root_pem


def test_other_files_are_not_mixed_with(tmp_path: Path, platform: SimulatedPlatform) -> None:
    (tmp_path / "notes").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        platform.save(tmp_path)
    with pytest.raises(ConfigError, match="exists already"):
        platform.save(tmp_path / "notes")
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_directory_that_fills_up_meanwhile_is_refused_and_nothing_is_left(
    tmp_path: Path, platform: SimulatedPlatform, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "p"
    rename = Path.rename

    def occupy_first(self: Path, to: Path) -> Path:
        target.mkdir()
        (target / "other").touch()
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", occupy_first)
    with pytest.raises(ConfigError, match="cannot be written"):
        platform.save(target)
    assert [path.name for path in tmp_path.iterdir()] == ["p"]
    assert [path.name for path in target.iterdir()] == ["other"]


def test_place_that_cannot_be_written_is_explained(platform: SimulatedPlatform) -> None:
    with pytest.raises(ConfigError, match="cannot be written") as refusal:
        platform.save(Path("/proc/nowhere/platform"))
    assert refusal.value.remedy


@pytest.mark.parametrize("make", [lambda path: None, Path.mkdir, Path.touch])
def test_what_is_no_platform_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "none"
    make(path)
    with pytest.raises(ConfigError, match=r"is no simulated platform.*tee-sim init"):
        SimulatedPlatform.load(path)
    with pytest.raises(ConfigError, match=r"is no simulated platform.*tee-sim init"):
        SimulatedPlatform.update(path, lambda present: present)


def _edit(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def damage(directory: Path) -> None:
        document = json.loads((directory / "platform.json").read_bytes())
        change(document)
        (directory / "platform.json").write_text(json.dumps(document))

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda directory: (directory / "pck.pem").write_bytes(b"no certificate"),
        lambda directory: (directory / "pck-key.pem").write_bytes(b"no key"),
        lambda directory: (directory / "attestation-key.pem").unlink(),
        lambda directory: (directory / "pck-key.pem").write_bytes((directory / "root-ca-key.pem").read_bytes()),
        lambda directory: (directory / "platform.json").write_text("{"),
        lambda directory: (directory / "platform.json").write_text("[]"),
        lambda directory: (directory / "platform.json").write_bytes(b"\xff"),
        _edit(lambda document: document.pop("hardware")),
        _edit(lambda document: document.update(format=1)),
        _edit(lambda document: document.update(tcb_status="Fine")),
        _edit(lambda document: document.update(revocations={"root-ca": "2026-01-01T00:00:00Z"})),
        _edit(lambda document: document.update(revocations=7)),
        _edit(lambda document: document.update(created_at=5)),
        _edit(lambda document: document.update(hardware={"components": "zz"})),
    ],
)
def test_damaged_directory_is_refused_in_one_sentence(directory: Path, damage: Callable[[Path], None]) -> None:
    damage(directory)
    with pytest.raises(ConfigError) as refusal:
        SimulatedPlatform.load(directory)
    assert str(directory) in refusal.value.message
    assert "\n" not in str(refusal.value)
    assert "PRIVATE" not in str(refusal.value)


def test_update_changes_the_state_and_nothing_else(directory: Path) -> None:
    before = {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "platform.json"}
    returned = SimulatedPlatform.update(directory, lambda present: present.with_revoked("platform-ca", since=AT))
    assert {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "platform.json"} == before
    assert SimulatedPlatform.load(directory).revocations == {RevocationTarget.PLATFORM_CA: AT}
    assert returned.revocations == {RevocationTarget.PLATFORM_CA: AT}


def test_update_that_fails_changes_nothing(directory: Path) -> None:
    before = {path.name: path.read_bytes() for path in directory.iterdir()}

    def fail(present: SimulatedPlatform) -> SimulatedPlatform:
        raise RuntimeError(present.tcb_status)

    with pytest.raises(RuntimeError):
        SimulatedPlatform.update(directory, fail)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_draft_left_by_a_crash_is_no_obstacle(directory: Path) -> None:
    (directory / ".platform.json.new").write_text("half a st")
    SimulatedPlatform.update(directory, lambda present: present.with_tcb_status(TCBStatus.OUT_OF_DATE))
    assert SimulatedPlatform.load(directory).tcb_status == TCBStatus.OUT_OF_DATE
    assert not (directory / ".platform.json.new").exists()


def test_no_update_is_lost_and_readers_see_whole_states(directory: Path, platform: SimulatedPlatform) -> None:
    def raise_number() -> None:
        for _ in range(20):
            SimulatedPlatform.update(directory, lambda present: present.with_tcb_status(TCBStatus.OUT_OF_DATE))

    writers = [Thread(target=raise_number) for _ in range(3)]
    for writer in writers:
        writer.start()
    seen = [SimulatedPlatform.load(directory).evaluation_data_number]
    while any(writer.is_alive() for writer in writers):
        seen.append(SimulatedPlatform.load(directory).evaluation_data_number)
    assert seen == sorted(seen)
    assert SimulatedPlatform.load(directory).evaluation_data_number == platform.evaluation_data_number + 60
