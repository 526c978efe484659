"""The walk-through that the system exists for: its commands, in its order, with its output."""

import json
import signal
from pathlib import Path

import pytest

from tests.e2e.processes import CLIENT_FLAGS, GREETING, Service, pccs, run, verifier

SHIPPED_REFERENCE = b'{\n    "mrEnclave": [],\n    "mrSigner": [],\n    "productId": 0,\n    "svn": 0\n}'


def test_the_scenario_command_by_command(tmp_path: Path) -> None:
    assert run("tee-sim", "init", "platform", cwd=tmp_path).returncode == 0
    trust = ["--trust-root", "platform/root-ca.pem"]
    with pccs(tmp_path) as url, verifier(tmp_path, *trust, "--pccs-url", url) as verdictd:
        exported = verdictd.verdict("--export-opa-reference", "sgxData")
        assert (exported.returncode, exported.stdout) == (0, "written to sgxData\n")
        assert (tmp_path / "sgxData").read_bytes() == SHIPPED_REFERENCE

        # While these are in force nobody is let in, however genuine.
        why = verdictd.explain(verdictd.attest())
        assert "policy.reference failed: found the shipped, empty reference" in why
        assert "reference ENCLAVE --set sgxData" in why

        enclave = ["--mrenclave", "ab" * 32, "--mrsigner", "cd" * 32, "--isv-prod-id", "3", "--isv-svn", "5"]
        run("tee-sim", "quote", "platform", "--report-data", "00", "-o", "quote.bin", *enclave, cwd=tmp_path)
        made = run("verdict", "reference", "quote.bin", "-o", "sgxData", "--evidence", "evidence", cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        measures = {"mrEnclave": "q6ur" * 10 + "q6s=", "mrSigner": "zc3N" * 10 + "zc0="}
        assert json.loads((tmp_path / "evidence").read_text()) == measures | {"productId": 3, "svn": 5}
        assert json.loads((tmp_path / "sgxData").read_text()) == {
            "mrEnclave": [measures["mrEnclave"]],
            "mrSigner": [measures["mrSigner"]],
            "productId": 3,
            "svn": 5,
        }

        tested = verdictd.verdict("--test-opa-local-reference", "sgxPolicy.rego", "./sgxData", "./evidence")
        assert tested.returncode == 0
        assert json.loads(tested.stdout) == {
            "allow": True,
            "parseInfo": {
                "mrEnclave": [measures["mrEnclave"], [measures["mrEnclave"]]],
                "mrSigner": [measures["mrSigner"], [measures["mrSigner"]]],
                "productId": [3, 3],
                "svn": [5, 5],
            },
        }
        assert (tmp_path / "data" / "opa" / "sgxData").read_bytes() == SHIPPED_REFERENCE, "testing uploads nothing"

        uploaded = verdictd.verdict("--set-opa-reference", "sgxData", "./sgxData")
        assert (uploaded.returncode, uploaded.stdout) == (0, "reference sgxData set\n")
        assert (tmp_path / "data" / "opa" / "sgxData").read_bytes() == (tmp_path / "sgxData").read_bytes()

        own = ["--sim-mrenclave", "ab" * 32, "--sim-mrsigner", "cd" * 32]
        attested = verdictd.attest(*own, "--sim-isv-prod-id", "3", "--sim-isv-svn", "5")
        assert (attested.returncode, attested.stdout) == (0, GREETING + "\n"), attested.stderr
        verdictd.service.wait_for(r'info attestation id="[0-9a-f]{8}" .*verdict="accepted"')
        for numbers in (("2", "5"), ("3", "4")):
            older = verdictd.attest(*own, "--sim-isv-prod-id", numbers[0], "--sim-isv-svn", numbers[1])
            assert "is below the" in verdictd.explain(older)

        status = json.loads(verdictd.verdict("status", "--json").stdout)
        assert status["counts"] == {"accepted": 1, "refused": 3, "open_connections": 0}
        assert [root["is_intel"] for root in status["trust_roots"]] == [False]
        assert {item["kind"] for item in status["collateral"]} == {
            "tcb_info",
            "qe_identity",
            "pck_crl",
            "root_ca_crl",
        }
        assert all(url in item["source"] for item in status["collateral"])
        assert verdictd.service.stop() == 0


@pytest.mark.parametrize(
    "settings",
    [
        "PCCS_URL={url}\n# comment\nUSE_SECURE_CERT = FALSE\nNOT_KNOWN=1\n",
        '{{ // newer\n "pccs_url": "{url}", "use_secure_cert": false, "retry_times": 1 }}',
    ],
)
@pytest.mark.parametrize("version", ["v3", "v4"])
def test_the_pccs_is_read_from_either_form_of_the_file_and_asked_by_either_api(
    place: Path, settings: str, version: str
) -> None:
    with pccs(place) as url:
        (place / "qcnl.conf").write_text(settings.format(url=url.replace("v4", version)))
        words = ["verdict", "appraise", "quote.bin", "--trust-root", "platform/root-ca.pem", "--json"]
        run("tee-sim", "quote", "platform", "--report-data", "00", "-o", "quote.bin", cwd=place)
        done = run(*words, cwd=place, QCNL_CONF_PATH="qcnl.conf")
        assert done.returncode == 0, done.stderr
        sources = json.loads(done.stdout)["collateral_sources"]
        assert all(f"/certification/{version}/" in source for source in sources.values()), sources


def test_an_interrupted_verdictd_stops_in_good_order_as_a_terminated_one_does(place: Path) -> None:
    with verifier(place, "--trust-root", "platform/root-ca.pem", "--collateral", "collateral.json") as verdictd:
        assert verdictd.service.stop(signal.SIGINT) == 0
        assert verdictd.service.lines[-1].endswith("info stopped")
        assert not [line for line in verdictd.service.lines if "Traceback" in line]


def test_following_attestations_shows_each_once_and_ends_with_an_interrupt(place: Path) -> None:
    flags = ["--trust-root", "platform/root-ca.pem", "--collateral", "collateral.json", "--allow-any-enclave"]
    with verifier(place, *flags) as verdictd:
        before = verdictd.attest()
        words = ["verdict", "--client-api", verdictd.client_api, "attestations", "--follow", "--json"]
        with Service(*words, cwd=place) as follower:
            first = json.loads(follower.wait_for(r"^\{.*")[0])
            after = verdictd.attest("--debug-enclave")
            second = json.loads(follower.wait_for(r'^\{.*"accepted": false.*')[0])
            assert follower.stop(signal.SIGINT) == 0
            assert len(follower.lines) == 2, follower.lines
        assert (before.returncode, first["accepted"]) == (0, True)
        assert (after.returncode, second["accepted"]) == (255, False)
        assert second["appraisal"]["verdict"] == "deny"


def test_the_servers_manual_words_are_the_scenarios(place: Path) -> None:
    """Every flag that the scenario writes is known to the client, with and without a value."""
    done = run("rats-tls-client", *CLIENT_FLAGS, "-i", "127.0.0.1", "-p", "1", "--simulate", "platform", cwd=place)
    assert done.returncode == 255
    assert "cannot connect to 127.0.0.1:1" in done.stderr
