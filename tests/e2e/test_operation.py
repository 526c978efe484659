"""verdictd in its operator's hands: start, settings, reload, uploads, and what it says where it cannot."""

import json
import signal
import socket
from pathlib import Path

import pytest

from tests.e2e.conftest import TRUST
from tests.e2e.processes import GREETING, SCENARIO_FLAGS, Service, Verifier, run, verifier

FILE = ("--collateral", "collateral.json")
ENDS = ("--listen", "127.0.0.1:0", "--client-api", "127.0.0.1:0")


def refuse_to_start(directory: Path, *words: str) -> str:
    """Run verdictd, which has to give up at once; return what it says."""
    done = run("verdictd", *words, cwd=directory)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("verdictd: ")
    return last


def test_without_mutual_it_would_serve_anyone_and_does_not_start(tmp_path: Path) -> None:
    words = [word for word in SCENARIO_FLAGS if word != "--mutual"]
    assert "add --mutual" in refuse_to_start(tmp_path, *ENDS, "--data-dir", "data", *words)
    assert not (tmp_path / "data").exists()


def test_nulltls_needs_the_nullverifier_named(tmp_path: Path) -> None:
    said = refuse_to_start(tmp_path, *ENDS, "--data-dir", "data", "--tls", "nulltls", "--verifier", "sgx_ecdsa")
    assert "nullverifier" in said


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refuse_to_start(tmp_path, *ENDS, *SCENARIO_FLAGS, "--data-dir", "file/data")
    assert "file/data" in said
    assert "--data-dir" in said


def test_a_client_api_that_others_could_reach(tmp_path: Path) -> None:
    said = refuse_to_start(tmp_path, *SCENARIO_FLAGS, "--data-dir", "data", "--client-api", "0.0.0.0:10001")
    assert "loopback" in said


