"""What of an attestation goes into the archive."""

from verdictd.archive.builder import JudgedPeer
from verdictd.daemon.judging import Judgement
from verdictd.daemon.records import AttestationRecord
from verdictd.policy.pair import PolicyPair


def describe_judged_peer(record: AttestationRecord, judgement: Judgement, pair: PolicyPair | None) -> JudgedPeer:
    """Put together everything that a peer was judged by.

    Args:
        record: of the attestation.
        judgement: what it is a record of.
        pair: what is in force now.
    """
    settings = judgement.settings
    return JudgedPeer(
        number=record.number,
        peer=record.peer,
        certificate=judgement.certificate,
        result=judgement.result,
        decision=judgement.decision,
        pair=pair,
        collateral=judgement.appraised.collateral,
        roots=settings.appraiser.roots,
        acceptance=settings.appraiser.acceptance,
        verifier=settings.verifier,
        is_guarded=settings.is_guarded,
        open_reference_remedy=judgement.open_reference_remedy,
    )
