"""Images of Intel's SDK: many layouts measure as the manuals say, and what is damaged is noticed."""

import os
import random
import struct
import tempfile
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.enclave.images import (
    EADD,
    GUARD,
    PAGE,
    PF_R,
    PF_W,
    PF_X,
    REG,
    TCS,
    Enclave,
    Entry,
    Group,
    Patch,
    R,
    Segment,
    W,
    X,
    assemble,
    build,
    measure,
    typical,
)
from verdictd.core.errors import LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.enclave.measurement import HashBudget
from verdictd.enclave.sdk_image import SdkEnclave, measure_sdk_enclave
from verdictd.enclave.sgxs import measure_sgxs
from verdictd.enclave.sigstruct import parse_sigstruct

UNSIGNED = bytes(1808)


def examine(image: bytes, progress: Callable[[int, int], None] | None = None) -> tuple[SdkEnclave, ...]:
    with tempfile.TemporaryFile() as file:
        file.write(image)
        file.flush()
        return measure_sdk_enclave(file, progress)


def measured(enclave: Enclave) -> bytes:
    (found,) = examine(assemble(enclave, UNSIGNED))
    assert found.why_not_measured == ""
    assert found.mr_enclave is not None
    return found.mr_enclave


def test_a_typical_enclave_measures_as_it_was_signed() -> None:
    (found,) = examine(build(typical()))
    assert found.mr_enclave == measure(typical()) == parse_sigstruct(found.sigstruct).mr_enclave
    assert found.version == "2.4"
    assert found.fields["enclave_size"] == 0x100000


