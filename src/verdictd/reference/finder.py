"""Finds what reference values can be taken from: in a file, a directory or a package."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import BinaryIO, Final

from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError, VerdictdError
from verdictd.core.limits import MAX_CERTIFICATE_BYTES
from verdictd.enclave.measurement import HashBudget
from verdictd.enclave.sdk_image import measure_sdk_enclave
from verdictd.enclave.sgxs import measure_sgxs
from verdictd.enclave.sigstruct import SIGSTRUCT_BYTES, parse_sigstruct
from verdictd.reference.sgx_subjects import explain, judge_evidence, judge_signed
from verdictd.reference.subject import Finding, MeasurementSource, Subject, Unusable
from verdictd.tees.sgx_ecdsa.reference_values import EnclaveValues
from verdictd.unpacking.names import show_path
from verdictd.unpacking.walk import FoundFile, walk

MAX_FINDINGS: Final = 1000
"""Of one file. What a package holds is kept until it was read whole."""

_ELF: Final = b"\x7fELF"
_SIGSTRUCT: Final = bytes.fromhex("06000000e100000000000100")
_SGXS: Final = b"ECREATE\0"
_NO_IMAGE: Final = "there is only the signature, without the image"
_PARTNERS: Final = {".sgxs": ".sig", ".sig": ".sgxs"}
_BEST_FIRST: Final = tuple(MeasurementSource)

Progress = Callable[[str, int, int], None]
"""Told what is being measured, how many bytes of it are done, and how many there are."""


@dataclass(slots=True)
class _Found:
    """What was found so far. A signature and the stream that it signs are files of their own, in any order."""

    budget: HashBudget
    findings: list[Finding] = field(default_factory=list)
    signatures: list[tuple[str, bytes]] = field(default_factory=list)
    streams: list[tuple[str, bytes]] = field(default_factory=list)


def find_subjects(path: Path, partners: Iterable[Path] = (), progress: Progress | None = None) -> tuple[Finding, ...]:
    """Find every enclave in a file; the same one is named once, where its image was measured if it was.

    Args:
        path: a file, directory or package of the operator; what is in it is untrusted. A file that is none of the known
            kinds is taken for a quote or a certificate.
        partners: of a Fortanix enclave, files that may hold the signature of the stream, or the stream of the
            signature, that is at `path`. One that differs in the ending alone is found by itself.
        progress: told while images are measured.

    Returns:
        In the order in which they were found.

    Raises:
        ConfigError: a file cannot be read.
        MalformedError, UnsupportedError: a package cannot be read.
        LimitExceededError: a package is larger than allowed, or has more than `MAX_FINDINGS` enclaves.
    """
    budget = HashBudget()
    found, beside = _Found(budget), _Found(budget)
    for file in walk(path):
        _take(file, found, progress, is_named=path.is_file() and file.name == show_path(path))
        if len(found.findings) + len(found.streams) + len(found.signatures) > MAX_FINDINGS:
            raise LimitExceededError(
                f"there are more than {MAX_FINDINGS} enclaves in {path}", remedy="name one of them"
            )
    for partner in _find_partners(path, partners):
        for file in walk(partner):
            _take(file, beside, progress, is_named=False)
    found.findings += _pair(found, beside)
    return unite(found.findings)


def unite(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Name what is the same once: where its image was measured, if it was."""
    given = tuple(findings)
    same: dict[EnclaveValues, list[Subject]] = {}
    for each in given:
        if isinstance(each, Subject):
            same.setdefault(each.values, []).append(each)
    united: list[Finding] = []
    for each in given:
        if isinstance(each, Unusable):
            united.append(each)
        elif others := same.pop(each.values, None):
            best = min(others, key=lambda other: _BEST_FIRST.index(other.source))
            names = dict.fromkeys(other.where for other in others if other.where != best.where)
            united.append(replace(best, notes=(*best.notes, *(f"the same is in {name}" for name in names))))
    return tuple(united)


def select(findings: Sequence[Finding], member: str | None, path: str) -> tuple[Finding, ...]:
    """Of what one file holds, select what was asked for.

    Args:
        findings: see `find_subjects`.
        member: the end of the name of one of them, from a ``/`` or the start on; ``None`` for the only one there is.
        path: what to call the file in a message.

    Raises:
        ConfigError: none is so named, or several are and it is not said which.
    """
    chosen = [each for each in findings if member is None or _is_named(each.where, member)]
    names = dict.fromkeys(each.where for each in (chosen or findings))
    listed = "".join(f"\n  {name}" for name in names)
    if not findings:
        raise ConfigError(f"there is no enclave in {path}", remedy="name a signed enclave, or what contains one")
    if not chosen:
        raise ConfigError(f"no enclave in {path} is named {member}; choose one with --member, there are:{listed}")
    if len(names) > 1:
        raise ConfigError(f"there are {len(names)} enclaves in {path}; choose one with --member:{listed}")
    return tuple(chosen)


