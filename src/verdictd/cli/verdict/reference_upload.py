"""Upload of reference values in one step: the difference first, then the test against the policy, then the upload."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from verdictd.cli.printable import printable
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.errors import ConfigError, VerdictdError
from verdictd.core.limits import MAX_REFERENCE_BYTES
from verdictd.core.result import JSONValue
from verdictd.daemon.proto import clientapi_pb2 as messages
from verdictd.daemon.proto.clientapi_pb2_grpc import OpaServiceStub
from verdictd.policy.json_document import parse_json_object
from verdictd.tees.sgx_ecdsa.reference_values import describe_difference

_OK: Final = b"OK"
_DONE, _REFUSED = 0, 1
_MAX_LINES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What is to be uploaded, and how it is tested.

    Attributes:
        name: the reference's name at the daemon.
        policy: the name of the daemon's policy that it is tested with.
        reference: the reference file's content.
        inputs: what the policy is given of each enclave, as JSON, by the enclave's name.
        must_allow: whether the policy has to allow each of them; else it has to refuse each.
        is_dry_run: whether nothing is uploaded in the end.
    """

    name: str
    policy: str
    reference: str
    inputs: Mapping[str, str]
    must_allow: bool
    is_dry_run: bool


def fetch_reference(address: str, name: str) -> Mapping[str, JSONValue]:
    """Fetch a reference that the daemon at an address holds.

    Raises:
        ConfigError: it holds none of this name.
        MalformedError: it is no JSON object.
        TransportError: the daemon cannot be asked.
    """
    with client_api(address) as channel:
        return _fetch(OpaServiceStub(channel), name)


def upload(order: Upload, address: str, out: TextIO) -> int:
    """Show the difference, test, and upload; 1 where the test fails or the daemon refuses, and nothing was changed.

    Raises:
        TransportError: the daemon cannot be asked.
    """
    with client_api(address) as channel:
        service = OpaServiceStub(channel)
        _show_difference(service, order, out)
        tested = [_test(service, order, name, given, out) for name, given in order.inputs.items()]
        if not all(tested):
            out.write("refused, nothing was changed\n")
            return _REFUSED
        if order.is_dry_run:
            out.write("a dry run, nothing was changed\n")
            return _DONE
        request = messages.SetOpaReferenceRequest(name=order.name.encode(), content=order.reference.encode())
        status = service.setOpaReference(request, timeout=TIMEOUT_S).status
    if status != _OK:
        out.write(f"refused, nothing was changed: {printable(_text(status))}\n")
        return _REFUSED
    out.write(f"reference {order.name} set\n")
    return _DONE


def _fetch(service: OpaServiceStub, name: str) -> Mapping[str, JSONValue]:
    answer = service.exportOpaReference(messages.ExportOpaReferenceRequest(name=name.encode()), timeout=TIMEOUT_S)
    if answer.status != _OK:
        raise ConfigError(f"verdictd has no reference {name}: {printable(_text(answer.status))}")
    return parse_json_object(answer.content, f"verdictd's reference {name}", MAX_REFERENCE_BYTES)


def _show_difference(service: OpaServiceStub, order: Upload, out: TextIO) -> None:
    try:
        held = _fetch(service, order.name)
    except VerdictdError as error:
        out.write(f"nothing to compare with: {printable(error.message)}\n")
        held = {}
    lines = describe_difference(held, json.loads(order.reference))
    out.write(
        f"{order.name} at verdictd would change:\n" if lines else f"{order.name} at verdictd is the same already\n"
    )
    out.writelines(f"  {printable(line)}\n" for line in lines[:_MAX_LINES])
    if len(lines) > _MAX_LINES:
        out.write(f"  and {len(lines) - _MAX_LINES} lines more\n")


def _test(service: OpaServiceStub, order: Upload, name: str, given: str, out: TextIO) -> bool:
    request = messages.TestOpaRequest(
        policyname=order.policy.encode(),
        referencelocal=True,
        referencecontent=order.reference.encode(),
        input=given.encode(),
    )
    answer = _text(service.TestOpa(request, timeout=TIMEOUT_S).status)
    try:
        decision = json.loads(answer)
    except ValueError:
        out.write(f"{order.policy} cannot decide: {printable(answer)}\n")
        return False
    allows = isinstance(decision, dict) and decision.get("allow") is True
    if allows is order.must_allow:
        out.write(f"{order.policy} {'allows' if allows else 'refuses'} {name}, as it should\n")
        return True
    wanted = "it must allow it" if order.must_allow else "it must not allow it any more"
    out.write(f"{order.policy} {'allows' if allows else 'refuses'} {name}, and {wanted}: {printable(answer)}\n")
    return False


def _text(status: bytes) -> str:
    return status.decode("utf-8", errors="replace")
