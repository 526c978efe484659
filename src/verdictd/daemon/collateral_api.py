"""The gRPC service by which an operator sees and moves collateral: `verdictd.v1.CollateralService`."""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

import grpc

from verdictd.collateral.items import VerifiedItem
from verdictd.collateral.service import CollateralService
from verdictd.collateral.source_names import one_line
from verdictd.core.errors import VerdictdError
from verdictd.daemon.attestation_messages import encode_instant
from verdictd.daemon.collateral_wire import decode_raw, encode_raw
from verdictd.daemon.proto import collateral_pb2 as messages
from verdictd.daemon.proto.collateral_pb2_grpc import CollateralServiceServicer

MAX_ITEMS: Final = 10_000
"""Of one import. The size of a whole request is bounded by the client API."""


class CollateralAPI(CollateralServiceServicer):
    """Shows what is held, has it refreshed, and takes in what an operator brings, verified like anything else."""

    def __init__(self, service: Callable[[], CollateralService], clock: Callable[[], datetime]) -> None:
        """Serve a collateral service.

        Args:
            service: asked anew for each call, as a reload replaces it.
            clock: tells the time (aware).
        """
        self._service = service
        self._clock = clock

    def ListCollateral(  # noqa: N802 - the name on the wire
        self, request: messages.ListCollateralRequest, context: grpc.ServicerContext
    ) -> messages.ListCollateralResponse:
        """Return what every item is that is held."""
        del request, context
        service = self._service()
        own, peers = service.known()
        items = [_describe(service, item, is_from_peer=False) for item in own]
        items += [_describe(service, item, is_from_peer=True) for item in peers]
        return messages.ListCollateralResponse(items=items)

    def ExportCollateral(  # noqa: N802 - the name on the wire
        self, request: messages.ExportCollateralRequest, context: grpc.ServicerContext
    ) -> Iterator[messages.RawCollateral]:
        """Give the items themselves, each in a message of its own, so that no message outgrows what is accepted.

        What only peers brought is left out: whoever imports it would take it for the sources' own.
        """
        del request, context
        own, _ = self._service().known()
        return (encode_raw(item.item) for item in own)

    def RefreshCollateral(  # noqa: N802 - the name on the wire
        self, request: messages.RefreshCollateralRequest, context: grpc.ServicerContext
    ) -> messages.RefreshCollateralResponse:
        """Have the sources asked for all that is held, and say what became of it."""
        del request, context
        return messages.RefreshCollateralResponse(
            outcomes=[
                messages.CollateralOutcome(name=str(key.name), status="failed" if reason else "asked", reason=reason)
                for key, reason in self._service().refresh(self._clock())
            ]
        )

    def ImportCollateral(  # noqa: N802 - the name on the wire
        self, request: messages.ImportCollateralRequest, context: grpc.ServicerContext
    ) -> messages.ImportCollateralResponse:
        """Take in items, and say of each what became of it."""
        if len(request.items) > MAX_ITEMS:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"{len(request.items)} items, the limit is {MAX_ITEMS}")
        service, at = self._service(), self._clock()
        return messages.ImportCollateralResponse(outcomes=[_take_in(service, raw, at) for raw in request.items])


def _take_in(service: CollateralService, raw: messages.RawCollateral, at: datetime) -> messages.CollateralOutcome:
    source = one_line(raw.source)
    try:
        outcome = service.offer(decode_raw(raw), at)
    except VerdictdError as error:
        kind = one_line(raw.kind[:40])
        return messages.CollateralOutcome(name=kind, source=source, status="refused", reason=str(error))
    name = raw.kind if outcome.offered is None else str(outcome.offered.key.name)
    return messages.CollateralOutcome(name=name, source=source, status=outcome.status.value, reason=outcome.reason)


def _describe(service: CollateralService, item: VerifiedItem, *, is_from_peer: bool) -> messages.CollateralDescription:
    due_s, failure = service.describe_attempts(item.key)
    return messages.CollateralDescription(
        kind=item.item.kind.value,
        name=str(item.key.name),
        source=one_line(item.item.source),
        root=item.root.label,
        issue_date=encode_instant(item.issue_date),
        expires_at=encode_instant(item.expires_at),
        number=min(item.sequence[0], 2**64 - 1),
        is_from_peer=is_from_peer,
        next_refresh_s=due_s,
        last_failure=one_line(failure),
    )
