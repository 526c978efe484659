"""`verdict reference` in process: what is printed and written, what is refused, and every exit code."""

import base64
import json
from io import StringIO
from pathlib import Path

import pytest

from tests.unit.enclave import images
from tests.unit.enclave.signing import make_key
from tests.unit.tees.simulated import platform
from tests.unit.unpacking.packages import build_deb, build_rpm
from verdictd.cli.printable import printable
from verdictd.cli.progress import ProgressBar
from verdictd.cli.verdict.main import main

OTHER = images.Enclave(segments=[images.Segment(0, images.PF_R, b"another one")])
SHIPPED = '{\n    "mrEnclave": [],\n    "mrSigner": [],\n    "productId": 0,\n    "svn": 0\n}'


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory with two enclaves of one author, packages with them, and evidence."""
    monkeypatch.chdir(tmp_path)
    first = images.build(images.typical(), {"isv_svn": b"\x02\0"})
    second = images.build(OTHER, {"isv_svn": b"\x01\0"})
    Path("first.so").write_bytes(first)
    Path("second.so").write_bytes(second)
    Path("altered.so").write_bytes(first.replace(b"constants", b"Constants"))
    Path("both.rpm").write_bytes(build_rpm({"./usr/a.so": first, "./usr/b.so": second}))
    Path("one.deb").write_bytes(build_deb({"./usr/a.so": first}, compression="zstd"))
    Path("quote").write_bytes(platform().quote(report_data=bytes(64)))
    Path("shipped").write_text(SHIPPED)


def reference(*words: str) -> int:
    return main(["reference", *words])


def encode(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


FIRST, SECOND = encode(images.measure(images.typical())), encode(images.measure(OTHER))


def held(path: str) -> dict[str, object]:
    loaded = json.loads(Path(path).read_text())
    assert isinstance(loaded, dict)
    return loaded


def test_one_command_writes_both_files_in_the_originals_form(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("one.deb", "-o", "sgxData", "--evidence", "evidence") == 0
    written = Path("sgxData").read_text()
    assert written.startswith(f'{{\n    "mrEnclave": [\n        "{FIRST}"\n    ],\n    "mrSigner": [\n')
    assert written.endswith('"productId": 0,\n    "svn": 2\n}')
    assert held("evidence") == {**held("sgxData"), "mrEnclave": FIRST, "mrSigner": held("sgxData")["mrSigner"][0]}  # type: ignore[index]
    shown = capsys.readouterr().out
    assert "one.deb: ./usr/a.so" in shown
    assert images.measure(images.typical()).hex() in shown
    assert FIRST in shown
    assert "recomputed from the image" in shown
    assert "12 of 12 made, all of them hold" in shown
    assert "written to sgxData\nwritten to evidence\n" in shown


def test_signer_only_leaves_the_list_of_enclaves_empty_on_one_line() -> None:
    assert reference("first.so", "--signer-only", "-o", "sgxData") == 0
    assert Path("sgxData").read_text().startswith('{\n    "mrEnclave": [],\n    "mrSigner": [\n')


def test_an_altered_enclave_is_refused_and_nothing_is_written(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("altered.so", "-o", "sgxData") == 1
    assert "REFUSED altered.so\n    check image.mr_enclave failed" in capsys.readouterr().out
    assert not Path("sgxData").exists()
    assert reference("altered.so", "--json") == 1
    report = json.loads(capsys.readouterr().out)
    assert report["accepted"] is False
    assert report["reference"] is None
    assert report["found"][0]["checks"][-1]["result"] == "fail"


def test_one_refused_among_several_refuses_all() -> None:
    assert reference("first.so", "altered.so", "-o", "sgxData") == 1
    assert not Path("sgxData").exists()


def test_several_enclaves_in_a_package_have_to_be_chosen_from(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("both.rpm", "-o", "sgxData") == 2
    assert "choose one with --member:\n  both.rpm: ./usr/a.so\n  both.rpm: ./usr/b.so\n" in capsys.readouterr().err
    assert reference("both.rpm", "--member", "b.so", "-o", "sgxData") == 0
    assert held("sgxData")["mrEnclave"] == [SECOND]


def test_several_files_are_all_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("first.so", "second.so", "-o", "sgxData") == 0
    assert held("sgxData")["mrEnclave"] == [FIRST, SECOND]
    assert held("sgxData")["svn"] == 1
    assert "note: the enclaves have ISVSVN 1, 2: 1 and all above is allowed" in capsys.readouterr().out


def test_merging_keeps_what_was_allowed_and_removing_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("first.so", "-o", "sgxData") == 0
    assert reference("second.so", "--merge", "sgxData", "-o", "sgxData") == 0
    assert held("sgxData")["mrEnclave"] == [FIRST, SECOND]
    assert "ISVSVN is lowered from 2 to 1" in capsys.readouterr().out
    assert reference("first.so", "--merge", "sgxData", "--remove", "-o", "sgxData") == 0
    assert held("sgxData")["mrEnclave"] == [SECOND]
    assert reference("second.so", "--merge", "sgxData", "--remove", "-o", "sgxData") == 2
    assert "an empty list allows any" in capsys.readouterr().err
    assert held("sgxData")["mrEnclave"] == [SECOND]


def test_merging_into_the_shipped_reference_begins_anew(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("first.so", "--merge", "shipped", "-o", "-") == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["mrEnclave"] == [FIRST]
    assert "allowed any enclave" in captured.err


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "is not JSON"), ("[]", "not a JSON object"), ("{}", "has no list mrEnclave"), ("\x00", "is not JSON")],
)
def test_what_is_no_reference_is_not_merged_into(
    content: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("broken").write_text(content)
    assert reference("first.so", "--merge", "broken", "-o", "broken") == 2
    assert message in capsys.readouterr().err
    assert Path("broken").read_text() == content


def test_json_is_all_there_is_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("first.so", "--json", "-o", "sgxData") == 0
    captured = capsys.readouterr()
    report = json.loads(captured.out)
    assert report["accepted"] is True
    assert report["reference"] == held("sgxData")
    (found,) = report["found"]
    assert found["measurement"] == {"source": "image", "note": ""}
    assert found["evidence"]["mrEnclave"] == FIRST
    assert {check["result"] for check in found["checks"]} == {"pass"}
    assert captured.err == "written to sgxData\n"


def test_the_dump_and_the_signature_are_those_of_intels_tool() -> None:
    assert reference("one.deb", "--compat-dump", "metadata.txt", "--cssfile", "sigstruct.bin") == 0
    signature = Path("sigstruct.bin").read_bytes()
    assert signature == Path("first.so").read_bytes()[Path("first.so").read_bytes().index(signature[:16]) :][:1808]
    assert encode(signature[960:992]) == FIRST
    assert int.from_bytes(signature[1026:1028], "little") == 2
    assert "metadata->magic_num: 0x86a80294635d0e4c\n" in Path("metadata.txt").read_text()
    assert reference("sigstruct.bin", "-o", "sgxData") == 0
    assert held("sgxData")["mrEnclave"] == [FIRST]


def test_evidence_is_taken_as_it_says_with_a_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("quote", "-o", "sgxData") == 0
    shown = capsys.readouterr().out
    assert "NOT verified, as the evidence says" in shown
    assert "nothing in it was verified" in shown


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing"], "missing cannot be read: No such file"),
        (["first.so", "--remove"], "--remove needs a reference to take from"),
        (["first.so", "--merge-held"], "--merge-held needs the reference's name"),
        (["first.so", "--dry-run"], "--dry-run is of an upload"),
        (["first.so", "second.so", "--evidence", "e"], "--evidence is of one enclave, 2 were named"),
        (["first.so", "second.so", "--cssfile", "e"], "--cssfile is of one enclave"),
        (["first.so", "second.so", "--compat-dump", "e"], "--compat-dump is of one enclave"),
        (["quote", "--cssfile", "e"], "quote is evidence, which has no SIGSTRUCT"),
        (["quote", "--compat-dump", "e"], "quote is evidence, which has no SIGSTRUCT"),
        (["first.so", "-o", "no/such/directory"], "cannot be written"),
        (["first.so", "--merge", "missing"], "missing cannot be read"),
        (["first.so", "--set", "sgxData", "-c", "127.0.0.1:9"], "no verdictd answers at 127.0.0.1:9"),
        (["shipped.rpm"], "shipped.rpm cannot be read"),
    ],
)
def test_what_cannot_be_done_is_2_and_says_why(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert reference(*words) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not Path("e").exists()


def test_a_bare_signature_has_no_dump(capsys: pytest.CaptureFixture[str]) -> None:
    assert reference("first.so", "--cssfile", "sigstruct.bin") == 0
    assert reference("sigstruct.bin", "--compat-dump", "metadata.txt") == 2
    assert "no metadata of Intel's SDK" in capsys.readouterr().err


def test_two_authors_are_both_signers() -> None:
    Path("third.so").write_bytes(images.build(OTHER, key=make_key(1)))
    assert reference("first.so", "third.so", "-o", "sgxData") == 0
    signers = held("sgxData")["mrSigner"]
    assert isinstance(signers, list)
    assert len(set(signers)) == 2


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_shows_on_a_terminal_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("verdictd.cli.progress.time.monotonic", lambda: next(clock))
    stream = Terminal()
    with ProgressBar(stream) as bar:
        bar.show("e.so", 1, 4)
        bar.show("e.so", 4, 4)
        bar.show("e.so", 0, 0)
    assert "e.so [########                      ]  25%" in stream.getvalue()
    assert "] 100%" in stream.getvalue()
    assert stream.getvalue().endswith("\r\033[K")


def test_no_bar_shows_where_nobody_watches_or_nothing_takes_long() -> None:
    for stream in (StringIO(), Terminal()):
        with ProgressBar(stream) as bar:
            bar.show("e.so", 1, 4)
        assert stream.getvalue() == ""


def test_the_command_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "reference" in capsys.readouterr().out


def test_text_of_others_does_nothing_to_a_terminal() -> None:
    assert printable("a\x1b[2Jb\n\tc") == "a\\u001b[2Jb\\u000a\tc"
    assert printable("x" * 500) == "x" * 400 + "…"
