"""`tee-sim`: a simulated SGX platform and its vendor, to try out attestation where there is no hardware.

Exit codes: 0 done, 2 wrong usage or input.
"""

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

from verdictd.cli.files import read_bounded, write_whole
from verdictd.cli.logs import configure_logging
from verdictd.cli.tee_sim_arguments import Hex, hex_of, instant_of, lifetime_of, u16
from verdictd.configuration.address import parse_address
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.simulator.amd_store import AMD_PRODUCTS, amd_root_file, load_amd_pki
from verdictd.simulator.attester import SimulatedTDAttester
from verdictd.simulator.behaviour import Behaviour
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.enclave import DEFAULT_MR_ENCLAVE, DEFAULT_MR_SIGNER
from verdictd.simulator.enclave_author import MAX_ENCLAVE_CONTENT_BYTES, load_author_key
from verdictd.simulator.enclave_image import EnclaveIdentity, build_enclave_image
from verdictd.simulator.guests import GuestSpec, load_csv_attester, load_snp_attester
from verdictd.simulator.hygon_store import hygon_root_file, load_hygon
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.quote_builder import REPORT_DATA_BYTES
from verdictd.simulator.server import CollateralServer
from verdictd.simulator.store import ROOT_CERTIFICATE_FILE
from verdictd.simulator.trust_domain import TrustDomainSpec
from verdictd.tees.dcap.acceptance import LEVEL_STATUSES, TCBStatus

EXIT_OK: Final = 0
EXIT_USAGE: Final = 2
_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return the exit code."""
    try:
        options = _parser().parse_args(argv)
    except SystemExit as stop:  # argparse has printed help or an error
        return EXIT_OK if not stop.code else EXIT_USAGE
    try:
        options.run(options)
    except VerdictdError as error:
        sys.stderr.write(f"tee-sim: {error}\n")
        return EXIT_USAGE
    return EXIT_OK


def _init(options: argparse.Namespace) -> None:
    SimulatedPlatform.create(at=datetime.now(UTC)).save(options.directory)
    sys.stdout.write(
        f"simulated platform in {options.directory}; a verifier that is to trust it, for trying things out only, "
        f"needs: --trust-root {options.directory / ROOT_CERTIFICATE_FILE}\n"
    )


def _quote(options: argparse.Namespace) -> None:
    platform = SimulatedPlatform.load(options.directory)
    report_data = options.report_data.ljust(REPORT_DATA_BYTES, b"\0")
    if options.tee in {"snp", "csv"}:
        _write(options.output, _quote_guest(options, report_data))
        return
    if options.tee == "tdx":
        usual = TrustDomainSpec(debug=options.debug)
        domain = replace(usual, mr_td=options.mrtd or usual.mr_td)
        version = 5 if options.quote_version == 5 else 4
        attester = SimulatedTDAttester(platform, domain, version)
        _write(options.output, attester.quote(report_data))
        return
    quote = platform.quote(
        report_data=report_data,
        mr_enclave=options.mrenclave,
        mr_signer=options.mrsigner,
        isv_prod_id=options.isv_prod_id,
        isv_svn=options.isv_svn,
        debug=options.debug,
        quote_version=options.quote_version,
    )
    _write(options.output, quote)


def _quote_guest(options: argparse.Namespace, report_data: bytes) -> bytes:
    guest = GuestSpec(measurement=options.measurement, debug=options.debug)
    try:
        if options.tee == "csv":
            return load_csv_attester(options.directory, guest).quote(report_data)
        return load_snp_attester(options.directory, guest).quote(report_data)
    except ValueError as error:
        raise ConfigError(f"the guest cannot be: {error}") from error


def _enclave(options: argparse.Namespace) -> None:
    content = read_bounded(options.content, MAX_ENCLAVE_CONTENT_BYTES)
    identity = EnclaveIdentity(
        isv_prod_id=options.isv_prod_id, isv_svn=options.isv_svn, signed_on=datetime.now(UTC).date()
    )
    _write(options.output, build_enclave_image(content, load_author_key(options.directory), identity))


def _collateral(options: argparse.Namespace) -> None:
    platform = SimulatedPlatform.load(options.directory)
    issue = platform.tdx_collateral if options.tee == "tdx" else platform.collateral
    _write(options.output, encode_collateral_file(issue(options.at or datetime.now(UTC))))


def _serve(options: argparse.Namespace) -> None:
    address = parse_address(options.listen)
    configure_logging("info")
    with (
        _stop_signals_blocked(),  # before there are threads, so that none is interrupted
        CollateralServer(
            options.directory,
            host=address.host,
            port=address.port,
            clock=lambda: datetime.now(UTC),
            behaviour=Behaviour(lifetime_s=options.lifetime, frozen=options.frozen),
            required_key=options.require_key,
        ) as server,
    ):
        sys.stdout.write(f"serving simulated collateral at {server.url} (API v3 too)\n")
        sys.stdout.flush()
        signal.sigwait(_STOP_SIGNALS)


@contextlib.contextmanager
def _stop_signals_blocked() -> Iterator[None]:
    """Block them for as long as something waits for them: whoever called may need them, and processes inherit it."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _set_tcb_status(options: argparse.Namespace) -> None:
    platform = SimulatedPlatform.update(
        options.directory, lambda present: present.with_tcb_status(TCBStatus(options.status))
    )
    sys.stdout.write(
        f"the simulated platform is {platform.tcb_status}, "
        f"from TCB evaluation data number {platform.evaluation_data_number} on\n"
    )


