"""The gRPC service over the versions of policies and reference values: `verdictd.v1.PolicyHistoryService`."""

import logging

import grpc

from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.daemon.attestation_messages import encode_instant
from verdictd.daemon.proto import policy_history_pb2 as messages
from verdictd.daemon.proto.policy_history_pb2_grpc import PolicyHistoryServiceServicer
from verdictd.daemon.proto.verdictd_pb2 import Refusal
from verdictd.policy.pair import Document, PolicyPair
from verdictd.policy.store import PolicyStore
from verdictd.policy.upload import Upload
from verdictd.policy.version import How, Version

_LOGGER = logging.getLogger(__name__)
_ORIGINS = {
    How.SHIPPED: messages.VERSION_ORIGIN_SHIPPED,
    How.UPLOAD: messages.VERSION_ORIGIN_UPLOAD,
    How.RELOAD: messages.VERSION_ORIGIN_RELOAD,
    How.ROLLBACK: messages.VERSION_ORIGIN_ROLLBACK,
}


class PolicyHistoryAPI(PolicyHistoryServiceServicer):
    """Lists versions, returns them, and puts them in force again."""

    def __init__(self, store: PolicyStore) -> None:
        """Make the service of a store that is open."""
        self._store = store

    def ListVersions(  # noqa: N802 - the name on the wire
        self, request: messages.ListVersionsRequest, context: grpc.ServicerContext
    ) -> messages.ListVersionsResponse:
        """Return all versions that are kept, without their contents."""
        del request, context
        versions = (_encode_version(version, in_force=in_force) for version, in_force in self._store.versions())
        return messages.ListVersionsResponse(versions=versions)

    def GetVersion(  # noqa: N802 - the name on the wire
        self, request: messages.GetVersionRequest, context: grpc.ServicerContext
    ) -> messages.GetVersionResponse:
        """Return a version with its contents."""
        del context
        try:
            return messages.GetVersionResponse(ok=self._load(request.number))
        except VerdictdError as error:
            return messages.GetVersionResponse(error=Refusal(message=error.message, remedy=error.remedy))

    def Rollback(  # noqa: N802 - the name on the wire
        self, request: messages.RollbackRequest, context: grpc.ServicerContext
    ) -> messages.RollbackResponse:
        """Put a version in force again, or say what that would change."""
        del context
        try:
            if request.dry_run:
                return messages.RollbackResponse(ok=self._preview(request.number))
            # Read before: the version that is restored may be the one that the new version takes the place of.
            version = self._load(request.number)
            upload = self._store.roll_back(request.number, _expected_key(request))
        except VerdictdError as error:
            _LOGGER.warning(
                "rollback refused, what was there stays", extra={"version": request.number, "why": str(error)}
            )
            return messages.RollbackResponse(error=Refusal(message=error.message, remedy=error.remedy))
        digests = [document.digest for document in upload.documents]
        _LOGGER.info(
            "policy and reference rolled back",
            extra={"version": request.number, "policy_sha256": digests[0], "reference_sha256": digests[1]},
        )
        return messages.RollbackResponse(ok=messages.RollbackDone(version=version, notes=upload.notes))

    def _preview(self, number: int) -> messages.RollbackDone:
        kind, pair = self._store.check_version(number)
        now = self._store.active(kind)
        done = messages.RollbackDone(
            version=self._load(number), replaced=messages.PairDigests(), notes=Upload((), (pair,)).notes
        )
        if isinstance(now, PolicyPair):
            done.replaced.policy_digest, done.replaced.reference_digest = now.policy.digest, now.reference.digest
            done.replaced_policy, done.replaced_reference = now.policy.content, now.reference.content
        return done

    def _load(self, number: int) -> messages.VersionContents:
        version, policy, reference = self._store.load_version(number)
        return _encode_contents(version, policy, reference, in_force=(version, True) in self._store.versions())


def _encode_contents(
    version: Version, policy: Document, reference: Document, *, in_force: bool
) -> messages.VersionContents:
    return messages.VersionContents(
        version=_encode_version(version, in_force=in_force), policy=policy.content, reference=reference.content
    )


def _encode_version(version: Version, *, in_force: bool) -> messages.PolicyVersion:
    return messages.PolicyVersion(
        number=version.number,
        recorded_at=encode_instant(version.at),
        origin=_ORIGINS[version.how],
        restored=version.restored or 0,
        policy_name=version.policy_name,
        policy_digest=version.policy_digest,
        reference_name=version.reference_name,
        reference_digest=version.reference_digest,
        in_force=in_force,
    )


def _expected_key(request: messages.RollbackRequest) -> bytes | None:
    if not request.HasField("expected"):
        return None
    try:
        return bytes.fromhex(request.expected.policy_digest + request.expected.reference_digest)
    except ValueError as error:
        raise MalformedError("the digests of what is to be replaced are not hexadecimal") from error
