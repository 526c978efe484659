"""`pccs client-config`: ``sgx_default_qcnl.conf`` for machines that are to ask this cache."""

import argparse
from datetime import datetime
from pathlib import Path
from typing import TextIO

from verdictd.cli.exit_codes import DONE
from verdictd.cli.files import write_whole
from verdictd.cli.pccs.options import add_command
from verdictd.cli.subcommands import Subparsers
from verdictd.collateral.pccs_urls import UpdateType, parse_pccs_url
from verdictd.core.errors import ConfigError
from verdictd.pccs.client_config import ClientConfig, encode_json_form, encode_legacy_form


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    example = "pccs client-config --url https://pccs.example:8081 -o /etc/sgx_default_qcnl.conf"
    parser = add_command(subparsers, name, description, example)
    defaults = ClientConfig(url="")
    parser.add_argument("--url", required=True, metavar="URL", help="this cache, as clients reach it")
    parser.add_argument("--collateral-url", metavar="URL", help="where to fetch collateral, if it is elsewhere")
    parser.add_argument(
        "--insecure",
        action="store_true",
        help="clients do not check its TLS certificate (a self-signed one, say)",
    )
    parser.add_argument(
        "--update", choices=["standard", "early"], default="standard", help="whose TCB info to ask for (standard)"
    )
    parser.add_argument(
        "--retry-times", type=int, default=defaults.retry_times, metavar="N", help="further attempts (default 6)"
    )
    parser.add_argument(
        "--retry-delay", type=int, default=defaults.retry_delay, metavar="SECONDS", help="between them (default 10)"
    )
    parser.add_argument("--legacy", action="store_true", help="lines KEY=VALUE, as DCAP before 1.12 reads them")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="the file; else standard output")
    parser.set_defaults(run=_run)


def _run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    del now
    update: UpdateType = "early" if arguments.update == "early" else "standard"
    config = ClientConfig(
        url=_read_url(arguments.url, "--url"),
        collateral_url=_read_url(arguments.collateral_url, "--collateral-url") if arguments.collateral_url else None,
        is_secure=not arguments.insecure,
        update=update,
        retry_times=_read_count(arguments.retry_times, "--retry-times"),
        retry_delay=_read_count(arguments.retry_delay, "--retry-delay"),
    )
    if arguments.legacy and update == "early":
        raise ConfigError(
            "lines KEY=VALUE cannot ask for early TCB info: Intel's library does not know it there",
            remedy="leave out --legacy or --update",
        )
    text = encode_legacy_form(config) if arguments.legacy else encode_json_form(config)
    if arguments.output in {None, Path("-")}:
        out.write(text)
    else:
        write_whole(arguments.output, text.encode("ascii"))
        out.write(f"{arguments.output} names {config.url}; Intel's library and verdictd read it\n")
    return DONE


def _read_url(text: str, flag: str) -> str:
    try:
        return str(parse_pccs_url(text))
    except ConfigError as error:
        raise ConfigError(f"{flag}: {error.message}", remedy=error.remedy) from error


def _read_count(number: int, flag: str) -> int:
    if not 0 <= number <= 999_999:
        raise ConfigError(f"{flag} is {number}, expected 0 to 999999")
    return number