def _publish_early(options: argparse.Namespace) -> None:
    platform = SimulatedPlatform.update(
        options.directory, lambda present: present.with_early_tcb_status(TCBStatus(options.status))
    )
    early, standard = platform.newest, platform.standard
    sys.stdout.write(
        f"the simulated platform is {early.status} in early TCB info, of TCB evaluation data number {early.number}, "
        f"and {standard.status} in standard TCB info, of number {standard.number}\n"
    )


def _publish_standard(options: argparse.Namespace) -> None:
    platform = SimulatedPlatform.update(options.directory, SimulatedPlatform.with_standard_following)
    sys.stdout.write(
        f"the simulated platform is {platform.standard.status} in standard TCB info, as in early TCB info, "
        f"of TCB evaluation data number {platform.standard.number}\n"
    )


def _init_amd(options: argparse.Namespace) -> None:
    created_at = SimulatedPlatform.load(options.directory).created_at
    for product in AMD_PRODUCTS:
        load_amd_pki(options.directory, product, created_at)
        sys.stdout.write(f"simulated AMD for {product}; its root: {amd_root_file(options.directory, product)}\n")


def _init_hygon(options: argparse.Namespace) -> None:
    SimulatedPlatform.load(options.directory)
    load_hygon(options.directory)
    sys.stdout.write(f"simulated Hygon; its root: {hygon_root_file(options.directory)}\n")


