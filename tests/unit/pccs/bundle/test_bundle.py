"""The bundle: what is written is read, the same gives the same bytes, and nothing damaged or hostile gets through."""

import hashlib
import io
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pccs.filled import AT, DAY, KEY, VCEK, VLEK_CHAIN, collateral_entries, filled_cache, offered
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.pccs.bundle import MAGIC, MAX_LINE_BYTES, BundleHeader, read_bundle, write_bundle
from verdictd.pccs.bundle_entries import BundledAMD, BundledCollateral, BundleEntry, encode_line, parse_edition
from verdictd.pccs.exporting import export_entries, find_absent_families
from verdictd.pccs.model import Edition, Platform, PlatformKey, RawTCB
from verdictd.pccs.pck_offers import OfferedPCKSet
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument


def write(entries: Iterable[BundleEntry]) -> bytes:
    out = io.BytesIO()
    write_bundle(entries, AT, out)
    return out.getvalue()


def read(data: bytes) -> list[BundleHeader | BundleEntry]:
    return list(read_bundle(io.BytesIO(data)))


GOOD = write([*collateral_entries(), offered(), BundledAMD(name=VCEK, content=b"leaf")])
LINES = zstd.decompress(GOOD).splitlines(keepends=True)


def seal(lines: Iterable[bytes]) -> bytes:
    """Write lines as a bundle whose end is right."""
    body = b"".join(lines)
    count = body.count(b"\n") - 1
    return zstd.compress(body + encode_line({"entries": count, "sha256": hashlib.sha256(body).hexdigest()}))


