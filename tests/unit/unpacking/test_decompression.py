"""Decompression by itself: the same bytes however they are asked for, and an end to what has none."""

import io
import random
import subprocess
import sys
import time

import pytest
from backports import zstd

from tests.unit.unpacking.packages import COMPRESSIONS
from verdictd.core.errors import LimitExceededError, MalformedError
from verdictd.unpacking.decompression import DecompressedStream
from verdictd.unpacking.limits import Budget, UnpackingLimits

NAMES = ["gzip", "xz", "lzma", "bzip2", "zstd"]
CONTENT = random.Random(1).randbytes(300_000) + bytes(700_000)


def make_stream(compression: str, data: bytes, limits: UnpackingLimits | None = None) -> DecompressedStream:
    return DecompressedStream(io.BytesIO(data), compression, Budget(limits or UnpackingLimits()))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1000, 100_000, 10_000_000])
def test_pieces_of_any_size_make_the_same_whole(name: str, size: int) -> None:
    stream = make_stream(name, COMPRESSIONS[name](CONTENT))
    assert b"".join(iter(lambda: stream.read(size), b"")) == CONTENT
    assert stream.read(1) == b""


@pytest.mark.parametrize("name", NAMES)
def test_after_damage_nothing_more_is_said(name: str) -> None:
    data = bytearray(COMPRESSIONS[name](CONTENT))
    for at in range(1000, 250_000, 700):
        data[at] ^= 0xFF
    if name == "zstd":  # it has no checksum unless it is asked for
        data = bytearray(COMPRESSIONS[name](CONTENT[:1000]))[:9] + b"\xff" * 50
    stream = make_stream(name, bytes(data) + COMPRESSIONS[name](CONTENT))
    said = [_read_or_fail(stream) for _ in range(100)]
    first = next(number for number, each in enumerate(said) if each)
    assert set(said[first:]) == {said[first]}, "data, or something else, after damage"


def _read_or_fail(stream: DecompressedStream) -> str:
    try:
        stream.read(100_000)
    except MalformedError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2"])
def test_a_checksum_is_looked_at(name: str) -> None:
    """Of content that is stored as it is, nothing else shows the damage."""
    whole = COMPRESSIONS[name](CONTENT)
    at = whole.find(CONTENT[1000:1100]) if name == "gzip" else len(whole) // 3
    assert at > 0
    stream = make_stream(name, whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    with pytest.raises(MalformedError, match=f"the {name} data is damaged"):
        stream.read(len(CONTENT) + 1)


def test_the_checksum_of_zstd_is_looked_at_where_there_is_one() -> None:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.checksum_flag: 1})
    whole = compressor.compress(CONTENT) + compressor.flush()
    with pytest.raises(MalformedError, match="checksum"):
        make_stream("zstd", whole[:-1] + bytes([whole[-1] ^ 1])).read(len(CONTENT) + 1)


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2", "zstd"])
def test_what_follows_compressed_data_and_is_none_is_damage(name: str) -> None:
    with pytest.raises(MalformedError):
        make_stream(name, COMPRESSIONS[name](b"content") + b"rubbish" * 10).read(100)
    assert make_stream(name, COMPRESSIONS[name](b"content") + bytes(1000)).read(100) == b"content"


def test_a_frame_of_zstd_that_is_to_be_skipped_is() -> None:
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"notes"
    frames = zstd.compress(b"a") + skipped + zstd.compress(b"b") + skipped
    assert make_stream("zstd", frames).read(10) == b"ab"


def test_a_dictionary_that_is_not_there_is_damage() -> None:
    trained = zstd.ZstdDict(b"dictionary" * 100, is_raw=True)
    with pytest.raises(MalformedError):
        make_stream("zstd", zstd.compress(b"dictionary" * 20 + b"x", zstd_dict=trained)).read(1000)


@pytest.mark.parametrize("name", ["gzip", "xz", "bzip2", "zstd"])
def test_empty_streams_without_end_reach_the_limit(name: str) -> None:
    """Nothing comes out of them, and each takes time."""
    limits = UnpackingLimits(unpacked_bytes=100_000_000)
    data = COMPRESSIONS[name](b"") * 30_000
    before = time.process_time()
    with pytest.raises(LimitExceededError, match="unpacks to more than 100000000 bytes"):
        make_stream(name, data, limits).read(1)
    assert time.process_time() - before < 20


def test_zstd_is_loaded_only_where_it_is_met() -> None:
    code = "import sys, verdictd.unpacking.walk; sys.exit('backports.zstd' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
