"""The flags of the sample programs, in process: what is refused before anything is sent."""

from pathlib import Path

import pytest

from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER
from verdictd.cli import rats_tls_client, rats_tls_server, verdictd
from verdictd.cli.sample_options import choose_verifier, parse_attester_name, parse_claims
from verdictd.core.errors import ConfigError

PROGRAMS = pytest.mark.parametrize("main", [rats_tls_client.main, rats_tls_server.main], ids=["client", "server"])


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("qcnl.conf").write_text("PCCS_URL=http://127.0.0.1:9/sgx/certification/v4/\n")
    monkeypatch.setenv("QCNL_CONF_PATH", "qcnl.conf")


def test_where_no_verifier_is_named_evidence_is_demanded() -> None:
    assert choose_verifier("") == SGX_VERIFIER
    assert choose_verifier("nullverifier") == NULL_VERIFIER
    for name in ("sgx", "anything", "NULLVERIFIER"):
        with pytest.raises(ConfigError):
            choose_verifier(name)


def test_attesters_are_those_that_are_there() -> None:
    assert [parse_attester_name(name) for name in ("", "nullattester", "sgx_ecdsa")] == [
        "",
        "nullattester",
        "sgx_ecdsa",
    ]
    with pytest.raises(ConfigError, match="sev_es"):
        parse_attester_name("sev_es")


def test_claims_are_names_and_values() -> None:
    assert parse_claims(["a=b", "c.d-e_f==x", "g="]) == {"a": b"b", "c.d-e_f": b"=x", "g": b""}


@pytest.mark.parametrize("claims", [["a"], ["=b"], ["a b=c"], ["a=1", "a=2"], ["x" * 65 + "=y"], ["é=1"]])
def test_other_claims_are_refused(claims: list[str]) -> None:
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        parse_claims(claims)


@PROGRAMS
@pytest.mark.parametrize(
    "words",
    [
        ["-v", "sgx_la"],
        ["-v", "sgx_ecdsa", "-t", "nulltls"],
        ["-v", "sgx_ecdsa_qve", "-t", "nulltls", "-m"],
        ["-a", "sev_snp", "-v", "nullverifier", "-m"],
        ["-v", "nullverifier", "--trust-root", "missing"],
        ["-v", "nullverifier", "--policy", "qcnl.conf"],
        ["-v", "nullverifier", "-m", "-a", "sgx_ecdsa", "--simulate", "missing"],
        ["-v", "nullverifier", "-m", "--simulate", "missing", "--sim-mrenclave", "00"],
        ["-v", "nullverifier", "-m", "--claim", "nonsense"],
    ],
)
def test_what_cannot_be_done_leaves_with_255_and_one_sentence(
    main: object, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(main)
    assert main(words) == 255
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith(("rats-tls-client: ", "rats-tls-server: "))


def test_a_server_that_names_a_verifier_needs_mutual(capsys: pytest.CaptureFixture[str]) -> None:
    assert rats_tls_server.main(["-v", "sgx_ecdsa", "-a", "nullattester"]) == 255
    assert "add --mutual" in capsys.readouterr().err


@PROGRAMS
@pytest.mark.parametrize("words", [["-h"], ["--nonsense"], ["-t", "mbedtls"], ["-p", "x"], ["-l", "loud"]])
def test_bad_flags_leave_with_1(main: object, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert callable(main)
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 1
    assert "usage:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "add --mutual"),
        (["--mutual", "--verifier", "sevsnp"], "sevsnp"),
        (["--mutual", "--client-api", "0.0.0.0:1"], "loopback"),
        (["--mutual", "--tls", "nulltls"], "nulltls"),
        (["--mutual", "--simulate", "platform"], "--attester sgx_ecdsa"),
        (["--config", "missing.toml"], "missing.toml"),
        (["--mutual", "--accept-tcb-status", "Fine"], "Fine"),
        (["--mutual", "--data-dir", "qcnl.conf/data", "--listen", "127.0.0.1:0"], "--data-dir"),
    ],
)
def test_verdictd_that_cannot_start_leaves_with_2_and_one_sentence(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert verdictd.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("verdictd: ")
    assert captured.err.count("\n") == 1
    assert says in captured.err


def test_verdictd_prints_settings_without_using_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert verdictd.main(["--mutual", "--check-config", "--trust-root", "missing.pem"]) == 0
    assert "missing.pem" in capsys.readouterr().out
