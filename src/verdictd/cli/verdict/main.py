"""The entry point of `verdict`: parses the command line, runs one subcommand or the original's flags.

What a subcommand needs is imported when it is the one: the libraries behind them take longer to load than most of them
to run.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import import_module
from typing import NamedTuple

from verdictd import __version__
from verdictd.cli.verdict import opa_flags
from verdictd.core.errors import VerdictdError

_USAGE_ERROR = 2
_INTERRUPTED = 130
_DEFAULT_CLIENT_API = "[::1]:60000"
_EPILOG = "Exit codes: 0 accepted or done, 1 refused, 2 usage or input error. Results go to standard output."


class Subcommand(NamedTuple):
    """A subcommand, what it does, and the module of this package that has its `add_parser`."""

    name: str
    description: str
    module: str


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
    try:
        code = _run_flags(arguments)
        if arguments.command is None:
            if code is None:
                parser.print_usage(sys.stderr)
                return _USAGE_ERROR
            return code
        done: int = arguments.run(arguments, sys.stdout, datetime.now(UTC))
        return max(done, code or 0)
    except VerdictdError as error:
        sys.stderr.write(f"verdict: {error}\n")
        return _USAGE_ERROR
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0


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
    """Build the parser. Of the subcommands, only one that is named among the words has its own options."""
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
    for subcommand in SUBCOMMANDS:
        if subcommand.name in words:
            import_module(f"verdictd.cli.verdict.{subcommand.module}").add_parser(subparsers)
        else:
            subparsers.add_parser(subcommand.name, help=subcommand.description)
    return parser


if __name__ == "__main__":
    sys.exit(main())
