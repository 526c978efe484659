"""The entry point of `pccs`: parses the command line and runs one subcommand."""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NoReturn

from verdictd import __version__
from verdictd.cli.exit_codes import UNUSABLE
from verdictd.cli.subcommands import Subcommand, add_subcommands, run_guarded

_EPILOG = (
    "Exit codes: 0 done, 1 done but something needs attention (failed, refused, expired, about to change), 2 wrong"
    " usage or input. Results go to standard output. Each command has --help with an example."
)


SUBCOMMANDS = (
    Subcommand("serve", "answer clients, as Intel's reference service does", "serve"),
    Subcommand("status", "show what is held, how fresh it is, and what needs attention", "status"),
    Subcommand("refresh", "ask upstream for everything that is held, item by item", "refresh"),
    Subcommand("export", "write what is held of named families into one file", "export"),
    Subcommand("import", "take in such a file, or those of Intel's tools; everything is verified", "importing"),
    Subcommand("platforms", "list the platforms that are known", "platforms"),
    Subcommand("register", "register platforms from the CSV of Intel's PCKIDRetrievalTool", "register"),
    Subcommand("forecast", "tell which platforms change TCB status once the early TCB info is standard", "forecast"),
    Subcommand("client-config", "write sgx_default_qcnl.conf for a client", "client_config"),
    Subcommand("hash-token", "print the SHA-512 of a token", "hash_token"),
)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message and leave."""
        self.exit(UNUSABLE, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `pccs` and return its exit code."""
    words = sys.argv[1:] if argv is None else argv
    arguments = _build_parser(words).parse_args(words)
    return run_guarded("pccs", lambda: int(arguments.run(arguments, sys.stdout, datetime.now(UTC))))


def _build_parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="pccs",
        description="A cache of vendor collateral that other machines ask, compatible with Intel's PCCS.",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    parser.add_argument("-V", "--version", action="version", version=f"pccs {__version__}")
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    add_subcommands(subparsers, SUBCOMMANDS, words, "verdictd.cli.pccs")
    return parser


if __name__ == "__main__":
    sys.exit(main())
