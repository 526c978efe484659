"""`verdict policy`: upload policy and reference values in one step, try them first, see what was in force, go back.

`set` is here; each other action is in a module of its own, and adds itself to the group.
"""

import argparse
from datetime import datetime
from typing import TextIO

from verdictd.cli.files import read_text
from verdictd.cli.subcommands import Subparsers
from verdictd.cli.verdict.policy_history import add_history_parser
from verdictd.cli.verdict.policy_rollback import add_rollback_parser
from verdictd.cli.verdict.policy_try import add_try_parser
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import PolicyServiceStub


def add_parser(subparsers: Subparsers, name: str, description: str) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(name, help=description)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for add in (_add_set_parser, add_history_parser, add_rollback_parser, add_try_parser):
        add(actions)


def _add_set_parser(actions: Subparsers) -> None:
    action = actions.add_parser("set", help="replace both at once; no decision ever mixes old and new")
    action.add_argument("--policy", required=True, metavar="FILE", help="the policy, in Rego")
    action.add_argument("--reference", required=True, metavar="FILE", help="the reference values, in JSON")
    action.add_argument("--policy-name", default="sgxPolicy.rego", metavar="NAME")
    action.add_argument("--reference-name", default="sgxData", metavar="NAME")
    action.set_defaults(run=run)


def run(arguments: argparse.Namespace, out: TextIO, now: datetime) -> int:
    """Run the subcommand; 1 where the daemon refuses the pair and keeps what it has."""
    del now
    request = messages.SetPairRequest(
        policy_name=arguments.policy_name,
        policy=read_text(arguments.policy, MAX_POLICY_BYTES).encode(),
        reference_name=arguments.reference_name,
        reference=read_text(arguments.reference, MAX_REFERENCE_BYTES).encode(),
    )
    with client_api(arguments.client_api) as channel:
        response = PolicyServiceStub(channel).SetPair(request, timeout=TIMEOUT_S)
    if response.WhichOneof("outcome") == "ok":
        digests = response.ok
        out.write(f"set {arguments.policy_name} (sha256 {digests.policy_digest})\n")
        out.write(f"set {arguments.reference_name} (sha256 {digests.reference_digest})\n")
        return 0
    remedy = f"; {response.error.remedy}" if response.error.remedy else ""
    out.write(f"refused, nothing was changed: {response.error.message}{remedy}\n")
    return 1
