"""The scenario from end to end on this machine: real programs and sockets, a simulated platform, genuine evidence.

Every command is printed as it is run, with what it printed. The demonstration stops with an error where anything comes
out otherwise than expected, so that it is a test as well.
"""

import base64
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from programs import Service, run
from verdictd.ratstls.certificate_builder import build_identity
from verdictd.reference.finder import find_subjects
from verdictd.reference.subject import Subject
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.platform import SimulatedPlatform

HERE = Path(__file__).resolve().parent
VECTORS = Path(os.environ.get("VERDICTD_VECTORS", HERE.parents[1] / "shared" / "vectors"))


class Demonstration:
    """One run of the scenario in a directory of its own."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.client_api = ""
        self.host, self.port = "127.0.0.1", "0"
        self.enclave = "app-1.signed.so"

    def headline(self, text: str) -> None:
        """Begin a part."""
        print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}")

    def shell(self, *words: str, code: int = 0, show: str = "all") -> str:
        """Run a program, print what it printed, and insist on its exit code.

        Args:
            words: the command line.
            code: the exit code that is expected.
            show: ``all``, or ``reasons`` for the lines that say why.
        """
        print(f"$ {shlex.join(words)}")
        done = run(*words, cwd=self.directory)
        for line in (done.stdout + done.stderr).splitlines():
            if show == "all" or re.search(r"FAIL|expected:|found:|remedy:|REFUSED|ALLOWED|^[a-z_.]+: (FAIL|not)", line):
                print(f"  {line}")
        if done.returncode != code:
            raise SystemExit(f"exit code {done.returncode}, expected {code}:\n{done.stdout}{done.stderr}")
        return done.stdout

    def verdict(self, *words: str, code: int = 0, show: str = "all") -> str:
        """Run `verdict` against the daemon."""
        return self.shell("verdict", "--client-api", self.client_api, *words, code=code, show=show)

    def attest(self, *words: str, code: int = 0) -> None:
        """Let the workload attest."""
        instances = ["-a", "sgx_ecdsa", "-v", "nullverifier", "-t", "openssl", "-c", "openssl"]
        where = ["-i", self.host, "-p", self.port, "--mutual", "--verdictd", "--simulate", "platform"]
        own = [] if "--sim-enclave" in words or "-a" in words else ["--sim-enclave", self.enclave]
        self.shell("rats-tls-client", *instances, *where, *own, *words, code=code)

    def explain(self, daemon: Service, seen: int, reason: str) -> None:
        """Print why verdictd refused, from its log, and insist on the check that refused."""
        match = daemon.wait_for(rf'verdict="refused" why="(.*?{re.escape(reason)}.*?)" tee=', after=seen)
        print(f"  verdictd: {match[1]}")


def main() -> None:
    """Run the whole scenario."""
    with tempfile.TemporaryDirectory(prefix="verdictd-demo-") as name:
        demo = Demonstration(Path(name))
        demo.headline(
            "A simulated SGX platform, since there may be none here; its collateral is served like a PCCS does"
        )
        demo.shell("tee-sim", "init", "platform")
        with Service(["tee-sim", "serve", "platform", "--listen", "127.0.0.1:0"], demo.directory) as pccs:
            url = pccs.wait_for(r"(http://\S+)")[1]
            print(f"  {url}")
            with start_verdictd(demo, url) as daemon:
                set_reference_values(demo, daemon)
                attest(demo, daemon)
                refuse(demo, daemon)
                upgrade(demo, daemon)
                attest_other_tees(demo, url)
                change_the_platform(demo, daemon)
            print(f"\nverdictd stopped with exit code {daemon.stop()}")
        appraise_genuine_hardware(demo)
    print("\nThe scenario works from end to end.")


def attest_other_tees(demo: Demonstration, pccs_url: str) -> None:
    """The same with other TEEs: TDX, SEV-SNP and CSV attest to a verdictd that judges any kind of evidence."""
    before = demo.client_api, demo.host, demo.port
    demo.headline("The simulated AMD and Hygon; their roots are trusted here, for trying things out only")
    demo.shell("tee-sim", "init-amd", "platform")
    demo.shell("tee-sim", "init-hygon", "platform")
    roots = "--amd-root platform/amd/milan/ark.pem --hygon-root platform/hygon/hrk.cert"
    with start_verdictd(demo, pccs_url, "any", "data-of-any", roots) as daemon:
        attest_a_td(demo, daemon)
        for kind, reference, size in (("sev_snp", "snpData", 48), ("csv", "csvData", 32)):
            attest_a_guest(demo, daemon, kind, reference, bytes([0xAA]) * size)
    demo.client_api, demo.host, demo.port = before


def attest_a_guest(demo: Demonstration, daemon: Service, kind: str, name: str, measurement: bytes) -> None:
    """A guest of SEV-SNP or CSV: the expected one is let in, another one is refused."""
    demo.headline(f"A {kind} guest attests; another one is refused")
    content = (
        {"measurement": [measurement.hex()], "hostData": [], "idKeyDigest": []}
        if kind == "sev_snp"
        else {"measure": [base64.b64encode(measurement).decode()]}
    )
    (demo.directory / name).write_text(json.dumps(content))
    demo.verdict("--set-opa-reference", name, f"./{name}")
    seen = len(daemon.lines)
    demo.attest("-a", kind, "--sim-measurement", measurement.hex())
    accepted = daemon.wait_for(r'verdict="accepted" why="(.*?)"', after=seen)
    print(f"  verdictd: {accepted[1]}")
    seen = len(daemon.lines)
    demo.attest("-a", kind, "--sim-measurement", "ee" * len(measurement), code=255)
    demo.explain(daemon, seen, "policy.decision")


def attest_a_td(demo: Demonstration, daemon: Service) -> None:
    """A trust domain of TDX, whose reference values are taken from a quote of it."""
    demo.headline("Reference values of a TD, taken from a quote of it; until it is named, nobody is let in")
    demo.shell("tee-sim", "quote", "platform", "--tee", "tdx", "--report-data", "00", "-o", "td.bin")
    reference = demo.shell("verdict", "show", "td.bin", "--as", "reference")
    (demo.directory / "tdxData").write_text(reference)
    demo.verdict("--set-opa-reference", "tdxData", "./tdxData")
    demo.headline("A TD attests; another one is refused")
    seen = len(daemon.lines)
    demo.attest("-a", "tdx_ecdsa")
    accepted = daemon.wait_for(r'verdict="accepted" why="(.*?)"', after=seen)
    print(f"  verdictd: {accepted[1]}")
    seen = len(daemon.lines)
    demo.attest("-a", "tdx_ecdsa", "--sim-mrtd", "ee" * 48, code=255)
    demo.explain(daemon, seen, "policy.decision")


def start_verdictd(
    demo: Demonstration, pccs_url: str, verifiers: str = "sgx_ecdsa", data_directory: str = "data", roots: str = ""
) -> Service:
    """Start the Verifier, and learn where it listens."""
    demo.headline("verdictd, on the user's own machine")
    words = shlex.split(
        "verdictd --client-api 127.0.0.1:0 --listen 127.0.0.1:0 --mutual --attester nullattester"
        f" --verifier {verifiers} --tls openssl --crypto openssl --data-dir {data_directory}"
        f" --trust-root platform/root-ca.pem --pccs-url {pccs_url} {roots}"
    )
    print(f"$ {shlex.join(words)}")
    daemon = Service(words, demo.directory)
    demo.client_api = daemon.wait_for(r'listening for verdict address="(\S+)"')[1]
    demo.host, demo.port = daemon.wait_for(r'listening for attestation address="(\S+):(\d+)"').groups()
    for line in daemon.lines:
        print(f"  {line}")
    return daemon


def set_reference_values(demo: Demonstration, daemon: Service) -> None:
    """Section 3 of the scenario: export, make, test and upload reference values."""
    demo.headline("An enclave such as the user builds, signed by its author; a simulated one, it is never run")
    (demo.directory / "app-1").write_text("the user's application, version 1")
    demo.shell("tee-sim", "enclave", "platform", "app-1", "-o", "app-1.signed.so")
    demo.headline("Reference values: as long as they are the shipped ones, nobody is let in")
    demo.verdict("--export-opa-reference", "sgxData")
    print((demo.directory / "sgxData").read_text())
    seen = len(daemon.lines)
    demo.attest(code=255)
    demo.explain(daemon, seen, "policy.reference")
    demo.headline("Reference values and an evidence file from it, by one command; nobody types a hash")
    demo.shell("verdict", "reference", "app-1.signed.so", "-o", "sgxData", "--evidence", "evidence")
    demo.headline("Test before upload, then upload")
    demo.verdict("--test-opa-local-reference", "sgxPolicy.rego", "./sgxData", "./evidence")
    demo.verdict("--set-opa-reference", "sgxData", "./sgxData")


def attest(demo: Demonstration, daemon: Service) -> None:
    """Section 4 of the scenario."""
    demo.headline("The workload attests")
    seen = len(daemon.lines)
    demo.attest()
    accepted = daemon.wait_for(r'verdict="accepted" why="(.*?)"', after=seen)
    print(f"  verdictd: {accepted[1]}")


def refuse(demo: Demonstration, daemon: Service) -> None:
    """Everything that must be turned away while the platform itself is in order."""
    demo.headline("Refused: another enclave")
    seen = len(daemon.lines)
    (demo.directory / "app-2").write_text("the user's application, version 2")
    demo.shell("tee-sim", "enclave", "platform", "app-2", "-o", "app-2.signed.so")
    demo.attest("--sim-enclave", "app-2.signed.so", code=255)
    demo.explain(daemon, seen, "policy.decision")
    demo.headline("Refused: a debug enclave")
    seen = len(daemon.lines)
    demo.attest("--debug-enclave", code=255)
    demo.explain(daemon, seen, "enclave.debug")
    demo.headline("Refused: somebody else's genuine evidence in a certificate of one's own (binding)")
    demo.shell("tee-sim", "quote", "platform", "--report-data", "00", "-o", "quote.bin")
    knock(demo, daemon, "replay", "quote.bin", "certificate.report_data")
    demo.headline("Refused: somebody else's genuine certificate, without its key (handshake)")
    platform = SimulatedPlatform.load(demo.directory / "platform")
    (app,) = find_subjects(demo.directory / demo.enclave)
    assert isinstance(app, Subject)
    spec = EnclaveSpec(mr_enclave=app.values.mr_enclave, mr_signer=app.values.mr_signer)
    victim = build_identity(at=datetime.now(UTC), make_quote=SimulatedAttester(platform, spec).quote)
    (demo.directory / "stolen.der").write_bytes(victim.certificate_der)
    knock(demo, daemon, "steal", "stolen.der", "does not hold the key")


def knock(demo: Demonstration, daemon: Service, attack: str, loot: str, reason: str) -> None:
    """Let an attacker try, and insist that it is turned away for the reason given."""
    seen = len(daemon.lines)
    words = [str(HERE / "attackers.py"), attack, loot, demo.host, demo.port]
    print(f"$ attackers.py {shlex.join(words[1:])}")
    done = subprocess.run(
        [sys.executable, *words], cwd=demo.directory, capture_output=True, text=True, timeout=60, check=False
    )
    print("".join(f"  {line}\n" for line in (done.stdout + done.stderr).splitlines()), end="")
    if done.returncode != 1:
        raise SystemExit(f"the attack {attack} was not turned away")
    demo.explain(daemon, seen, reason)


def upgrade(demo: Demonstration, daemon: Service) -> None:
    """The next version is allowed beside the first one, then the first one no longer."""
    demo.headline("A rolling upgrade: the next version beside the first one, tested and uploaded in one step")
    demo.verdict("reference", "app-2.signed.so", "--set", "sgxData", "--merge-held")
    for version in ("app-1", "app-2"):
        demo.attest("--sim-enclave", f"{version}.signed.so")
    demo.headline("And then the first one no longer")
    demo.verdict("reference", "app-1.signed.so", "--set", "sgxData", "--merge-held", "--remove")
    seen = len(daemon.lines)
    demo.attest("--sim-enclave", "app-1.signed.so", code=255)
    demo.explain(daemon, seen, "policy.decision")
    demo.headline("Refused: an image that was altered after it was signed, which has its signature still")
    image = (demo.directory / "app-2.signed.so").read_bytes()
    (demo.directory / "altered.so").write_bytes(image.replace(b"version 2", b"version 3"))
    demo.shell("verdict", "reference", "altered.so", "-o", "sgxData", code=1)
    demo.enclave = "app-2.signed.so"


def change_the_platform(demo: Demonstration, daemon: Service) -> None:
    """What the vendor finds out about the platform later."""
    demo.headline("Refused: the vendor finds the platform out of date")
    demo.shell("tee-sim", "set-tcb-status", "platform", "OutOfDate")
    reload_collateral(daemon)
    seen = len(daemon.lines)
    demo.attest(code=255)
    demo.explain(daemon, seen, "tcb.status")
    demo.headline("Refused: the vendor revokes the platform's PCK certificate")
    demo.shell("tee-sim", "set-tcb-status", "platform", "UpToDate")
    demo.shell("tee-sim", "revoke", "platform", "pck")
    reload_collateral(daemon)
    seen = len(daemon.lines)
    demo.attest(code=255)
    demo.explain(daemon, seen, "pck.revocation")
    demo.headline("What the operator sees of all this")
    demo.verdict("attestations")
    refused = json.loads(demo.verdict("attestations", "--json", "--limit", "1", show="reasons"))
    demo.verdict("attestations", refused["id"], show="reasons")
    demo.verdict("status")


def reload_collateral(daemon: Service) -> None:
    """Make verdictd look for newer collateral now, and not when what it holds expires."""
    print("$ kill -HUP verdictd")
    seen = len(daemon.lines)
    daemon.reload()
    daemon.wait_for("info reloaded", after=seen)


def appraise_genuine_hardware(demo: Demonstration) -> None:
    """Recorded quotes of real hardware, where they are at hand: strict defaults refuse, the flag they name accepts."""
    demo.headline("Genuine hardware")
    if not VECTORS.is_dir():
        print(f"skipped: recorded evidence of real hardware is not at {VECTORS} (VERDICTD_VECTORS names its directory)")
        return
    cases = json.loads((VECTORS / "dcap-cases" / "cases.json").read_text())
    chosen: dict[str, dict[str, str]] = {}
    for case in cases:
        if case["tee"] == "sgx_ecdsa" and not case["debug"]:
            chosen.setdefault(case["tcb_level_status"], case)
    for case in chosen.values():
        base = VECTORS / "dcap-cases"
        words = ["verdict", "appraise", str(base / case["quote"]), "--collateral", str(base / case["collateral"])]
        words += ["--at", case["at"]]
        report = json.loads(run(*words, "--json", cwd=demo.directory).stdout)
        demo.shell(*words, code=1, show="reasons")
        (remedy,) = [check["remedy"] for check in report["checks"] if check["name"] == "tcb.status"]
        flag = remedy[remedy.index("--accept-tcb-status") :].split()
        demo.shell(*words, *flag, show="reasons")


if __name__ == "__main__":
    main()
