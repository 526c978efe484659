"""Everyone who must be turned away, and what the peer, the log and the operator's tool then say."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from OpenSSL import SSL

from tests.e2e.attackers import certificate_with_extension, encode_key, knock, steal
from tests.e2e.conftest import TRUST, write_collateral
from tests.e2e.processes import GREETING, Verifier, pccs, run, verifier
from tests.unit.ratstls.forge import quote
from verdictd.ratstls.certificate import attestation_id
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import TCBStatus

FILE = ("--collateral", "collateral.json")
VERSIONS = pytest.mark.parametrize("version", [SSL.TLS1_2_VERSION, SSL.TLS1_3_VERSION], ids=["TLS1.2", "TLS1.3"])


def genuine(directory: Path) -> Identity:
    """What the shared verdictd accepts."""
    attester = SimulatedAttester(SimulatedPlatform.load(directory / "platform"))
    return build_identity(at=datetime.now(UTC), make_quote=attester.quote)


@VERSIONS
def test_the_peer_that_the_attackers_imitate_is_let_in(shared: Verifier, version: int) -> None:
    identity = genuine(shared.directory)
    outcome = knock(shared.host, shared.port, identity.certificate_der, encode_key(identity.private_key), version)
    assert outcome.startswith("LET IN"), outcome


def test_another_enclave(shared: Verifier) -> None:
    why = shared.explain(shared.attest("--sim-mrenclave", "ee" * 32))
    assert why.startswith("refused: check policy.decision failed: found sgxPolicy.rego with sgxData:")
    assert "mrEnclave" in why
    assert "is not among the 1 of the reference" in why
    assert "mrSigner" not in why


def test_another_signer(shared: Verifier) -> None:
    why = shared.explain(shared.attest("--sim-mrsigner", "ee" * 32))
    assert "policy.decision" in why
    assert "mrSigner" in why
    assert "mrEnclave" not in why


def test_a_debug_enclave(shared: Verifier) -> None:
    why = shared.explain(shared.attest("--debug-enclave"))
    assert why.startswith("refused: check enclave.debug failed")
    assert "--allow-debug" in why
    assert "more check" not in why, "its measurements are those of the reference"


@VERSIONS
def test_replayed_evidence_in_a_new_certificate(shared: Verifier, version: int) -> None:
    heard = SimulatedPlatform.load(shared.directory / "platform").quote(report_data=bytes(64))
    replayed = build_identity(at=datetime.now(UTC), make_quote=lambda _: heard)
    outcome = knock(shared.host, shared.port, replayed.certificate_der, encode_key(replayed.private_key), version)
    assert outcome.startswith("turned away")
    why = shared.reason_for(replayed.attestation_id)
    assert why.startswith("refused: check certificate.report_data failed")


@VERSIONS
def test_a_stolen_certificate_without_its_key(shared: Verifier, version: int) -> None:
    victim = genuine(shared.directory)
    outcome = knock(shared.host, shared.port, *steal(victim), version)
    assert outcome.startswith("turned away")
    assert shared.reason_for(victim.attestation_id) == (
        "the client does not hold the key of the certificate it presented"
    )


def test_no_evidence_at_all(shared: Verifier) -> None:
    done = run(
        *["rats-tls-client", "-a", "nullattester", "-v", "nullverifier", "--mutual", "--verdictd"],
        *["-i", shared.host, "-p", shared.port],
        cwd=shared.directory,
    )
    why = shared.explain(done)
    assert why.startswith("refused: check evidence.kind failed: found none, expected evidence of kind sgx_ecdsa")


@VERSIONS
def test_evidence_of_another_tee_is_refused_by_its_kind(shared: Verifier, version: int) -> None:
    tdx = build_identity(at=datetime.now(UTC), make_quote=lambda report_data: quote(report_data, version=4, tee=0x81))
    outcome = knock(shared.host, shared.port, tdx.certificate_der, encode_key(tdx.private_key), version)
    assert outcome.startswith("turned away")
    why = shared.reason_for(tdx.attestation_id)
    assert why.startswith("refused: check evidence.kind failed: found tdx_ecdsa"), why


@VERSIONS
def test_a_certificate_that_cannot_be_read_is_refused_and_recorded(shared: Verifier, version: int) -> None:
    broken = certificate_with_extension("2.23.133.5.4.9", b"\xff\xff")
    assert knock(shared.host, shared.port, *broken, version).startswith("turned away")
    assert shared.reason_for(attestation_id(broken[0]))


def test_no_certificate(shared: Verifier) -> None:
    seen = len(shared.service.lines)
    words = ["-v", "nullverifier", "--verdictd", "-i", shared.host, "-p", shared.port]
    done = run("rats-tls-client", *words, cwd=shared.directory)
    assert done.returncode == 255
    assert "send one with --mutual" in done.stderr
    shared.service.wait_for("warning handshake .*the client presented no certificate.*--mutual", after=seen)


def test_no_tls(shared: Verifier) -> None:
    seen = len(shared.service.lines)
    words = ["-v", "nullverifier", "-t", "nulltls", "--verdictd", "-i", shared.host, "-p", shared.port]
    done = run("rats-tls-client", *words, cwd=shared.directory)
    assert done.returncode == 255
    assert "Hello" not in done.stdout
    shared.service.wait_for("warning handshake .*the client does not speak TLS", after=seen)


def test_what_the_vendor_finds_out_later(tmp_path: Path) -> None:
    run("tee-sim", "init", "platform", cwd=tmp_path)
    with pccs(tmp_path) as url, verifier(tmp_path, *TRUST, "--pccs-url", url) as verdictd:
        verdictd.name_reference()
        assert verdictd.attest().returncode == 0

        assert run("tee-sim", "set-tcb-status", "platform", "OutOfDate", cwd=tmp_path).returncode == 0
        verdictd.reload()
        why = verdictd.explain(verdictd.attest())
        assert why.startswith("refused: check tcb.status failed: found OutOfDate")
        assert "--accept-tcb-status" in why

        run("tee-sim", "set-tcb-status", "platform", "UpToDate", cwd=tmp_path)
        verdictd.reload()
        assert verdictd.attest().returncode == 0

        assert run("tee-sim", "revoke", "platform", "pck", cwd=tmp_path).returncode == 0
        verdictd.reload()
        assert verdictd.explain(verdictd.attest()).startswith("refused: check pck.revocation failed")


def test_a_revoked_platform_ca(place: Path) -> None:
    run("tee-sim", "revoke", "platform", "platform-ca", cwd=place)
    run("tee-sim", "collateral", "platform", "-o", "collateral.json", cwd=place)
    with verifier(place, *TRUST, *FILE, "--allow-any-enclave") as verdictd:
        why = verdictd.explain(verdictd.attest())
        assert "revo" in why, why
        assert "policy.decision" in json.dumps(
            json.loads(verdictd.verdict("attestations", "--json").stdout)["appraisal"]["checks"]
        )


def test_what_is_refused_is_accepted_with_the_flag_that_the_refusal_names(place: Path) -> None:
    platform = SimulatedPlatform.load(place / "platform").with_tcb_status(TCBStatus.SW_HARDENING_NEEDED)
    write_collateral(place, platform)
    with verifier(place, *TRUST, *FILE, "--allow-any-enclave") as strict:
        why = strict.explain(strict.attest())
    flag = why[why.index("--accept-tcb-status") :].split()[:2]
    with verifier(place, *TRUST, *FILE, "--allow-any-enclave", *flag) as lenient:
        done = lenient.attest()
        assert (done.returncode, done.stdout) == (0, GREETING + "\n"), done.stderr


def test_an_untrusted_root(place: Path) -> None:
    """The simulated platform is nothing to a verifier that trusts Intel alone, though all else is in order."""
    with verifier(place, *FILE, "--allow-any-enclave") as verdictd:
        why = verdictd.explain(verdictd.attest())
        assert why.startswith("refused: check pck.chain failed"), why


def test_no_collateral_says_what_was_tried(place: Path) -> None:
    with verifier(
        place, *TRUST, "--allow-any-enclave", "--pccs-url", "http://127.0.0.1:9/sgx/certification/v4/"
    ) as down:
        why = down.explain(down.attest())
        assert "127.0.0.1:9" in why, why


def test_a_peer_may_bring_the_collateral_that_the_verifier_lacks(place: Path) -> None:
    with verifier(place, *TRUST, "--allow-any-enclave") as verdictd:
        without = verdictd.attest(*TRUST, *FILE)
        assert "none at hand" in verdictd.explain(without)
        done = verdictd.attest("-e", *TRUST, *FILE)
        assert (done.returncode, done.stdout) == (0, GREETING + "\n"), done.stderr
        report = json.loads(verdictd.verdict("attestations", "--json", "--limit", "1").stdout)["appraisal"]
        assert set(report["collateral_sources"].values()) == {"peer"}


def test_a_peer_cannot_bring_an_unrevoked_past(place: Path) -> None:
    (place / "past.json").write_bytes((place / "collateral.json").read_bytes())
    run("tee-sim", "revoke", "platform", "pck", cwd=place)
    run("tee-sim", "collateral", "platform", "-o", "collateral.json", cwd=place)
    with verifier(place, *TRUST, *FILE, "--allow-any-enclave") as verdictd:
        done = verdictd.attest("-e", *TRUST, "--collateral", "past.json")
        assert "pck.revocation" in verdictd.explain(done)
