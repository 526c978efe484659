"""Makes an entry of the archive from what is at hand when a peer has been judged. Pure."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from verdictd.appraisal.policy_step import ACCEPTABILITY_CHECKS, POLICY_CHECKS
from verdictd.appraisal.tee_claims import claims_of
from verdictd.appraisal.verifiers import Verifiers
from verdictd.archive.entry import ArchiveEntry
from verdictd.archive.material import (
    ArchivedSettings,
    Blob,
    Role,
    encode_checks,
    encode_collateral,
    encode_json,
    encode_roots,
    encode_settings,
)
from verdictd.audit.records import Digests
from verdictd.core.result import AppraisalResult
from verdictd.policy.decision import Decision
from verdictd.policy.pair import PolicyPair
from verdictd.ratstls.certificate import attestation_id
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.trust_roots import TrustRoots


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPeer:
    """Everything that a peer was judged by, and what came of it. Nothing is copied to make one.

    Attributes:
        number: of the record in the audit log; 0 where there is none.
        peer: the peer's address, ``host:port``.
        certificate: the peer's certificate in DER, untrusted.
        result: the whole result, the user's policy included.
        decision: the policy's decision, where one was made.
        pair: what decided, or what is in force; ``None`` where none can be used.
        collateral: what the evidence was judged with.
        roots: what is trusted.
        acceptance: what of a genuine platform is acceptable.
        verifier: the verifier that is enforced.
        is_guarded: whether peers are refused while the reference values are the shipped, empty ones.
        open_reference_remedy: what to do about them where that refused this peer; else ``None``.
    """

    number: int
    peer: str
    certificate: bytes
    result: AppraisalResult
    decision: Decision | None
    pair: PolicyPair | None
    collateral: Collateral
    roots: TrustRoots
    acceptance: Acceptance
    verifier: Verifiers
    is_guarded: bool
    open_reference_remedy: str | None


@dataclass(frozen=True, slots=True)
class BuiltEntry:
    """An entry, and the blobs that it names."""

    entry: ArchiveEntry
    blobs: Mapping[Role, Blob]


def build_entry(judged: JudgedPeer) -> BuiltEntry:
    """Make the entry of a peer that was judged."""
    blobs = {
        Role.CERTIFICATE: Blob.of(judged.certificate),
        **encode_collateral(judged.collateral),
        Role.TRUST_ROOTS: encode_roots(judged.roots),
        Role.SETTINGS: encode_settings(
            ArchivedSettings(acceptance=judged.acceptance, verifier=judged.verifier, is_guarded=judged.is_guarded)
        ),
        Role.CHECKS: encode_checks(judged.result.checks),
    }
    pair = judged.pair if _decided_under(judged.pair, judged.decision) else None
    if pair is not None:
        blobs[Role.POLICY] = Blob(pair.policy.digest, pair.policy.content)
        blobs[Role.REFERENCE] = Blob(pair.reference.digest, pair.reference.content)
    if _is_genuine(judged):
        made_by = claims_of(judged.result.tee)
        given = made_by.build_policy_input(judged.result.claims, judged.result.custom_claims)
        blobs[Role.POLICY_INPUT] = Blob.of(encode_json(given))
    entry = ArchiveEntry(
        number=judged.number,
        attestation_id=attestation_id(judged.certificate),
        at=judged.result.at,
        peer=judged.peer,
        tee=judged.result.tee,
        is_allowed=judged.result.allowed,
        refusals=judged.result.refusals,
        is_policys_own=all(check.name in POLICY_CHECKS for check in judged.result.refusals),
        open_reference_remedy=judged.open_reference_remedy,
        policy_name="" if pair is None else pair.policy.name,
        reference_name="" if pair is None else pair.reference.name,
        sources=dict(judged.result.sources),
        digests={role: blob.digest for role, blob in blobs.items()},
    )
    return BuiltEntry(entry, blobs)


def digest_attestation(
    certificate: bytes, evidence: bytes, collateral: Collateral, decision: Decision | None
) -> Digests:
    """Name what an attestation was judged by, for the audit log: the same digests as in the archive.

    Args:
        certificate: the peer's, in DER.
        evidence: the evidence in it; empty where none was judged.
        collateral: what it was judged with.
        decision: the policy's decision, where one was made.
    """
    return Digests(
        certificate=hashlib.sha256(certificate).hexdigest(),
        evidence=hashlib.sha256(evidence).hexdigest() if evidence else "",
        policy="" if decision is None else decision.policy_digest,
        reference="" if decision is None else decision.reference_digest,
        collateral={role.value: blob.digest for role, blob in encode_collateral(collateral).items()},
    )


def _decided_under(pair: PolicyPair | None, decision: Decision | None) -> bool:
    """Whether a pair is the one that decided, so that it cannot be taken for it where it was just replaced."""
    if pair is None or decision is None:
        return pair is not None
    return (pair.policy.digest, pair.reference.digest) == (decision.policy_digest, decision.reference_digest)


def _is_genuine(judged: JudgedPeer) -> bool:
    """Whether a policy could have judged the evidence."""
    if judged.verifier.is_null or not judged.result.claims:
        return False
    return all(check.name in ACCEPTABILITY_CHECKS | POLICY_CHECKS for check in judged.result.refusals)