@pytest.mark.parametrize("flag", ["--listen", "--client-api"])
def test_a_port_that_is_taken(tmp_path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        other = "--client-api" if flag == "--listen" else "--listen"
        said = refuse_to_start(tmp_path, *SCENARIO_FLAGS, "--data-dir", "data", flag, address, other, "127.0.0.1:0")
    assert flag in said


def test_a_second_instance_on_the_same_addresses(shared: Verifier) -> None:
    words = ["--listen", f"{shared.host}:{shared.port}", "--client-api", "127.0.0.1:0"]
    assert "--listen" in refuse_to_start(shared.directory, *SCENARIO_FLAGS, "--data-dir", "second", *words)
    words = ["--listen", "127.0.0.1:0", "--client-api", shared.client_api]
    assert "--client-api" in refuse_to_start(shared.directory, *SCENARIO_FLAGS, "--data-dir", "third", *words)
    assert shared.attest().returncode == 0


def test_the_configuration_is_checked_and_printed_without_being_used(tmp_path: Path) -> None:
    done = run("verdictd", *SCENARIO_FLAGS, "--data-dir", "data", "--check-config", cwd=tmp_path)
    assert done.returncode == 0
    assert not (tmp_path / "data").exists()
    (tmp_path / "same.toml").write_text(done.stdout)
    again = run("verdictd", "--config", "same.toml", "--check-config", cwd=tmp_path)
    assert again.stdout == done.stdout
    (tmp_path / "wrong.toml").write_text("mutal = true\n")
    assert "wrong.toml: mutal" in refuse_to_start(tmp_path, "--config", "wrong.toml", "--check-config")


def test_what_it_trusts_and_does_not_check_is_said_at_start(place: Path) -> None:
    words = ("--mutual", "--verifier", "nullverifier", "--allow-any-enclave")
    with verifier(place, *TRUST, *words, mutual=False) as verdictd:
        said = "\n".join(verdictd.service.lines)
    assert 'trusted root label="platform/root-ca.pem"' in said
    assert "anyone who has a key is served (nullverifier)" in said


def test_the_null_verifier_lets_in_whoever_has_a_key_where_it_was_named(place: Path) -> None:
    with verifier(place, "--mutual", "--verifier", "nullverifier", mutual=False) as verdictd:
        done = run(
            *["rats-tls-client", "-a", "nullattester", "-v", "nullverifier", "--mutual", "--verdictd"],
            *["-i", verdictd.host, "-p", verdictd.port],
            cwd=place,
        )
        assert (done.returncode, done.stdout) == (0, GREETING + "\n"), done.stderr


def test_nulltls_serves_where_it_was_named(tmp_path: Path) -> None:
    named = ["--tls", "nulltls", "--crypto", "nullcrypto", "--verifier", "nullverifier"]
    with verifier(tmp_path, *named, mutual=False) as verdictd:
        words = ["-v", "nullverifier", "-t", "nulltls", "--verdictd", "-i", verdictd.host, "-p", verdictd.port]
        done = run("rats-tls-client", *words, cwd=tmp_path)
        assert (done.returncode, done.stdout) == (0, GREETING + "\n"), done.stderr
        assert any("There is no TLS (nulltls)" in line for line in verdictd.service.lines)


def test_a_broken_configuration_leaves_everything_as_it_was(place: Path) -> None:
    config = place / "verdictd.toml"
    strict = (
        'trust_roots = ["platform/root-ca.pem"]\nallow_any_enclave = true\n[collateral]\nsource = "collateral.json"\n'
    )
    config.write_text(strict)
    with verifier(place, "--config", "verdictd.toml") as verdictd:
        assert verdictd.attest("--debug-enclave").returncode == 255
        for broken, why in (
            ("mutual = maybe", "is not TOML"),
            ("trust_roots = ['nowhere.pem']", "nowhere.pem cannot be read"),
            ("verifier = 'nullverifer'", "nullverifer"),
            (strict + "wrong = 1\n", "wrong"),
        ):
            config.write_text(broken)
            seen = verdictd.service.send(signal.SIGHUP)
            verdictd.service.wait_for(f"reload failed, nothing was changed.*{why}", after=seen)
        assert verdictd.attest().returncode == 0
        assert verdictd.attest("--debug-enclave").returncode == 255
        config.write_text(strict + "[acceptance]\nallow_debug = true\n")
        verdictd.reload()
        assert verdictd.attest("--debug-enclave").returncode == 0
        config.write_text(strict + "[acceptance]\nallow_debug = false\n")
        verdictd.reload()
        assert verdictd.attest("--debug-enclave").returncode == 255


def test_several_hangups_at_once_end_with_what_was_read_last(place: Path) -> None:
    config = place / "verdictd.toml"
    base = (
        'trust_roots = ["platform/root-ca.pem"]\nallow_any_enclave = true\n[collateral]\nsource = "collateral.json"\n'
    )
    with_debug = base + "[acceptance]\nallow_debug = true\n"
    config.write_text(with_debug)
    with verifier(place, "--config", "verdictd.toml") as verdictd:
        for _ in range(5):
            config.write_text(with_debug)
            verdictd.service.send(signal.SIGHUP)
        config.write_text(base)
        seen = verdictd.service.send(signal.SIGHUP)
        verdictd.service.wait_for("info reloaded", after=seen)
        assert json.loads(verdictd.verdict("status", "--json").stdout)["settings"]["acceptance.allow_debug"] is False
        assert verdictd.service.stop() == 0


def test_uploads_that_are_refused_leave_what_was_there(shared: Verifier) -> None:
    files = shared.directory / "data" / "opa"
    before = {path.name: path.read_bytes() for path in files.iterdir()}
    (shared.directory / "bad.rego").write_text("package policy\nallow { http.send({}) }\n")
    (shared.directory / "good.rego").write_text("package policy\ndefault allow = false\nallow { input.svn >= 0 }\n")
    (shared.directory / "list.json").write_text("[]")
    (shared.directory / "good.json").write_text("{}")
    uploads = [
        ["--set-opa-policy", "sgxPolicy.rego", "bad.rego"],
        ["--set-opa-reference", "sgxData", "list.json"],
        ["--set-opa-reference", "../sgxData", "good.json"],
        ["policy", "set", "--policy", "bad.rego", "--reference", "good.json"],
        ["policy", "set", "--policy", "good.rego", "--reference", "list.json"],
    ]
    for words in uploads:
        done = shared.verdict(*words)
        assert done.returncode == 1, (words, done.stdout, done.stderr)
        assert done.stdout.startswith("refused"), done.stdout
    assert {path.name: path.read_bytes() for path in files.iterdir()} == before
    assert shared.attest().returncode == 0


def test_policy_and_reference_in_one_step_with_a_custom_claim(place: Path) -> None:
    (place / "tenant.rego").write_text(
        "package policy\ndefault allow = false\nallow { input.claims.tenant == data.tenant; input.sgx.isv_svn == 0 }\n"
    )
    (place / "tenant.json").write_text('{"tenant": "' + b"blue".hex() + '"}')
    with verifier(place, *TRUST, *FILE) as verdictd:
        done = verdictd.verdict("policy", "set", "--policy", "tenant.rego", "--reference", "tenant.json")
        assert done.returncode == 0, done.stdout + done.stderr
        assert (place / "data/opa/sgxPolicy.rego").read_bytes() == (place / "tenant.rego").read_bytes()
        assert (place / "data/opa/sgxData").read_bytes() == (place / "tenant.json").read_bytes()
        blue = verdictd.attest("--claim", "tenant=blue")
        assert (blue.returncode, blue.stdout) == (0, GREETING + "\n"), blue.stderr
        verdictd.explain(verdictd.attest("--claim", "tenant=red"))
        verdictd.explain(verdictd.attest())


def test_the_older_certificate_format_is_read(shared: Verifier) -> None:
    done = shared.attest("--certificate-format", "legacy")
    assert (done.returncode, done.stdout) == (0, GREETING + "\n"), done.stderr


def test_verdict_without_a_daemon_says_what_to_do(tmp_path: Path) -> None:
    for words in (["status"], ["attestations"], ["--export-opa-reference", "sgxData"]):
        done = run("verdict", "--client-api", "127.0.0.1:9", *words, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stdout == ""
        assert "no verdictd answers at 127.0.0.1:9" in done.stderr
        assert "start verdictd" in done.stderr


def test_the_client_api_on_a_socket_file(place: Path) -> None:
    with verifier(place, *TRUST, *FILE, "--client-api", f"unix:{place}/api.sock") as verdictd:
        assert verdictd.client_api == f"unix:{place}/api.sock"
        assert verdictd.verdict("status").returncode == 0


def test_programs_that_wait_are_interrupted_without_a_traceback(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        client = ["rats-tls-client", "-v", "nullverifier", "-i", "127.0.0.1", "-p", port]
        tool = ["verdict", "--client-api", f"127.0.0.1:{port}", "status"]
        for words, code in ((client, 255), (tool, 130)):
            with Service(*words, cwd=tmp_path) as waiting:
                silent.settimeout(20)
                connected, _ = silent.accept()
                with connected:
                    assert connected.recv(1), "it has begun, and waits for an answer"
                    assert waiting.stop(signal.SIGINT) == code
                assert not [line for line in waiting.lines if "Traceback" in line], waiting.lines
