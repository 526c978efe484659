"""`verdict appraise`: judge a quote or certificate without a daemon, or what it archived, and show every check."""

import argparse
import json
import os
from datetime import UTC, datetime
from typing import TextIO

from verdictd.appraisal.guest_tees import GUEST_KINDS
from verdictd.appraisal.installed_tees import installed_tees
from verdictd.appraisal.policy_step import apply_policy, skip_policy
from verdictd.appraisal.report import build_report, describe_result
from verdictd.appraisal.verifiers import ANY, parse_verifiers
from verdictd.cli.files import read_bounded, read_evidence
from verdictd.cli.local_policy import LocalPolicy, add_policy_options, read_policy
from verdictd.cli.options import (
    add_acceptance_options,
    add_collateral_options,
    add_guest_options,
    add_trust_options,
    read_acceptance,
    read_collateral_settings,
    read_guest_settings,
    read_trust_roots,
)
from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.appraise_archived import run_archived
from verdictd.collateral.store import OfferStatus
from verdictd.core.errors import ConfigError
from verdictd.core.result import AppraisalResult
from verdictd.daemon.collateral_setup import AppraisalSetup, open_sources
from verdictd.daemon.guest_setup import make_guest_tees
from verdictd.policy.decision import Decision
from verdictd.ratstls.certificate import looks_like_certificate
from verdictd.ratstls.evidence import tell_quote_kind
from verdictd.tees.tdx_ecdsa.event_log import MAX_EVENT_LOG_BYTES

_ACCEPTED, _REFUSED = 0, 1
_THEN, _NOW = "then", "now"


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        name,
        help=description,
        description="Judge an SGX quote or a RATS-TLS certificate, without a daemon, or an attestation that verdictd"
        " has archived, with all that it was judged by; list every check. Exit codes: 0 accepted, 1 refused, 2 usage or"
        " input error.",
    )
    subject = parser.add_mutually_exclusive_group(required=True)
    subject.add_argument(
        "file", nargs="?", metavar="FILE", help="a quote, or a RATS-TLS certificate in PEM or DER; - for stdin"
    )
    subject.add_argument(
        "--attestation",
        metavar="ID|audit:N",
        help="instead of FILE, an attestation that verdictd archived: the first digits of its id, or its number in the"
        " audit log",
    )
    parser.add_argument(
        "--at",
        type=_parse_instant,
        metavar="TIME",
        help=f"appraise for this instant, e.g. 2026-01-31T00:00:00Z; {_NOW} (the default of FILE), or {_THEN}, when"
        " verdictd judged it (the default of --attestation)",
    )
    parser.add_argument("--json", action="store_true", help="write JSON (docs/appraisal-result.schema.json)")
    add_policy_options(parser)
    add_acceptance_options(parser)
    add_trust_options(parser)
    add_collateral_options(parser)
    add_guest_options(parser)
    parser.add_argument(
        "--tee",
        choices=(*sorted(GUEST_KINDS), *installed_tees()),
        help="what FILE is, where it is bare evidence and no Intel quote: nothing in it says so; for a certificate, the"
        " one kind of evidence that is accepted",
    )
    parser.add_argument(
        "--event-log",
        metavar="LOG",
        help="with a TD's quote: the log of what was measured into its registers, as"
        " /sys/firmware/acpi/tables/data/CCEL of the TD; it has to make RTMR0, RTMR1 and RTMR2",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the subcommand."""
    if arguments.attestation is not None:
        return run_archived(arguments, out, _choose_instant(arguments.at or _THEN, now))
    at = _choose_instant(arguments.at or _NOW, now)
    if at is None:
        raise ConfigError(f"--at {_THEN} is for what is archived alone", remedy="give --attestation, or an instant")
    data = read_evidence(arguments.file)
    kind, is_certificate = arguments.tee, looks_like_certificate(data)
    verifiers = parse_verifiers([kind or ANY])
    if kind is None and not is_certificate:
        tell_quote_kind(data)  # what is no quote at all is an error of input, and no refusal
    event_log = None if arguments.event_log is None else read_bounded(arguments.event_log, MAX_EVENT_LOG_BYTES)
    if event_log is not None and (kind is not None or is_certificate):
        raise ConfigError("--event-log goes with a bare quote of a TD", remedy="leave it out")
    policy = read_policy(arguments)
    setup = AppraisalSetup(
        roots=read_trust_roots(arguments),
        acceptance=read_acceptance(arguments),
        sources=open_sources(read_collateral_settings(arguments), os.environ),
        guests=make_guest_tees(read_guest_settings(arguments), read_acceptance(arguments)),
        verifiers=verifiers,
    )
    refused = [outcome for outcome in setup.service.preload(at) if outcome.status is OfferStatus.REFUSED]
    if is_certificate:
        result = setup.appraiser.appraise_certificate(data, verifiers, at)
    elif kind is not None:
        result = setup.appraiser.appraise_evidence(kind, data, at)
    else:
        result = setup.appraiser.appraise_quote(data, at, event_log=event_log)
    result, decision = _judge_by_policy(result, policy)
    if arguments.json:
        out.write(json.dumps(build_report(result, decision), indent=4) + "\n")
    else:
        out.writelines(f"collateral from {outcome.item.source} is not used: {outcome.reason}\n" for outcome in refused)
        out.write(describe_result(result) + "\n")
    return _ACCEPTED if result.allowed else _REFUSED


def _judge_by_policy(result: AppraisalResult, policy: LocalPolicy | None) -> tuple[AppraisalResult, Decision | None]:
    if policy is None:
        return skip_policy(result, "no --policy is given: any enclave is accepted"), None
    return apply_policy(result, policy.decide)


def _choose_instant(at: datetime | str, now: datetime) -> datetime | None:
    """Return an instant; ``None`` for the one that verdictd judged for."""
    if isinstance(at, datetime):
        return at
    return None if at == _THEN else now


def _parse_instant(text: str) -> datetime | str:
    if text in {_THEN, _NOW}:
        return text
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not an instant like 2026-01-31T00:00:00Z") from error
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=UTC)
