"""verdictd's flags, and the settings that follow from them and from its configuration file."""

import argparse
from pathlib import Path

from verdictd.cli.options import (
    ACCEPTANCE_FLAGS,
    COLLATERAL_FLAGS,
    GUEST_FLAGS,
    TRUST_FLAGS,
    add_acceptance_options,
    add_collateral_options,
    add_guest_options,
    add_switch,
    add_trust_options,
    read_flags,
)
from verdictd.daemon.settings import Settings
from verdictd.daemon.settings_reader import FORM, build_settings
from verdictd.ratstls.limits import ServerLimits

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
    "--workers": "workers",
    "--metrics": "metrics",
    "--otlp-endpoint": "otlp_endpoint",
    "--audit-sync-always": "audit_sync_always",
    "--archive": "archive.is_on",
    "--archive-max-bytes": "archive.max_bytes",
    "--archive-max-age-days": "archive.max_age_days",
    "--log-level": "log_level",
    "--log-format": "log_format",
    "--max-connections": "limits.max_connections",
    "--max-connections-per-address": "limits.max_connections_per_address",
    "--handshake-threads": "limits.handshake_threads",
    "--handshake-timeout": "limits.handshake_timeout_s",
    "--max-handshake-bytes": "limits.max_handshake_bytes",
    "--idle-timeout": "limits.idle_timeout_s",
    "--request-timeout": "limits.request_timeout_s",
    "--max-requests": "limits.max_requests",
    "--max-connection-bytes": "limits.max_connection_bytes",
    "--max-silent-bytes": "limits.max_silent_bytes",
    "--write-timeout": "limits.write_timeout_s",
    "--farewell-timeout": "limits.farewell_timeout_s",
    "--max-refusals-per-minute": "limits.max_refusals_per_minute",
    **TRUST_FLAGS,
    **ACCEPTANCE_FLAGS,
    **COLLATERAL_FLAGS,
    **GUEST_FLAGS,
}
"""The setting that each flag sets."""


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
    parser.add_argument("--workers", type=int, metavar="N", help="processes that judge peers (default one a core)")
    parser.add_argument("--metrics", metavar="ADDRESS", help="where /metrics, /healthz and /readyz are (default none)")
    parser.add_argument("--otlp-endpoint", metavar="URL", help="collector that traces of handshakes are sent to")
    _add_records(parser)
    _add_instances(parser)
    _add_own_evidence(parser)
    _add_limits(parser)
    add_acceptance_options(parser)
    add_trust_options(parser)
    add_collateral_options(parser)
    add_guest_options(parser)


def _add_instances(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("how peers are judged")
    add_switch(group, "-m/--mutual", "peers must present a certificate; needed for any verifier but nullverifier")
    group.add_argument(
        "--verifier",
        action="append",
        metavar="NAME",
        help="what every peer must pass: sgx_ecdsa (default), tdx_ecdsa, any of them, or nullverifier for no check;"
        " may be repeated: a peer passes by the one for its kind of evidence",
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


def _add_records(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what is recorded, in the data directory")
    add_switch(group, "--audit-sync-always", "wait for the disk with each record of the audit log")
    add_switch(group, "--archive", "keep what each attestation was judged by, so that it can be judged again")
    group.add_argument("--archive-max-bytes", type=int, metavar="N", help="how large the archive may become")
    group.add_argument("--archive-max-age-days", type=int, metavar="DAYS", help="how long it keeps an attestation")


def _add_limits(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("what peers may take of this machine")
    for flag, kind, metavar, help_text in (
        ("--max-connections", int, "N", "connections at once (default {})"),
        ("--max-connections-per-address", int, "N", "of these, from one address or IPv6 /64 (default {})"),
        ("--handshake-threads", int, "N", "handshakes at once that may wait for collateral, a worker (default {})"),
        ("--handshake-timeout", float, "SECONDS", "for a handshake as a whole (default {:g})"),
        ("--max-handshake-bytes", int, "N", "certificate, evidence and the rest of a handshake (default {})"),
        ("--idle-timeout", float, "SECONDS", "for which an accepted peer may send nothing (default {:g})"),
        ("--request-timeout", float, "SECONDS", "in which a request that began has to be complete (default {:g})"),
        ("--max-requests", int, "N", "on one connection (default {})"),
        ("--max-connection-bytes", int, "N", "what a peer may send on one connection (default {})"),
        ("--max-silent-bytes", int, "N", "what a peer may send that holds no data (default {})"),
        ("--write-timeout", float, "SECONDS", "in which a peer has to take what is sent to it (default {:g})"),
        ("--farewell-timeout", float, "SECONDS", "in which a peer can read the last words (default {:g})"),
        ("--max-refusals-per-minute", int, "N", "that a worker records one by one; more are counted (default {})"),
    ):
        attribute = DAEMON_FLAGS[flag].removeprefix("limits.")
        group.add_argument(flag, type=kind, metavar=metavar, help=help_text.format(getattr(ServerLimits(), attribute)))


def read_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings of the file that ``--config`` names, if any, with the flags laid over them.

    Raises:
        ConfigError: says at which key of the file, or at which flag, or which settings contradict each other.
        LimitExceededError: the file is too long.
    """
    file = {} if arguments.config is None else FORM.load_file(arguments.config)
    return build_settings(file, read_flags(arguments, DAEMON_FLAGS))
