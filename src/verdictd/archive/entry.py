"""An entry of the archive: one attestation, and the digests of what it was judged by. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from verdictd.archive.material import Role, encode_json, parse_json
from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.core.result import JSONValue

SCHEMA = "verdictd.archive/1"
MAX_ENTRY_BYTES = 1024 * 1024
_MAX_REFUSALS = 32
_MAX_TEXT = 512
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MAX_NUMBER = 2**63 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry:
    """One attestation.

    Attributes:
        number: of its record in the audit log; 0 where there is none.
        attestation_id: the first 8 hex digits of the SHA-256 of the peer's certificate.
        at: the instant that it was judged for (UTC).
        peer: the peer's address, ``host:port``.
        tee: the kind of evidence.
        is_allowed: the verdict.
        refusals: the checks that refused, the first of them, in the order made.
        is_policys_own: whether nothing but the user's policy and reference values refused, or nothing at all.
        open_reference_remedy: what the check of the shipped, empty reference values said where it refused, else
            ``None``.
        policy_name, reference_name: what the policy and the reference values were called; empty where none could be
            used.
        sources: where each item of collateral came from.
        digests: SHA-256 in lower-case hex of what it was judged by.
    """

    number: int
    attestation_id: str
    at: datetime
    peer: str
    tee: str
    is_allowed: bool
    refusals: tuple[Check, ...]
    is_policys_own: bool
    open_reference_remedy: str | None
    policy_name: str
    reference_name: str
    sources: Mapping[str, str]
    digests: Mapping[Role, str]


def encode_entry(entry: ArchiveEntry) -> bytes:
    """Write an entry as canonical JSON; texts in which a peer has a part are cut."""
    return encode_json(
        {
            "schema": SCHEMA,
            "number": entry.number,
            "id": entry.attestation_id,
            "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
            "peer": entry.peer[:_MAX_TEXT],
            "tee": entry.tee[:_MAX_TEXT],
            "is_allowed": entry.is_allowed,
            "refusals": [_encode_check(check) for check in entry.refusals[:_MAX_REFUSALS]],
            "is_policys_own": entry.is_policys_own,
            "open_reference_remedy": entry.open_reference_remedy,
            "policy_name": entry.policy_name,
            "reference_name": entry.reference_name,
            "sources": {name: source[:_MAX_TEXT] for name, source in entry.sources.items()},
            "digests": {role.value: digest for role, digest in entry.digests.items()},
        }
    )


def decode_entry(data: bytes) -> ArchiveEntry:
    """Read an entry back.

    Raises:
        MalformedError: not as `encode_entry` writes it.
        LimitExceededError: longer than `MAX_ENTRY_BYTES`.
    """
    if len(data) > MAX_ENTRY_BYTES:
        raise LimitExceededError(f"an archived entry is {len(data)} bytes long, the limit is {MAX_ENTRY_BYTES}")
    match parse_json(data, "entries"):
        case {
            "schema": "verdictd.archive/1",
            "number": int(number),
            "id": str(attestation_id),
            "at": str(at),
            "peer": str(peer),
            "tee": str(tee),
            "is_allowed": bool(is_allowed),
            "refusals": list(refusals),
            "is_policys_own": bool(is_policys_own),
            "open_reference_remedy": (str() | None) as remedy,
            "policy_name": str(policy_name),
            "reference_name": str(reference_name),
            "sources": dict(sources),
            "digests": dict(digests),
        } if 0 <= number <= _MAX_NUMBER and not isinstance(number, bool):
            return ArchiveEntry(
                number=number,
                attestation_id=attestation_id,
                at=_decode_instant(at),
                peer=peer,
                tee=tee,
                is_allowed=is_allowed,
                refusals=tuple(_decode_check(check) for check in refusals),
                is_policys_own=is_policys_own,
                open_reference_remedy=remedy,
                policy_name=policy_name,
                reference_name=reference_name,
                sources=_decode_texts(sources),
                digests=_decode_digests(_decode_texts(digests)),
            )
    raise MalformedError(f"an archived entry is not an object of the schema {SCHEMA}")


def _encode_check(check: Check) -> JSONValue:
    return {
        "name": check.name,
        "result": check.result.value,
        "expected": check.expected[:_MAX_TEXT],
        "found": check.found[:_MAX_TEXT],
        "remedy": check.remedy[:_MAX_TEXT],
        "mandatory": check.mandatory,
    }


def _decode_check(value: JSONValue) -> Check:
    match value:
        case {
            "name": str(name),
            "result": "pass" | "fail" | "not_made" as result,
            "expected": str(expected),
            "found": str(found),
            "remedy": str(remedy),
            "mandatory": bool(mandatory),
        }:
            return Check(name, CheckResult(result), expected, found, remedy, mandatory)
    raise MalformedError("an archived refusal is not an object of a check")


def _decode_instant(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise MalformedError(f"{text!r:.40} is not an instant") from error
    if at.tzinfo is None:
        raise MalformedError(f"{text!r:.40} is an instant without a time zone")
    return at.astimezone(UTC)


def _decode_texts(values: Mapping[str, JSONValue]) -> dict[str, str]:
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    if len(texts) != len(values):
        raise MalformedError("an archived text is none")
    return texts


def _decode_digests(values: Mapping[str, str]) -> dict[Role, str]:
    digests = {}
    for name, digest in values.items():
        if name not in list(Role) or not _DIGEST.fullmatch(digest):
            raise MalformedError(f"{name!r:.40} is not the digest of something that is archived")
        digests[Role(name)] = digest
    return digests
