"""OpenSSL's own ``s_client`` against our server: what it says on its terminal is what a peer's operator would see."""

import asyncio
import base64
import re
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography.hazmat.primitives import serialization

from tests.unit.ratstls.forge import EC_KEY, OTHER_EC_KEY, Forged, interoperable, legacy, tlv, utc
from tests.unit.ratstls.peers import GENUINE, SERVER, RecordingJudge, mismatched_key
from tests.unit.ratstls.serving import Served, run, serving
from verdictd.ratstls.attested_connection import AttestedConnection
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.channel import ChannelFailed, PeerAccepted, PeerRefused

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
BOTH = pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
OWN = ("-cert", "certificate.pem", "-key", "key.pem")
NAMES = {"-tls1_2": "TLSv1.2", "-tls1_3": "TLSv1.3"}
DER = GENUINE.with_extensions(interoperable()).der()


def pem(label: str, der: bytes) -> bytes:
    return b"-----BEGIN %b-----\n%b-----END %b-----\n" % (label.encode(), base64.encodebytes(der), label.encode())


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A directory with a certificate and its key, as ``s_client`` takes them."""
    (tmp_path / "certificate.pem").write_bytes(pem("CERTIFICATE", DER))
    key = EC_KEY.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (tmp_path / "key.pem").write_bytes(key)
    return tmp_path


class Terminal(NamedTuple):
    """What ``s_client`` is told, and what it says."""

    told: asyncio.StreamWriter
    said: asyncio.StreamReader


@asynccontextmanager
async def running(served: Served, files: Path, *options: str) -> AsyncIterator[Terminal]:
    """Run ``s_client`` for half a minute at most."""
    process = await asyncio.create_subprocess_exec(
        *("openssl", "s_client", "-connect", f"{served.host}:{served.port}", *options),
        cwd=files,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            yield Terminal(process.stdin, process.stdout)
    finally:
        if process.returncode is None:
            process.kill()
        process.stdin.close()
        await process.wait()


async def s_client(
    served: Served, files: Path, *options: str, send: bytes = b"", enough: Callable[[bytes], bool] = lambda _: False
) -> str:
    """Run ``s_client``, send it something, and return all that it says until it ends or that is enough."""
    said = b""
    async with running(served, files, "-nocommands", "-ign_eof", *options) as terminal:
        terminal.told.write(send)
        while not enough(said) and (more := await terminal.said.read(65536)):
            said += more
    return said.decode("utf-8", "replace")


@BOTH
@pytest.mark.parametrize("size", [7, 5_000, 70_000])
def test_it_is_accepted_and_served(files: Path, version: str, size: int) -> None:
    async def test() -> None:
        judge, question = RecordingJudge(), b"q" * (size - 1) + b"\n"
        async with serving(judge=judge) as served:
            said = await s_client(
                served, files, version, *OWN, "-quiet", send=question, enough=lambda said: question in said
            )
            assert question.decode() in said
            outcome = (await served.outcome()).outcome
        assert isinstance(outcome, PeerAccepted)
        assert outcome.protocol == NAMES[version]
        assert judge.asked == [DER]

    run(test)


@pytest.mark.parametrize("command", [b"k", b"K"], ids=["its own", "its own and ours"])
def test_it_changes_keys_as_often_as_it_likes(files: Path, command: bytes) -> None:
    async def test() -> None:
        said = b""
        async with serving() as served, running(served, files, "-tls1_3", *OWN) as terminal:
            for turn in range(3):
                terminal.told.write(command + b"\n")
                await asyncio.sleep(0.2)  # a line by itself is a command
                terminal.told.write(b"after change %d\n" % turn)
                while b"\nafter change %d" % turn not in said and (more := await terminal.said.read(65536)):
                    said += more
        assert said.count(b"KEYUPDATE") == 3
        assert all(b"\nafter change %d" % turn in said for turn in range(3))

    run(test)


def test_one_that_is_asked_for_another_hello_is_served(files: Path) -> None:
    """It offers a key of a group we do not take, and learns which: the transcript begins anew (RFC 8446 4.1.4)."""

    async def test() -> None:
        options = ("-tls1_3", *OWN, "-groups", "ffdhe2048:X25519", "-msg")
        async with serving() as served:
            said = await s_client(served, files, *options, send=b"q\n", enough=lambda said: said.endswith(b"\nq\n"))
            assert said.count("ClientHello") == 2
            assert said.endswith("\nq\n")
            assert isinstance((await served.outcome()).outcome, PeerAccepted)

    run(test)


@BOTH
def test_it_agrees_on_an_authenticated_cipher_and_sees_our_certificate(files: Path, version: str) -> None:
    async def test() -> None:
        async with serving() as served:
            said = await s_client(
                served, files, version, *OWN, send=b"hello\n", enough=lambda said: said.endswith(b"hello\n")
            )
        cipher = {"-tls1_2": r"ECDHE-ECDSA-(AES\d+-GCM|CHACHA20)", "-tls1_3": r"TLS_(AES|CHACHA20)"}[version]
        assert re.search(rf"New, {re.escape(NAMES[version])}, Cipher is {cipher}", said)
        assert re.search(r"subject=O ?= ?Inclavare Containers, CN ?= ?RATS-TLS", said)
        assert base64.b64encode(SERVER.certificate_der)[:60].decode() in said
        assert "Secure Renegotiation IS" in said

    run(test)


@BOTH
def test_a_refusal_is_an_alert_and_names_no_network_failure(files: Path, version: str) -> None:
    async def test() -> None:
        async with serving(judge=RecordingJudge(allowed=False, reason="not that enclave")) as served:
            said = await s_client(served, files, version, *OWN, send=b"let me in\n" * 5000)
            assert "alert unknown ca" in said
            assert "let me in" not in said
            assert "reset" not in said.lower()
            outcome = (await served.outcome()).outcome
        assert isinstance(outcome, PeerRefused)
        assert outcome.verdict.attestation_id == attestation_id(DER)

    run(test)


@BOTH
def test_a_genuine_certificate_without_its_key_fails_in_the_handshake(files: Path, version: str) -> None:
    (files / "key.pem").write_bytes(pem("EC PRIVATE KEY", mismatched_key(EC_KEY, OTHER_EC_KEY)))

    async def test() -> None:
        judge = RecordingJudge()
        async with serving(judge=judge) as served:
            said = await s_client(served, files, version, *OWN, send=b"let me in\n")
            assert "alert decrypt error" in said
            assert "let me in" not in said
            outcome = (await served.outcome()).outcome
        assert judge.asked == [DER]
        assert isinstance(outcome, PeerRefused)
        assert outcome.verdict.reason == "the client does not hold the key of the certificate it presented"

    run(test)


@BOTH
def test_without_a_certificate_it_is_told_that_one_is_required(files: Path, version: str) -> None:
    async def test() -> None:
        async with serving() as served:
            said = await s_client(served, files, version)
            alert = {"-tls1_2": "alert handshake failure", "-tls1_3": "alert certificate required"}[version]
            assert alert in said
            outcome = (await served.outcome()).outcome
        assert isinstance(outcome, ChannelFailed)
        assert outcome.message == "the client presented no certificate"

    run(test)


@BOTH
def test_a_chain_of_two_is_refused(files: Path, version: str) -> None:
    (files / "chain.pem").write_bytes(pem("CERTIFICATE", SERVER.certificate_der))

    async def test() -> None:
        async with serving() as served:
            said = await s_client(served, files, version, *OWN, "-cert_chain", "chain.pem", send=b"let me in\n")
            assert "let me in" not in said
            outcome = (await served.outcome()).outcome
        assert isinstance(outcome, PeerRefused)
        assert "a chain of certificates" in outcome.verdict.reason

    run(test)


@BOTH
@pytest.mark.parametrize(
    ("forged", "alert"),
    [
        (GENUINE.but(not_after=utc(datetime(2021, 1, 1, tzinfo=UTC))), "alert certificate expired"),
        (GENUINE.but(not_before=utc(datetime(2048, 1, 1, tzinfo=UTC))), "alert bad certificate"),
    ],
    ids=["expired", "not yet valid"],
)
def test_out_of_its_time_it_is_refused_whatever_the_judge_says(
    files: Path, version: str, forged: Forged, alert: str
) -> None:
    (files / "certificate.pem").write_bytes(pem("CERTIFICATE", forged.der()))

    async def test() -> None:
        async with serving() as served:
            assert alert in await s_client(served, files, version, *OWN)
            assert isinstance((await served.outcome()).outcome, PeerRefused)

    run(test)


@BOTH
@pytest.mark.parametrize("size", ["512", "4096"])
def test_a_client_that_asked_for_short_records_gets_no_longer_ones(files: Path, version: str, size: str) -> None:
    async def answer_at_length(connection: AttestedConnection) -> None:
        while await connection.read():
            await connection.write(b"a" * 20_000 + b"!")

    async def test() -> None:
        options = (version, *OWN, "-quiet", "-maxfraglen", size)
        async with serving(answer_at_length) as served:
            said = await s_client(served, files, *options, send=b"q\n", enough=lambda said: b"!" in said)
            assert "a" * 20_000 + "!" in said

    run(test)


@BOTH
@pytest.mark.parametrize(
    "forged",
    [
        GENUINE.but(version=tlv(0xA0, tlv(0x02, b"\x03"))).with_extensions(legacy()),
        GENUINE.but(parameters=tlv(0x05)).with_extensions(legacy()),
        GENUINE.with_extensions((interoperable()[0], True, interoperable()[2])),
    ],
    ids=["version 4", "NULL parameters", "critical evidence"],
)
def test_odd_certificates_of_real_peers_are_served(files: Path, version: str, forged: Forged) -> None:
    der = forged.der()
    (files / "certificate.pem").write_bytes(pem("CERTIFICATE", der))

    async def test() -> None:
        judge = RecordingJudge()
        async with serving(judge=judge) as served:
            said = await s_client(
                served, files, version, *OWN, "-quiet", send=b"hello\n", enough=lambda said: b"hello" in said
            )
            assert "hello" in said
        assert judge.asked == [der]

    run(test)


@BOTH
def test_a_session_offered_again_leads_to_a_full_handshake(files: Path, version: str) -> None:
    async def visit(served: Served, option: str) -> str:
        return await s_client(
            served, files, version, *OWN, option, "session", send=b"x\n", enough=lambda said: said.endswith(b"x\n")
        )

    async def test() -> None:
        judge = RecordingJudge()
        async with serving(judge=judge) as served:
            first = await visit(served, "-sess_out")
            offered = (files / "session").exists()  # TLS 1.2 gives nothing that could be offered again
            assert offered == (version == "-tls1_3")
            assert "TLS session ticket:" not in first or version == "-tls1_3"
            again = await visit(served, "-sess_in" if offered else "-sess_out")
        assert "\nNew, " in first
        assert "\nNew, " in again
        assert "Reused" not in again
        assert judge.asked == [DER, DER]

    run(test)


@pytest.mark.parametrize("options", [("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), ("-tls1_2", "-cipher", "AES128-SHA")])
def test_old_versions_and_ciphers_are_not_agreed_on(files: Path, options: tuple[str, ...]) -> None:
    async def test() -> None:
        async with serving() as served:
            said = await s_client(served, files, *options, *OWN)
            assert re.search("alert (protocol version|handshake failure)", said)
            assert isinstance((await served.outcome()).outcome, ChannelFailed)

    run(test)
