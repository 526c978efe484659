"""The client API's policy services: the original's `clientapi.OpaService`, and `verdictd.v1.PolicyService` beside it.

In the original's service an answer's ``status`` is ``OK`` or the error's text, and the gRPC status stays OK.
"""

import logging
from collections.abc import Callable

import grpc

from verdictd.core.errors import MalformedError, VerdictdError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES, MAX_REQUEST_BYTES
from verdictd.daemon.proto import clientapi_pb2 as original
from verdictd.daemon.proto import verdictd_pb2 as messages
from verdictd.daemon.proto.clientapi_pb2_grpc import OpaServiceServicer
from verdictd.daemon.proto.verdictd_pb2_grpc import PolicyServiceServicer
from verdictd.policy.decision import decision_json
from verdictd.policy.json_document import parse_json_object
from verdictd.policy.service import evaluate_once
from verdictd.policy.store import PolicyStore

_LOGGER = logging.getLogger(__name__)
_OK = b"OK"


class OPAService(OpaServiceServicer):
    """Policies and reference values, as the original's tool and ours handle them."""

    def __init__(self, store: PolicyStore) -> None:
        self._store = store

    def SetOpaPolicy(  # noqa: N802 - the name on the wire
        self, request: original.SetOpaPolicyRequest, context: grpc.ServicerContext
    ) -> original.SetOpaPolicyResponse:
        """Store a policy, or leave what there was."""
        del context
        status = _attempt("policy", request.name, lambda name: self._store.set_policy(name, request.content))
        return original.SetOpaPolicyResponse(status=status)

    def setOpaReference(  # noqa: N802 - the name on the wire
        self, request: original.SetOpaReferenceRequest, context: grpc.ServicerContext
    ) -> original.SetOpaReferenceResponse:
        """Store reference values, or leave what there was."""
        del context
        status = _attempt("reference", request.name, lambda name: self._store.set_reference(name, request.content))
        return original.SetOpaReferenceResponse(status=status)

    def exportOpaPolicy(  # noqa: N802 - the name on the wire
        self, request: original.ExportOpaPolicyRequest, context: grpc.ServicerContext
    ) -> original.ExportOpaPolicyResponse:
        """Return a policy's bytes."""
        del context
        status, content = self._export(request.name)
        return original.ExportOpaPolicyResponse(status=status, content=content)

    def exportOpaReference(  # noqa: N802 - the name on the wire
        self, request: original.ExportOpaReferenceRequest, context: grpc.ServicerContext
    ) -> original.ExportOpaReferenceResponse:
        """Return reference values' bytes."""
        del context
        status, content = self._export(request.name)
        return original.ExportOpaReferenceResponse(status=status, content=content)

    def TestOpa(  # noqa: N802 - the name on the wire
        self, request: original.TestOpaRequest, context: grpc.ServicerContext
    ) -> original.TestOpaResponse:
        """Decide about an input, with stored or given policy and reference; nothing is changed."""
        del context
        try:
            return original.TestOpaResponse(status=self._test(request).encode("utf-8"))
        except VerdictdError as error:
            return original.TestOpaResponse(status=str(error).encode("utf-8"))

    def _test(self, request: original.TestOpaRequest) -> str:
        policy = request.policycontent if request.policylocal else self._store.export(_decode(request.policyname))
        reference = (
            request.referencecontent if request.referencelocal else self._store.export(_decode(request.referencename))
        )
        given = parse_json_object(request.input, "the input", MAX_REQUEST_BYTES)
        decision = evaluate_once(policy, reference, given)
        return decision_json(decision) if decision.outcome.is_decided else decision.reason

    def _export(self, name: bytes) -> tuple[bytes, bytes]:
        try:
            return _OK, self._store.export(_decode(name))
        except VerdictdError as error:
            return str(error).encode("utf-8"), b""


class PairService(PolicyServiceServicer):
    """Policy and reference values in one step."""

    def __init__(self, store: PolicyStore) -> None:
        self._store = store

    def SetPair(  # noqa: N802 - the name on the wire
        self, request: messages.SetPairRequest, context: grpc.ServicerContext
    ) -> messages.SetPairResponse:
        """Store both, or leave both as they were."""
        del context
        try:
            upload = self._store.set_pair(
                request.policy_name, request.policy, request.reference_name, request.reference
            )
        except VerdictdError as error:
            _log_refusal("policy and reference", f"{request.policy_name}, {request.reference_name}", error)
            refusal = messages.Refusal(message=error.message, remedy=error.remedy)
            return messages.SetPairResponse(error=refusal)
        digests = [document.digest for document in upload.documents]
        _LOGGER.info("policy and reference set", extra={"policy_sha256": digests[0], "reference_sha256": digests[1]})
        return messages.SetPairResponse(ok=messages.PairSet(policy_digest=digests[0], reference_digest=digests[1]))


MAX_MESSAGE_BYTES = MAX_POLICY_BYTES + MAX_REFERENCE_BYTES + MAX_REQUEST_BYTES
"""What the client API takes in one call."""


def _attempt(what: str, name: bytes, store: Callable[[str], object]) -> bytes:
    """Run an upload and return its ``status``."""
    try:
        store(_decode(name))
    except VerdictdError as error:
        _log_refusal(what, name.decode("utf-8", errors="replace"), error)
        return str(error).encode("utf-8")
    _LOGGER.info("%s set", what, extra={"file": name.decode("utf-8")})
    return _OK


def _log_refusal(what: str, name: str, error: VerdictdError) -> None:
    _LOGGER.warning("%s refused, what was there stays", what, extra={"file": name[:80], "why": str(error)})


def _decode(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("the name is not UTF-8") from error
