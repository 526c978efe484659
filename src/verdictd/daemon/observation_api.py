"""The gRPC service by which an operator sees why: `verdictd.v1.AttestationService`."""

from collections.abc import Callable, Iterator
from threading import BoundedSemaphore

import grpc

from verdictd.daemon.attestations import Attestations
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.verdictd_pb2_grpc import AttestationServiceServicer

MAX_FOLLOWERS = 8
"""How many may follow at a time; fewer than the client API has threads."""
_FOLLOWER_WAKES_S = 1.0


class ObservationService(AttestationServiceServicer):
    """Reads what the workers remember and the daemon's status; changes nothing."""

    def __init__(self, attestations: Attestations, status: Callable[[], messages.GetStatusResponse]) -> None:
        self._attestations = attestations
        self._status = status
        self._followers = BoundedSemaphore(MAX_FOLLOWERS)

    def ListAttestations(  # noqa: N802 - the name on the wire
        self, request: messages.ListAttestationsRequest, context: grpc.ServicerContext
    ) -> messages.ListAttestationsResponse:
        """Return remembered attestations, the oldest first; of those that are too many for one answer, the newest."""
        del context
        found = self._attestations.find(request.id_prefix, request.limit)
        return messages.ListAttestationsResponse(attestations=found)

    def WatchAttestations(  # noqa: N802 - the name on the wire
        self, request: messages.WatchAttestationsRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.Attestation]:
        """Stream attestations as they are concluded, until the caller or the daemon ends.

        The initial metadata are sent when nothing that is concluded can be missed any more. Each follower holds a
        thread, so that there may be only so many: uploads must find one too.
        """
        if not self._followers.acquire(blocking=False):
            context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, f"{MAX_FOLLOWERS} follow already, end one of them")
        try:
            with self._attestations.follow(_FOLLOWER_WAKES_S) as concluded:
                context.send_initial_metadata(())
                for attestation in concluded:
                    if not context.is_active():
                        return
                    if attestation is not None and attestation.id.startswith(request.id_prefix):
                        yield attestation
        finally:
            self._followers.release()

    def GetStatus(  # noqa: N802 - the name on the wire
        self, request: messages.GetStatusRequest, context: grpc.ServicerContext
    ) -> messages.GetStatusResponse:
        """Return what the daemon trusts, holds and does."""
        del request, context
        return self._status()