def _is_named(where: str, member: str) -> bool:
    return where == member or where.endswith((f"/{member}", f" {member}"))


def _find_partners(path: Path, partners: Iterable[Path]) -> tuple[Path, ...]:
    """Only a stream or a signature has any; what is beside it on disk comes first."""
    ending = _PARTNERS.get(path.suffix)
    if ending is None:
        return ()
    beside = path.with_suffix(ending)
    named = [partner for partner in partners if partner.suffix == ending]
    return tuple(dict.fromkeys((beside, *named) if beside.is_file() else named))


def _take(file: FoundFile, found: _Found, progress: Progress | None, *, is_named: bool) -> None:
    report = None if progress is None else _bind(progress, file.name)
    try:
        if file.head.startswith(_SIGSTRUCT) or (file.size == SIGSTRUCT_BYTES and file.name.endswith(".sig")):
            found.signatures.append((file.name, _read_sigstruct(file)))
        elif file.head.startswith(_SGXS):
            with file.open() as stream:
                found.streams.append((file.name, measure_sgxs(stream, report)))
        elif file.head.startswith(_ELF):
            with file.open() as stream:
                found.findings += _judge_elf(stream, file.name, report, found.budget, is_named=is_named)
        elif is_named:
            found.findings.append(judge_evidence(_read_evidence(file), where=file.name))
    except ConfigError:
        raise
    except VerdictdError as error:
        found.findings.append(explain(error, where=file.name))


def _read_sigstruct(file: FoundFile) -> bytes:
    if file.size != SIGSTRUCT_BYTES:
        raise MalformedError(
            f"it begins like a SIGSTRUCT, which is {SIGSTRUCT_BYTES} bytes long, and is {file.size} bytes long",
            remedy="it was cut off or damaged: take it again from where it was built",
        )
    with file.open() as stream:
        return stream.read(SIGSTRUCT_BYTES)


def _read_evidence(file: FoundFile) -> bytes:
    if file.size > MAX_CERTIFICATE_BYTES:
        raise MalformedError(
            f"it is neither an enclave, a signature nor a package, and with {file.size} bytes too long for evidence",
            remedy="name a signed enclave, a SIGSTRUCT, an .sgxs file, an RPM, a DEB, a directory, or evidence",
        )
    with file.open() as stream:
        return stream.read(MAX_CERTIFICATE_BYTES)


def _judge_elf(
    stream: BinaryIO, where: str, report: Callable[[int, int], None] | None, budget: HashBudget, *, is_named: bool
) -> Iterator[Finding]:
    enclaves = measure_sdk_enclave(stream, report, budget)
    if not enclaves and is_named:
        yield Unusable(where=where, reason="it is no SGX enclave, or not signed yet; sign it first, with sgx_sign")
    for enclave in enclaves:
        finding = judge_signed(
            enclave.sigstruct,
            where=where,
            kind=f"SGX enclave of Intel's SDK (metadata {enclave.version})",
            measured=enclave.mr_enclave,
            why_not=enclave.why_not_measured,
        )
        yield replace(finding, metadata=enclave.fields) if isinstance(finding, Subject) else finding


def _pair(found: _Found, beside: _Found) -> Iterator[Finding]:
    """Put streams together with the signatures that name their measurement; what is left over stands for itself."""
    used: set[str] = set()
    for where, measured in found.streams:
        signatures = _find_signatures(where, measured, (*found.signatures, *beside.signatures))
        used.update(name for name, _ in signatures)
        if not signatures:
            reason = f"nothing signs its MRENCLAVE {measured.hex()}; name the file with its signature (.sig) too"
            yield Unusable(where=where, reason=reason)
        yield from (_judge_stream(data, where, measured, name) for name, data in signatures)
    for name, data in found.signatures:
        streams = [each for each in beside.streams if name in _find_names(each, [(name, data)])]
        yield from (_judge_stream(data, where, measured, name) for where, measured in streams)
        if name not in used and not streams:
            yield judge_signed(data, where=name, kind="SIGSTRUCT", measured=None, why_not=_NO_IMAGE)


def _find_names(stream: tuple[str, bytes], signatures: Sequence[tuple[str, bytes]]) -> set[str]:
    return {name for name, _ in _find_signatures(*stream, signatures)}


def _find_signatures(where: str, measured: bytes, signatures: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
    """Find what signs a stream: the measurement it names, or its own name where the image was altered since."""
    matching = [each for each in signatures if parse_sigstruct(each[1]).mr_enclave == measured]
    return matching or [each for each in signatures if each[0].removesuffix(".sig") == where.removesuffix(".sgxs")]


def _judge_stream(signature: bytes, where: str, measured: bytes, name: str) -> Finding:
    kind = f"SGX enclave in an .sgxs file, signed in {Path(name).name}"
    return judge_signed(signature, where=where, kind=kind, measured=measured, why_not="")


def _bind(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(name, done, total)
