"""Our client against OpenSSL's own ``s_server``: what we tell our operator of what a foreign server does."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.interop.test_openssl_client import BOTH, NAMES, pem
from tests.unit.ratstls.forge import EC_KEY, OTHER_EC_KEY, interoperable
from tests.unit.ratstls.peers import CLIENT, GENUINE, RecordingJudge, mismatched_key
from verdictd.core.errors import AppraisalRefusedError, TransportError
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.channel import Role
from verdictd.ratstls.client import ClientChannel, connect
from verdictd.ratstls.endpoint import RATSTLSEndpoint
from verdictd.ratstls.tls_context import RATSTLSContext

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
DER = GENUINE.with_extensions(interoperable()).der()
ANY_CERTIFICATE = ("-Verify", "1")
NO_STRANGERS = ("-Verify", "1", "-verify_return_error")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a certificate and its key, as ``s_server`` takes them."""
    (tmp_path / "certificate.pem").write_bytes(pem("CERTIFICATE", DER))
    key = EC_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(key)
    return tmp_path


@contextmanager
def s_server(files: Path, *options: str) -> Iterator[int]:
    """Run ``s_server``, which sends each line back reversed; yield its port."""
    command = ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "certificate.pem", "-key", "key.pem", "-rev"]
    process = subprocess.Popen(
        [*command, *options], cwd=files, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if said := re.match(rb"ACCEPT \S+:(\d+)", line):
                yield int(said.group(1))
                break
        else:
            pytest.fail("s_server ended before it listened")
    finally:
        process.kill()
        process.communicate()


def dial(port: int, judge: RecordingJudge, *, mutual: bool = True) -> ClientChannel:
    endpoint = RATSTLSEndpoint(RATSTLSContext(Role.CLIENT, CLIENT, mutual=mutual), judge)
    return connect("127.0.0.1", port, endpoint, timeout_s=20)


def ask(port: int, judge: RecordingJudge, *, mutual: bool = True) -> bytes:
    with dial(port, judge, mutual=mutual) as channel:
        channel.send(b"hello\n")
        return channel.receive_answer()


@BOTH
@pytest.mark.parametrize("mutual", [True, False])
def test_it_is_accepted_and_answers(files: Path, version: str, mutual: bool) -> None:
    judge = RecordingJudge()
    with s_server(files, version, *(ANY_CERTIFICATE if mutual else ())) as port, dial(port, judge) as channel:
        channel.send(b"hello\n")
        assert channel.receive_answer() == b"olleh\n"
        channel.send(b"x" * 15_000 + b"\n")
        assert channel.receive_answer() == b"x" * 15_000 + b"\n"
        assert channel.protocol == NAMES[version]
        assert channel.verdict is not None
        assert channel.verdict.attestation_id == attestation_id(DER)
    assert judge.asked == [DER]


@BOTH
def test_it_is_refused(files: Path, version: str) -> None:
    judge = RecordingJudge(allowed=False, reason="not that enclave")
    with s_server(files, version, *ANY_CERTIFICATE) as port:
        expected = f"we refused the server 127.0.0.1:{port} .attestation id {attestation_id(DER)}.: not that enclave"
        with pytest.raises(AppraisalRefusedError, match=expected):
            dial(port, judge)
    assert judge.asked == [DER]


@BOTH
def test_it_refuses_us(files: Path, version: str) -> None:
    with s_server(files, version, *NO_STRANGERS) as port:
        with pytest.raises(TransportError) as caught:
            ask(port, RecordingJudge())
        assert str(caught.value) == (
            f"127.0.0.1:{port}: the server refused our certificate (attestation id {CLIENT.attestation_id},"
            " TLS alert unknown_ca); the server's operator can see why under that id"
        )


@BOTH
def test_it_requires_a_certificate_that_we_do_not_send(files: Path, version: str) -> None:
    with (
        s_server(files, version, *ANY_CERTIFICATE) as port,
        pytest.raises(TransportError, match=r"requires a certificate .*; send one with --mutual"),
    ):
        ask(port, RecordingJudge(), mutual=False)


@BOTH
def test_it_does_not_hold_the_key_of_its_genuine_certificate(files: Path, version: str) -> None:
    (files / "key.pem").write_bytes(pem("EC PRIVATE KEY", mismatched_key(EC_KEY, OTHER_EC_KEY)))
    judge = RecordingJudge()
    with (
        s_server(files, version) as port,
        pytest.raises(AppraisalRefusedError, match="the server does not hold the key of the certificate it presented"),
    ):
        dial(port, judge)
    assert judge.asked == [DER]


@BOTH
def test_it_sends_a_chain(files: Path, version: str) -> None:
    (files / "chain.pem").write_bytes(pem("CERTIFICATE", CLIENT.certificate_der))
    judge = RecordingJudge()
    with (
        s_server(files, version, "-cert_chain", "chain.pem") as port,
        pytest.raises(AppraisalRefusedError, match="a chain of certificates"),
    ):
        dial(port, judge)
    assert judge.asked == []


def test_the_tickets_it_hands_out_are_not_used(files: Path) -> None:
    judge = RecordingJudge()
    with s_server(files, "-tls1_3", "-num_tickets", "4", *ANY_CERTIFICATE) as port:
        for visits in (1, 2):
            assert ask(port, judge) == b"olleh\n"
            assert len(judge.asked) == visits