def _revoke(options: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    SimulatedPlatform.update(options.directory, lambda present: present.with_revoked(options.target, since=now))
    sys.stdout.write(f"the simulated platform's {options.target} certificate is revoked in the CRLs from now on\n")


def _write(output: str, data: bytes) -> None:
    if output == "-":
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        write_whole(Path(output), data)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave."""
        self.exit(EXIT_USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="tee-sim",
        description="A simulated platform with SGX, TDX, SEV-SNP and CSV, and its vendors. Trusted only by a verifier"
        " that was given its roots.",
        allow_abbrev=False,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        added.add_argument("directory", type=Path, metavar="DIR", help="the simulated platform's directory")
        return added

    init = command("init", "make a platform: root CA, PCK CA, PCK, TCB signer, quoting enclave")
    init.set_defaults(run=_init)

    quote = command("quote", "quote an enclave or a trust domain, or report on a guest")
    quote.set_defaults(run=_quote)
    quote.add_argument("--report-data", type=Hex(0, REPORT_DATA_BYTES), required=True, metavar="HEX")
    quote.add_argument("--mrenclave", type=hex_of(32), default=DEFAULT_MR_ENCLAVE, metavar="HEX")
    quote.add_argument("--mrsigner", type=hex_of(32), default=DEFAULT_MR_SIGNER, metavar="HEX")
    quote.add_argument("--isv-prod-id", type=u16, default=0, metavar="N")
    quote.add_argument("--isv-svn", type=u16, default=0, metavar="N")
    quote.add_argument("--mrtd", type=hex_of(48), metavar="HEX", help="with --tee tdx: the TD's measure")
    quote.add_argument("--debug", action="store_true", help="a debug enclave, or a TD under debug")
    quote.add_argument("--quote-version", type=int, choices=(3, 4, 5), default=3)

    enclave = command("enclave", "build a signed enclave image, of any content, to take reference values from")
    enclave.set_defaults(run=_enclave)
    enclave.add_argument("content", metavar="CONTENT", help="a file: what the enclave holds; it is not run")
    enclave.add_argument("--isv-prod-id", type=u16, default=0, metavar="N")
    enclave.add_argument("--isv-svn", type=u16, default=0, metavar="N")

    collateral = command("collateral", "issue collateral as one JSON file")
    collateral.set_defaults(run=_collateral)
    collateral.add_argument("--at", type=instant_of, metavar="TIME", help="issue it for this instant instead of now")
    quote.add_argument("--measurement", type=Hex(0, 48), metavar="HEX", help="with --tee snp (48 bytes) or csv (32)")
    collateral.add_argument("--tee", choices=("sgx", "tdx"), default="sgx", help="of which TEE (default sgx)")
    quote.add_argument("--tee", choices=("sgx", "tdx", "snp", "csv"), default="sgx", help="of which TEE (default sgx)")
    for with_output in (quote, enclave, collateral):
        with_output.add_argument("-o", "--output", required=True, metavar="FILE", help="- for standard output")

    serve = command("serve", "serve collateral as the vendor and a PCCS do, until SIGINT or SIGTERM")
    serve.set_defaults(run=_serve)
    serve.add_argument("--listen", default="127.0.0.1:0", metavar="ADDR", help="host:port; port 0 for any (default)")

    serve.add_argument("--lifetime", type=lifetime_of, metavar="SECONDS", help="how long items are good (30 days)")
    serve.add_argument("--frozen", action="store_true", help="answer the same question with the same bytes")
    serve.add_argument("--require-key", default="", metavar="KEY", help="refuse PCK certificates to others")

    _add_vendor_commands(command)
    return parser


def _add_vendor_commands(command: Callable[[str, str], argparse.ArgumentParser]) -> None:
    status = command("set-tcb-status", "let the vendor find the platform at another TCB status")
    status.set_defaults(run=_set_tcb_status)
    early = command("publish-early", "let the vendor's early TCB info find it at another status")
    early.set_defaults(run=_publish_early)
    for with_status in (status, early):
        with_status.add_argument("status", choices=[known.value for known in LEVEL_STATUSES], metavar="STATUS")

    amd = command("init-amd", "make the simulated AMD's certificates now, and not when they are first asked for")
    amd.set_defaults(run=_init_amd)

    hygon = command("init-hygon", "make the simulated Hygon's certificates now, and not when they are first needed")
    hygon.set_defaults(run=_init_hygon)

    standard = command("publish-standard", "let the standard TCB info become what the early one is")
    standard.set_defaults(run=_publish_standard)

    revoke = command("revoke", "revoke the PCK certificate, or the CA that issued it")
    revoke.set_defaults(run=_revoke)
    revoke.add_argument("target", choices=["pck", "platform-ca"])


if __name__ == "__main__":
    sys.exit(main())
