import contextlib
import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.simulator.oracle import appraise, oracle_verdict
from verdictd.cli.tee_sim import main
from verdictd.simulator.enclave import DEFAULT_MR_ENCLAVE, DEFAULT_MR_SIGNER
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import LEVEL_STATUSES, TCBStatus
from verdictd.tees.dcap.quote import parse_quote


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    path = tmp_path / "sim"
    assert main(["init", str(path)]) == 0
    return path


def _refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """Run a command that is refused; return the one sentence it gives."""
    capsys.readouterr()
    assert main(argv) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("tee-sim")
    assert found.err.count("\n") == 1
    return found.err


def test_walk_through(directory: Path, tmp_path: Path) -> None:
    quote_file, collateral_file = tmp_path / "quote", tmp_path / "collateral.json"
    assert main(["quote", str(directory), "--report-data", "00ff", "-o", str(quote_file)]) == 0
    assert main(["collateral", str(directory), "-o", str(collateral_file)]) == 0
    platform, now = SimulatedPlatform.load(directory), datetime.now(UTC)
    given_collateral = json.loads(collateral_file.read_bytes())
    assert given_collateral["tcb_info"].startswith('{"id":"SGX","version":3,')
    assert oracle_verdict(quote_file.read_bytes(), platform.collateral(now), platform, now) == ("UpToDate", [])


def test_init_says_how_to_trust_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init", str(tmp_path / "sim")]) == 0
    assert f"--trust-root {tmp_path / 'sim' / 'root-ca.pem'}" in capsys.readouterr().out


def test_quote_takes_every_field(directory: Path, tmp_path: Path) -> None:
    argv = ["quote", str(directory), "--report-data", "ab" * 64, "--mrenclave", "01" * 32, "--mrsigner", "02" * 32]
    argv += ["--isv-prod-id", "65535", "--isv-svn", "7", "--debug", "--quote-version", "5", "-o", str(tmp_path / "q")]
    assert main(argv) == 0
    quote = parse_quote((tmp_path / "q").read_bytes())
    assert quote.version == 5
    assert quote.report.report_data == b"\xab" * 64
    assert (quote.report.mr_enclave, quote.report.mr_signer) == (b"\1" * 32, b"\2" * 32)
    assert (quote.report.isv_prod_id, quote.report.isv_svn) == (65535, 7)
    assert quote.report.is_debug


def test_quote_has_defaults_and_pads_report_data(directory: Path, tmp_path: Path) -> None:
    assert main(["quote", str(directory), "--report-data", "0102", "-o", str(tmp_path / "q")]) == 0
    quote = parse_quote((tmp_path / "q").read_bytes())
    assert quote.version == 3
    assert quote.report.report_data == b"\1\2" + bytes(62)
    assert (quote.report.mr_enclave, quote.report.mr_signer) == (DEFAULT_MR_ENCLAVE, DEFAULT_MR_SIGNER)
    assert (quote.report.isv_prod_id, quote.report.isv_svn, quote.report.is_debug) == (0, 0, False)