def changed(line: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    members = json.loads(line)
    change(members)
    return encode_line(members)


def test_a_bundle_is_read_as_it_was_written() -> None:
    header, *entries = read(GOOD)
    assert header == BundleHeader(AT)
    assert {type(entry) for entry in entries} == {BundledCollateral, OfferedPCKSet, BundledAMD}
    assert write(entry for entry in entries if not isinstance(entry, BundleHeader)) == GOOD


def test_the_same_gives_the_same_bytes_in_whatever_order_it_is_held() -> None:
    assert write([*reversed(collateral_entries()[:1]), *collateral_entries()[1:], offered()])[:4] == MAGIC
    entries = [entry for entry in read(GOOD) if isinstance(entry, BundledCollateral)]
    assert write(entries) == write(reversed(entries))


def test_a_bundle_of_nothing_is_one() -> None:
    assert read(write([])) == [BundleHeader(AT)]


def test_what_a_test_seals_itself_is_a_bundle() -> None:
    assert read(seal(LINES[:-1])) == read(GOOD)


@pytest.mark.parametrize("percent", range(0, 100, 2))
def test_a_bundle_that_was_cut_off_is_noticed(percent: int) -> None:
    with pytest.raises(MalformedError):
        read(GOOD[: len(GOOD) * percent // 100])


@pytest.mark.parametrize("missing", range(1, len(LINES)))
def test_a_line_that_is_missing_is_noticed(missing: int) -> None:
    with pytest.raises(MalformedError):
        read(zstd.compress(b"".join(LINES[:missing] + LINES[missing + 1 :])))


@given(st.data())
def test_a_flipped_bit_gives_the_same_entries_or_our_error(data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(GOOD) - 1))
    damaged = bytearray(GOOD)
    damaged[position] ^= 1 << data.draw(st.integers(0, 7))
    with suppress(VerdictdError):
        assert read(bytes(damaged)) == read(GOOD)


@given(st.binary(max_size=400), st.booleans())
def test_any_bytes_give_our_error(data: bytes, is_compressed: bool) -> None:
    with pytest.raises((MalformedError, LimitExceededError, UnsupportedError)):
        read(zstd.compress(data) if is_compressed else data)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=6,
)


@given(st.sampled_from(LINES[1:-1]), st.data())
def test_any_value_for_any_member_gives_an_entry_or_our_error(line: bytes, data: st.DataObject) -> None:
    members = json.loads(line)
    name = data.draw(st.sampled_from([*members, "further"]))
    members[name] = data.draw(JSON_VALUES)
    with suppress(MalformedError, LimitExceededError, UnsupportedError):
        read(seal([LINES[0], encode_line(members)]))


TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
HEX_TCB = st.builds(RawTCB, st.binary(min_size=16, max_size=16), st.integers(0, 0xFFFF))
DOCUMENTS = st.builds(
    SignedDocument,
    body=TEXT.map(str.encode),
    signature=st.binary(max_size=64),
    issuer_chain=TEXT.map(str.encode),
    source=st.just("test"),
)
CRLS = st.builds(RevocationList, der=st.binary(), issuer_chain=TEXT.map(str.encode), source=st.just("test"))
ITEMS = st.builds(CollateralItem, kind=st.sampled_from([ItemKind.TCB_INFO, ItemKind.QVE_IDENTITY]), raw=DOCUMENTS)
ITEMS |= st.builds(CollateralItem, kind=st.sampled_from([ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL]), raw=CRLS)
UPDATES = st.sampled_from(["standard", "early"]) | st.integers(1, 2**31)
COLLATERAL = st.builds(BundledCollateral, edition=st.builds(Edition, st.sampled_from([3, 4]), UPDATES), item=ITEMS)
PLATFORMS = st.builds(
    Platform,
    key=st.builds(
        PlatformKey,
        st.text("0123456789ABCDEF", min_size=1, max_size=260),
        st.text("0123456789ABCDEF", min_size=4, max_size=4),
    ),
    enc_ppid=st.binary(max_size=8),
    manifest=st.binary(max_size=8),
)
PCK_SETS = st.builds(
    OfferedPCKSet,
    platform=PLATFORMS,
    certificates=st.lists(st.tuples(HEX_TCB, TEXT.map(str.encode)), max_size=4).map(sorted).map(tuple),
    unavailable=st.lists(HEX_TCB, max_size=3).map(sorted).map(tuple),
    issuer_chain=TEXT.map(str.encode),
    is_complete=st.booleans(),
    fetched_at=st.just(AT) | st.just(AT + DAY / 7),
    raw_tcbs=st.lists(HEX_TCB, max_size=2).map(sorted).map(tuple),
)
AMD = st.builds(
    BundledAMD,
    name=st.builds(
        AMDCertificateName,
        st.sampled_from(["vcek", "vlek"]),
        st.sampled_from(["Milan", "Genoa", "Turin"]),
        st.sampled_from(["leaf", "cert_chain", "crl"]),
        st.binary(max_size=64),
        st.binary(max_size=8),
    ),
    content=st.binary(),
)


@given(
    st.lists(COLLATERAL, max_size=4, unique_by=repr),
    st.lists(PCK_SETS, max_size=3, unique_by=lambda each: each.platform.key),
    st.lists(AMD, max_size=3, unique_by=lambda each: each.name),
)
def test_whatever_is_written_is_read(
    collateral: list[BundledCollateral], pck_sets: list[OfferedPCKSet], amd: list[BundledAMD]
) -> None:
    pck_sets.sort(key=lambda each: each.platform.key)
    _, *entries = read(write([*collateral, *pck_sets, *amd]))
    assert sorted(map(repr, entries)) == sorted(map(repr, [*collateral, *pck_sets, *amd]))


@pytest.mark.parametrize(
    ("lines", "error", "why"),
    [
        ([b'{"format":"other","made_at":"2026-05-01T00:00:00Z","version":1}\n'], MalformedError, "not a bundle"),
        ([changed(LINES[0], lambda head: head.update(version=2))], UnsupportedError, "version 2"),
        ([changed(LINES[0], lambda head: head.update(version="1"))], UnsupportedError, "version '1'"),
        ([changed(LINES[0], lambda head: head.update(made_at="2026-05-01"))], MalformedError, "zone"),
        ([changed(LINES[0], lambda head: head.update(more=1))], MalformedError, "first line"),
        ([changed(LINES[0], lambda head: head.update(version=True))], MalformedError, "first line"),
        ([LINES[0], LINES[1], LINES[1]], MalformedError, "twice, or out of order"),
        ([LINES[0], LINES[2], LINES[1]], MalformedError, "twice, or out of order"),
        ([LINES[0], LINES[1].replace(b'"source":', b'"source": ')], MalformedError, "not written as an export"),
        ([LINES[0], b"[" * 5000 + b"]" * 5000 + b"\n"], LimitExceededError, "values"),
        ([LINES[0], b'{"type":' + b"[" * 4000 + b"]" * 4000 + b"}\n"], MalformedError, "not JSON"),
        ([LINES[0], b'{"type":' + b"9" * 5000 + b"}\n"], MalformedError, "not JSON"),
        ([LINES[0], b'{"type":"' + b"x" * 100 + b'"}\n'], MalformedError, "known are"),
        ([LINES[0], b"7\n"], MalformedError, "no JSON object"),
        ([LINES[0], b"\xff\n"], MalformedError, "not JSON"),
        ([LINES[0], b'{"type":"amd","what":"\\ud800"}\n'], MalformedError, "lacks|half a character"),
    ],
)
def test_each_thing_that_no_export_writes_is_refused(lines: list[bytes], error: type[Exception], why: str) -> None:
    with pytest.raises(error, match=why):
        read(seal(lines))


def test_what_follows_the_end_is_refused() -> None:
    with pytest.raises(MalformedError, match="behind its end"):
        read(GOOD + zstd.compress(b"{}\n"))
    with pytest.raises(MalformedError, match=r"damaged|cut off"):
        read(GOOD + b"more")


def test_a_bomb_is_refused_before_it_takes_memory() -> None:
    one_line = LINES[0] + b" " * (MAX_LINE_BYTES * 4)
    with pytest.raises(LimitExceededError, match="longer than"):
        read(zstd.compress(one_line))


def test_a_window_that_takes_much_memory_is_refused() -> None:
    options = {int(zstd.CompressionParameter.window_log): 27, int(zstd.CompressionParameter.content_size_flag): 0}
    with pytest.raises(LimitExceededError, match="memory"):
        read(zstd.compress(b" " * 2**24, options=options))


def test_a_line_that_would_not_be_read_is_not_written() -> None:
    entry = BundledAMD(name=VCEK, content=bytes(MAX_LINE_BYTES))
    with pytest.raises(LimitExceededError, match="would be read"):
        write([entry])


@pytest.mark.parametrize("text", ["v4/standard", "v3/standard", "v4/early", "v4/17"])
def test_editions_are_read_as_they_are_shown(text: str) -> None:
    assert str(parse_edition(text)) == text


@pytest.mark.parametrize("text", ["", "v5/standard", "v4/", "v4/0", "v4/-1", "v4/017", "V4/early", "v4/early\n"])
def test_what_is_no_edition_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="edition"):
        parse_edition(text)


