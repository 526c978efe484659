import socket
import struct
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from threading import Event

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.unit.collateral.fake_pccs import Answer, Clock, FakePCCS, Naps, http_client, misbehaving, serving
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.http_client import tls_context
from verdictd.collateral.pccs_client import read_issuer_chain, require_success
from verdictd.core.errors import (
    CollateralUnavailableError,
    ConfigError,
    LimitExceededError,
    MalformedError,
    VerdictdError,
)

LIMIT = 1000


def soon(seconds: float = 10) -> Deadline:
    return Deadline.after(seconds, time.monotonic)


def test_an_answer_is_read_whole_with_its_headers() -> None:
    pccs = FakePCCS()
    pccs.answers["/a?b=c"] = Answer(body=b"x" * LIMIT, headers={"TCB-Info-Issuer-Chain": "chain"})
    client = http_client()
    with serving(pccs):
        answer = client.get(f"{pccs.url}/a?b=c", max_bytes=LIMIT, deadline=soon())
        assert (answer.status, answer.body, answer.url) == (200, b"x" * LIMIT, f"{pccs.url}/a?b=c")
        assert answer.headers["tcb-info-issuer-chain"] == "chain"
    (sent,) = pccs.headers
    assert sent["user-agent"].startswith("verdictd/")
    assert sent["accept-encoding"] == "identity"


def test_the_header_of_a_long_chain_fits() -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(headers={"Chain": "c" * 50_000})
    client = http_client()
    with serving(pccs):
        assert len(client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon()).headers["chain"]) == 50_000


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_body_that_is_too_large_is_cut_off(is_chunked: bool) -> None:
    sent = []

    def behave(connection: socket.socket, over: Event) -> None:
        connection.recv(65536)
        head = "Transfer-Encoding: chunked" if is_chunked else f"Content-Length: {1 << 40}"
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
        block = b"x" * 4096
        while not over.is_set():
            connection.sendall(b"1000\r\n" + block + b"\r\n" if is_chunked else block)
            sent.append(len(block))

    client = http_client(times=3)
    with (
        misbehaving(behave) as url,
        pytest.raises(LimitExceededError, match=f"{url}/ answered with more than {LIMIT} bytes"),
    ):
        client.get(f"{url}/", max_bytes=LIMIT, deadline=soon())
    assert sum(sent) < 20_000_000