def test_writes_to_standard_output(directory: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    capsysbinary.readouterr()
    assert main(["quote", str(directory), "--report-data", "", "-o", "-"]) == 0
    assert parse_quote(capsysbinary.readouterr().out).report.report_data == bytes(64)


def test_collateral_of_another_instant(directory: Path, tmp_path: Path) -> None:
    argv = ["collateral", str(directory), "--at", "2030-01-31T12:00:00Z", "-o", str(tmp_path / "c")]
    assert main(argv) == 0
    document = json.loads(json.loads((tmp_path / "c").read_bytes())["tcb_info"])
    assert (document["issueDate"], document["nextUpdate"]) == ("2030-01-31T11:50:00Z", "2030-03-02T11:50:00Z")


@pytest.mark.parametrize("year", [1970, 9997])
def test_collateral_of_the_first_and_the_last_year(directory: Path, tmp_path: Path, year: int) -> None:
    assert main(["collateral", str(directory), "--at", f"{year}-12-31T00:00:00Z", "-o", str(tmp_path / "c")]) == 0


@pytest.mark.parametrize("status", list(LEVEL_STATUSES))
def test_set_tcb_status(directory: Path, status: TCBStatus, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["set-tcb-status", str(directory), status.value]) == 0
    platform, now = SimulatedPlatform.load(directory), datetime.now(UTC)
    assert platform.tcb_status == status
    assert f"is {status.value}, from TCB evaluation data number 18 on" in capsys.readouterr().out
    result = appraise(platform.quote(report_data=bytes(64)), platform.collateral(now), platform, now)
    assert result.tcb_status == status


def test_early_tcb_info_comes_first_and_standard_follows(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["publish-early", str(directory), "OutOfDate"]) == 0
    said = capsys.readouterr().out
    assert "is OutOfDate in early TCB info, of TCB evaluation data number 18" in said
    assert "and UpToDate in standard TCB info, of number 17" in said
    early = SimulatedPlatform.load(directory)
    assert (early.newest, early.standard) == ((18, TCBStatus.OUT_OF_DATE), (17, TCBStatus.UP_TO_DATE))
    assert main(["publish-standard", str(directory)]) == 0
    assert "is OutOfDate in standard TCB info" in capsys.readouterr().out
    assert SimulatedPlatform.load(directory).standard == (18, TCBStatus.OUT_OF_DATE)


@pytest.mark.parametrize(("target", "check"), [("pck", "pck.revocation"), ("platform-ca", "pck.ca_revocation")])
def test_revoke(directory: Path, target: str, check: str) -> None:
    assert main(["revoke", str(directory), target]) == 0
    platform, now = SimulatedPlatform.load(directory), datetime.now(UTC)
    result = appraise(platform.quote(report_data=bytes(64)), platform.collateral(now), platform, now)
    assert [refusal.name for refusal in result.refusals] == [check]


@pytest.mark.parametrize(
    ("option", "value", "sentence"),
    [
        ("--report-data", "00" * 65, "65 bytes are given, expected at most 64"),
        ("--report-data", "0g", "'0g' is not hex digits"),
        ("--report-data", "0", "'0' is not hex digits"),
        ("--mrenclave", "00" * 31, "31 bytes are given, expected 32"),
        ("--mrsigner", "00" * 33, "33 bytes are given, expected 32"),
        ("--isv-prod-id", "65536", "from 0 to 65535"),
        ("--isv-svn", "-1", "from 0 to 65535"),
        ("--isv-svn", "²", "from 0 to 65535"),
        ("--quote-version", "6", "invalid choice: 6"),
    ],
)
def test_quote_refuses_what_no_quote_can_say(
    *, directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str, value: str, sentence: str
) -> None:
    arguments = {"--report-data": "00"} | {option: value}
    argv = ["quote", str(directory), "-o", str(tmp_path / "q")]
    assert sentence in _refused(capsys, *argv, *(f"{name}={given}" for name, given in arguments.items()))
    assert not (tmp_path / "q").exists()


@pytest.mark.parametrize(
    ("argv", "sentence"),
    [
        ((), "COMMAND"),
        (("nonsense",), "invalid choice"),
        (("init",), "DIR"),
        (("quote", "{sim}", "-o", "{out}"), "--report-data"),
        (("quote", "{sim}", "--report-data", "00"), "-o"),
        (("quote", "{none}", "--report-data", "00", "-o", "{out}"), "is no simulated platform"),
        (("collateral", "{sim}"), "-o"),
        (("collateral", "{none}", "-o", "{out}"), "is no simulated platform"),
        (("collateral", "{sim}", "-o", "{none}/x"), "cannot be written"),
        (("collateral", "{sim}", "-o", "{out}", "--at", "soon"), "is not a time"),
        (("collateral", "{sim}", "-o", "{out}", "--at", "2026-01-01T00:00:00"), "zone"),
        (("collateral", "{sim}", "-o", "{out}", "--at", "0001-01-01T00:00:00Z"), "years"),
        (("set-tcb-status", "{sim}", "uptodate"), "invalid choice"),
        (("set-tcb-status", "{none}", "UpToDate"), "is no simulated platform"),
        (("revoke", "{sim}", "root-ca"), "invalid choice"),
        (("revoke", "{none}", "pck"), "is no simulated platform"),
        (("init", "{sim}"), "holds a simulated platform already"),
        (("serve", "{none}", "--listen", "127.0.0.1:0"), "is no simulated platform"),
        (("serve", "{sim}", "--listen", "127.0.0.1"), "is not an address with a port"),
        (("serve", "{sim}", "--listen", "192.0.2.1:0"), "cannot listen"),
        (("serve", "{sim}", "--lifetime", "0"), "is not a number of seconds"),
        (("serve", "{sim}", "--lifetime", "3153600001"), "is not a number of seconds"),
        (("serve", "{sim}", "--lifetime", "1.5"), "is not a number of seconds"),
        (("publish-early", "{sim}", "uptodate"), "invalid choice"),
        (("publish-early", "{none}", "UpToDate"), "is no simulated platform"),
        (("publish-standard", "{none}"), "is no simulated platform"),
        (("init-amd", "{none}"), "is no simulated platform"),
    ],
)
def test_mistakes_are_answered_with_one_sentence(
    directory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], sentence: str
) -> None:
    places = {"sim": directory, "none": tmp_path / "none", "out": tmp_path / "out"}
    assert sentence in _refused(capsys, *(argument.format(**places) for argument in argv))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("argv", [["--help"], ["quote", "--help"], ["serve", "--help"]])
