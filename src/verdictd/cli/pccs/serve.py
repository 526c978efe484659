"""`pccs serve`: answers clients until it is told to stop."""

import argparse
from datetime import datetime
from typing import TextIO

from verdictd.cli.exit_codes import DONE
from verdictd.cli.file_limit import allow_many_files
from verdictd.cli.logs import configure_logging
from verdictd.cli.pccs.opening import serve
from verdictd.cli.pccs.options import add_cache_options, add_command, add_server_options, read_settings
from verdictd.cli.subcommands import Subparsers
from verdictd.configuration.log_choice import LogFormat
from verdictd.pccs.settings_reader import encode_settings


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    example = "pccs serve --upstream http://127.0.0.1:8080/sgx/certification/v4/ --trust-root sim/root-ca.pem"
    parser = add_command(subparsers, name, description, example)
    parser.add_argument(
        "--check-config", action="store_true", help="print the effective settings as TOML, without secrets, and exit"
    )
    add_server_options(parser)
    add_cache_options(parser)
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    del now
    settings = read_settings(arguments)
    if arguments.check_config:
        out.write(encode_settings(settings))
        return DONE
    configure_logging(settings.log_level, as_json=settings.log_format is LogFormat.JSON)
    allow_many_files()
    serve(settings)
    return DONE
