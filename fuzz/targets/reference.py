"""Reference values, and inputs of policies."""

import json

from fuzz.parts import at_start
from fuzz.target import FuzzTarget, attempt, check_sentence
from verdictd.core.errors import LimitExceededError
from verdictd.policy.decision import Outcome, judge
from verdictd.policy.json_document import encode_input
from verdictd.policy.pair import Document, PolicyPair, is_open_reference, parse_reference


def check(data: bytes) -> None:
    """What was read is written again and means the same."""
    values = attempt(parse_reference, data)
    if values is None:
        return
    is_open_reference(values)
    nothing = Document.of("", b"")
    pair = PolicyPair(policy=nothing, reference=nothing, values=values, members_read=tuple(values))
    assert not pair.missing_members
    check_sentence(judge(Outcome.REFUSED, "", False, pair, values).reason)  # noqa: FBT003 - the value of `allow`
    try:
        encoded = encode_input(values)
    except LimitExceededError as error:
        raise AssertionError("a reference that was read cannot be written") from error
    assert parse_reference(encoded) == values == json.loads(encoded)


def seeds() -> dict[str, bytes]:
    return {
        "shipped": b'{"mrEnclave":[],"mrSigner":[],"productId":0,"svn":0}',
        "values": b'{"mrEnclave":["DnqU"],"svn":18446744073709551615,"x":[1.5,-1e3,null,true,{"y":"\\u00e9"}]}',
        "pair": '{"a":"\\ud83d\\ude00 é"}'.encode(),
        "policy": b'{"policy":{}}',
    }


TARGET = FuzzTarget(
    name="reference",
    modules=("verdictd.policy.json_document", "verdictd.policy.pair", "verdictd.policy.decision"),
    check=check,
    seeds=seeds,
    structure=at_start,
    max_bytes=1024,
)