def drip_body(connection: socket.socket, over: Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
    while not over.wait(0.02):
        connection.sendall(b"x")


def drip_headers(connection: socket.socket, over: Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.wait(0.02):
        connection.sendall(b"A: b\r\n")


def say_nothing(connection: socket.socket, over: Event) -> None:
    connection.recv(65536)
    over.wait(10)


@pytest.mark.parametrize("behave", [drip_body, drip_headers, say_nothing])
def test_no_server_can_hold_a_request_beyond_its_deadline(behave: Callable[[socket.socket, Event], None]) -> None:
    client = http_client()
    with misbehaving(behave) as url:
        begun = time.monotonic()
        with pytest.raises(CollateralUnavailableError, match=f"{url}/ did not answer in time"):
            client.get(f"{url}/", max_bytes=LIMIT, deadline=soon(0.3))
        assert 0.2 < time.monotonic() - begun < 3


def test_a_tls_handshake_that_never_ends_is_given_up() -> None:
    client = http_client()
    begun = time.monotonic()
    with misbehaving(say_nothing) as url, pytest.raises(CollateralUnavailableError, match="did not answer in time"):
        client.get(url.replace("http:", "https:"), max_bytes=LIMIT, deadline=soon(0.3))
    assert time.monotonic() - begun < 3


def test_nothing_is_asked_once_the_time_is_over() -> None:
    pccs = FakePCCS()
    client = http_client()
    with serving(pccs), pytest.raises(CollateralUnavailableError, match="did not answer in time"):
        client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon(0))
    assert pccs.requests == []


def reset(connection: socket.socket, _: Event) -> None:
    connection.recv(65536)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def close(connection: socket.socket, _: Event) -> None:
    connection.recv(65536)
    connection.close()


def cut_off(connection: socket.socket, _: Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nbeginning")
    connection.close()


def talk_gibberish(connection: socket.socket, _: Event) -> None:
    connection.recv(65536)
    connection.sendall(b"SSH-2.0-OpenSSH_9.2p1\r\n\r\n")
    connection.close()


def send_endless_headers(connection: socket.socket, over: Event) -> None:
    connection.recv(65536)
    connection.sendall(b"HTTP/1.1 200 OK\r\n")
    while not over.is_set():
        connection.sendall(b"A: " + b"b" * 1000 + b"\r\n")


@pytest.mark.parametrize(
    ("behave", "message"),
    [
        (reset, "cannot be reached"),
        (close, "did not answer in HTTP"),
        (cut_off, "did not answer in HTTP"),
        (talk_gibberish, "did not answer in HTTP"),
        (send_endless_headers, "did not answer in HTTP"),
    ],
)
def test_servers_that_do_not_speak_http_are_unavailable(
    behave: Callable[[socket.socket, Event], None], message: str
) -> None:
    connections = []

    def count(connection: socket.socket, over: Event) -> None:
        connections.append(connection)
        behave(connection, over)

    client = http_client(times=1)
    with misbehaving(count) as url, pytest.raises(CollateralUnavailableError, match=message):
        client.get(f"{url}/", max_bytes=LIMIT, deadline=soon())
    assert len(connections) == 2  # tried again


def unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def test_a_server_that_is_not_there_is_tried_again_with_growing_delays() -> None:
    naps, url = Naps(), f"http://127.0.0.1:{unused_port()}/"
    client = http_client(times=3, sleep=naps)
    with pytest.raises(CollateralUnavailableError, match=f"{url} cannot be reached") as caught:
        client.get(url, max_bytes=LIMIT, deadline=soon(100))
    assert naps.seconds == [0.25, 0.5, 1.0]
    assert caught.value.remedy == "check that the address is right and the server is up"


def test_retries_end_with_the_deadline() -> None:
    clock = Clock()
    naps: list[float] = []

    def sleep(seconds: float) -> None:
        naps.append(seconds)
        clock.now += seconds

    client = http_client(times=100, clock=clock, sleep=sleep)
    with pytest.raises(CollateralUnavailableError):
        client.get(f"http://127.0.0.1:{unused_port()}/", max_bytes=LIMIT, deadline=clock.deadline(3))
    assert naps == [0.25, 0.5, 1.0]
    assert clock.now == 50 + 1.75


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(status: int) -> None:
    pccs, naps = FakePCCS(), Naps()
    pccs.answers["/"] = [Answer(status=status), Answer(status=status), Answer(body=b"there")]
    client = http_client(times=2, sleep=naps)
    with serving(pccs):
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon()).body == b"there"
    assert naps.seconds == [0.25, 0.5]


@pytest.mark.parametrize("status", [400, 401, 404, 410, 461, 501])
def test_a_lasting_failure_is_not_tried_again(status: int) -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(status=status, body=b"y" * 5000)
    client = http_client(times=2)
    with serving(pccs):
        answer = client.get(f"{pccs.url}/", max_bytes=10, deadline=soon())
    assert answer.status == status
    assert 4096 <= len(answer.body) <= 5000
    assert len(pccs.requests) == 1


def test_the_last_failure_is_the_answer() -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(status=503, body=b"busy")
    client = http_client(times=2)
    with serving(pccs):
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon()).body == b"busy"
    assert len(pccs.requests) == 3


def test_a_server_is_asked_again_when_it_says() -> None:
    pccs, naps = FakePCCS(), Naps()
    pccs.answers["/"] = [Answer(status=429, headers={"Retry-After": "3"}), Answer(body=b"there")]
    client = http_client(times=2, sleep=naps)
    with serving(pccs):
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon()).body == b"there"
    assert naps.seconds == [3.0]


def test_a_server_that_asks_for_more_patience_than_there_is_is_left_alone_for_so_long() -> None:
    pccs, clock = FakePCCS(), Clock()
    pccs.answers["/"] = Answer(status=429, headers={"Retry-After": "60"})
    client = http_client(times=2, clock=clock)
    with serving(pccs):
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=clock.deadline()).status == 429
        clock.now += 59
        with pytest.raises(
            CollateralUnavailableError, match=r"answered 429 and asked to wait; it is asked again in 1.0 s"
        ):
            client.get(f"{pccs.url}/other", max_bytes=LIMIT, deadline=clock.deadline())
        assert len(pccs.requests) == 1
        clock.now += 1
        assert client.get(f"{pccs.url}/other", max_bytes=LIMIT, deadline=clock.deadline()).status == 404


