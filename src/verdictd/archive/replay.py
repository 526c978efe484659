"""Judges an archived attestation again, and says whether the verdict is the one that was given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from verdictd.appraisal.appraiser import Appraiser
from verdictd.appraisal.policy_step import Decide, apply_users_policy
from verdictd.archive.entry import ArchiveEntry
from verdictd.archive.material import (
    ArchivedSettings,
    Outcome,
    Role,
    check_blob,
    decode_checks,
    decode_collateral,
    decode_roots,
    decode_settings,
)
from verdictd.archive.reader import Bundle
from verdictd.collateral.found import FoundCollateral
from verdictd.core.checks import CheckResult
from verdictd.core.errors import MalformedError
from verdictd.core.result import AppraisalResult, JSONValue
from verdictd.policy.decision import Decision
from verdictd.policy.decision import Outcome as DecisionOutcome
from verdictd.ratstls.certificate import attestation_id
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.trust_roots import TrustRoots

_OPTIONAL = {result: result for result in CheckResult} | {CheckResult.NOT_MADE: CheckResult.PASS}
"""What the result of a check counts as where the check need not be made."""

Evaluate = Callable[[bytes, bytes, dict[str, JSONValue]], Decision]
"""Decides about an input under a policy and reference values, both as bytes that were not checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Everything that an attestation was judged by, read back and checked against the digests of its entry.

    Trust: that these digests are those of the attestation is for the audit log to say.

    Attributes:
        entry: the attestation.
        certificate: the peer's, in DER.
        collateral: what its evidence was judged with.
        roots: what was trusted.
        settings: the settings.
        policy, reference: what decided; ``None`` where none could be used.
        recorded: what became of each check.
    """

    entry: ArchiveEntry
    certificate: bytes
    collateral: Collateral
    roots: TrustRoots
    settings: ArchivedSettings
    policy: bytes | None
    reference: bytes | None
    recorded: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class CheckDifference:
    """A check of which something else became. ``None`` where there is no such check on that side."""

    name: str
    recorded: CheckResult | None
    found: CheckResult | None


def open_replay(bundle: Bundle) -> Replay:
    """Read everything that an attestation was judged by.

    Args:
        bundle: untrusted, all its blobs among it.
    Raises:
        MalformedError, LimitExceededError: something is missing, or is not what its digest says.
    """
    entry = bundle.entry
    missing = [role.value for role in entry.digests if role not in bundle.blobs]
    needed = {Role.CERTIFICATE, Role.TRUST_ROOTS, Role.SETTINGS, Role.CHECKS}
    missing += [role.value for role in needed if role not in entry.digests]
    if missing:
        raise MalformedError(f"the archive does not have the {missing[0]} of attestation {entry.attestation_id}")
    blobs = {role: check_blob(role, digest, bundle.blobs[role]).content for role, digest in entry.digests.items()}
    certificate = blobs[Role.CERTIFICATE]
    if attestation_id(certificate) != entry.attestation_id:
        raise MalformedError(f"the archived certificate is not that of attestation {entry.attestation_id}")
    recorded = decode_checks(blobs[Role.CHECKS])
    if _is_allowed(recorded) is not entry.is_allowed:
        raise MalformedError(f"the archived verdict of attestation {entry.attestation_id} is not that of its checks")
    return Replay(
        entry=entry,
        certificate=certificate,
        collateral=decode_collateral(blobs, entry.sources),
        roots=decode_roots(blobs[Role.TRUST_ROOTS]),
        settings=decode_settings(blobs[Role.SETTINGS]),
        policy=blobs.get(Role.POLICY),
        reference=blobs.get(Role.REFERENCE),
        recorded=recorded,
    )


def judge_again(replay: Replay, at: datetime, evaluate: Evaluate) -> tuple[AppraisalResult, Decision | None]:
    """Judge an attestation as verdictd did, with all that it was judged by then, for an instant.

    Args:
        replay: what it was judged by.
        at: the instant; `ArchiveEntry.at` for the one it was judged for.
        evaluate: evaluates a policy.
    Raises:
        VerdictdError: the archived policy or reference values cannot be used.
    """
    appraiser = Appraiser(
        roots=replay.roots,
        acceptance=replay.settings.acceptance,
        find_collateral=lambda *_: FoundCollateral(collateral=replay.collateral),
    )
    result = appraiser.appraise_certificate(replay.certificate, replay.settings.verifier, at)
    if replay.settings.verifier.is_null:
        return result, None
    return apply_users_policy(result, _decide_as_then(replay, evaluate), replay.entry.open_reference_remedy)


def compare(recorded: Sequence[Outcome], result: AppraisalResult) -> tuple[CheckDifference, ...]:
    """Say of which checks something else became than is recorded, in the order made."""
    then = {name: outcome for name, outcome, _ in recorded}
    now = {check.name: check.result for check in result.checks}
    return tuple(
        CheckDifference(name, then.get(name), now.get(name))
        for name in dict.fromkeys([*then, *now])
        if then.get(name) is not now.get(name)
    )


def _is_allowed(recorded: Sequence[Outcome]) -> bool:
    refused = any(
        result is CheckResult.FAIL or (result is CheckResult.NOT_MADE and mandatory)
        for _, result, mandatory in recorded
    )
    return bool(recorded) and not refused


def _decide_as_then(replay: Replay, evaluate: Evaluate) -> Decide:
    policy, reference = replay.policy, replay.reference
    if policy is None or reference is None:
        why = "verdictd had no usable policy and reference values then"
        return lambda _tee, _given: Decision(allow=False, outcome=DecisionOutcome.UNUSABLE, reason=why)
    return lambda _tee, given: evaluate(policy, reference, given)
