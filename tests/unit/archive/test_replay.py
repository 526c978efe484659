"""What was archived is judged again: the same verdict and the same checks, and a difference where there is one."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.appraisal.platforms import NOW
from tests.unit.archive.peers import ACCEPTED, SCENARIOS, judge
from verdictd.archive.builder import JudgedPeer, build_entry, digest_attestation
from verdictd.archive.database import ArchiveError
from verdictd.archive.material import Role, encode_checks
from verdictd.archive.reader import ArchiveReader, Bundle
from verdictd.archive.replay import compare, judge_again, open_replay
from verdictd.archive.store import ArchiveBounds, ArchiveStore
from verdictd.core.checks import CheckResult
from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.policy.runner import PolicyRunner
from verdictd.policy.service import evaluate_once

CHILD = """
import os, pathlib, sys
from tests.unit.archive.peers import SCENARIOS, judge
from verdictd.archive.store import ArchiveBounds
from verdictd.archive.writer import ArchiveWriter
from verdictd.policy.runner import PolicyRunner

with PolicyRunner(workers=1) as runner:
    writer = ArchiveWriter(pathlib.Path(sys.argv[1]), bounds=ArchiveBounds())
    for number, name in enumerate(SCENARIOS, 1):
        judged = judge(runner, name, number)
        assert writer.submit(judged)
        checks = [f"{check.name}={check.result}" for check in judged.result.checks]
        print(number, judged.result.allowed, *checks, sep="|", flush=True)
    assert writer.flush(60)
print("archived", flush=True)
sys.stdin.read()
"""


def bundle_of(judged: JudgedPeer) -> Bundle:
    built = build_entry(judged)
    return Bundle(built.entry, {role: blob.content for role, blob in built.blobs.items()})


def test_after_a_kill_everything_archived_is_judged_again_with_the_same_checks(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    told = []
    while (line := process.stdout.readline()) not in {"archived\n", ""}:
        told.append(line.rstrip("\n").split("|"))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    process.stdin.close()
    assert len(told) == len(SCENARIOS)
    reader = ArchiveReader(tmp_path)
    for name, (number, allowed, *checks) in zip(SCENARIOS, told, strict=True):
        bundle = reader.find_number(int(number))
        assert bundle is not None
        replay = open_replay(bundle)
        result, _ = judge_again(replay, replay.entry.at, evaluate_once)
        assert allowed == str(name in ACCEPTED), (name, result.refusals)
        assert (str(result.allowed), replay.entry.is_allowed) == (allowed, name in ACCEPTED)
        assert [f"{check.name}={check.result}" for check in result.checks] == checks, name
        assert compare(replay.recorded, result) == (), name


def test_for_an_instant_at_which_the_collateral_has_expired_it_differs_and_says_so(runner: PolicyRunner) -> None:
    replay = open_replay(bundle_of(judge(runner, "accepted")))
    result, _ = judge_again(replay, NOW + timedelta(days=400), evaluate_once)
    assert not result.allowed
    differences = {each.name: (each.recorded, each.found) for each in compare(replay.recorded, result)}
    assert differences["tcb_info.validity"] == (CheckResult.PASS, CheckResult.FAIL)
    assert "policy.decision" not in differences


def test_a_check_that_is_new_or_gone_is_a_difference(runner: PolicyRunner) -> None:
    judged = judge(runner, "accepted")
    replay = open_replay(bundle_of(judged))
    fewer = replace(judged.result, checks=judged.result.checks[1:])
    (difference,) = compare(replay.recorded, fewer)
    assert (difference.recorded, difference.found) == (CheckResult.PASS, None)
    (difference,) = compare(replay.recorded[1:], judged.result)
    assert (difference.recorded, difference.found) == (None, CheckResult.PASS)


def test_the_digests_of_the_audit_log_are_those_of_the_archive(runner: PolicyRunner) -> None:
    judged = judge(runner, "accepted")
    named = build_entry(judged).entry.digests
    digests = digest_attestation(judged.certificate, b"evidence", judged.collateral, judged.decision)
    assert digests.certificate == named[Role.CERTIFICATE]
    assert (digests.policy, digests.reference) == (named[Role.POLICY], named[Role.REFERENCE])
    assert digests.collateral == {
        role: named[Role(role)] for role in ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl")
    }
    unjudged = digest_attestation(b"x", b"", judge(runner, "no certificate").collateral, None)
    assert (unjudged.evidence, unjudged.policy, unjudged.collateral) == ("", "", {})


def test_a_pair_that_did_not_decide_is_not_archived_as_if_it_had(runner: PolicyRunner) -> None:
    judged = judge(runner, "accepted")
    other = judge(runner, "refused by the policy").pair
    entry = build_entry(replace(judged, pair=other)).entry
    assert Role.POLICY not in entry.digests
    assert Role.REFERENCE not in entry.digests


@pytest.mark.parametrize("role", list(Role))
def test_a_blob_that_was_changed_is_refused_by_its_digest(role: Role, runner: PolicyRunner) -> None:
    bundle = bundle_of(judge(runner, "accepted with claims"))
    content = bundle.blobs[role]
    for changed in (content[:-1], content + b" ", bytes([content[0] ^ 1]) + content[1:]):
        with pytest.raises(MalformedError, match=f"archived {role} has the SHA-256"):
            open_replay(Bundle(bundle.entry, {**bundle.blobs, role: changed}))
    with pytest.raises(LimitExceededError):
        open_replay(Bundle(bundle.entry, {**bundle.blobs, role: bytes(9 * 1024 * 1024)}))
    with pytest.raises(MalformedError, match=f"does not have the {role}"):
        open_replay(Bundle(bundle.entry, {name: blob for name, blob in bundle.blobs.items() if name is not role}))


def test_a_bundle_whose_parts_contradict_each_other_is_refused(runner: PolicyRunner) -> None:
    judged = judge(runner, "accepted")
    bundle = bundle_of(judged)
    with pytest.raises(MalformedError, match="not that of its checks"):
        open_replay(Bundle(replace(bundle.entry, is_allowed=False), bundle.blobs))
    with pytest.raises(MalformedError, match="certificate is not that of"):
        open_replay(Bundle(replace(bundle.entry, attestation_id="00000000"), bundle.blobs))
    digests = dict(bundle.entry.digests)
    del digests[Role.SETTINGS]
    with pytest.raises(MalformedError, match="does not have the settings"):
        open_replay(Bundle(replace(bundle.entry, digests=digests), bundle.blobs))
    nothing = encode_checks(())
    digests = {**bundle.entry.digests, Role.CHECKS: nothing.digest}
    with pytest.raises(MalformedError, match="not that of its checks"):
        open_replay(Bundle(replace(bundle.entry, digests=digests), {**bundle.blobs, Role.CHECKS: nothing.content}))


def test_the_newest_of_an_id_is_found_and_an_id_that_is_not_one_peers_is_said(
    tmp_path: Path, runner: PolicyRunner
) -> None:
    first, second = judge(runner, "accepted", 1), judge(runner, "a debug enclave", 2)
    again = replace(first, number=3)
    with ArchiveStore(tmp_path, ArchiveBounds()) as store:
        store.add([build_entry(judged) for judged in (first, second, again)], NOW)
    reader = ArchiveReader(tmp_path)
    found = reader.find(build_entry(first).entry.attestation_id[:6])
    assert found is not None
    assert found.entry.number == 3
    assert reader.find("zz") is None
    assert reader.find_number(4) is None
    with pytest.raises(ArchiveError, match="several ids begin with ''"):
        reader.find("")
