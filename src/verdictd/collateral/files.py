"""Collateral from files: one set in a JSON file, or a directory of whatever the operator saved."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from verdictd.collateral.certificate_pool import CertificatePool
from verdictd.collateral.file_contents import (
    CollateralSet,
    Content,
    LooseCertificate,
    LooseCertificates,
    LooseCRL,
    LooseDocument,
    NotCollateral,
    recognise,
)
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.collateral.sources import FixedSource
from verdictd.core.errors import CollateralError, ConfigError, LimitExceededError, VerdictdError
from verdictd.core.limits import MAX_COLLATERAL_FILE_BYTES
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument

_MAX_FILES: Final = 4096
_MAX_TOTAL_BYTES: Final = 16 * MAX_COLLATERAL_FILE_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadedCollateral:
    """What files hold. Read, not verified.

    Attributes:
        where: the file or directory.
        items: every item, each with the file it came from.
        taken: a sentence for each file that was used: what it was taken for.
        ignored: a sentence for each file that was not: why.
    """

    where: str
    items: tuple[CollateralItem, ...]
    taken: tuple[str, ...]
    ignored: tuple[str, ...]

    def as_source(self) -> FixedSource:
        """Return the items as a source for the service."""
        return FixedSource(
            name=self.where,
            at_hand=self.items,
            warnings=tuple(f"{self.where}: ignored {sentence}" for sentence in self.ignored),
        )


def load_collateral(path: Path) -> LoadedCollateral:
    """Load a file, or all files of a directory (not of those inside it).

    A file of a directory may be a set in the form of `dcap-qvl`; an answer of a PCS (TCB info, QE identity); a CRL in
    DER, hex or PEM; or certificates in PEM or DER, from which the chains of the answers and CRLs are put together.
    Several platforms' collateral may lie side by side. Files are recognised by their content.

    Raises:
        ConfigError: it is not there, cannot be read, or holds no collateral.
        CollateralError: a file holds collateral, but cannot be used.
        LimitExceededError: too many or too large files.
    """
    files = _list_files(path)
    pool, found, taken, ignored = CertificatePool(), list[tuple[Path, Content]](), [], []
    total = 0
    for file in files:
        data = _read(file)
        total += len(data)
        if total > _MAX_TOTAL_BYTES:
            raise LimitExceededError(f"the files of {path} are larger than {_MAX_TOTAL_BYTES} bytes together")
        for content in _recognise(file, data):
            if isinstance(content, NotCollateral):
                ignored.append(f"{file.name}: {content.reason}")
            else:
                _add_certificates(pool, file, content)
                found.append((file, content))
                taken.append(f"{file.name}: {content.taken_for}")
    items = tuple(item for file, content in found for item in _items(file, content, pool))
    if not items:
        reasons = f" ({'; '.join(ignored[:5])})" if ignored else ""
        raise ConfigError(
            f"{path} holds no collateral{reasons}",
            remedy="name a file in the form of dcap-qvl, or a directory of such files or of saved PCS answers",
        )
    return LoadedCollateral(where=str(path), items=items, taken=tuple(taken), ignored=tuple(ignored))


def _list_files(path: Path) -> list[Path]:
    try:
        if not path.is_dir():
            return [path]
        files = sorted(file for file in path.iterdir() if file.is_file() and not file.name.startswith("."))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", remedy="correct its permissions") from error
    if len(files) > _MAX_FILES:
        raise LimitExceededError(f"{path} holds {len(files)} files, the limit is {_MAX_FILES}")
    return files


def _read(file: Path) -> bytes:
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_COLLATERAL_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}", remedy="name a file that can be") from error
    except ValueError as error:
        raise ConfigError(f"{str(file)!r} is no path: {error}", remedy="name a file") from error
    if len(data) > MAX_COLLATERAL_FILE_BYTES:
        raise LimitExceededError(f"{file} is larger than {MAX_COLLATERAL_FILE_BYTES} bytes")
    return data


def _recognise(file: Path, data: bytes) -> tuple[Content, ...]:
    try:
        return recognise(data, str(file))
    except VerdictdError as error:
        raise _unusable(file, error) from error


def _add_certificates(pool: CertificatePool, file: Path, content: Content) -> None:
    try:
        if isinstance(content, LooseCertificates):
            pool.add_pem(content.pem)
        elif isinstance(content, LooseCertificate):
            pool.add_der(content.der)
    except VerdictdError as error:
        raise _unusable(file, error) from error


def _items(file: Path, content: Content, pool: CertificatePool) -> tuple[CollateralItem, ...]:
    """Turn what a file holds into items, with chains from the pool where they came without."""
    source = str(file)
    match content:
        case CollateralSet(items=items):
            return items
        case LooseDocument(kind=kind, document=document):
            chain = pool.chain_for_document(document, content.taken_for)
            raw = SignedDocument(body=document.body, signature=document.signature, issuer_chain=chain, source=source)
            return (CollateralItem(kind=kind, raw=raw),)
        case LooseCRL(kind=kind, der=der):
            chain = pool.chain_for_crl(der, source) if kind is ItemKind.PCK_CRL else b""
            return (CollateralItem(kind=kind, raw=RevocationList(der=der, issuer_chain=chain, source=source)),)
        case _:
            return ()


def _unusable(file: Path, error: VerdictdError) -> CollateralError:
    return CollateralError(
        f"{file} cannot be used: {error.message}", remedy=error.remedy or "fetch it again, or take it away"
    )
