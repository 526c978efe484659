"""rats-tls-client and rats-tls-server with each other: what each proves, judges and says."""

import contextlib
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import TRUST
from tests.e2e.processes import Service, run

JUDGE = ("-v", "sgx_ecdsa", *TRUST, "--collateral", "collateral.json")
PROVE = ("-a", "sgx_ecdsa", "--simulate", "platform")
ECHO = "Server: Hello and welcome to RATS-TLS!\n\n"


@contextlib.contextmanager
def server(directory: Path, *words: str) -> Iterator[tuple[Service, list[str]]]:
    """Run the server; return it, and the flags with which a client finds it."""
    with Service("rats-tls-server", "-p", "0", *words, cwd=directory) as service:
        host, port = service.wait_for(r'listening address="(\S+):(\d+)"').groups()
        yield service, ["-i", host, "-p", port]


def test_both_sides_prove_themselves(place: Path) -> None:
    with server(place, *PROVE, *JUDGE, "--mutual") as (service, where):
        done = run("rats-tls-client", *PROVE, *JUDGE, "--mutual", *where, cwd=place)
        assert (done.returncode, done.stdout) == (0, ECHO), done.stderr
        own = re.search("our attestation id is ([0-9a-f]{8})", done.stderr)
        assert own is not None
        service.wait_for(f'client accepted .*id="{own[1]}"')
        assert service.stop(signal.SIGINT) == 0


def test_the_server_alone_proves_itself(place: Path) -> None:
    with server(place, *PROVE, "-v", "nullverifier") as (service, where):
        done = run("rats-tls-client", "-a", "nullattester", *JUDGE, *where, cwd=place)
        assert (done.returncode, done.stdout) == (0, ECHO), done.stderr
        service.wait_for("client connected, not judged")
        assert service.stop() == 0


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ((*PROVE, "--debug-enclave"), "enclave.debug"),
        (("-a", "nullattester"), "evidence.kind"),
    ],
)
def test_a_client_refuses_a_server_that_does_not_prove_itself(
    place: Path, evidence: tuple[str, ...], reason: str
) -> None:
    with server(place, *evidence, "-v", "nullverifier") as (service, where):
        done = run("rats-tls-client", "-a", "nullattester", *JUDGE, *where, cwd=place)
        assert (done.returncode, done.stdout) == (255, "")
        assert f"check {reason} failed" in done.stderr
        refused = re.search(r"we refused the server \S+ \(attestation id ([0-9a-f]{8})\)", done.stderr)
        own = service.wait_for("our attestation id is ([0-9a-f]{8})")
        assert refused is not None
        assert refused[1] == own[1]


def test_a_client_that_names_no_verifier_demands_evidence(place: Path) -> None:
    with server(place, "-a", "nullattester", "-v", "nullverifier") as (_, where):
        done = run("rats-tls-client", "-a", "nullattester", *where, cwd=place)
        assert done.returncode == 255
        assert "evidence.kind" in done.stderr


def test_a_server_refuses_a_client_by_policy(place: Path) -> None:
    (place / "reference.json").write_text('{"mrEnclave": ["other"], "mrSigner": [], "productId": 0, "svn": 0}')
    with server(place, *PROVE, *JUDGE, "--mutual", "--reference", "reference.json") as (service, where):
        done = run("rats-tls-client", *PROVE, "-v", "nullverifier", "--mutual", *where, cwd=place)
        assert done.returncode == 255
        assert ECHO not in done.stdout
        service.wait_for("client refused .*policy.decision")


def test_without_tls_where_both_name_it(place: Path) -> None:
    nulls = ["-a", "nullattester", "-v", "nullverifier", "-t", "nulltls", "-c", "nullcrypto"]
    with server(place, *nulls) as (service, where):
        done = run("rats-tls-client", *nulls, *where, cwd=place)
        assert (done.returncode, done.stdout) == (0, ECHO), done.stderr
        service.wait_for("warning nulltls: nothing is encrypted and nobody is judged")


@pytest.mark.parametrize("program", ["rats-tls-client", "rats-tls-server"])
def test_a_verifier_that_was_named_is_not_dropped_for_want_of_tls(place: Path, program: str) -> None:
    done = run(program, "-t", "nulltls", *JUDGE, "-p", "1", cwd=place)
    assert done.returncode == 255
    assert "nullverifier" in done.stderr
    assert "sgx_ecdsa" in done.stderr


def test_a_server_does_not_drop_the_verifier_that_was_named_for_want_of_mutual(place: Path) -> None:
    done = run("rats-tls-server", *PROVE, *JUDGE, "-p", "1", cwd=place)
    assert done.returncode == 255
    assert "--mutual" in done.stderr


def test_where_there_is_no_hardware_the_places_looked_at_are_named(place: Path) -> None:
    done = run("rats-tls-client", "-a", "sgx_ecdsa", "-v", "nullverifier", "--mutual", cwd=place)
    assert done.returncode == 255
    for name in ("/dev/attestation", "Occlum", "--quote-command"):
        assert name in done.stderr, done.stderr


@pytest.mark.parametrize(("words", "code"), [(["-h"], 1), (["--no-such-flag"], 1), (["-t", "mbedtls"], 1)])
@pytest.mark.parametrize("program", ["rats-tls-client", "rats-tls-server"])
def test_bad_flags_leave_as_the_original_does(place: Path, program: str, words: list[str], code: int) -> None:
    done = run(program, *words, cwd=place)
    assert done.returncode == code
    assert "Traceback" not in done.stderr