LAYOUTS = {
    "nothing at all": Enclave(),
    "one byte": Enclave(segments=[Segment(0, PF_R, b"x")]),
    "no bytes, only zeros": Enclave(segments=[Segment(0x1234, PF_R | PF_W, b"", memory=5)]),
    "a page to the byte": Enclave(segments=[Segment(0, PF_R, b"x" * PAGE)]),
    "a page and a byte": Enclave(segments=[Segment(0, PF_X, b"x" * (PAGE + 1))]),
    "ends in the middle, begins in the middle": Enclave(segments=[Segment(0x1800, PF_R | PF_W | PF_X, b"ab" * 5000)]),
    "a segment within one page": Enclave(segments=[Segment(0x1800, PF_R, b"x" * 100)]),
    "more pages than are laid out at once": Enclave(segments=[Segment(0x10, PF_R, bytes(range(256)) * 16 * 70)]),
    "zeros over many pages": Enclave(segments=[Segment(0, PF_R, b"x", memory=70 * PAGE)]),
    "all versions 1": Enclave(segments=[Segment(0, PF_R, b"x")], version=(1, 4)),
    "version 3": Enclave(segments=[Segment(0, PF_R, b"x")], version=(3, 1)),
    "an SSA frame of four pages": Enclave(ssa_frame_pages=4),
    "pages only added": Enclave(layout=[Entry(0x2000, 30, attributes=EADD)]),
    "more added than at once": Enclave(layout=[Entry(0, 2500, attributes=EADD)], size=0x1000000),
    "added, with a word that is not measured": Enclave(layout=[Entry(0x2000, 3, attributes=EADD, word=7)]),
    "filled with a word": Enclave(layout=[Entry(0x2000, 3, word=0x01020304)]),
    "filled over many pages": Enclave(layout=[Entry(0x2000, 70, word=1)]),
    "content of the metadata": Enclave(layout=[Entry(0x2000, 3, content=b"c" * 5000)]),
    "content that is only to be added is measured": Enclave(layout=[Entry(0x2000, 1, attributes=EADD, content=b"c")]),
    "a TCS": Enclave(layout=[Entry(0x2000, 1, flags=TCS, content=bytes(range(72)))]),
    "a TCS that is not measured": Enclave(layout=[Entry(0x2000, 1, flags=TCS, attributes=EADD, content=b"t" * 72)]),
    "a guard": Enclave(layout=[Entry(0x2000, 1, flags=0, kind=GUARD)]),
    "what is added when it runs": Enclave(layout=[Entry(0x2000, 5, attributes=8)]),
    "a group of none": Enclave(layout=[Entry(0x2000, 1), Group(1, 0, 0x1000)]),
    "a group of many": Enclave(layout=[Entry(0x2000, 1), Entry(0x3000, 1, word=2), Group(1, 9, 0x1000)]),
    "two groups": Enclave(layout=[Entry(0, 1), Group(1, 2, 0x1000), Entry(0x8000, 1), Group(1, 3, 0x1000)]),
    "ELRANGE": Enclave(segments=[Segment(0, PF_R, b"x")], el_range=(0x40000000, 0, 0x80000000)),
    "ELRANGE elsewhere": Enclave(
        segments=[Segment(0, PF_R, b"x" * 9999)], el_range=(0x40100000, 0x40000000, 0x40000000), version=(3, 3)
    ),
    "relocations in code": Enclave(
        segments=[Segment(0, PF_R | PF_X, b"x" * 5 * PAGE), Segment(0x8000, PF_R, b"y" * PAGE)],
        relocations=[0x1008, 0x2FFC, 0x8000],
        has_text_relocations=True,
    ),
    "relocations where none need to be written": Enclave(
        segments=[Segment(0, PF_R | PF_X, b"x" * 2 * PAGE)], relocations=[0x1008]
    ),
    "relocations in the last page, which is not whole": Enclave(
        segments=[Segment(0, PF_R, b"x" * (PAGE + 9), memory=3 * PAGE)], relocations=[0x1000], has_text_relocations=True
    ),
    "patches over one another": Enclave(
        segments=[Segment(0, PF_R, b"x" * 3 * PAGE)], patches=[Patch(0, 0xFF0, b"a" * 64), Patch(0, 0x1000, b"b" * 9)]
    ),
    "a patch of pages": Enclave(
        segments=[Segment(0, PF_R, b"x" * 90 * PAGE)], patches=[Patch(0, 100, b"long" * 3 * PAGE)]
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_each_layout_measures_as_the_manual_says(name: str) -> None:
    assert measured(LAYOUTS[name]) == measure(LAYOUTS[name])


def test_no_two_of_them_measure_alike() -> None:
    alike = {"added, with a word that is not measured", "what is added when it runs", "a guard", "a group of none"}
    alike |= {"relocations where none need to be written", "all versions 1", "version 3"}
    names = [name for name in LAYOUTS if name not in alike]
    assert len({measured(LAYOUTS[name]) for name in names}) == len(names)


@st.composite
def enclaves(draw: st.DrawFn) -> Enclave:
    """Any layout: segments and entries one behind the other, with holes between them."""
    at, segments = 0, []
    for _ in range(draw(st.integers(0, 4))):
        at += draw(st.integers(0, 2 * PAGE))
        content = draw(st.binary(min_size=0, max_size=64)) * draw(st.integers(1, 200))
        memory = len(content) + draw(st.integers(0, 2 * PAGE))
        segments.append(Segment(at, draw(st.integers(1, 7)), content, memory))
        at = -(-(at + memory) // PAGE) * PAGE
    layout: list[Entry | Group] = []
    at = 0x100000
    for _ in range(draw(st.integers(0, 6))):
        pages = draw(st.integers(1, 5))
        entry = Entry(
            at + draw(st.integers(0, 3)) * PAGE,
            pages,
            flags=draw(st.sampled_from([R | REG, R | W | REG, R | X | REG, TCS, 0])),
            attributes=draw(st.integers(0, 15)),
            word=draw(st.integers(0, 2**32 - 1)),
            content=draw(st.binary(max_size=72)) * draw(st.integers(0, pages)),
        )
        if entry.flags == TCS:
            entry.pages, entry.content = 1, draw(st.binary(min_size=72, max_size=72)).replace(b"\xff", b"\0")
        if entry.flags == 0:
            entry.content = b""
        layout.append(entry)
        at = entry.address + pages * PAGE
    is_repeated: bool = draw(st.booleans())
    if layout and is_repeated:
        layout.append(Group(draw(st.integers(1, len(layout))), draw(st.integers(0, 4)), at - 0x100000 + PAGE))
    relocations = draw(st.lists(st.integers(0, 0x20000), max_size=5))
    patches = [
        Patch(index, draw(st.integers(0, len(segment.content) - 1)), b"p")
        for index, segment in enumerate(segments)
        if segment.content and draw(st.booleans())
    ]
    return Enclave(
        segments,
        layout,
        patches,
        relocations,
        has_text_relocations=draw(st.booleans()),
        version=draw(st.sampled_from([(1, 4), (2, 1), (2, 4), (3, 3)])),
        size=0x1000000,
    )


@given(enclaves())
def test_any_layout_measures_as_the_manual_says(enclave: Enclave) -> None:
    assert measured(enclave) == measure(enclave)


def test_loaders_of_sdk_1_5_add_a_page_more_behind_a_segment_that_begins_within_one() -> None:
    enclave = Enclave(segments=[Segment(0, PF_R, b"x"), Segment(0x1800, PF_R | PF_W, b"d" * 0x800)], version=(1, 3))
    plain = Enclave(segments=enclave.segments, version=(1, 4))
    extra = Enclave(segments=[*enclave.segments, Segment(0x2000, PF_R | PF_W, b"", memory=PAGE)], version=(1, 4))
    assert measured(plain) == measure(plain)
    assert measured(enclave) == measure(extra)


def test_every_set_of_metadata_is_measured() -> None:
    enclave = typical()
    enclave.further_versions = [(1, 4)]
    found = examine(build(enclave))
    assert [each.version for each in found] == ["2.4", "1.4"]
    assert [each.mr_enclave for each in found] == [measure(enclave)] * 2


def test_sets_of_metadata_with_the_same_pages_are_hashed_once() -> None:
    told: list[int] = []
    enclave = typical()
    examine(build(enclave), lambda done, _: told.append(done))
    once = len(told)
    enclave.further_versions = [(2, 1), (1, 4)]
    examine(build(enclave), lambda done, _: told.append(done))
    assert len(told) == 2 * once


def test_all_sets_of_metadata_together_may_not_be_hashed_without_end() -> None:
    enclave = Enclave(segments=[Segment(0, PF_R, b"x", memory=2 * PAGE)])
    budget = HashBudget(3 * 5184)
    with tempfile.TemporaryFile() as file:
        file.write(assemble(enclave, UNSIGNED))
        file.flush()
        assert measure_sdk_enclave(file, None, budget)[0].mr_enclave == measure(enclave)
        with pytest.raises(LimitExceededError, match="for the enclaves in it"):
            measure_sdk_enclave(file, None, budget)


def test_a_shared_object_of_the_sdk_is_not_measured_and_said() -> None:
    enclave = typical()
    enclave.version, enclave.extensions = (3, 2), struct.pack("<IIII", 0x1002, 32, 1904, 0)
    (found,) = examine(build(enclave))
    assert found.mr_enclave is None
    assert "second shared object" in found.why_not_measured


def test_other_extensions_change_nothing() -> None:
    enclave = typical()
    enclave.version, enclave.extensions = (3, 2), struct.pack("<IIII", 0x1001, 32, 1904, 0)
    (found,) = examine(build(enclave))
    assert found.mr_enclave == measure(enclave)


def test_older_metadata_has_no_extensions() -> None:
    enclave = typical()
    enclave.version, enclave.extensions = (2, 9), struct.pack("<IIII", 0x1002, 32, 1904, 0)
    (found,) = examine(build(enclave))
    assert found.mr_enclave == measure(enclave)


def test_progress_is_told_up_to_the_end() -> None:
    told: list[tuple[int, int]] = []
    examine(build(typical()), lambda done, total: told.append((done, total)))
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1] > 0


def test_what_is_no_enclave_gives_nothing() -> None:
    image = build(typical()).replace(b".note.sgxmeta", b".note.another")
    assert examine(image) == ()


def test_an_enclave_that_was_not_signed_gives_nothing() -> None:
    image = bytearray(build(typical()))
    start = image.index(b"sgx_metadata\0") + 13
    size = struct.unpack_from("<I", image, start - 17 - 4)[0]
    image[start : start + size] = bytes(size)
    assert examine(bytes(image)) == ()


def altered(change: Callable[[Enclave], object]) -> Enclave:
    enclave = typical()
    change(enclave)
    return enclave


MALFORMED = {
    "a size that is no power of two": altered(lambda it: setattr(it, "size", 0x180000)),
    "a size of nothing": altered(lambda it: setattr(it, "size", 0)),
    "no SSA frame": altered(lambda it: setattr(it, "ssa_frame_pages", 0)),
    "an SSA frame of five pages": altered(lambda it: setattr(it, "ssa_frame_pages", 5)),
    "a segment behind the end": altered(lambda it: it.segments.append(Segment(0xFF001, PF_R, b"x" * PAGE))),
    "two segments over one another": altered(lambda it: it.segments.append(Segment(0x4800, PF_R, b"x"))),
    "a segment that nobody may use": altered(lambda it: it.segments.append(Segment(0x80000, 0, b"x"))),
    "an entry behind the end": altered(lambda it: it.layout.append(Entry(0xFF000, 2))),
    "an entry within a page": altered(lambda it: it.layout.append(Entry(0x80010, 1))),
    "two entries at one place": altered(lambda it: it.layout.append(Entry(0x41000, 1))),
    "a group over itself": altered(lambda it: it.layout.append(Group(1, 1, 0))),
    "a group without entries": Enclave(layout=[Group(1, 1, 0x1000)]),
    "a group of groups": Enclave(layout=[Entry(0, 1), Group(1, 1, 0x1000), Group(2, 1, 0x1000)]),
    "a group behind the end": altered(lambda it: it.layout.append(Group(1, 100, 0x10000))),
    "more content than pages": altered(lambda it: it.layout.append(Entry(0x80000, 1, content=b"c" * 5000))),
    "a TCS of more than a page": altered(
        lambda it: it.layout.append(Entry(0x80000, 1, flags=TCS, content=b"c" * 5000))
    ),
    "ELRANGE of no size": altered(lambda it: setattr(it, "el_range", (0, 0, 0))),
    "ELRANGE that is no power of two": altered(lambda it: setattr(it, "el_range", (0, 0, 0x300000))),
    "ELRANGE not aligned": altered(lambda it: setattr(it, "el_range", (0x200000, 0x100000, 0x200000))),
    "ELRANGE behind the image": altered(lambda it: setattr(it, "el_range", (0, 0x40000000, 0x40000000))),
    "ELRANGE before the image's end": altered(lambda it: setattr(it, "el_range", (0x180000, 0, 0x200000))),
    "an image within a page of ELRANGE": altered(lambda it: setattr(it, "el_range", (0x10, 0, 0x200000))),
    "a patch behind the end of the file": altered(lambda it: it.patches.append(Patch(0, 1 << 40, b"x"))),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_layout_that_no_loader_takes_is_malformed(name: str) -> None:
    with pytest.raises(MalformedError):
        examine(assemble(MALFORMED[name], UNSIGNED))


@pytest.mark.parametrize("version", [(0, 1), (4, 0), (7, 0), (20, 0)])
def test_an_unknown_version_is_not_supported(version: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedError, match="version"):
        examine(assemble(altered(lambda it: setattr(it, "version", version)), UNSIGNED))


def test_more_than_a_minute_of_hashing_is_refused_before_it_begins() -> None:
    large = Enclave(segments=[Segment(0, PF_R, b"x", memory=13 << 30)], size=1 << 36)
    with pytest.raises(LimitExceededError, match="hashed"):
        examine(assemble(large, UNSIGNED))


def test_a_heap_of_many_gigabytes_is_no_matter() -> None:
    large = Enclave(layout=[Entry(0, 1 << 19, attributes=EADD)], size=1 << 36)
    assert len(measured(large)) == 32


def test_a_group_of_billions_is_refused_before_it_is_repeated() -> None:
    with pytest.raises(LimitExceededError, match="entries"):
        examine(assemble(Enclave(layout=[Entry(0, 0), Group(1, 0xFFFFFFFF, 0)]), UNSIGNED))


def test_a_group_of_no_entries_is_not_repeated_billions_of_times() -> None:
    with pytest.raises(LimitExceededError, match="entries"):
        examine(assemble(Enclave(layout=[Entry(0, 1), Group(0, 0xFFFFFFFF, 0)]), UNSIGNED))


def test_content_that_is_repeated_without_end_is_refused() -> None:
    entry = Entry(0, 16, content=b"c" * 0xFFFF)
    with pytest.raises(LimitExceededError, match="bytes of content"):
        examine(assemble(Enclave(layout=[entry, Group(1, 600, 0x10000)], size=1 << 36), UNSIGNED))


def test_very_many_threads_take_little_memory() -> None:
    tcs = Entry(0, 1, flags=TCS, content=bytes(72))
    image = assemble(Enclave(layout=[tcs, Group(1, 6_000, 0x1000)], size=1 << 36), UNSIGNED)
    tracemalloc.start()
    try:
        examine(image)
        assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
    finally:
        tracemalloc.stop()


def test_patches_of_nothing_without_end_are_refused() -> None:
    enclave = Enclave(segments=[Segment(0, PF_R, b"x")], patches=[Patch(0, 0, b"")] * 4097)
    with pytest.raises(LimitExceededError, match="4097 patches"):
        examine(assemble(enclave, UNSIGNED))


def test_metadata_with_elrange_is_never_that_of_sdk_1_5() -> None:
    enclave = Enclave(segments=[Segment(0, PF_R, b"x"), Segment(0x1800, PF_R | PF_W, b"d" * 0x800)], version=(1, 3))
    enclave.el_range = (0x40000000, 0, 0x80000000)
    assert measured(enclave) == measure(enclave)


def test_patches_without_end_are_refused() -> None:
    enclave = Enclave(segments=[Segment(0, PF_R, b"x" * 1_000_000)], patches=[Patch(0, 0, b"y" * 900_000)] * 5)
    with pytest.raises(LimitExceededError, match="patches"):
        examine(assemble(enclave, UNSIGNED))


def test_sets_of_metadata_without_end_are_refused() -> None:
    with pytest.raises(LimitExceededError, match="sets of metadata"):
        examine(assemble(Enclave(further_versions=[(1, 4)] * 20), UNSIGNED))


IMAGE = build(typical())


@pytest.mark.parametrize("field", [*range(16, 64, 2)])
def test_every_number_of_the_elf_header_may_lie(field: int) -> None:
    for lie in (b"\xff\xff", b"\0\0", b"\x01\x00", b"\xff\x7f"):
        image = IMAGE[:field] + lie + IMAGE[field + 2 :]
        try:
            examine(image)
        except VerdictdError:
            continue


@pytest.mark.parametrize("size", [0, 3, 4, 63, 64, PAGE, len(IMAGE) // 2, len(IMAGE) - 1])
def test_what_is_cut_off_is_malformed(size: int) -> None:
    with pytest.raises(MalformedError):
        examine(IMAGE[:size])


@pytest.mark.parametrize(
    ("at", "value", "error"),
    [
        (0, b"\x7fELG", MalformedError),
        (4, b"\x01", UnsupportedError),
        (5, b"\x02", UnsupportedError),
        (16, b"\x02", UnsupportedError),
        (18, b"\x03", UnsupportedError),
    ],
)
def test_other_kinds_of_files_are_refused(at: int, value: bytes, error: type[VerdictdError]) -> None:
    with pytest.raises(error):
        examine(IMAGE[:at] + value + IMAGE[at + len(value) :])


def test_a_note_of_another_name_is_malformed() -> None:
    with pytest.raises(MalformedError, match="sgx_metadata"):
        examine(IMAGE.replace(b"sgx_metadata", b"sgx_metadatb"))


def test_relocations_at_no_section_are_malformed() -> None:
    image = build(LAYOUTS["relocations in code"])
    with pytest.raises(MalformedError, match="no section"):
        examine(image.replace(struct.pack("<qQ", 7, 0x770000), struct.pack("<qQ", 7, 0x770008)))


def _in_the_measured_pages(bit: int) -> bool:
    offset = IMAGE.index(b"\x7fcode")
    return offset + 20 <= bit // 8 < offset + 9000


@given(st.integers(0, len(IMAGE) * 8 - 1))
def test_a_flipped_bit_is_seen_or_was_not_the_enclave(bit: int) -> None:
    image = bytearray(IMAGE)
    image[bit // 8] ^= 1 << bit % 8
    try:
        found = examine(bytes(image))
    except VerdictdError:
        return
    if _in_the_measured_pages(bit):
        assert found[0].mr_enclave != measure(typical())


@given(st.binary(max_size=300))
def test_any_bytes_give_an_answer_or_our_error(data: bytes) -> None:
    for image in (data, b"\x7fELF\x02\x01\x01" + data, IMAGE[:64] + data):
        try:
            examine(image)
        except VerdictdError:
            continue


def test_any_damage_to_the_metadata_gives_an_answer_or_our_error() -> None:
    chance = random.Random(7)
    start = IMAGE.index(b"sgx_metadata\0")
    for _ in range(300):
        image = bytearray(IMAGE)
        for _ in range(chance.randint(1, 4)):
            at = chance.choice([chance.randrange(start - 12, start + 90), chance.randrange(start + 1870, len(image))])
            image[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", chance.randbytes(4)])
        try:
            examine(bytes(image))
        except VerdictdError:
            continue


def test_a_file_that_shrinks_meanwhile_is_malformed(tmp_path: Path) -> None:
    path = tmp_path / "enclave.so"
    path.write_bytes(build(LAYOUTS["more pages than are laid out at once"]))
    with path.open("rb") as file, pytest.raises(MalformedError, match="ends in a segment"):
        measure_sdk_enclave(file, lambda _, __: os.truncate(path, 2 * PAGE))


REAL = Path(os.environ.get("VERDICTD_REAL_ENCLAVES", "/nonexistent"))


@pytest.mark.skipif(not REAL.is_dir(), reason="VERDICTD_REAL_ENCLAVES names no directory with real signed enclaves")
def test_real_enclaves_measure_as_they_were_signed() -> None:
    measured_ones = 0
    for path in sorted(REAL.iterdir()):
        with path.open("rb") as file:
            if path.suffix == ".sgxs" and path.with_suffix(".sig").exists():
                signed = parse_sigstruct(path.with_suffix(".sig").read_bytes()).mr_enclave
                assert measure_sgxs(file) == signed, path
                measured_ones += 1
            elif file.peek(4).startswith(b"\x7fELF"):
                for found in measure_sdk_enclave(file):
                    assert found.mr_enclave == parse_sigstruct(found.sigstruct).mr_enclave, path
                    measured_ones += 1
    assert measured_ones
