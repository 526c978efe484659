"""One pair of policy and reference as the history lists it, and the list as JSON."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum

from verdictd.core.errors import MalformedError
from verdictd.core.result import JSONValue
from verdictd.policy.json_document import parse_json_object

MAX_LIST_BYTES = 4 * 1024 * 1024
DIGEST_LENGTH = 64
_DIGEST = re.compile(f"[0-9a-f]{{{DIGEST_LENGTH}}}")


class How(StrEnum):
    """How a version came into force."""

    SHIPPED = "shipped"
    """It is what verdictd brings along."""
    UPLOAD = "upload"
    RELOAD = "reload"
    """It was found in the files at a start or a reload: somebody edited or replaced them."""
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A pair as the list has it.

    Attributes:
        number: counts from 1; no two versions share one, also when the first are gone.
        at: when it was about to be put in force.
        how: how it came into force.
        restored: for a rollback, the number of the version that was put in force again.
        policy_name: the policy's name.
        policy_digest: the policy's SHA-256 in lower-case hex.
        policy_size: the policy's length in bytes.
        reference_name: likewise of the reference.
        reference_digest: likewise.
        reference_size: likewise.
    """

    number: int
    at: datetime
    how: How
    restored: int | None
    policy_name: str
    policy_digest: str
    policy_size: int
    reference_name: str
    reference_digest: str
    reference_size: int

    @property
    def identity(self) -> tuple[str, str, str, str]:
        """What tells its pair from others: names and digests."""
        return self.policy_name, self.policy_digest, self.reference_name, self.reference_digest

    @property
    def contents(self) -> Mapping[str, int]:
        """The sizes of its two contents by their digests."""
        return {self.policy_digest: self.policy_size, self.reference_digest: self.reference_size}


def encode_list(versions: Iterable[Version]) -> bytes:
    """Write versions as the JSON document that `parse_list` reads."""
    entries = [asdict(version) | {"at": version.at.isoformat()} for version in versions]
    return (json.dumps({"versions": entries}, indent=1) + "\n").encode("ascii")


def parse_list(content: bytes) -> tuple[Version, ...]:
    """Read a list of versions, the oldest first.

    Raises:
        MalformedError: it is not one that `encode_list` wrote.
        LimitExceededError: it is larger than `MAX_LIST_BYTES`, or too deep.
    """
    entries = parse_json_object(content, "the list", MAX_LIST_BYTES).get("versions")
    if not isinstance(entries, list):
        raise MalformedError("it has no versions")
    versions = tuple(map(_parse_version, entries))
    numbers = [version.number for version in versions]
    if numbers != sorted(set(numbers)):
        raise MalformedError("its numbers do not rise")
    return versions


def _parse_version(entry: JSONValue) -> Version:
    match entry:
        case {
            "number": int(number),
            "at": str(at),
            "how": str(how),
            "restored": None | int() as restored,
            "policy_name": str(policy_name),
            "policy_digest": str(policy_digest),
            "policy_size": int(policy_size),
            "reference_name": str(reference_name),
            "reference_digest": str(reference_digest),
            "reference_size": int(reference_size),
        }:
            pass
        case _:
            raise MalformedError("a version of it is not of its form")
    try:
        instant, way = datetime.fromisoformat(at), How(how)
    except ValueError as error:
        raise MalformedError(f"version {number} of it is not of its form: {error}") from error
    if instant.tzinfo is None or not all(map(_DIGEST.fullmatch, (policy_digest, reference_digest))):
        raise MalformedError(f"version {number} of it has no time zone, or something else than a digest")
    return Version(
        number=number,
        at=instant,
        how=way,
        restored=restored,
        policy_name=policy_name,
        policy_digest=policy_digest,
        policy_size=policy_size,
        reference_name=reference_name,
        reference_digest=reference_digest,
        reference_size=reference_size,
    )
