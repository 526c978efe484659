"""verdictd's flags, and the settings that follow from them and from its configuration file."""

import argparse
from pathlib import Path

from verdictd.cli.options import (
    ACCEPTANCE_FLAGS,
    COLLATERAL_FLAGS,
    TRUST_FLAGS,
    add_acceptance_options,
    add_collateral_options,
    add_switch,
    add_trust_options,
    read_flags,
)
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_reader import build_settings, load_settings_file

DAEMON_FLAGS = {
    "--listen": "listen",
    "--client-api": "client_api",
    "--tls": "tls",
    "--crypto": "crypto",
    "--attester": "attester",
    "--verifier": "verifier",
    "--mutual": "mutual",
    "--data-dir": "data_dir",
    "--allow-any-enclave": "allow_any_enclave",
    "--certificate-format": "certificate_format",
    "--endorsements": "endorsements",
    "--quote-command": "quote_command",
    "--simulate": "simulate",
    "--attestation-history": "attestation_history",
    "--log-level": "log_level",
    "--log-format": "log_format",
    **TRUST_FLAGS,
    **ACCEPTANCE_FLAGS,
    **COLLATERAL_FLAGS,
}
"""The setting that each flag sets. The limits can be set in the configuration file alone."""


def add_daemon_options(parser: argparse.ArgumentParser) -> None:
    """Add all of verdictd's flags but ``-V``; read them with `read_settings`."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="TOML file of settings; flags replace its values")
    parser.add_argument("--check-config", action="store_true", help="print the effective settings as TOML, and exit")
    parser.add_argument("-l", "--listen", metavar="ADDRESS", help="where peers connect (default 127.0.0.1:1234)")
    parser.add_argument(
        "--client-api", metavar="ADDRESS", help="where verdict connects: loopback or unix:/path (default [::1]:60000)"
    )
    parser.add_argument("--data-dir", metavar="DIR", help="holds policies and reference values (default /opt/verdictd)")
    parser.add_argument("--log-level", metavar="LEVEL", help="debug, info, warn, error, fatal or off (default info)")
    parser.add_argument("--log-format", metavar="FORMAT", help="text or json (default text)")
    parser.add_argument("--attestation-history", type=int, metavar="N", help="how many attestations are remembered")
    _add_instances(parser)
    _add_own_evidence(parser)
    add_acceptance_options(parser)
    add_trust_options(parser)
    add_collateral_options(parser)


def _add_instances(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how peers are judged")
    add_switch(group, "-m/--mutual", "peers must present a certificate; needed for any verifier but nullverifier")
    group.add_argument(
        "--verifier",
        metavar="NAME",
        help="what every peer must pass: sgx_ecdsa (default), or nullverifier for no check",
    )
    group.add_argument("--tls", metavar="NAME", help="openssl (default), or nulltls for no TLS at all")
    group.add_argument("--crypto", metavar="NAME", help="openssl (default), or nullcrypto with nulltls")
    add_switch(group, "--allow-any-enclave", "serve also while the reference values name no enclave and no signer")


def _add_own_evidence(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how verdictd proves itself")
    group.add_argument("--attester", metavar="NAME", help="nullattester (default) or sgx_ecdsa")
    group.add_argument("--quote-command", metavar="COMMAND", help="a program that makes our quotes")
    group.add_argument("--simulate", metavar="DIR", help="a simulated platform that makes our quotes, see tee-sim")
    group.add_argument("--certificate-format", metavar="FORMAT", help="interoperable (default) or legacy")
    add_switch(group, "--endorsements", "send collateral along with our evidence")


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings of the file that ``--config`` names, if any, with the flags laid over them.

    Raises:
        ConfigError: says at which key of the file, or at which flag, or which settings contradict each other.
        LimitExceededError: the file is too long.
    """
    file = {} if arguments.config is None else load_settings_file(arguments.config)
    return build_settings(file, read_flags(arguments, DAEMON_FLAGS))
