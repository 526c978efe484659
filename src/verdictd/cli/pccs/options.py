"""The flags of `pccs`, and the settings that follow from them, the environment and its configuration file."""

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from verdictd.cli.subcommands import Subparsers
from verdictd.configuration.amd_trust_files import AMD
from verdictd.configuration.trust_files import INTEL
from verdictd.core.errors import ConfigError
from verdictd.pccs.settings import AMD_KDS_URL, Settings
from verdictd.pccs.settings_reader import FORM, build_settings, read_environment

_CACHE_FLAGS: Final = {
    "--data-dir": "data_dir",
    "--database": "database",
    "--upstream": "upstreams",
    "--region": "region",
    "--vpc": "vpc",
    "--trust-root": "trust_roots",
    "--amd-upstream": "amd_upstream",
    "--amd-root": "amd_roots",
    "--mode": "mode",
    "--log-level": "log_level",
    "--log-format": "log_format",
}
_SERVER_FLAGS: Final = {
    "--listen": "listen",
    "--tls-cert": "tls_certificate",
    "--tls-key": "tls_key",
    "--user-token-hash": "user_token_hash",
    "--admin-token-hash": "admin_token_hash",
    "--refresh-hours": "refresh_hours",
    "--no-metrics": "metrics",
    "--max-request-bytes": "limits.max_request_bytes",
    "--headers-timeout": "limits.headers_timeout_s",
    "--request-timeout": "limits.request_timeout_s",
    "--keep-alive": "limits.keep_alive_s",
    "--max-connections": "limits.max_connections",
    "--unknown-per-second": "limits.unknown_per_second",
}
FLAGS: Final = _CACHE_FLAGS | _SERVER_FLAGS
"""The setting that each flag sets."""


def add_command(subparsers: Subparsers, name: str, description: str, example: str) -> argparse.ArgumentParser:
    """Add a subcommand whose help ends with an example."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name, help=description, description=f"{description[0].upper()}{description[1:]}.", epilog=f"Example: {example}",
        allow_abbrev=False,
    )  # fmt: skip
    return parser


def add_cache_options(parser: argparse.ArgumentParser) -> None:
    """Add which database a command works on, what is trusted, and who is asked; read them with `read_settings`."""
    group = parser.add_argument_group("the cache")
    group.add_argument("--config", metavar="FILE", type=Path, help="TOML file of settings; flags replace its values")
    group.add_argument("--data-dir", metavar="DIR", help="holds the database (default ~/.local/share/verdictd/pccs)")
    group.add_argument(
        "--database", metavar="URL", help="another database: postgresql+psycopg://…; or in PCCS_DATABASE"
    )
    group.add_argument(
        "--upstream",
        action="append",
        metavar="URL",
        help=f"whom to ask instead of Intel ({INTEL}): a PCS, or another PCCS; repeat for several, asked in this order",
    )
    group.add_argument("--region", metavar="REGION", help="ask Alibaba Cloud's service in this region (cn-hangzhou)")
    group.add_argument("--vpc", action="store_true", default=None, help="at that region's address inside its VPC")
    group.add_argument("--mode", metavar="MODE", help="when upstream is asked: lazy (default), req or offline")
    trust = parser.add_argument_group("what is trusted")
    trust.add_argument(
        "--trust-root",
        action="append",
        metavar=f"PEM|{INTEL}",
        help=f"root CA to trust INSTEAD of Intel's; repeat for several, {INTEL} among them to keep Intel's",
    )
    trust.add_argument(
        "--amd-root",
        action="append",
        metavar=f"PEM|{AMD}",
        help=f"root of AMD's to trust INSTEAD of the shipped ones; repeat, {AMD} among them to keep those",
    )
    group.add_argument("--amd-upstream", metavar="URL", help=f"whom to ask for AMD's (default {AMD_KDS_URL})")
    group.add_argument("--log-level", metavar="LEVEL", help="debug, info, warn, error, fatal or off (default info)")
    group.add_argument("--log-format", metavar="FORMAT", help="text or json (default text)")


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add what only a server needs."""
    parser.add_argument("--listen", metavar="ADDRESS", help="where clients connect (default 127.0.0.1:8081)")
    parser.add_argument("--tls-cert", metavar="PEM", help="our certificate and its chain; read again when it changes")
    parser.add_argument("--tls-key", metavar="PEM", help="its private key; without it plain HTTP, on loopback alone")
    parser.add_argument(
        "--user-token-hash", metavar="SHA512", help="of whom may register platforms; or in PCCS_USER_TOKEN_HASH"
    )
    parser.add_argument(
        "--admin-token-hash", metavar="SHA512", help="of whom may administer; or in PCCS_ADMIN_TOKEN_HASH"
    )
    parser.add_argument(
        "--refresh-hours", type=int, metavar="N", help="after which everything held is asked for again (default 24)"
    )
    parser.add_argument("--no-metrics", action="store_false", default=None, help="do not serve /metrics")
    limits = parser.add_argument_group("what clients may take of this machine (defaults are Intel's)")
    limits.add_argument("--max-request-bytes", type=int, metavar="N", help="of a request's body (default 2097152)")
    limits.add_argument("--headers-timeout", type=float, metavar="SECONDS", help="for a request's headers (default 10)")
    limits.add_argument("--request-timeout", type=float, metavar="SECONDS", help="for a whole request (default 15)")
    limits.add_argument("--keep-alive", type=float, metavar="SECONDS", help="for an idle connection (default 60)")
    limits.add_argument("--max-connections", type=int, metavar="N", help="at once, in each process (default 10000)")
    limits.add_argument(
        "--unknown-per-second",
        type=int,
        metavar="N",
        help="things not held here for which upstream is asked a second (default 20)",
    )


def add_families_option(parser: argparse.ArgumentParser) -> None:
    """Add which families of platforms a command is about; read them with `arguments.fmspc`."""
    parser.add_argument(
        "--fmspc",
        action="append",
        type=parse_family,
        default=[],
        metavar="FMSPC",
        help="a family of platforms, 12 hex digits; repeat for several",
    )


def parse_family(text: str) -> bytes:
    """Read an FMSPC for argparse.

    Raises:
        ArgumentTypeError: not 12 hex digits.
    """
    try:
        fmspc = bytes.fromhex(text)
    except ValueError:
        fmspc = b""
    if len(fmspc) != 6 or len(text) != 12:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not an FMSPC, which is 12 hex digits")
    return fmspc


def read_settings(arguments: argparse.Namespace, env: Mapping[str, str] = os.environ) -> Settings:
    """Return the settings of the file that ``--config`` names, if any, the environment over it, and flags over both.

    Raises:
        ConfigError: says at which key of the file, which variable or which flag, or which settings contradict.
        LimitExceededError: the file is too long.
    """
    file = {} if arguments.config is None else FORM.load_file(arguments.config)
    values = {flag: getattr(arguments, _attribute(flag), None) for flag in FLAGS}
    raw = {FLAGS[flag]: value for flag, value in values.items() if value is not None}
    names = {key: flag for flag, key in FLAGS.items()}
    flags = FORM.read_layer(raw, name=names.__getitem__, base=Path())
    if "database" in flags and "data_dir" in flags:
        raise ConfigError("--database and --data-dir name two databases", remedy="leave out one of them")
    return build_settings(file, read_environment(env), flags)


def _attribute(flag: str) -> str:
    return flag.removeprefix("--").replace("-", "_")
