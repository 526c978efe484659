"""SEV-SNP and CSV guests attest to verdictd and to one another, each judged as what it is and by its own policy."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import TRUST
from tests.e2e.processes import GREETING, Verifier, run, verifier
from verdictd.simulator.platform import SimulatedPlatform

SIMULATED_ROOTS = ("--amd-root", "platform/amd/milan/ark.pem", "--hygon-root", "platform/hygon/hrk.cert")
REPORTS = {"sev_snp": ("snp", "snpData", 48), "csv": ("csv", "csvData", 32)}
each = pytest.mark.parametrize("attester", sorted(REPORTS))


def make_platform(directory: Path) -> None:
    SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1)).save(directory / "platform")
    for command in ("init-amd", "init-hygon"):
        done = run("tee-sim", command, "platform", cwd=directory)
        assert done.returncode == 0, done.stderr
        assert "its root: platform" in done.stdout


def reference(attester: str, measurement: bytes) -> str:
    if attester == "sev_snp":
        return json.dumps({"measurement": [measurement.hex()], "hostData": [], "idKeyDigest": []})
    return json.dumps({"measure": [base64.b64encode(measurement).decode()]})


def name_guest(running: Verifier, attester: str, measurement: bytes) -> None:
    (running.directory / attester).write_text(reference(attester, measurement))
    done = running.verdict("--set-opa-reference", REPORTS[attester][1], f"./{attester}")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def guests(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    """A verdictd that judges any kind of evidence, trusts the simulated vendors, and knows one guest of each kind."""
    directory = tmp_path_factory.mktemp("guests")
    make_platform(directory)
    with verifier(directory, *TRUST, *SIMULATED_ROOTS, "--verifier", "any") as running:
        for attester, (_, _, size) in REPORTS.items():
            name_guest(running, attester, b"\xaa" * size)
        yield running


@each
@pytest.mark.parametrize("form", ["interoperable", "legacy"])
def test_a_guest_attests_in_either_form(guests: Verifier, attester: str, form: str) -> None:
    words = ("-a", attester, "--sim-measurement", "aa" * REPORTS[attester][2], "--certificate-format", form)
    done = guests.attest(*words)
    assert done.returncode == 0, done.stdout + done.stderr
    assert GREETING in done.stdout


@each
def test_another_guest_is_refused_and_told_why(guests: Verifier, attester: str) -> None:
    why = guests.explain(guests.attest("-a", attester, "--sim-measurement", "ab" * REPORTS[attester][2]))
    assert why.startswith("refused: check policy.decision failed"), why


@each
def test_a_guest_under_debug_is_refused(guests: Verifier, attester: str) -> None:
    measurement = "aa" * REPORTS[attester][2]
    why = guests.explain(guests.attest("-a", attester, "--sim-measurement", measurement, "--debug-enclave"))
    assert why.startswith("refused: check guest.debug failed"), why
    assert "--allow-debug" in why


@each
def test_the_vendors_own_roots_vouch_for_no_simulated_guest(tmp_path: Path, attester: str) -> None:
    make_platform(tmp_path)
    with verifier(tmp_path, *TRUST, "--verifier", "any") as running:
        name_guest(running, attester, b"\xaa" * REPORTS[attester][2])
        why = running.explain(running.attest("-a", attester, "--sim-measurement", "aa" * REPORTS[attester][2]))
    assert {"sev_snp": "chain.signature", "csv": "hsk.chain"}[attester] in why, why


@each
def test_a_report_is_made_appraised_and_judged_without_a_daemon(tmp_path: Path, attester: str) -> None:
    make_platform(tmp_path)
    tee, _, size = REPORTS[attester]
    words = ("--tee", tee, "--measurement", "aa" * size, "--report-data", "00", "-o", "report.bin")
    done = run("tee-sim", "quote", "platform", *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    appraise = ("verdict", "appraise", "report.bin", "--tee", attester, *SIMULATED_ROOTS, "--reference", "reference")
    for measured, code in ((b"\xaa", 0), (b"\xab", 1)):
        (tmp_path / "reference").write_text(reference(attester, measured * size))
        done = run(*appraise, cwd=tmp_path)
        assert done.returncode == code, done.stdout + done.stderr
    wrong = run("tee-sim", "quote", "platform", *words[:3], "aa", *words[4:], cwd=tmp_path)
    assert wrong.returncode == 2
    assert f"expected {size}" in wrong.stderr
