"""The entry point of `verdict`: parses the command line, runs one subcommand or the original's flags."""

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from verdictd import __version__
from verdictd.cli.verdict import appraise, attestations, opa_flags, policy, show, status
from verdictd.cli.verdict.rpc import DEFAULT_CLIENT_API
from verdictd.core.errors import VerdictdError

_USAGE_ERROR = 2
_INTERRUPTED = 130
_SUBCOMMANDS = (appraise, show, attestations, status, policy)
_EPILOG = "Exit codes: 0 accepted or done, 1 refused, 2 usage or input error. Results go to standard output."


def main(argv: Sequence[str] | None = None) -> int:
    """Run `verdict` and return its exit code."""
    parser = _build_parser()
    arguments = parser.parse_args(argv)
    try:
        code = opa_flags.run_flags(arguments, sys.stdout)
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


def _build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="verdict", description="Configure verdictd, ask it why, and appraise evidence without it.", epilog=_EPILOG
    )
    parser.add_argument("-V", "--version", action="version", version=f"verdict {__version__}")
    parser.add_argument(
        "-c",
        "--client-api",
        default=DEFAULT_CLIENT_API,
        metavar="ADDRESS",
        help=f"the daemon's --client-api address (default {DEFAULT_CLIENT_API})",
    )
    opa_flags.add_flags(parser)
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND")
    for subcommand in _SUBCOMMANDS:
        subcommand.add_parser(subparsers)
    return parser


if __name__ == "__main__":
    sys.exit(main())
