"""The entry point of `verdict`: parses the command line, runs one subcommand or the original's flags."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module

from verdictd import __version__
from verdictd.cli.exit_codes import UNUSABLE
from verdictd.cli.subcommands import Subcommand, add_subcommands, run_guarded
from verdictd.cli.verdict import opa_flags

_DEFAULT_CLIENT_API = "[::1]:60000"
_EPILOG = "Exit codes: 0 accepted or done, 1 refused, 2 usage or input error. Results go to standard output."


SUBCOMMANDS = (
    Subcommand("appraise", "appraise a quote or a certificate, or again what was archived", "appraise"),
    Subcommand("show", "show what a quote or a certificate says, unverified", "show"),
    Subcommand("reference", "make reference values from an enclave, a package or evidence", "reference"),
    Subcommand("attestations", "show why peers were accepted or refused", "attestations"),
    Subcommand("status", "show what verdictd trusts, holds and has decided", "status"),
    Subcommand("policy", "replace policy and reference values together, try them first, go back", "policy"),
    Subcommand("collateral", "show, refresh, import and export the collateral that is held", "collateral"),
    Subcommand("audit", "prove that no record of the audit log is missing or changed", "audit"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run `verdict` and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    parser = _build_parser(words)
    arguments = parser.parse_args(words)
    return run_guarded("verdict", lambda: _run(arguments, parser))


def _run(arguments: argparse.Namespace, parser: argparse.ArgumentParser) -> int:
    code = _run_flags(arguments)
    if arguments.command is None:
        if code is None:
            parser.print_usage(sys.stderr)
            return UNUSABLE
        return code
    done: int = arguments.run(arguments, sys.stdout, datetime.now(UTC))
    return max(done, code or 0)


def _run_flags(arguments: argparse.Namespace) -> int | None:
    """Carry out the original's flags that were given; ``None`` where none was."""
    given = opa_flags.find_given(arguments)
    if not given:
        return None
    calls = import_module("verdictd.cli.verdict.opa_calls")
    pathlib = import_module("pathlib")
    code: int = calls.carry_out(given, arguments.client_api, pathlib.Path(arguments.path), sys.stdout)
    return code


def _build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verdict",
        description="Configure verdictd, ask it why, and appraise evidence without it.",
        epilog=_EPILOG,
        allow_abbrev=False,  # a subcommand's --set would be taken for the beginning of one of the original's flags
    )
    parser.add_argument("-V", "--version", action="version", version=f"verdict {__version__}")
    parser.add_argument(
        "-c",
        "--client-api",
        default=_DEFAULT_CLIENT_API,
        metavar="ADDRESS",
        help=f"the daemon's --client-api address (default {_DEFAULT_CLIENT_API})",
    )
    opa_flags.add_flags(parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    add_subcommands(subparsers, SUBCOMMANDS, words, "verdictd.cli.verdict")
    return parser


if __name__ == "__main__":
    sys.exit(main())
