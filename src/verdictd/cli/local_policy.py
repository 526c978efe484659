"""A policy and reference values from files, for judging without a daemon."""

import argparse
from dataclasses import dataclass

from verdictd.cli.files import read_bounded
from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.core.result import JSONValue
from verdictd.daemon.policies import load_shipped_policy
from verdictd.policy.decision import Decision
from verdictd.policy.service import evaluate_once


@dataclass(frozen=True, slots=True)
class LocalPolicy:
    """A policy with its reference values, both as bytes of files that were not yet checked.

    Attributes:
        policy: ``None`` for the one that is shipped for the kind of evidence.
        reference: the reference values.
    """

    policy: bytes | None
    reference: bytes

    def decide(self, tee: str, given: dict[str, JSONValue]) -> Decision:
        """Decide about an input made of a kind of evidence.

        Raises:
            VerdictdError: the policy or the reference values must not be used.
        """
        policy = load_shipped_policy(tee) if self.policy is None else self.policy
        return evaluate_once(policy, self.reference, given)


def add_policy_options(parser: argparse.ArgumentParser) -> None:
    """Add the flags; read them with `read_policy`."""
    group = parser.add_argument_group("which enclaves are accepted (by default any)")
    group.add_argument("--policy", metavar="FILE", help="a policy in Rego; with --reference alone, the shipped one")
    group.add_argument("--reference", metavar="FILE", help="reference values in JSON")


def read_policy(arguments: argparse.Namespace) -> LocalPolicy | None:
    """Return what the flags name; ``None`` where they name nothing.

    Raises:
        ConfigError: a file cannot be read, or a policy is named without reference values.
        LimitExceededError: a file is too long.
    """
    if arguments.policy is None and arguments.reference is None:
        return None
    if arguments.reference is None:
        raise ConfigError(
            "--policy is given without --reference", remedy="name reference values too; {} if it has none"
        )
    policy = None if arguments.policy is None else read_bounded(arguments.policy, MAX_POLICY_BYTES)
    return LocalPolicy(policy, read_bounded(arguments.reference, MAX_REFERENCE_BYTES))
