"""The client API: the gRPC server that `verdict` talks to."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

import grpc

from verdictd.archive.reader import ArchiveReader
from verdictd.collateral.service import CollateralService
from verdictd.configuration.address import Address
from verdictd.core.errors import ConfigError
from verdictd.daemon.archive_api import ArchiveAPI
from verdictd.daemon.attestations import Attestations
from verdictd.daemon.client_api import MAX_MESSAGE_BYTES, OPAService, PairService
from verdictd.daemon.collateral_api import CollateralAPI
from verdictd.daemon.observation_api import ObservationService
from verdictd.daemon.policies import Policies
from verdictd.daemon.policy_history_api import PolicyHistoryAPI
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.archive_pb2_grpc import add_ArchiveServiceServicer_to_server
from verdictd.daemon.proto.clientapi_pb2_grpc import add_OpaServiceServicer_to_server
from verdictd.daemon.proto.collateral_pb2_grpc import add_CollateralServiceServicer_to_server
from verdictd.daemon.proto.policy_history_pb2_grpc import add_PolicyHistoryServiceServicer_to_server
from verdictd.daemon.proto.verdictd_pb2_grpc import (
    add_AttestationServiceServicer_to_server,
    add_PolicyServiceServicer_to_server,
)
from verdictd.daemon.settings_address import ClientAPIAddress

_LOGGER: Final = logging.getLogger(__name__)
_THREADS: Final = 16


def serve_client_api(
    address: ClientAPIAddress,
    policies: Policies,
    attestations: Attestations,
    status: Callable[[], messages.GetStatusResponse],
    *,
    archive: ArchiveReader | None,
    collateral: Callable[[], CollateralService],
) -> grpc.Server:
    """Serve in the background until `grpc.Server.stop`.

    Raises:
        ConfigError: it is not possible to listen there.
    """
    options = [("grpc.max_receive_message_length", MAX_MESSAGE_BYTES), ("grpc.so_reuseport", 0)]
    server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="client-api"), options=options)
    add_OpaServiceServicer_to_server(OPAService(policies.store), server)
    add_PolicyServiceServicer_to_server(PairService(policies.store), server)
    add_PolicyHistoryServiceServicer_to_server(PolicyHistoryAPI(policies.store), server)
    add_ArchiveServiceServicer_to_server(ArchiveAPI(archive), server)
    add_CollateralServiceServicer_to_server(CollateralAPI(collateral, lambda: datetime.now(UTC)), server)
    add_AttestationServiceServicer_to_server(ObservationService(attestations, status), server)
    try:
        port = server.add_insecure_port(str(address))
    except RuntimeError as error:
        raise ConfigError(
            f"the client API cannot listen on {address}", remedy="name a free address with --client-api"
        ) from error
    server.start()
    bound = Address(address.host, port) if isinstance(address, Address) else address
    _LOGGER.info("listening for verdict", extra={"address": str(bound)})
    return server
