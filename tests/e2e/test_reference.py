"""From the package that the user built to a workload that is let in, and to its next version, without a hash typed."""

import json
from pathlib import Path

from tests.e2e.conftest import TRUST
from tests.e2e.processes import CLIENT_FLAGS, Verifier, run, verifier
from tests.unit.enclave import images
from tests.unit.unpacking.packages import build_rpm

OLD = images.typical()
NEW = images.Enclave(segments=[images.Segment(0, images.PF_R | images.PF_X, b"the next version" * 999)])


def build_package(directory: Path, enclave: images.Enclave, name: str) -> list[str]:
    """Build a package with an enclave; return the flags by which a simulated workload runs it."""
    image = images.build(enclave, {"isv_svn": b"\x01\0"})
    (directory / name).write_bytes(build_rpm({"./usr/share/app/enclave.signed.so": image}, compression="xz"))
    return ["--sim-enclave", name]


def accepts(verdictd: Verifier, workload: list[str]) -> bool:
    done = verdictd.attest(*workload)
    if done.returncode:
        assert "policy.decision" in verdictd.explain(done)
    return done.returncode == 0


def held(place: Path) -> object:
    return json.loads((place / "data" / "opa" / "sgxData").read_text())


def test_a_rolling_upgrade_with_one_command_a_step(place: Path) -> None:
    old, new = build_package(place, OLD, "app-1.rpm"), build_package(place, NEW, "app-2.rpm")
    with verifier(place, *TRUST, "--collateral", "collateral.json") as verdictd:
        tried = verdictd.verdict("reference", "app-1.rpm", "--set", "sgxData", "--dry-run")
        assert tried.returncode == 0, tried.stderr
        assert "sgxPolicy.rego allows app-1.rpm: ./usr/share/app/enclave.signed.so, as it should" in tried.stdout
        assert "a dry run, nothing was changed" in tried.stdout
        assert held(place) == {"mrEnclave": [], "mrSigner": [], "productId": 0, "svn": 0}

        done = verdictd.verdict("reference", "app-1.rpm", "--set", "sgxData", "-o", "sgxData", "--evidence", "evidence")
        assert done.returncode == 0, done.stderr
        assert "+ mrEnclave: " in done.stdout
        assert "reference sgxData set\nwritten to sgxData\nwritten to evidence\n" in done.stdout
        assert (place / "sgxData").read_bytes() == (place / "data" / "opa" / "sgxData").read_bytes()
        tested = verdictd.verdict("--test-opa-local-reference", "sgxPolicy.rego", "./sgxData", "./evidence")
        assert json.loads(tested.stdout)["allow"] is True
        assert (accepts(verdictd, old), accepts(verdictd, new)) == (True, False)

        merged = verdictd.verdict("reference", "app-2.rpm", "--set", "sgxData", "--merge-held")
        assert merged.returncode == 0, merged.stderr
        assert "- mrEnclave" not in merged.stdout
        assert (accepts(verdictd, old), accepts(verdictd, new)) == (True, True)

        again = verdictd.verdict("reference", "app-2.rpm", "--set", "sgxData", "--merge-held")
        assert "sgxData at verdictd is the same already" in again.stdout

        removed = verdictd.verdict("reference", "app-1.rpm", "--set", "sgxData", "--merge-held", "--remove")
        assert removed.returncode == 0, removed.stderr
        assert "sgxPolicy.rego refuses app-1.rpm: ./usr/share/app/enclave.signed.so, as it should" in removed.stdout
        assert (accepts(verdictd, old), accepts(verdictd, new)) == (False, True)

        before = held(place)
        last = verdictd.verdict("reference", "app-2.rpm", "--set", "sgxData", "--merge-held", "--remove")
        assert last.returncode == 2
        assert "an empty list allows any" in last.stderr
        assert held(place) == before


def test_what_the_policy_does_not_allow_is_not_uploaded(place: Path) -> None:
    build_package(place, OLD, "app.rpm")
    (place / "strict.rego").write_text("package policy\ndefault allow = false\nallow { input.svn >= 7 }\n")
    with verifier(place, *TRUST, "--collateral", "collateral.json") as verdictd:
        assert verdictd.verdict("--set-opa-policy", "sgxPolicy.rego", "strict.rego").returncode == 0
        before = held(place)
        refused = verdictd.verdict("reference", "app.rpm", "--set", "sgxData", "-o", "sgxData")
        assert refused.returncode == 1
        assert "refuses app.rpm: ./usr/share/app/enclave.signed.so, and it must allow it" in refused.stdout
        assert "refused, nothing was changed" in refused.stdout
        assert held(place) == before
        assert not (place / "sgxData").exists()

        unknown = verdictd.verdict("reference", "app.rpm", "--set", "sgxData", "--policy", "another.rego")
        assert unknown.returncode == 1
        assert "another.rego cannot decide: " in unknown.stdout
        missing = verdictd.verdict("reference", "app.rpm", "--set", "another", "--merge-held")
        assert missing.returncode == 2
        assert "verdictd has no reference another" in missing.stderr


def test_an_enclave_that_is_still_allowed_otherwise_is_not_said_to_be_removed(place: Path) -> None:
    build_package(place, OLD, "app-1.rpm")
    build_package(place, NEW, "app-2.rpm")
    (place / "loose.rego").write_text("package policy\ndefault allow = false\nallow { input.svn >= data.svn }\n")
    with verifier(place, *TRUST, "--collateral", "collateral.json") as verdictd:
        assert verdictd.verdict("reference", "app-1.rpm", "app-2.rpm", "--set", "sgxData").returncode == 0
        assert verdictd.verdict("--set-opa-policy", "sgxPolicy.rego", "loose.rego").returncode == 0
        before = held(place)
        done = verdictd.verdict("reference", "app-1.rpm", "--set", "sgxData", "--merge-held", "--remove")
        assert done.returncode == 1
        assert "and it must not allow it any more" in done.stdout
        assert held(place) == before


def test_an_enclave_that_no_cpu_would_start_runs_nowhere(place: Path) -> None:
    image = images.build(OLD)
    (place / "altered.so").write_bytes(image.replace(b"constants", b"Constants"))
    done = run("rats-tls-client", *CLIENT_FLAGS, "--simulate", "platform", "--sim-enclave", "altered.so", cwd=place)
    assert done.returncode != 0
    assert "altered.so would not start: check image.mr_enclave failed" in done.stderr
