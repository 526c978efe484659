"""`verdict policy try`: which archived attestations would have another verdict under another policy."""

import argparse
import json
from datetime import UTC, datetime
from typing import TextIO

from verdictd.archive.reader import MAX_LISTED
from verdictd.archive.trial import NEEDED_ROLES, Trial, TrialCounts, count_trials, try_bundles
from verdictd.cli.files import read_bounded
from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.archive_client import fetch_newest
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.core.result import JSONValue
from verdictd.policy.pair import Document
from verdictd.policy.runner import PolicyRunner

_NONE_CHANGES, _SOME_CHANGE = 0, 1
_DEFAULT_LAST = 1000


def add_try_parser(subparsers: Subparsers) -> None:
    """Add the subcommand to `verdict policy`."""
    action = subparsers.add_parser(
        "try",
        help="tell which archived attestations would have another verdict",
        description="Judge the newest attestations that verdictd has archived under another policy and other reference"
        " values, here and without activating them. Exit codes: 0 none would have another verdict, 1 some would, 2"
        " usage or input error.",
    )
    action.add_argument("--policy", required=True, metavar="FILE", help="the policy, in Rego")
    action.add_argument("--reference", required=True, metavar="FILE", help="the reference values, in JSON")
    action.add_argument(
        "--last",
        type=_parse_last,
        default=_DEFAULT_LAST,
        metavar="N",
        help=f"how many attestations, the newest (default {_DEFAULT_LAST})",
    )
    action.add_argument("--json", action="store_true", help="write JSON")
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the subcommand."""
    del now
    policy = Document.of(arguments.policy, read_bounded(arguments.policy, MAX_POLICY_BYTES))
    reference = Document.of(arguments.reference, read_bounded(arguments.reference, MAX_REFERENCE_BYTES))
    with PolicyRunner(workers=1) as runner:
        pair = runner.make_pair(policy, reference)
        bundles = fetch_newest(arguments.client_api, arguments.last, NEEDED_ROLES)
        trials = list(
            try_bundles(bundles, lambda given: runner.evaluate(pair, given), is_open_reference=pair.admits_any_enclave)
        )
    changes = [trial for trial in trials if trial.changes]
    counts = count_trials(trials)
    if arguments.json:
        out.write(json.dumps(_build(changes, counts, len(trials)), indent=4) + "\n")
    else:
        out.writelines(f"{_describe(trial)}\n" for trial in changes)
        out.write(_summarise(counts, len(trials)))
    return _SOME_CHANGE if changes else _NONE_CHANGES


def _describe(trial: Trial) -> str:
    entry = trial.entry
    change = "accepted -> REFUSED" if entry.is_allowed else "refused -> ACCEPTED"
    instant = f"{entry.at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    return f"{instant}  {entry.attestation_id}  {change}  {entry.peer}  {trial.reason}"


def _summarise(counts: TrialCounts, total: int) -> str:
    if not total:
        return "no attestation is archived yet, so that nothing is known of what would change\n"
    return (
        f"of {total} attestations, {counts.newly_refused} accepted -> REFUSED, {counts.newly_accepted} refused ->"
        f" ACCEPTED; {counts.stay_accepted} stay accepted, {counts.stay_refused} stay refused; {counts.unjudged} of all"
        " are not for the policy to decide\n"
    )


def _build(changes: list[Trial], counts: TrialCounts, total: int) -> JSONValue:
    return {
        "attestations": total,
        "stay_accepted": counts.stay_accepted,
        "stay_refused": counts.stay_refused,
        "newly_refused": counts.newly_refused,
        "newly_accepted": counts.newly_accepted,
        "unjudged": counts.unjudged,
        "changes": [
            {
                "attestation": trial.entry.attestation_id,
                "number": trial.entry.number,
                "at": trial.entry.at.isoformat(),
                "peer": trial.entry.peer,
                "recorded": "allow" if trial.entry.is_allowed else "deny",
                "would_be": "allow" if trial.would_allow else "deny",
                "reason": trial.reason,
            }
            for trial in changes
        ],
    }


def _parse_last(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MAX_LISTED:
        raise argparse.ArgumentTypeError(f"{text!r:.40} is not a number from 1 to {MAX_LISTED}")
    return int(text)
