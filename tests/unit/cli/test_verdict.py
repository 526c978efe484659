"""`verdict` in process: every exit code, what is on standard output, and no traceback for any input."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.unit.appraisal.schema import violations
from verdictd.cli.verdict.main import main
from verdictd.ratstls.certificate_builder import build_identity
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import TCBStatus

NOBODY = ["--client-api", "127.0.0.1:9"]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with a quote, a certificate, a debug enclave's quote, collateral and the root."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "qcnl.conf").write_text("PCCS_URL=http://127.0.0.1:9/sgx/certification/v4/\n")
    monkeypatch.setenv("QCNL_CONF_PATH", str(tmp_path / "qcnl.conf"))
    now = datetime.now(UTC)
    platform = SimulatedPlatform.create(at=now - timedelta(minutes=1))
    Path("root.pem").write_bytes(platform.trust_root_pem)
    Path("quote").write_bytes(platform.quote(report_data=bytes(64)))
    Path("debug").write_bytes(platform.quote(report_data=bytes(64), debug=True))
    attester = SimulatedAttester(platform, EnclaveSpec(isv_svn=7))
    identity = build_identity(at=now, make_quote=attester.quote, custom_claims={"tenant": b"blue"})
    Path("certificate").write_bytes(identity.certificate_der)
    Path("collateral").write_bytes(encode_collateral_file(platform.collateral(now)))
    behind = platform.with_tcb_status(TCBStatus.OUT_OF_DATE)
    Path("behind").write_bytes(encode_collateral_file(behind.collateral(now)))
    return tmp_path


def appraise(*words: str) -> int:
    return main(["appraise", *words, "--trust-root", "root.pem"])


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("file", ["quote", "certificate"])
def test_accepted_is_0(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert appraise(file, "--collateral", "collateral") == 0
    captured = capsys.readouterr()
    assert captured.out.endswith("\nALLOWED\n")
    assert captured.err == ""


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["debug", "--collateral", "collateral"], "enclave.debug"),
        (["quote", "--collateral", "behind"], "tcb.status"),
        (["quote", "--collateral", "collateral", "--at", "2020-01-01T00:00:00Z"], "validity"),
        (["quote", "--collateral", "collateral", "--reference", "other"], "policy.decision"),
        (["quote"], "127.0.0.1:9"),
    ],
)
def test_refused_is_1(words: list[str], reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("other").write_text('{"mrEnclave": ["AA=="], "mrSigner": [], "productId": 0, "svn": 0}')
    assert appraise(*words) == 1
    captured = capsys.readouterr()
    assert captured.out.endswith("\nREFUSED\n")
    assert reason in captured.out
    assert captured.err == ""


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize("flag", [["--accept-tcb-status", "OutOfDate"], ["--accept-tcb-status", "any"]])
def test_what_is_behind_is_accepted_with_the_flag(flag: list[str]) -> None:
    assert appraise("quote", "--collateral", "behind", *flag) == 0


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["certificate", "--collateral", "collateral"], 0),
        (["certificate", "--collateral", "collateral", "--reference", "mine"], 0),
        (["debug", "--collateral", "collateral"], 1),
        (["quote"], 1),
    ],
)
def test_json_keeps_its_schema(words: list[str], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine").write_text('{"mrEnclave": [], "mrSigner": [], "productId": 0, "svn": 7}')
    assert appraise(*words, "--json") == code
    report = json.loads(capsys.readouterr().out)
    assert violations(report) == []
    assert (report["verdict"] == "allow") is (code == 0)
    assert (report["policy"] is not None) is ("--reference" in words)


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "words",
    [
        ["appraise", "missing"],
        ["appraise", "."],
        ["appraise", "quote", "--trust-root", "missing"],
        ["appraise", "quote", "--collateral", "missing"],
        ["appraise", "quote", "--policy", "quote"],
        ["appraise", "quote", "--reference", "missing"],
        ["appraise", "quote", "--accept-tcb-status", "Fine"],
        ["appraise", "quote", "--pccs-url", "ftp://127.0.0.1/"],
        ["show", "missing"],
        ["show", "root.pem", "--as", "reference"],
        ["show", "qcnl.conf"],
        [*NOBODY, "status"],
        [*NOBODY, "attestations", "--follow"],
        [*NOBODY, "--export-opa-reference", "sgxData"],
        [*NOBODY, "--set-opa-reference", "sgxData", "missing"],
        [*NOBODY, "--set-opa-reference", "sgxData", "qcnl.conf"],
        [*NOBODY, "--set-opa-reference", "sgxData", "deep"],
        [*NOBODY, "policy", "set", "--policy", "missing", "--reference", "missing"],
        [],
    ],
)
def test_input_that_cannot_be_used_is_2_and_a_sentence(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("deep").write_text("[" * 200_000)
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("verdict: " if words else "usage: verdict")
    assert captured.err.count("\n") == 1 or not words


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(
    "words",
    [
        ["--no-such-flag"],
        ["appraise"],
        ["appraise", "quote", "--at", "yesterday"],
        ["attestations", "--limit", "-1"],
        ["attestations", "--limit", "4294967296"],
        ["show", "quote", "--as", "poem"],
        ["policy"],
    ],
)
def test_wrong_usage_is_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 2
    assert "usage:" in capsys.readouterr().err


@pytest.mark.usefixtures("place")
def test_show_writes_what_the_next_step_needs(capsys: pytest.CaptureFixture[str]) -> None:
    shown = {}
    for form in ("evidence", "reference", "input"):
        assert main(["show", "certificate", "--as", form]) == 0
        shown[form] = json.loads(capsys.readouterr().out)
    evidence = shown["evidence"]
    assert set(evidence) == {"mrEnclave", "mrSigner", "productId", "svn"}
    assert evidence["svn"] == 7
    assert shown["reference"] == evidence | {name: [evidence[name]] for name in ("mrEnclave", "mrSigner")}
    assert shown["input"]["claims"] == {"tenant": b"blue".hex()}
    assert {name: shown["input"][name] for name in evidence} == evidence


@pytest.mark.usefixtures("place")
def test_show_for_a_person_says_that_nothing_is_verified(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["show", "certificate"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Nothing below is verified")
    assert "attestation id" in out
    assert "claim tenant" in out


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["-V"])
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith("verdict ")
