"""`pccs` as its operators and its clients meet it: real processes, a vendor that can be told to misbehave."""

import asyncio
import json
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from http.client import HTTPException
from pathlib import Path

import dcap_qvl
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.e2e.collateral_services import Machine, RunningCache, cache, make_vendor, vendor
from tests.e2e.processes import run, verifier
from verdictd.simulator.platform import SimulatedPlatform

EVERYTHING = ("tcb", "qe/identity", "qve/identity", "pckcrl", "rootcacrl", "pckcert")


@pytest.fixture
def platform(tmp_path: Path) -> SimulatedPlatform:
    return make_vendor(tmp_path)


def ask_for_everything(server: RunningCache, platform: SimulatedPlatform) -> dict[str, bytes]:
    """Return the bodies of all that a verifier and its platform need."""
    fmspc = platform.hardware.fmspc.hex()
    replies = {
        "tcb": server.get("tcb", {"fmspc": fmspc}),
        "qe/identity": server.get("qe/identity"),
        "qve/identity": server.get("qve/identity"),
        "pckcrl": server.get("pckcrl", {"ca": "platform", "encoding": "der"}),
        "rootcacrl": server.get("rootcacrl"),
        "pckcert": server.pck_certificate(Machine(b"one", platform)),
    }
    assert {name: reply.status for name, reply in replies.items()} == dict.fromkeys(EVERYTHING, 200), replies
    return {name: reply.body for name, reply in replies.items()}


async def fetch_as_others_do(base: str, quote: bytes) -> dcap_qvl.QuoteCollateralV3:
    return await dcap_qvl.get_collateral(base, quote)


def test_a_verifier_appraises_with_what_it_hands_out(tmp_path: Path, platform: SimulatedPlatform) -> None:
    with (
        vendor(tmp_path) as sim,
        cache(tmp_path, "--upstream", sim.url) as server,
        verifier(tmp_path, "--trust-root", "vendor/root-ca.pem", "--pccs-url", server.url) as verdictd,
    ):
        run("tee-sim", "quote", "vendor", "--report-data", "00", "-o", "quote.bin", cwd=tmp_path)
        (tmp_path / "mine").write_text(run("verdict", "show", "quote.bin", "--as", "reference", cwd=tmp_path).stdout)
        assert verdictd.verdict("--set-opa-reference", "sgxData", "./mine").returncode == 0
        client = verdictd.attest(platform="vendor")
        assert client.returncode == 0, client.stderr


def test_a_client_of_others_finds_all_it_needs(tmp_path: Path, platform: SimulatedPlatform) -> None:
    quote = platform.quote(report_data=bytes(64))
    root = x509.load_pem_x509_certificate(platform.trust_root_pem).public_bytes(Encoding.DER)
    with vendor(tmp_path) as sim, cache(tmp_path, "--upstream", sim.url) as server:
        collateral = asyncio.run(fetch_as_others_do(server.url.partition("/sgx/")[0], quote))
    report = dcap_qvl.verify_with_root_ca(quote, collateral, root, int(datetime.now(UTC).timestamp()))
    assert report.status == "UpToDate"


def test_what_is_held_is_handed_out_whatever_becomes_of_upstream(tmp_path: Path, platform: SimulatedPlatform) -> None:
    with vendor(tmp_path) as sim, cache(tmp_path, "--upstream", sim.url) as server:
        first = ask_for_everything(server, platform)
        url = sim.url
        sim.service.stop()
        assert ask_for_everything(server, platform) == first
    with cache(tmp_path, "--upstream", url) as server:  # and after a restart, from the database
        assert ask_for_everything(server, platform) == first
        missing = server.get("tcb", {"fmspc": "00112233AABB"}, headers={"Accept": "application/problem+json"})
        assert missing.status == 502
        assert missing.problem["problem"] == "upstream-down"
        assert url.split("/")[2] in missing.problem["detail"]
    with cache(tmp_path, "--mode", "offline") as server:
        assert ask_for_everything(server, platform) == first


def test_an_outage_is_explained_and_shown(tmp_path: Path, platform: SimulatedPlatform) -> None:
    with vendor(tmp_path) as sim, cache(tmp_path, "--upstream", sim.url) as server:
        ask_for_everything(server, platform)
        sim.told(faults=[{"status": 503}])
        refreshed = run(
            "pccs", "refresh", "--data-dir", "cache", "--upstream", sim.url, "--trust-root", "vendor/root-ca.pem",
            cwd=tmp_path,
        )  # fmt: skip
        assert refreshed.returncode == 1
        assert "503" in refreshed.stdout
        status = run("pccs", "status", "--data-dir", "cache", "--trust-root", "vendor/root-ca.pem", cwd=tmp_path)
        assert "503" in status.stdout
        assert ask_for_everything(server, platform)


