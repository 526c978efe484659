"""Calls to a daemon's client API, with gRPC's failures turned into sentences."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from verdictd.core.errors import TransportError

TIMEOUT_S = 30.0
_MAX_MESSAGE_BYTES = 64 * 1024 * 1024


@contextmanager
def client_api(address: str) -> Iterator[grpc.Channel]:
    """Open a channel to the client API at ``HOST:PORT``.

    Raises:
        TransportError: the daemon cannot be reached, or answers with a gRPC error.
    """
    options = [("grpc.max_receive_message_length", _MAX_MESSAGE_BYTES), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            raise _explain(error, address) from error


def _explain(error: grpc.RpcError, address: str) -> TransportError:
    # What a call raises is a grpc.Call as well, which its types cannot say.
    code, details = getattr(error, "code", lambda: None)(), getattr(error, "details", lambda: str(error))()
    if code is grpc.StatusCode.UNAVAILABLE:
        return TransportError(
            f"no verdictd answers at {address} ({details})",
            remedy="start verdictd, or name its --client-api address with --client-api",
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return TransportError(f"the daemon at {address} does not know this call; it may be another version")
    return TransportError(f"the client API at {address} failed: {getattr(code, 'name', code)}: {details}")
