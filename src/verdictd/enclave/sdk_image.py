"""Enclaves of Intel's SDK: what a signed image is measured as, beside what its signature says."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from verdictd.enclave.elf_image import ElfImage, parse_elf
from verdictd.enclave.file_reader import FileReader
from verdictd.enclave.measurement import CHUNK_BYTES, PAGE_BYTES, EnclaveMeasurement, HashBudget
from verdictd.enclave.patches import PatchedFile
from verdictd.enclave.sdk_layout import PageRun, plan_pages
from verdictd.enclave.sdk_metadata import SdkMetadata, parse_all_metadata

Progress = Callable[[int, int], None]
"""Told how many bytes have been hashed, and how many there are."""

_RUN_PAGES = 4096
"""So many pages are hashed between two reports."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SdkEnclave:
    """What an image is, for loaders that use one of its sets of metadata.

    Attributes:
        version: the metadata's version, for a person.
        fields: the metadata's values before its signature, by name; see `METADATA_FIELDS`.
        sigstruct: 1,808 bytes, unverified.
        mr_enclave: as computed from the image; ``None`` where that is not supported.
        why_not_measured: why; else empty.
    """

    version: str
    fields: Mapping[str, int]
    sigstruct: bytes
    mr_enclave: bytes | None
    why_not_measured: str


def measure_sdk_enclave(
    file: BinaryIO, progress: Progress | None = None, budget: HashBudget | None = None
) -> tuple[SdkEnclave, ...]:
    """Read an image and measure it, for each set of metadata in it; sets that lead to the same pages, once.

    Args:
        file: an ELF file, untrusted; nobody else reads from it meanwhile.
        progress: see `Progress`.
        budget: what may be hashed, for this file and others; the default for this one where ``None``.

    Returns:
        Nothing where the file is no enclave, or was not signed yet.

    Raises:
        MalformedError: a structure does not follow its format, or points outside of the file or the enclave.
        UnsupportedError: no shared object for x86-64, or metadata of an unknown version.
        LimitExceededError: larger than an enclave may be, or more to hash than the budget has; of the set of metadata
            that is too much, nothing was hashed yet.
        ConfigError: the file cannot be read.
    """
    reader = FileReader(file)
    image = parse_elf(reader)
    if image.metadata_offset is None:
        return ()
    block = reader.read(image.metadata_offset, image.metadata_bytes, "the metadata")
    measuring = _Measuring(reader, image, progress, budget or HashBudget())
    return tuple(measuring.measure(metadata) for metadata in parse_all_metadata(block))


class _Measuring:
    """Measures one image, and remembers what came of the last sequence of pages."""

    def __init__(self, reader: FileReader, image: ElfImage, progress: Progress | None, budget: HashBudget) -> None:
        self._reader = reader
        self._image = image
        self._progress = progress
        self._budget = budget
        self._last: tuple[object, bytes] | None = None

    def measure(self, metadata: SdkMetadata) -> SdkEnclave:
        return SdkEnclave(
            version=metadata.version,
            fields=metadata.fields,
            sigstruct=metadata.sigstruct,
            mr_enclave=None if metadata.unsupported else self._recall(metadata),
            why_not_measured=metadata.unsupported,
        )

    def _recall(self, metadata: SdkMetadata) -> bytes:
        runs, file = plan_pages(self._image, metadata), PatchedFile(self._reader, metadata)
        size, frame = metadata.fields["enclave_size"], metadata.fields["ssa_frame_size"]
        key = (runs, file.patches, size, frame, metadata.el_range)
        if self._last is None or self._last[0] != key:
            self._budget.spend(sum(run.hashed_bytes for run in runs))
            self._last = key, _hash(file, runs, metadata, self._progress)
        return self._last[1]


def _hash(file: PatchedFile, runs: Sequence[PageRun], metadata: SdkMetadata, progress: Progress | None) -> bytes:
    el_range = metadata.el_range
    size = metadata.fields["enclave_size"] if el_range is None else el_range.size
    shift = 0 if el_range is None else el_range.image_address - el_range.start
    measurement = EnclaveMeasurement(size, metadata.fields["ssa_frame_size"])
    total, done = sum(run.hashed_bytes for run in runs), 0
    for run in runs:
        for first in range(0, run.pages, _RUN_PAGES):
            part = run.cut(first, _RUN_PAGES)
            _hash_run(file, part, shift, measurement)
            done += part.hashed_bytes
            if progress is not None:
                progress(done, total)
    return measurement.finish()


def _hash_run(file: PatchedFile, run: PageRun, shift: int, measurement: EnclaveMeasurement) -> None:
    offset = run.address + shift
    if run.content is not None:
        measurement.extend_same_pages(offset, run.flags, run.pages, run.page)
    elif run.file_offset is None:
        measurement.add_pages(offset, run.flags, run.pages)
    elif run.file_bytes < PAGE_BYTES:
        content = bytes(run.page_offset) + file.read(run.file_offset, run.file_bytes)
        measurement.extend_same_pages(offset, run.flags, 1, content.ljust(PAGE_BYTES, b"\0"))
    else:
        measurement.extend_pages(offset, run.flags, run.pages, _Source(file, run.file_offset).fill)


class _Source:
    """Hands a file's content over, one piece after the other."""

    def __init__(self, file: PatchedFile, offset: int) -> None:
        self._file = file
        self._offset = offset

    def fill(self, chunks: Sequence[memoryview]) -> None:
        self._file.read_into(self._offset, chunks)
        self._offset += len(chunks) * CHUNK_BYTES
