"""`pccs hash-token`: the SHA-512 of a token, which is all that the cache is told of it."""

import argparse
import hashlib
import sys
from datetime import datetime
from typing import Final, TextIO

from verdictd.cli.exit_codes import DONE
from verdictd.cli.pccs.options import add_command
from verdictd.cli.subcommands import Subparsers
from verdictd.core.errors import ConfigError, LimitExceededError

_MAX_TOKEN_BYTES: Final = 4096


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    example = "PCCS_USER_TOKEN_HASH=$(pccs hash-token < user-token) pccs serve"
    parser = add_command(subparsers, name, f"{description}, read from standard input", example)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    del arguments, now
    out.write(hash_token(sys.stdin.buffer.read(_MAX_TOKEN_BYTES + 2)) + "\n")
    return DONE


def hash_token(line: bytes) -> str:
    """Return the SHA-512 of a token as `Settings` holds it; the end of its line is not part of it.

    Raises:
        ConfigError: it could not be sent in an HTTP header.
        LimitExceededError: too long.
    """
    token = line.removesuffix(b"\n").removesuffix(b"\r")
    if len(token) > _MAX_TOKEN_BYTES:
        raise LimitExceededError(f"the token is longer than {_MAX_TOKEN_BYTES} bytes")
    if not token or not token.isascii() or not token.decode("ascii").isprintable() or token != token.strip():
        raise ConfigError(
            "no token that could be sent in an HTTP header was given on standard input",
            remedy="use printable ASCII without spaces at its ends, such as openssl rand -hex 32 gives",
        )
    return hashlib.sha512(token).hexdigest()