@pytest.mark.parametrize("value", ["soon", "-1", "", "1.5", "Wed, 21 Oct 2026 07:28:00 GMT", "\u00b2"])
def test_a_time_to_come_back_that_is_no_number_of_seconds_is_ignored(value: str) -> None:
    pccs, naps = FakePCCS(), Naps()
    pccs.answers["/"] = [Answer(status=503, headers={"Retry-After": value}), Answer(body=b"there")]
    client = http_client(times=1, sleep=naps)
    with serving(pccs):
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon()).body == b"there"
    assert naps.seconds == [0.25]


def test_no_server_can_ask_for_an_eternity() -> None:
    pccs, clock = FakePCCS(), Clock()
    pccs.answers["/"] = Answer(status=503, headers={"Retry-After": "9" * 400})
    client = http_client(times=1, clock=clock)
    with serving(pccs):
        client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=clock.deadline())
        clock.now += 3599
        with pytest.raises(CollateralUnavailableError, match=r"answered 503 and asked to wait"):
            client.get(f"{pccs.url}/other", max_bytes=LIMIT, deadline=clock.deadline())
        clock.now += 2
        assert client.get(f"{pccs.url}/other", max_bytes=LIMIT, deadline=clock.deadline()).status == 404


def test_a_dead_server_is_left_alone_for_a_while_and_others_are_not() -> None:
    dead, clock, pccs = f"http://127.0.0.1:{unused_port()}", Clock(), FakePCCS()
    client = http_client(clock=clock)
    with serving(pccs):
        for path in ("a", "b"):
            with pytest.raises(CollateralUnavailableError, match=f"{dead}/a cannot be reached"):
                client.get(f"{dead}/{path}", max_bytes=LIMIT, deadline=clock.deadline())
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=clock.deadline()).status == 404
        clock.now += 5.1
        with pytest.raises(CollateralUnavailableError, match=f"{dead}/b cannot be reached"):
            client.get(f"{dead}/b", max_bytes=LIMIT, deadline=clock.deadline())


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_server_is_followed(status: int) -> None:
    pccs = FakePCCS()
    pccs.answers = {"/a/b": Answer(status=status, headers={"Location": "../c?d=e"}), "/c?d=e": Answer(body=b"there")}
    client = http_client()
    with serving(pccs):
        answer = client.get(f"{pccs.url}/a/b", max_bytes=LIMIT, deadline=soon())
    assert (answer.body, answer.url) == (b"there", f"{pccs.url}/c?d=e")


@pytest.mark.parametrize(
    "target",
    [
        "http://other.example/",
        "//other.example/x",
        "https://127.0.0.1/",
        "ftp://127.0.0.1/",
        "http://[",
        "http://127.0.0.1:99999/",
    ],
)
def test_a_redirect_elsewhere_is_refused(target: str) -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(status=302, headers={"Location": target})
    client = http_client()
    with serving(pccs), pytest.raises(CollateralUnavailableError, match="redirects to another server"):
        client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon())
    assert len(pccs.requests) == 1


@pytest.mark.parametrize("headers", [{"Location": "/"}, {}])
def test_redirects_that_never_end_are_not_followed_for_ever(headers: dict[str, str]) -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(status=302, headers=headers)
    client = http_client()
    with serving(pccs), pytest.raises(CollateralUnavailableError, match="redirects more than 3 times"):
        client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon())
    assert len(pccs.requests) == 4


def test_a_compressed_body_was_not_asked_for() -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    client = http_client()
    with serving(pccs), pytest.raises(MalformedError, match="in the encoding 'gzip'"):
        client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon())


def test_a_proxy_is_asked_with_the_whole_url_and_its_credentials() -> None:
    proxy = FakePCCS()
    target = "http://pccs.invalid/sgx"
    proxy.answers[target] = Answer(body=b"there")
    with serving(proxy):
        client = http_client(proxy=proxy.url.replace("//", "//us%65r:pass@"))
        assert client.get(target, max_bytes=LIMIT, deadline=soon()).body == b"there"
    assert proxy.requests == [target]
    assert proxy.headers[0]["proxy-authorization"] == "Basic dXNlcjpwYXNz"