def test_processes_on_one_database_ask_upstream_once(tmp_path: Path, platform: SimulatedPlatform) -> None:
    """Whoever asks first has it fetched; the other processes wait for that, and read it from the database."""
    with vendor(tmp_path) as sim:
        sim.told(faults=[{"delay_s": 0.5}])
        with (
            cache(tmp_path, "--upstream", sim.url) as one,
            cache(tmp_path, "--upstream", sim.url) as other,
            ThreadPoolExecutor(8) as clients,
        ):
            machine = Machine(b"one", platform)
            asked = [clients.submit(server.pck_certificate, machine) for server in (one, other) * 4]
            assert {reply.result().status for reply in asked} == {200}
            asked = [clients.submit(server.get, "qe/identity") for server in (one, other) * 4]
            assert {reply.result().status for reply in asked} == {200}
            counts = sim.counts()
    asked_of_vendor = {path.rpartition("v4/")[2]: count for path, count in counts.items()}
    assert asked_of_vendor["qe/identity"] == 1
    assert asked_of_vendor["pckcerts"] + asked_of_vendor.get("pckcert", 0) == 1


def test_nothing_acknowledged_is_lost_when_it_is_killed(tmp_path: Path, platform: SimulatedPlatform) -> None:
    acknowledged: dict[bytes, bytes] = {}
    with vendor(tmp_path) as sim:
        for turn in range(3):
            with cache(tmp_path, "--upstream", sim.url) as server, ThreadPoolExecutor(4) as clients:

                def ask(number: int, turn: int = turn, server: RunningCache = server) -> None:
                    seed = b"%d-%d" % (turn, number)
                    try:
                        reply = server.pck_certificate(Machine(seed, platform))
                    except (OSError, HTTPException):
                        return  # killed meanwhile: it promised nothing
                    if reply.status == 200:
                        acknowledged[seed] = reply.body

                running = [clients.submit(ask, number) for number in range(40)]
                while sum(each.done() for each in running) < 15:
                    pass
                server.service.send(signal.SIGKILL)
                for each in running:
                    each.result()
                server.service.process.wait()
    assert len(acknowledged) >= 45 - 3
    with cache(tmp_path, "--mode", "offline") as server:
        for seed, certificate in acknowledged.items():
            reply = server.pck_certificate(Machine(seed, platform))
            assert (reply.status, reply.body) == (200, certificate), seed


def test_what_one_exports_another_serves_without_a_network(tmp_path: Path, platform: SimulatedPlatform) -> None:
    fmspc = platform.hardware.fmspc.hex()
    with vendor(tmp_path) as sim, cache(tmp_path, "--upstream", sim.url) as server:
        first = ask_for_everything(server, platform)
    trust = ["--trust-root", "vendor/root-ca.pem"]
    exported = run("pccs", "export", "--data-dir", "cache", *trust, "--fmspc", fmspc, "-o", "bundle", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    imported = run("pccs", "import", "--data-dir", "inside", *trust, "bundle", cwd=tmp_path)
    assert imported.returncode == 0, imported.stdout + imported.stderr
    with cache(tmp_path, "--data-dir", "inside", "--mode", "offline") as server:
        assert ask_for_everything(server, platform) == first
    untrusting = run("pccs", "import", "--data-dir", "third", "bundle", cwd=tmp_path)
    assert untrusting.returncode != 0
    assert json.loads(run("pccs", "status", "--data-dir", "third", "--json", cwd=tmp_path).stdout)["items"] == []


def test_a_forecast_names_the_platform_and_the_component(tmp_path: Path, platform: SimulatedPlatform) -> None:
    trust = ["--trust-root", "vendor/root-ca.pem"]
    with vendor(tmp_path) as sim:
        with cache(tmp_path, "--upstream", sim.url) as server:
            ask_for_everything(server, platform)
            assert server.get("tcb", {"fmspc": platform.hardware.fmspc.hex(), "update": "early"}).status == 200
        quiet = run("pccs", "forecast", "--data-dir", "cache", *trust, "--upstream", sim.url, cwd=tmp_path)
        assert quiet.returncode == 0, quiet.stdout + quiet.stderr
        published = run("tee-sim", "publish-early", "vendor", "OutOfDate", cwd=tmp_path)
        assert published.returncode == 0, published.stderr
        refreshed = run("pccs", "refresh", "--data-dir", "cache", *trust, "--upstream", sim.url, cwd=tmp_path)
        assert refreshed.returncode == 0, refreshed.stdout
        forecast = run("pccs", "forecast", "--data-dir", "cache", *trust, "--upstream", sim.url, cwd=tmp_path)
    assert forecast.returncode == 1, forecast.stdout + forecast.stderr
    assert "OutOfDate" in forecast.stdout
    assert re.search(r"component \d+", forecast.stdout)
