"""Says which archived attestations would have another verdict under another policy or other reference values."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from verdictd.appraisal.policy_step import POLICY_CHECK, REFERENCE_CHECK
from verdictd.archive.entry import ArchiveEntry
from verdictd.archive.material import Role, check_blob, decode_policy_input, decode_settings
from verdictd.archive.reader import Bundle
from verdictd.core.errors import MalformedError
from verdictd.core.result import JSONValue
from verdictd.policy.decision import Decision

NEEDED_ROLES = frozenset({Role.POLICY_INPUT, Role.SETTINGS})
"""What a trial needs of each attestation."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What a policy and reference values would have made of an attestation.

    Attributes:
        entry: the attestation, with the verdict that it has.
        would_allow: the verdict that it would have.
        reason: why, in one sentence.
        is_policys_own: whether the policy has a say: nothing else refuses the peer.
    """

    entry: ArchiveEntry
    would_allow: bool
    reason: str
    is_policys_own: bool

    @property
    def changes(self) -> bool:
        """Whether the verdict would be another."""
        return self.would_allow is not self.entry.is_allowed


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialCounts:
    """How many attestations were tried, and what became of them.

    Attributes:
        stay_accepted, stay_refused: with the verdict that they have.
        unjudged: those of all whose verdict the policy has no say in: something else refuses them, or the
            evidence is not judged at all.
        newly_refused, newly_accepted: with another.
    """

    stay_accepted: int
    stay_refused: int
    unjudged: int
    newly_refused: int
    newly_accepted: int

    @property
    def changes(self) -> int:
        """How many would have another verdict."""
        return self.newly_refused + self.newly_accepted


def try_bundles(
    bundles: Iterable[Bundle], decide: Callable[[dict[str, JSONValue]], Decision], *, is_open_reference: bool
) -> Iterator[Trial]:
    """Try a policy and reference values on archived attestations.

    Args:
        bundles: untrusted, with the blobs of `NEEDED_ROLES`, as far as the attestations have them.
        decide: evaluates the policy with the reference values for an input.
        is_open_reference: whether the reference values are as open as the shipped ones; peers are refused then, unless
            verdictd let in any enclave.
    Raises:
        MalformedError, LimitExceededError: something is missing, or is not what its digest says.
    """
    for bundle in bundles:
        yield _try(bundle, decide, is_open_reference=is_open_reference)


def count_trials(trials: Iterable[Trial]) -> TrialCounts:
    """Count what became of attestations."""
    counts: Counter[tuple[bool, bool]] = Counter()
    unjudged = 0
    for trial in trials:
        counts[trial.entry.is_allowed, trial.would_allow] += 1
        unjudged += not trial.is_policys_own
    return TrialCounts(
        stay_accepted=counts[True, True],
        stay_refused=counts[False, False],
        unjudged=unjudged,
        newly_refused=counts[True, False],
        newly_accepted=counts[False, True],
    )


def _try(bundle: Bundle, decide: Callable[[dict[str, JSONValue]], Decision], *, is_open_reference: bool) -> Trial:
    entry = bundle.entry
    settings = decode_settings(_take(bundle, Role.SETTINGS))
    if settings.verifier.is_null:
        why = "nullverifier was named: the policy is not asked"
        return Trial(entry=entry, would_allow=entry.is_allowed, reason=why, is_policys_own=False)
    if not entry.is_policys_own:
        why = f"check {entry.refusals[0].name} refuses it whatever the policy" if entry.refusals else "it is refused"
        return Trial(entry=entry, would_allow=False, reason=why, is_policys_own=False)
    if is_open_reference and settings.is_guarded:
        why = f"{REFERENCE_CHECK}: the reference values are as the shipped, empty ones, and let in anybody's enclave"
        return Trial(entry=entry, would_allow=False, reason=why, is_policys_own=True)
    decision = decide(decode_policy_input(_take(bundle, Role.POLICY_INPUT)))
    why = f"{POLICY_CHECK}: {decision.reason}"
    return Trial(entry=entry, would_allow=decision.allow is True, reason=why, is_policys_own=True)


def _take(bundle: Bundle, role: Role) -> bytes:
    if role not in bundle.entry.digests or role not in bundle.blobs:
        raise MalformedError(f"the archive does not have the {role} of attestation {bundle.entry.attestation_id}")
    return check_blob(role, bundle.entry.digests[role], bundle.blobs[role]).content
