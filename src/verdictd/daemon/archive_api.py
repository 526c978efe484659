"""The gRPC service that gives out what is archived: `verdictd.v1.ArchiveService`."""

from collections.abc import Iterator
from threading import BoundedSemaphore
from typing import NoReturn

import grpc

from verdictd.archive.database import ArchiveError
from verdictd.archive.entry import encode_entry
from verdictd.archive.material import Role
from verdictd.archive.reader import MAX_LISTED, ArchiveReader, Bundle
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.daemon.proto import archive_pb2 as messages
from verdictd.daemon.proto.archive_pb2_grpc import ArchiveServiceServicer

MAX_LISTINGS = 2
"""How many may list at a time: each holds a thread of the client API."""
NO_ARCHIVE = "verdictd keeps no archive; start it with --archive"
_MAX_PREFIX = 64


class ArchiveAPI(ArchiveServiceServicer):
    """Reads the archive; changes nothing."""

    def __init__(self, archive: ArchiveReader | None) -> None:
        """Serve an archive.

        Args:
            archive: ``None`` where verdictd runs without one, which is then the answer to every call.
        """
        self._archive = archive
        self._listings = BoundedSemaphore(MAX_LISTINGS)

    def GetAttestation(  # noqa: N802 - the name on the wire
        self, request: messages.GetArchivedRequest, context: grpc.ServicerContext
    ) -> messages.ArchivedAttestation:
        """Return one attestation with all that it was judged by."""
        archive = self._open(context)
        try:
            bundle = _find(archive, request)
        except VerdictdError as error:
            _abort(context, error)
        if bundle is None:
            context.abort(grpc.StatusCode.NOT_FOUND, "no such attestation is archived; it may be too old by now")
        return _encode(bundle)

    def ListAttestations(  # noqa: N802 - the name on the wire
        self, request: messages.ListArchivedRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.ArchivedAttestation]:
        """Stream the newest attestations, the oldest of them first."""
        archive = self._open(context)
        unknown = [role for role in request.roles if role not in list(Role)]
        if unknown or not 1 <= request.last <= MAX_LISTED:
            what = (
                f"{unknown[0]!r:.40} is no role" if unknown else f"last is {request.last}, expected 1 to {MAX_LISTED}"
            )
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, what)
        if not self._listings.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_LISTINGS} list the archive already, wait for them")
        try:
            for bundle in archive.newest(request.last, frozenset(Role(role) for role in request.roles)):
                if not context.is_active():
                    return
                yield _encode(bundle)
        except VerdictdError as error:
            _abort(context, error)
        finally:
            self._listings.release()

    def _open(self, context: grpc.ServicerContext) -> ArchiveReader:
        if self._archive is None:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, NO_ARCHIVE)
        return self._archive


def _find(archive: ArchiveReader, request: messages.GetArchivedRequest) -> Bundle | None:
    if request.WhichOneof("which") == "number":
        if request.number > 2**63 - 1:
            raise ConfigError(f"{request.number} is no number of a record")
        return archive.find_number(request.number)
    prefix = request.id_prefix
    if not prefix or len(prefix) > _MAX_PREFIX or not prefix.isascii() or not prefix.isalnum():
        raise ConfigError(f"{prefix!r:.40} is not the beginning of an attestation id")
    return archive.find(prefix.lower())


def _encode(bundle: Bundle) -> messages.ArchivedAttestation:
    blobs = [messages.ArchivedBlob(role=role.value, content=content) for role, content in bundle.blobs.items()]
    return messages.ArchivedAttestation(entry_json=encode_entry(bundle.entry), blobs=blobs)


def _abort(context: grpc.ServicerContext, error: VerdictdError) -> NoReturn:
    if isinstance(error, ArchiveError):
        code = grpc.StatusCode.FAILED_PRECONDITION
    elif isinstance(error, ConfigError):
        code = grpc.StatusCode.INVALID_ARGUMENT
    else:
        code = grpc.StatusCode.DATA_LOSS
    context.abort(code, str(error))
