"""Quotes from a program: real programs, which are short, wrong, slow or loud."""

import os
import sys
import time
from pathlib import Path

import pytest

from tests.unit.tees.sgx_ecdsa.attester_fakes import OTHER_REPORT_DATA, REPORT_DATA, build_quote
from verdictd.core.errors import AuthenticityError, ConfigError, LimitExceededError
from verdictd.tees.sgx_ecdsa.attester import find_sgx_attester
from verdictd.tees.sgx_ecdsa.attester_command import CommandSource, parse_quote_command


def _python(code: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-c", code, *arguments)


def _source(code: str, *arguments: str, timeout_s: float = 30.0) -> CommandSource:
    return CommandSource(_python(code, *arguments), timeout_s=timeout_s)


def test_the_program_gets_the_report_data_as_last_argument_and_on_its_input() -> None:
    source = _source("import sys; print(sys.argv[1:], [sys.stdin.read()], end='')", "first")
    digits = REPORT_DATA.hex()
    assert source.fetch_quote(REPORT_DATA).decode() == f"{['first', digits]} {[digits + chr(10)]}"


def test_a_program_may_ignore_its_input() -> None:
    source = _source("import os, sys; os.close(0); sys.stdout.buffer.write(b'quote')")
    assert source.fetch_quote(REPORT_DATA) == b"quote"


def test_a_program_that_hands_out_a_recorded_quote_serves_its_report_data_only(tmp_path: Path) -> None:
    recorded = tmp_path / "recorded quote"
    recorded.write_bytes(build_quote())
    attester = find_sgx_attester(quote_command=f"sh -c 'cat \"$0\"' '{recorded}'")
    assert attester.quote(REPORT_DATA) == build_quote()
    with pytest.raises(AuthenticityError, match="neither hashed nor cut"):
        attester.quote(OTHER_REPORT_DATA)


def test_no_shell_ever_sees_the_command_line() -> None:
    command = parse_quote_command("quoter '$(touch x)' ; rm * | `id`")
    assert command == ("quoter", "$(touch x)", ";", "rm", "*", "|", "`id`")


@pytest.mark.parametrize("text", ["", "   ", "''", "quoter 'open"])
def test_a_command_line_without_a_program_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="--quote-command"):
        parse_quote_command(text)


def test_a_program_that_is_not_there_is_named() -> None:
    attester = find_sgx_attester(quote_command="/nonexistent/quoter")
    with pytest.raises(ConfigError, match=r"--quote-command /nonexistent/quoter gave no quote: .*No such file"):
        attester.quote(REPORT_DATA)


def test_a_failing_programs_complaint_is_passed_on() -> None:
    source = _source("import sys; sys.stdout.write('x'); sys.exit('no enclave here')")
    with pytest.raises(ConfigError, match="ended with status 1: no enclave here"):
        source.fetch_quote(REPORT_DATA)


def test_a_failing_program_that_says_nothing_is_reported_by_its_status() -> None:
    with pytest.raises(ConfigError, match="ended with status 3: it said nothing on stderr"):
        _source("import sys; sys.exit(3)").fetch_quote(REPORT_DATA)


def test_a_program_that_writes_nothing_gives_no_quote() -> None:
    with pytest.raises(ConfigError, match="wrote nothing"):
        _source("pass").fetch_quote(REPORT_DATA)


def test_a_loud_program_is_cut_short_on_stderr_and_still_served() -> None:
    source = _source("import sys; sys.stderr.write('x' * 1_000_000); sys.stdout.write('quote')")
    assert source.fetch_quote(REPORT_DATA) == b"quote"


def test_a_complaint_is_passed_on_in_part_only() -> None:
    with pytest.raises(ConfigError) as caught:
        _source("import sys; sys.exit('x' * 1_000_000)").fetch_quote(REPORT_DATA)
    assert len(caught.value.message) < 5000


@pytest.mark.parametrize(("size", "fits"), [(65536, True), (65537, False)])
def test_output_is_bounded(size: int, fits: bool) -> None:
    source = _source(f"import sys; sys.stdout.write('x' * {size})")
    if fits:
        assert len(source.fetch_quote(REPORT_DATA)) == size
    else:
        with pytest.raises(LimitExceededError, match="more than 65536 bytes"):
            source.fetch_quote(REPORT_DATA)


def test_endless_output_ends_the_program() -> None:
    started = time.monotonic()
    with pytest.raises(LimitExceededError):
        _source("while True: print('x' * 4096)").fetch_quote(REPORT_DATA)
    assert time.monotonic() - started < 20


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(600)",
        "import os, time; os.close(1); os.close(2); time.sleep(600)",
        "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])",
    ],
    ids=["says nothing", "closes its outputs and stays", "waits for a child"],
)
def test_a_program_that_takes_too_long_is_ended_with_its_children(code: str) -> None:
    started = time.monotonic()
    with pytest.raises(ConfigError, match=r"did not finish within 0\.5 seconds and was stopped"):
        _source(code, timeout_s=0.5).fetch_quote(REPORT_DATA)
    assert time.monotonic() - started < 20


def test_the_children_of_a_program_that_takes_too_long_are_gone(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    child = f"import os, time; open({str(note)!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with pytest.raises(ConfigError, match="was stopped"):
        _source(code, timeout_s=3.0).fetch_quote(REPORT_DATA)
    pid = int(note.read_text())
    deadline = time.monotonic() + 20
    while _is_running(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_no_descriptor_stays_open() -> None:
    source = _source("import sys; sys.exit('no')")
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count is all there is to it
    for _ in range(3):
        with pytest.raises(ConfigError):
            source.fetch_quote(REPORT_DATA)
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - as above
