"""What the supervisor has in the audit log: what is in force, and when that changed."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.daemon.worker_sets import in_force, state_of
from verdictd.audit.lines import parse_line
from verdictd.audit.log import AuditLog
from verdictd.audit.segments import AuditLogError
from verdictd.core.result import JSONValue
from verdictd.daemon.figures import Counts
from verdictd.daemon.journal import Journal
from verdictd.policy.pair import Document, PolicyPair, parse_reference

POLICY = Document.of("sgxPolicy.rego", b"package policy\nallow = true\n")


def pair(reference: bytes) -> PolicyPair:
    return PolicyPair(
        policy=POLICY,
        reference=Document.of("sgxData", reference),
        values=parse_reference(reference, "sgxData"),
        members_read=(),
        is_repeatable=True,
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(state_of(tmp_path).settings)
    yield opened
    opened.close()


def contents(directory: Path) -> list[dict[str, JSONValue]]:
    lines = (directory / "data" / "audit" / "audit.jsonl").read_bytes().splitlines(keepends=True)
    return [dict(parse_line(line).content) for line in lines]


def test_a_start_is_recorded_with_what_is_trusted_and_its_head_is_told(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture
) -> None:
    state = replace(state_of(tmp_path), warnings=("beware",))
    with caplog.at_level(logging.INFO, "verdictd.daemon.journal"):
        journal.started(state)
    (started,) = contents(tmp_path)
    assert (started["kind"], started["verifier"], started["warnings"]) == ("start", "sgx_ecdsa", ["beware"])
    roots = started["trust_roots"]
    assert isinstance(roots, dict)
    assert set(roots) == {root.fingerprint for root in state.roots.roots}
    assert isinstance(started["settings"], dict)
    assert started["settings"]["listen"] == "127.0.0.1:1234"
    assert [vars(line)["head"] for line in caplog.records] == [journal.head]
    assert journal.head.startswith("1:")
    assert journal.records == 1


def test_reloads_are_recorded_also_those_that_changed_nothing(tmp_path: Path, journal: Journal) -> None:
    journal.reloaded(state_of(tmp_path))
    journal.not_reloaded("the file is broken")
    done, failed = contents(tmp_path)
    assert (done["kind"], done["outcome"]) == ("reload", "done")
    assert (failed["kind"], failed["outcome"], failed["reason"]) == ("reload", "failed", "the file is broken")


def test_a_stop_is_recorded_with_its_counts(tmp_path: Path, journal: Journal) -> None:
    journal.stopped(Counts(accepted=3, refused=4))
    (stopped,) = contents(tmp_path)
    assert (stopped["kind"], stopped["counts"]) == ("stop", {"accepted": 3, "refused": 4})


def test_only_what_changed_is_recorded_as_changed_with_what_it_was(tmp_path: Path, journal: Journal) -> None:
    old, new = pair(b'{"mrEnclave": []}'), pair(b'{"mrEnclave": ["AA=="]}')
    journal.policies_changed({"sgx_ecdsa": old})
    journal.policies_changed({"sgx_ecdsa": old})
    journal.policies_changed({"sgx_ecdsa": new})
    (change,) = contents(tmp_path)
    assert change["kind"] == "policy_change"
    assert old.reference.digest in str(change)
    assert new.reference.digest in str(change)
    assert POLICY.digest not in str(change), "the policy is the same"


def test_that_nothing_can_be_decided_any_more_is_recorded_and_so_is_the_way_back(
    tmp_path: Path, journal: Journal
) -> None:
    usable = pair(b'{"mrEnclave": []}')
    journal.policies_changed({"sgx_ecdsa": usable})
    journal.policies_changed(in_force("somebody broke the file"))
    journal.policies_changed({"sgx_ecdsa": usable})
    broken, mended = contents(tmp_path)
    assert usable.reference.digest in str(broken["previous_sha256"])
    assert broken["sha256"] == {"sgxPolicy.rego": "", "sgxData": ""}
    assert usable.reference.digest in str(mended["sha256"])


def test_what_may_fail_is_told_and_what_must_not_is_an_error(
    tmp_path: Path, journal: Journal, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise AuditLogError("the disk is full")

    monkeypatch.setattr(AuditLog, "append", fail)
    journal.stopped(Counts(accepted=0, refused=0))
    journal.not_reloaded("whatever")
    told = [line for line in caplog.records if line.levelno >= logging.ERROR]
    assert [vars(line)["why"] for line in told] == ["the disk is full"] * 2
    with pytest.raises(AuditLogError):
        journal.started(state_of(tmp_path))
    with pytest.raises(AuditLogError):
        journal.reloaded(state_of(tmp_path))
