"""Asks a daemon for what it has archived. What comes back is checked as if anybody had sent it."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from verdictd.archive.entry import decode_entry
from verdictd.archive.material import Role
from verdictd.archive.reader import Bundle
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.errors import ConfigError, MalformedError, TransportError
from verdictd.daemon.proto import archive_pb2 as messages
from verdictd.daemon.proto.archive_pb2_grpc import ArchiveServiceStub

_NUMBER = "audit:"
_SAID_BY_THE_DAEMON = frozenset(
    {
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.DATA_LOSS,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)


def fetch_attestation(address: str, which: str) -> Bundle:
    """Fetch one attestation with all it was judged by.

    Args:
        address: of the client API.
        which: the first digits of its id, or ``audit:N`` for its number in the audit log.
    Raises:
        ConfigError: `which` is neither.
        TransportError: the daemon cannot be reached, or has no such attestation.
        MalformedError, LimitExceededError: it answers with something else.
    """
    with _answers(address) as service:
        answer = service.GetAttestation(_select(which), timeout=TIMEOUT_S)
    return _decode(answer)


def fetch_newest(address: str, last: int, roles: frozenset[Role]) -> Iterator[Bundle]:
    """Fetch the newest attestations, the oldest of them first, with their blobs of some roles.

    Raises:
        TransportError, MalformedError, LimitExceededError: as `fetch_attestation`.
    """
    request = messages.ListArchivedRequest(last=last, roles=sorted(role.value for role in roles))
    with _answers(address) as service:
        for answer in service.ListAttestations(request):
            yield _decode(answer)


@contextmanager
def _answers(address: str) -> Iterator[ArchiveServiceStub]:
    with client_api(address) as channel:
        try:
            yield ArchiveServiceStub(channel)
        except grpc.RpcError as error:
            # What a call raises is a grpc.Call as well, which its types cannot say.
            code = getattr(error, "code", lambda: None)()
            if code in _SAID_BY_THE_DAEMON:
                raise TransportError(f"verdictd at {address}: {getattr(error, 'details', str)()}") from error
            raise


def _select(which: str) -> messages.GetArchivedRequest:
    if not which.startswith(_NUMBER):
        return messages.GetArchivedRequest(id_prefix=which)
    digits = which.removeprefix(_NUMBER)
    if not digits.isascii() or not digits.isdigit() or not 1 <= int(digits) < 2**63:
        raise ConfigError(f"{which!r:.60} is no number of a record", remedy="write audit:N, or an attestation's id")
    return messages.GetArchivedRequest(number=int(digits))


def _decode(answer: messages.ArchivedAttestation) -> Bundle:
    blobs = {}
    for blob in answer.blobs:
        if blob.role not in list(Role):
            raise MalformedError(f"the daemon sent a blob of the role {blob.role!r:.40}; it may be another version")
        blobs[Role(blob.role)] = blob.content
    return Bundle(decode_entry(answer.entry_json), blobs)
