"""AMD's certificates through `pccs`: real processes, a simulated AMD behind them."""

from pathlib import Path

from tests.e2e.collateral_services import RunningCache, cache, make_vendor, request, vendor
from tests.e2e.processes import run
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.kds import kds_target
from verdictd.configuration.amd_trust_files import load_amd_roots
from verdictd.pccs.amd.verification import AMDVerifier

LEAF = AMDCertificateName("vcek", "Milan", "leaf", bytes(range(64)), bytes([3, 0, 0, 0, 0, 0, 8, 115]))
CHAIN = AMDCertificateName("vcek", "Milan", "cert_chain")
CRL = AMDCertificateName("vcek", "Milan", "crl")
TARGETS = tuple(kds_target(name) for name in (LEAF, CHAIN, CRL))
ROOT = ("--amd-root", "vendor/amd/milan/ark.pem")


def ask_for_everything(server: RunningCache) -> list[bytes]:
    replies = [request(server.url, target) for target in TARGETS]
    assert [reply.status for reply in replies] == [200] * len(TARGETS), replies
    return [reply.body for reply in replies]


def test_amd_certificates_are_kept_handed_out_and_carried_over(tmp_path: Path) -> None:
    make_vendor(tmp_path)
    run("tee-sim", "init-amd", "vendor", cwd=tmp_path)
    with vendor(tmp_path) as sim:
        base = sim.url.partition("/sgx/")[0]
        with cache(tmp_path, "--upstream", sim.url, "--amd-upstream", base, *ROOT) as server:
            vcek, chain, crl = ask_for_everything(server)
            sim.service.stop()
            assert ask_for_everything(server) == [vcek, chain, crl]
            missing = request(server.url, "/vlek/v1/Milan/cert_chain", headers={"Accept": "application/problem+json"})
            assert (missing.status, missing.problem["problem"]) == (502, "upstream-down")
    verifier = AMDVerifier(load_amd_roots([str(tmp_path / ROOT[1])]))
    for name, content in ((CHAIN, chain), (LEAF, vcek), (CRL, crl)):
        verifier.verify(name, content)

    roots = ("--trust-root", "vendor/root-ca.pem", *ROOT)
    exported = run("pccs", "export", "--data-dir", "cache", *roots, "--all", "-o", "bundle", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    imported = run("pccs", "import", "--data-dir", "apart", *roots, "bundle", cwd=tmp_path)
    assert imported.returncode == 0, imported.stdout + imported.stderr
    with cache(tmp_path, "--data-dir", "apart", "--mode", "offline", *ROOT) as server:
        assert ask_for_everything(server) == [vcek, chain, crl]
    mistrusted = run("pccs", "import", "--data-dir", "third", *roots[:2], "bundle", cwd=tmp_path)
    assert "none of the trusted roots" in mistrusted.stdout + mistrusted.stderr