def test_help_is_no_mistake(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(argv) == 0
    assert "usage: tee-sim" in capsys.readouterr().out


@given(st.lists(st.text(), max_size=4))
def test_any_arguments_end_with_an_exit_code(arguments: list[str]) -> None:
    assert main(["set-tcb-status", "/nowhere/at/all", *arguments]) in {0, 2}


def test_serving_leaves_signals_as_they_were_also_where_it_cannot_begin(directory: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert main(["serve", str(directory), "--listen", "192.0.2.1:0"]) == 2
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    thread = threading.get_ident()

    class Told(io.StringIO):
        def flush(self) -> None:  # it is about to wait
            signal.pthread_kill(thread, signal.SIGTERM)

    with contextlib.redirect_stdout(Told()) as said:
        assert main(["serve", str(directory), "--listen", "127.0.0.1:0"]) == 0
    assert "serving simulated collateral" in said.getvalue()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before
    assert not before & {signal.SIGTERM, signal.SIGINT}


def test_amd_s_roots_can_be_had_before_anything_is_served(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["init-amd", str(directory)]) == 0
    said = capsys.readouterr().out
    roots = [directory / "amd" / product / "ark.pem" for product in ("milan", "genoa", "turin")]
    assert [line.split("its root: ")[1] for line in said.splitlines()] == [str(root) for root in roots]
    made = [root.read_bytes() for root in roots]
    assert main(["init-amd", str(directory)]) == 0
    assert [root.read_bytes() for root in roots] == made


def test_serve_takes_lifetime_key_and_whether_answers_are_frozen(directory: Path) -> None:
    argv = [sys.executable, "-m", "verdictd.cli.tee_sim", "serve", str(directory), "--lifetime", "60", "--frozen"]
    with subprocess.Popen([*argv, "--require-key", "k"], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"http://(127\.0\.0\.1):(\d+)(/sgx/certification/v4/)", process.stdout.readline())
            assert found
            connection = http.client.HTTPConnection(found[1], int(found[2]), timeout=10)

            def get(path: str, **headers: str) -> tuple[int, bytes]:
                connection.request("GET", found[3] + path, headers=headers)
                response = connection.getresponse()
                return response.status, response.read()

            identity = get("qe/identity")
            assert get("qe/identity") == identity
            document = json.loads(identity[1])["enclaveIdentity"]
            issued, ends = (datetime.fromisoformat(document[name]) for name in ("issueDate", "nextUpdate"))
            assert (ends - issued).total_seconds() == 660  # dated ten minutes back
            path = f"pckcerts?pceid=0000&encrypted_ppid={'ab' * 384}"
            assert get(path)[0] == 401
            assert get(path, **{"Ocp-Apim-Subscription-Key": "other"})[0] == 401
            assert get(path, **{"Ocp-Apim-Subscription-Key": "k"})[0] == 200
            connection.close()
        finally:
            process.terminate()
            process.wait(timeout=10)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serve_says_where_and_stops_when_told(directory: Path, number: signal.Signals) -> None:
    argv = [sys.executable, "-m", "verdictd.cli.tee_sim", "serve", str(directory), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://(127\.0\.0\.1):(\d+)(/sgx/certification/v4/)", line)
            assert found, line
            connection = http.client.HTTPConnection(found[1], int(found[2]), timeout=10)
            connection.request("GET", f"{found[3]}rootcacrl")
            assert connection.getresponse().status == 200
            began = time.monotonic()
            process.send_signal(number)  # while a connection is open
            assert process.wait(timeout=10) == 0
            assert time.monotonic() - began < 5
            connection.close()
        finally:
            process.kill()
        assert process.stderr is not None
        assert "rootcacrl" in process.stderr.read()
