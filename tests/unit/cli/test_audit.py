"""`verdict audit` in process: what it proves, what it names, and its exit codes."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from verdictd.audit import records
from verdictd.audit.log import AuditLog
from verdictd.cli.verdict.main import main

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of 12 records in several segments."""
    directory = tmp_path / "audit"
    with AuditLog.open(directory, clock=lambda: NOW, max_segment_bytes=800) as opened:
        for number in range(12):
            opened.append(records.reload_failed(reason=f"\x1b[31mreason {number} {'x' * 100}"))
    return directory


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str]:
    code = main(["audit", *map(str, words)])
    captured = capsys.readouterr()
    assert captured.err == "" or code == 2
    return code, captured.out + captured.err


def test_a_whole_log_holds_against_its_head(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, head = run(capsys, "head", log)
    assert (code, head[:3]) == (0, "12:")
    code, out = run(capsys, "verify", log)
    assert (code, "12 records, from 1 to 12" in out, "--expect-head" in out) == (0, True, True)
    code, out = run(capsys, "verify", log, "--expect-head", head.strip())
    assert (code, f"head {head}" in out, "--expect-head" in out) == (0, True, False)
    assert out.endswith("HOLDS: no record is missing or changed\n")


def test_a_change_is_named_by_file_line_and_record(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = sorted(log.glob("audit-*"))[1]
    first = json.loads(path.read_bytes().splitlines()[0])["seq"]
    path.write_bytes(path.read_bytes().replace(f"reason {first}".encode(), b"reason x"))
    code, out = run(capsys, "verify", log)
    assert code == 1
    assert f"{path.name}:3: found previous" in out
    assert out.endswith("BROKEN\n")
    code, out = run(capsys, "verify", log, "--json")
    report = json.loads(out)
    assert (code, report["holds"], report["records"]) == (1, False, 12)
    assert report["findings"][0]["seq"] == first + 2


def test_a_log_that_was_cut_is_found_by_its_head(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, head = run(capsys, "head", log)
    (log / "audit.jsonl").unlink()
    assert run(capsys, "verify", log)[0] == 0
    code, out = run(capsys, "verify", log, "--expect-head", head.strip())
    assert code == 1
    assert "records at the end are missing" in out


def test_segments_can_be_named_and_what_is_before_them_is_said(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    segments = sorted(log.glob("audit*.jsonl"))
    assert len(segments) > 3
    assert run(capsys, "verify", *segments)[0] == 0
    code, out = run(capsys, "verify", *segments[2:])
    assert (code, "are not here, and nothing is said of them" in out) == (0, True)
    assert run(capsys, "verify", segments[0], segments[2])[0] == 1


def test_a_missing_segment_in_between_is_found(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sorted(log.glob("audit-*"))[1].unlink()
    code, out = run(capsys, "verify", log)
    assert (code, "missing" in out) == (1, True)


def test_show_gives_the_newest_also_over_segments(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, "show", log, "--last", "7")
    lines = out.splitlines()
    assert (code, [line.split()[0] for line in lines]) == (0, [str(number) for number in range(6, 13)])
    assert "reload" in lines[0]
    assert "\x1b" not in out
    code, out = run(capsys, "show", log, "--json", "--last", "100")
    assert [json.loads(line)["seq"] for line in out.splitlines()] == list(range(1, 13))


def test_show_and_head_go_on_beside_what_is_no_record(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, head = run(capsys, "head", log)
    with (log / "audit.jsonl").open("ab") as file:
        file.write(b'{"at":')
    assert run(capsys, "head", log) == (0, head)
    code, out = run(capsys, "show", log)
    assert (code, "no record: " in out) == (1, True)
    code, out = run(capsys, "verify", log)
    assert (code, "a writer was killed within it" in out) == (1, True)


@pytest.mark.parametrize("action", ["verify", "show", "head"])
def test_no_log_is_2_and_a_sentence(action: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out = run(capsys, action, tmp_path)
    assert (code, out) == (
        2,
        f"verdict: there is no audit log in {tmp_path}; name the directory audit in the --data-dir\n",
    )
    code, out = run(capsys, action, tmp_path / "missing")
    assert (code, out.count("\n")) == (2, 1)


def test_an_empty_log_has_no_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    AuditLog.open(tmp_path).close()
    assert run(capsys, "verify", tmp_path)[0] == 0
    assert run(capsys, "show", tmp_path) == (0, "")
    assert run(capsys, "head", tmp_path)[0] == 2


@pytest.mark.parametrize("words", [["verify", "--expect-head", "12"], ["show", "--last", "0"], []])
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["audit", *words])
    assert left.value.code == 2
