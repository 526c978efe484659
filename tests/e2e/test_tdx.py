"""A TD attests to verdictd beside an enclave: each is judged as what it is, by the user's policy for its kind."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.e2e.conftest import TRUST
from tests.e2e.processes import GREETING, Verifier, pccs, run, verifier
from tests.unit.tees.tdx_ecdsa.logs import DIRECT
from verdictd.simulator.attester import SimulatedTDAttester
from verdictd.simulator.event_log import encode_log, registers_of
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.trust_domain import TrustDomainSpec

TD = ("-a", "tdx_ecdsa")


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Verifier]:
    """A verdictd that judges any kind of evidence, and knows the usual enclave and the usual TD."""
    directory = tmp_path_factory.mktemp("both")
    SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1)).save(directory / "platform")
    with pccs(directory) as url, verifier(directory, *TRUST, "--pccs-url", url, "--verifier", "any") as running:
        running.name_reference()
        name_td(running)
        yield running


def name_td(running: Verifier) -> None:
    words = ("tee-sim", "quote", "platform", "--tee", "tdx", "--report-data", "00", "-o", "td.bin")
    assert run(*words, cwd=running.directory).returncode == 0
    shown = run("verdict", "show", "td.bin", "--as", "reference", cwd=running.directory)
    (running.directory / "td").write_text(shown.stdout)
    done = running.verdict("--set-opa-reference", "tdxData", "./td")
    assert done.returncode == 0, done.stdout + done.stderr


def test_both_kinds_attest_to_one_verdictd(both: Verifier) -> None:
    for words in ((), TD):
        done = both.attest(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        assert GREETING in done.stdout


def test_another_td_is_refused_and_told_why(both: Verifier) -> None:
    why = both.explain(both.attest(*TD, "--sim-mrtd", "ee" * 48))
    assert why.startswith("refused: check policy.decision failed: found tdxPolicy.rego with tdxData:"), why


def test_a_td_under_debug_is_refused(both: Verifier) -> None:
    why = both.explain(both.attest(*TD, "--debug-enclave"))
    assert why.startswith("refused: check td.debug failed")
    assert "--allow-debug" in why


def test_what_was_decided_is_shown_for_each_kind(both: Verifier) -> None:
    done = both.attest(*TD)
    assert done.returncode == 0
    status = both.verdict("status", "--json")
    kinds = {pair["tee"] for pair in json.loads(status.stdout)["policies"]}
    assert {"sgx_ecdsa", "tdx_ecdsa"} <= kinds


def test_until_a_td_is_named_nobody_is_let_in(tmp_path: Path) -> None:
    SimulatedPlatform.create(at=datetime.now(UTC) - timedelta(minutes=1)).save(tmp_path / "platform")
    words = ("--mutual", *TRUST, "--verifier", "tdx_ecdsa")
    with pccs(tmp_path) as url, verifier(tmp_path, *words, "--pccs-url", url, mutual=False) as running:
        why = running.explain(running.attest(*TD))
        assert "policy.decision" in why
        name_td(running)
        assert running.attest(*TD).returncode == 0
        assert "evidence.kind" in running.explain(running.attest()), "SGX was not named"


def test_a_quote_of_a_td_is_appraised_and_shown_without_a_daemon(both: Verifier) -> None:
    directory = both.directory
    words = ("tee-sim", "collateral", "platform", "--tee", "tdx", "-o", "tdx.json")
    assert run(*words, cwd=directory).returncode == 0
    done = run("verdict", "appraise", "td.bin", "--collateral", "tdx.json", *TRUST, "--reference", "td", cwd=directory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "td.debug" in done.stdout
    assert "ALLOWED" in done.stdout
    shown = run("verdict", "show", "td.bin", cwd=directory).stdout
    assert "evidence           tdx_ecdsa" in shown
    assert "mr_td" in shown
    refused = run("verdict", "show", "td.bin", "--as", "evidence", cwd=directory)
    assert refused.returncode == 2
    assert "sgx_ecdsa" in refused.stderr


def test_an_event_log_has_to_make_the_registers_of_the_quote(both: Verifier) -> None:
    directory = both.directory
    rtmr0, rtmr1, rtmr2, rtmr3 = registers_of(DIRECT)
    domain = TrustDomainSpec(rtmr0=rtmr0, rtmr1=rtmr1, rtmr2=rtmr2, rtmr3=rtmr3)
    quote = SimulatedTDAttester(SimulatedPlatform.load(directory / "platform"), domain).quote(bytes(64))
    (directory / "logged.bin").write_bytes(quote)
    (directory / "CCEL").write_bytes(encode_log(DIRECT))
    (directory / "shorter").write_bytes(encode_log(DIRECT[:-1]))
    (directory / "no-log").write_bytes(b"\xff" * 100)
    assert run("tee-sim", "collateral", "platform", "--tee", "tdx", "-o", "tdx.json", cwd=directory).returncode == 0
    words = ("verdict", "appraise", "logged.bin", "--collateral", "tdx.json", *TRUST)
    for log, code, says in (
        ("CCEL", 0, "event_log.rtmr2"),
        ("shorter", 1, "event_log.rtmr2"),
        ("no-log", 1, "event_log.format"),
    ):
        done = run(*words, "--event-log", log, cwd=directory)
        assert done.returncode == code, done.stdout + done.stderr
        assert says in done.stdout
    assert run(*words, "--json", cwd=directory).returncode == 0, "without a log its checks are open"
    wrong = run("verdict", "appraise", "td.bin", "--tee", "csv", "--event-log", "CCEL", cwd=directory)
    assert wrong.returncode == 2
    assert "bare quote of a TD" in wrong.stderr
