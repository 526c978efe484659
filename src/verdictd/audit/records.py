"""What verdictd records in its audit log. Pure: each function makes the content of one record.

Nothing in a record is secret. A peer has a part in some of the texts and none in the size of a record: whatever is
longer than its limit is cut, and ends with an ellipsis that says so.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from verdictd.core.result import AppraisalResult, JSONValue

_MAX_TEXT = 512
_MAX_NAME = 128
_ROOM_BYTES = 8 * 1024
"""How much of a line the items of one list may take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """SHA-256 in lower-case hex of what an attestation was judged by; empty where there was none.

    Attributes:
        certificate: the peer's certificate in DER.
        evidence: the evidence in it.
        policy, reference: the policy and the reference values that decided.
        collateral: each item of collateral, by its kind.
    """

    certificate: str
    evidence: str = ""
    policy: str = ""
    reference: str = ""
    collateral: Mapping[str, str]


def attestation(
    *,
    attestation_id: str,
    peer: str,
    accepted: bool,
    sentence: str,
    result: AppraisalResult | None,
    digests: Digests,
    duration_s: float,
) -> dict[str, JSONValue]:
    """Record a peer's attestation, before the peer is answered.

    Args:
        attestation_id: first digits of the certificate's SHA-256.
        peer: the peer's address, ``host:port``.
        accepted: the verdict.
        sentence: the verdict with its reason.
        result: what was appraised; ``None`` where nothing was judged.
        digests: what it was judged by.
        duration_s: how long the judgement took, in seconds.
    """
    refusals = () if result is None else result.refusals
    return {
        "kind": "attestation",
        "id": _cut(attestation_id, _MAX_NAME),
        "peer": _cut(peer, _MAX_NAME),
        "verdict": "accepted" if accepted else "refused",
        "reason": _cut(sentence),
        "tee": "none" if result is None else _cut(result.tee, _MAX_NAME),
        "tcb_status": None if result is None or result.tcb_status is None else _cut(result.tcb_status, _MAX_NAME),
        "failed_checks": _list([check.name for check in refusals], _MAX_NAME),
        "certificate_sha256": digests.certificate,
        "evidence_sha256": digests.evidence,
        "policy_sha256": digests.policy,
        "reference_sha256": digests.reference,
        "collateral_sha256": _mapping(digests.collateral),
        "duration_us": round(duration_s * 1e6),
    }


def refusals(*, count: int, first_at: datetime, last_at: datetime) -> dict[str, JSONValue]:
    """Record that peers were refused of whom nothing else is recorded, because they were too many.

    Args:
        count: how many.
        first_at: when the first of them was refused (aware).
        last_at: when the last of them was.
    """
    first, last = (f"{at:%Y-%m-%dT%H:%M:%SZ}" for at in (first_at, last_at))
    return {"kind": "refusals", "count": count, "from": first, "to": last}


def policy_change(
    *,
    how: Literal["upload", "rollback", "reload", "replaced"],
    by: str,
    changed: Mapping[str, str],
    previous: Mapping[str, str],
) -> dict[str, JSONValue]:
    """Record that policies or reference values were replaced.

    Args:
        how: what replaced them; ``replaced`` where that is not known here.
        by: who asked, as far as it is known: the client's address.
        changed: for each name that was replaced, the SHA-256 of its new content.
        previous: for each of these names, that of its old content; empty where there was none.
    """
    return {
        "kind": "policy_change",
        "how": how,
        "by": _cut(by, _MAX_NAME),
        "sha256": _mapping(changed),
        "previous_sha256": _mapping(previous),
    }


def start(
    *, version: str, verifier: str, trust_roots: Mapping[str, str], settings: Mapping[str, str], warnings: Sequence[str]
) -> dict[str, JSONValue]:
    """Record that verdictd starts to serve.

    Args:
        version: its own.
        verifier: the verifier that is enforced.
        trust_roots: the SHA-256 of each root that is trusted, with its label.
        settings: the settings in force by their names, as text; none is secret.
        warnings: the sentences printed at start.
    """
    return {"kind": "start", "version": _cut(version), **_configuration(verifier, trust_roots, settings, warnings)}


def reload(
    *, verifier: str, trust_roots: Mapping[str, str], settings: Mapping[str, str], warnings: Sequence[str]
) -> dict[str, JSONValue]:
    """Record that settings were read again and are in force; the arguments are those of `start`."""
    return {"kind": "reload", "outcome": "done", **_configuration(verifier, trust_roots, settings, warnings)}


def reload_failed(*, reason: str) -> dict[str, JSONValue]:
    """Record that settings were read again and could not be used, so that nothing was changed."""
    return {"kind": "reload", "outcome": "failed", "reason": _cut(reason)}


def stop(*, reason: str, counts: Mapping[str, int]) -> dict[str, JSONValue]:
    """Record that verdictd stops, why, and how many attestations it accepted and refused."""
    return {"kind": "stop", "reason": _cut(reason), "counts": {_cut(name, _MAX_NAME): counts[name] for name in counts}}


def collateral_import(*, by: str, accepted: Mapping[str, str], refused: Mapping[str, str]) -> dict[str, JSONValue]:
    """Record that somebody handed collateral over.

    Args:
        by: who asked, as far as it is known.
        accepted: the SHA-256 of each item that is held now, by what it is.
        refused: why each of the others is not, by what it is.
    """
    return {
        "kind": "collateral_import",
        "by": _cut(by, _MAX_NAME),
        "accepted_sha256": _mapping(accepted),
        "refused": _mapping(refused),
        "accepted_count": len(accepted),
        "refused_count": len(refused),
    }


def _configuration(
    verifier: str, trust_roots: Mapping[str, str], settings: Mapping[str, str], warnings: Sequence[str]
) -> dict[str, JSONValue]:
    return {
        "verifier": _cut(verifier, _MAX_NAME),
        "trust_roots": _mapping(trust_roots),
        "settings": _mapping(settings),
        "warnings": _list(warnings, _MAX_TEXT),
    }


def _mapping(values: Mapping[str, str]) -> dict[str, JSONValue]:
    """Write as many of them as have room, and say how many more there are."""
    kept: dict[str, JSONValue] = {}
    room = _ROOM_BYTES
    for name, value in values.items():
        short_name, short = _cut(name, _MAX_NAME), _cut(value)
        room -= _size(short_name) + _size(short)
        if room < 0:
            kept["…"] = f"{len(values) - len(kept)} more"
            break
        kept[short_name] = short
    return kept


def _list(texts: Sequence[str], limit: int) -> list[JSONValue]:
    """Write as many of them as have room, and say how many more there are."""
    kept: list[JSONValue] = []
    room = _ROOM_BYTES
    for text in texts:
        short = _cut(text, limit)
        room -= _size(short)
        if room < 0:
            return [*kept, f"… {len(texts) - len(kept)} more"]
        kept.append(short)
    return kept


def _cut(text: str, limit: int = _MAX_TEXT) -> str:
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    kept = text[:limit]
    while len(json.dumps(kept)) > 2 * limit:
        kept = kept[: len(kept) // 2]
    return kept if kept == text else kept + "…"


def _size(text: str) -> int:
    """How many bytes a text takes in a line, or a few more."""
    if text.isascii() and text.isprintable():
        return 2 * len(text) + 4
    return len(json.dumps(text)) + 2
