"""What is served for whoever watches verdictd: metrics of all its workers as one, and whether it is ready."""

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.e2e.misbehaving_pccs import MisbehavingPCCS
from tests.e2e.processes import Verifier, verifier
from tests.e2e.test_pccs_down import new_platform, scene
from tests.e2e.test_workers import workers_of
from verdictd.daemon.bounded_http import MAX_CLIENTS

ACCEPTED = 'verdictd_attestations_total{failed_check="",tee="sgx_ecdsa",verdict="accepted"}'
TRUST = ["--trust-root", "platform/root-ca.pem", "--collateral", "collateral.json"]


def address(verdictd: Verifier) -> str:
    return verdictd.service.wait_for(r'listening for metrics address="([^"]+)"')[1]


def get(where: str, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://{where}{path}", timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def figure(text: str, name: str) -> float:
    (value,) = [line.rpartition(" ")[2] for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(value)


def test_each_attestation_is_counted_whichever_worker_judged_it(place: Path) -> None:
    with verifier(place, *TRUST, "--metrics", "127.0.0.1:0", "--workers", "2") as verdictd:
        where = address(verdictd)
        status, why = get(where, "/readyz")
        assert status == 503
        assert "the shipped, empty ones" in json.loads(why)["why_not"][0]
        verdictd.name_reference()
        assert get(where, "/readyz") == (200, '{"ready": true, "why_not": []}\n')
        assert get(where, "/healthz")[0] == 200
        for _ in range(4):
            assert verdictd.attest().returncode == 0
        assert verdictd.attest("--debug-enclave").returncode == 255
        text = get(where, "/metrics")[1]
    name = "verdictd_attestations_total"
    assert figure(text, f'{name}{{failed_check="",tee="sgx_ecdsa",verdict="accepted"}}') == 4
    assert figure(text, f'{name}{{failed_check="enclave.debug",tee="sgx_ecdsa",verdict="refused"}}') == 1
    assert figure(text, 'verdictd_handshakes_total{outcome="accepted"}') == 4
    assert figure(text, 'verdictd_requests_total{outcome="answered"}') == 4
    assert figure(text, "verdictd_judgement_seconds_count") == 5
    assert figure(text, "verdictd_workers") == 2
    assert figure(text, "verdictd_audit_records") >= 7
    assert text.count("verdictd_collateral_expires_seconds{") == 4
    assert figure(text, "verdictd_collateral_wait_seconds_count") == 5
    assert figure(text, "verdictd_trust_roots") == 1
    assert figure(text, 'verdictd_policy_usable{tee="sgx_ecdsa"}') == 1


def test_a_worker_that_is_stuck_takes_no_scrape_away_and_what_it_counted_stays(place: Path) -> None:
    with verifier(place, *TRUST, "--metrics", "127.0.0.1:0", "--workers", "2") as verdictd:
        where = address(verdictd)
        verdictd.name_reference()
        for _ in range(4):
            assert verdictd.attest().returncode == 0
        assert figure(get(where, "/metrics")[1], ACCEPTED) == 4
        stuck = workers_of(verdictd)[0]
        os.kill(stuck, signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(MAX_CLIENTS) as pool:
                answers = list(pool.map(lambda _: get(where, "/metrics"), range(MAX_CLIENTS)))
        finally:
            os.kill(stuck, signal.SIGKILL)
        assert [status for status, _ in answers] == [200] * MAX_CLIENTS
        assert [figure(text, ACCEPTED) for _, text in answers] == [4] * MAX_CLIENTS
        verdictd.service.wait_for("a worker ended and is replaced")
        assert figure(get(where, "/metrics")[1], ACCEPTED) == 4


def test_a_pccs_that_is_dead_is_no_reason_not_to_be_ready(tmp_path: Path) -> None:
    with (
        MisbehavingPCCS(new_platform()) as pccs,
        scene(tmp_path, pccs, "--metrics", "127.0.0.1:0", "--workers", "2") as running,
    ):
        where = address(running.verdictd)
        running.accept()
        unknown = pccs.add_family(1)
        pccs.die()
        assert pccs.url in running.refuse(unknown), "it was asked"
        assert get(where, "/readyz") == (200, '{"ready": true, "why_not": []}\n')
        running.accept()


def test_whoever_asks_for_anything_else_or_too_slowly_is_turned_away(place: Path) -> None:
    with verifier(place, *TRUST, "--metrics", "127.0.0.1:0") as verdictd:
        where = address(verdictd)
        host, port = where.rsplit(":", 1)
        assert get(where, "/etc/passwd")[0] == 404
        silent = [socket.create_connection((host, int(port)), timeout=20) for _ in range(20)]
        assert [connection.recv(1) for connection in silent] == [b""] * 20, "a silent client is kept"
        for connection in silent:
            connection.close()
        assert get(where, "/healthz")[0] == 200


@pytest.mark.parametrize("words", [["--metrics", "nonsense"], ["--metrics", "192.0.2.1:1"]])
def test_where_it_cannot_listen_it_does_not_start(place: Path, words: list[str]) -> None:
    with pytest.raises(AssertionError, match="--metrics"), verifier(place, *TRUST, *words):
        pass
