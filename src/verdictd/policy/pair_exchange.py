"""Pairs of policy and reference on their way to another process of the same verifier.

The bytes are the length of a JSON document, the document, and then the contents that it tells the lengths of. Whoever
receives them trusts the sender to have checked what is inside, but not that it arrived whole: names, sizes and JSON are
read strictly, and digests are computed anew. A policy is checked again by the worker process that loads it.
"""

import json
import struct
from collections.abc import Mapping

from verdictd.core.errors import LimitExceededError, MalformedError, PolicyError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.core.result import JSONValue
from verdictd.policy.active import PairNames, UnusablePair
from verdictd.policy.json_document import parse_json_object
from verdictd.policy.pair import Document, PolicyPair, parse_reference

MAX_BYTES = 64 * 1024 * 1024
"""What all pairs together may have. The two kinds of evidence that are judged now stay below half of it."""

_LENGTH = struct.Struct("<I")
_WHAT = "what describes the pairs"


def encode_pairs(pairs: Mapping[str, PolicyPair | UnusablePair]) -> bytes:
    """Write what is in force for each kind of evidence.

    Raises:
        LimitExceededError: it has more than `MAX_BYTES`.
    """
    contents: list[bytes] = []
    described: dict[str, object] = {}
    for tee, pair in pairs.items():
        if isinstance(pair, UnusablePair):
            described[tee] = {
                "names": [pair.names.policy, pair.names.reference],
                "reason": pair.reason,
                "remedy": pair.remedy,
            }
            continue
        documents = (pair.policy, pair.reference)
        contents += [document.content for document in documents]
        described[tee] = {
            "names": [document.name for document in documents],
            "sizes": [len(document.content) for document in documents],
            "members_read": pair.members_read,
            "is_repeatable": pair.is_repeatable,
        }
    text = json.dumps(described).encode("ascii")
    data = b"".join((_LENGTH.pack(len(text)), text, *contents))
    if len(data) > MAX_BYTES:
        raise LimitExceededError(f"the pairs in force have {len(data)} bytes, the limit is {MAX_BYTES}")
    return data


def decode_pairs(data: bytes) -> dict[str, PolicyPair | UnusablePair]:
    """Read what `encode_pairs` wrote.

    Raises:
        MalformedError: it is anything else, or larger than `MAX_BYTES`.
    """
    if not _LENGTH.size <= len(data) <= MAX_BYTES:
        raise MalformedError(f"pairs of {len(data)} bytes, expected {_LENGTH.size} to {MAX_BYTES}")
    end = _LENGTH.size + int(_LENGTH.unpack_from(data)[0])
    if end > len(data):
        raise MalformedError(f"{_WHAT} is cut off")
    try:
        described = parse_json_object(data[_LENGTH.size : end], _WHAT, MAX_BYTES)
        reader = _Reader(data, end)
        pairs = {tee: reader.read_pair(members) for tee, members in described.items()}
    except (LimitExceededError, PolicyError) as error:
        raise MalformedError(error.message) from error
    if reader.offset != len(data):
        raise MalformedError(f"the pairs have {len(data) - reader.offset} bytes that belong to none")
    return pairs


class _Reader:
    """Takes the contents in their order."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self.offset = offset

    def read_pair(self, members: JSONValue) -> PolicyPair | UnusablePair:
        match members:
            case {"names": [str(policy), str(reference)], "reason": str(reason), "remedy": str(remedy), **rest}:
                _expect_no_more(rest)
                return UnusablePair(PairNames(policy, reference), reason, remedy)
            case {
                "names": [str(policy), str(reference)],
                "sizes": [int(policy_size), int(reference_size)],
                "members_read": [*read],
                "is_repeatable": bool(is_repeatable),
                **rest,
            }:
                _expect_no_more(rest)
                documents = (
                    Document.of(policy, self._take(policy_size, MAX_POLICY_BYTES)),
                    Document.of(reference, self._take(reference_size, MAX_REFERENCE_BYTES)),
                )
                return PolicyPair(
                    policy=documents[0],
                    reference=documents[1],
                    values=parse_reference(documents[1].content, reference),
                    members_read=tuple(_read_text(name) for name in read),
                    is_repeatable=is_repeatable,
                )
            case _:
                raise _not_of_the_form()

    def _take(self, size: int, limit: int) -> bytes:
        end = self.offset + size
        if isinstance(size, bool) or not 0 <= size <= limit or end > len(self._data):
            raise MalformedError(f"a policy or reference of {size} bytes is cut off or over its limit of {limit}")
        content, self.offset = self._data[self.offset : end], end
        return content


def _expect_no_more(rest: Mapping[object, object]) -> None:
    if rest:
        raise _not_of_the_form()


def _read_text(value: JSONValue) -> str:
    if not isinstance(value, str):
        raise _not_of_the_form()
    return value


def _not_of_the_form() -> MalformedError:
    return MalformedError(f"{_WHAT} is not of its form")
