"""Messages between the daemon and its policy workers."""

from io import BytesIO

from fuzz.target import FuzzTarget, attempt
from verdictd.policy.protocol import Operation, encode_message, parse_body, read_message


def check(data: bytes) -> None:
    """A message that was read is, written again, the same bytes."""
    stream = BytesIO(data)
    while (parts := attempt(read_message, stream.read)) is not None:
        assert data[: stream.tell()].endswith(encode_message(*parts))
    body = attempt(parse_body, data)
    assert body is None or encode_message(*body)[4:] == data


def seeds() -> dict[str, bytes]:
    decide = encode_message(bytes(8), Operation.DECIDE.value, bytes(4), bytes(64), b"{}")
    return {"decide": decide, "two": decide + encode_message(b"", b"ready"), "body": decide[4:], "cut": decide[:-1]}


TARGET = FuzzTarget(
    name="policy_protocol", modules=("verdictd.policy.protocol",), check=check, seeds=seeds, max_bytes=512
)