def test_a_proxy_that_refuses_is_a_server_that_cannot_be_reached() -> None:
    proxy = FakePCCS()
    with serving(proxy):
        client = http_client(proxy=proxy.url)
        with pytest.raises(CollateralUnavailableError, match="cannot be reached: 501"):
            client.get("https://pccs.invalid/", max_bytes=LIMIT, deadline=soon())


@pytest.fixture(scope="module")
def server_certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for 127.0.0.1 with its key, as a PCCS that was just installed has one."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "pccs")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    path.write_bytes(
        certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return path


def test_a_server_must_prove_who_it_is(server_certificate: Path) -> None:
    pccs = FakePCCS()
    client = http_client()
    with (
        serving(pccs, server_certificate),
        pytest.raises(CollateralUnavailableError, match="CERTIFICATE_VERIFY_FAILED") as caught,
    ):
        client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon())
    assert "use_secure_cert" in caught.value.remedy
    assert pccs.requests == []


def test_the_check_can_be_switched_off(server_certificate: Path) -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(body=b"there")
    client = http_client(tls=tls_context(verify=False))
    with serving(pccs, server_certificate):
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon()).body == b"there"


def test_a_server_may_be_vouched_for_by_a_ca_of_ones_own(server_certificate: Path) -> None:
    pccs = FakePCCS()
    pccs.answers["/"] = Answer(body=b"there")
    context = tls_context(verify=True, ca_file=str(server_certificate))
    client = http_client(tls=context)
    with serving(pccs, server_certificate):
        assert client.get(f"{pccs.url}/", max_bytes=LIMIT, deadline=soon()).body == b"there"


def test_a_ca_file_that_is_not_there_or_empty_is_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.touch()
    for path in (tmp_path / "missing.pem", empty):
        with pytest.raises(ConfigError, match="cannot be read"):
            tls_context(verify=True, ca_file=str(path))


def test_many_threads_share_a_client() -> None:
    pccs = FakePCCS()
    for number in range(200):
        pccs.answers[f"/{number}"] = Answer(body=str(number).encode())
    client = http_client()
    with serving(pccs), ThreadPoolExecutor(24) as pool:
        bodies = pool.map(
            lambda number: client.get(f"{pccs.url}/{number}", max_bytes=LIMIT, deadline=soon()).body, range(200)
        )
        assert list(bodies) == [str(number).encode() for number in range(200)]


def test_a_deadline_says_what_is_left() -> None:
    clock = Clock()
    deadline = clock.deadline(3)
    assert deadline.remaining == 3
    clock.now += 5
    assert deadline.remaining == 0


PPID = "C0FFEE" * 64
MACHINE = f"/pckcert?qeid={PPID[:32]}&encrypted_ppid={PPID}&pceid=0000"


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=404, body=f"unknown: {PPID}".encode()),
        Answer(status=404, headers={"Error-Message": f"asked {MACHINE}"}),
        Answer(status=429, headers={"Retry-After": "60"}),
        Answer(status=302, headers={"Location": "http://192.0.2.1/"}),
        Answer(status=302, headers={"Location": MACHINE}),
        Answer(headers={"Content-Encoding": "gzip"}),
        Answer(body=bytes(LIMIT + 1)),
        Answer(body=b""),
    ],
)
def test_no_message_names_a_machine(answer: Answer) -> None:
    pccs = FakePCCS()
    pccs.answers[MACHINE] = answer
    client = http_client()
    with serving(pccs):
        for _ in range(2):  # the second time it is said why the server is left alone
            with pytest.raises(VerdictdError) as caught:
                read_issuer_chain(
                    require_success(client.get(pccs.url + MACHINE, max_bytes=LIMIT, deadline=soon())), ("Chain",)
                )
            assert "C0FFEE" not in str(caught.value)
            assert pccs.url in str(caught.value)
    with pytest.raises(VerdictdError) as caught:
        client.get(f"http://127.0.0.1:{unused_port()}{MACHINE}", max_bytes=LIMIT, deadline=soon())
    assert "C0FFEE" not in str(caught.value)