def test_an_export_holds_everything_of_the_families_named_and_nothing_of_others() -> None:
    storage = filled_cache().storage
    everything = list(export_entries(storage, ()))
    assert len([entry for entry in everything if isinstance(entry, OfferedPCKSet)]) == 2
    own = [fmspc for fmspc, _ in storage.platforms.families() if fmspc == storage.platforms.sets[KEY].platform.fmspc]
    named = list(export_entries(storage, own))
    assert [entry.platform.key for entry in named if isinstance(entry, OfferedPCKSet)] == [KEY]
    editions = [str(entry.edition) for entry in named if isinstance(entry, BundledCollateral)]
    assert sorted(editions) == ["v4/early"] + ["v4/standard"] * 4
    foreign = list(export_entries(storage, [b"\xff" * 6]))
    assert not [entry for entry in foreign if isinstance(entry, OfferedPCKSet)]
    assert ItemKind.TCB_INFO not in [entry.item.kind for entry in foreign if isinstance(entry, BundledCollateral)]
    assert [entry.name for entry in foreign if isinstance(entry, BundledAMD)] == [VLEK_CHAIN, VCEK]
    assert find_absent_families(storage, [*own, b"\xff" * 6]) == [b"\xff" * 6]


def test_a_set_without_its_order_is_not_written() -> None:
    first, second = offered(), replace(offered(), platform=Platform(key=PlatformKey("0", "0000")))
    with pytest.raises(MalformedError, match="out of order"):
        write([first, second])
