"""What the original's OPA flags do: upload, export and test policies and reference values."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from verdictd.cli.files import read_text, write_whole
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.daemon.proto import clientapi_pb2 as messages
from verdictd.daemon.proto.clientapi_pb2_grpc import OpaServiceStub

_OK = b"OK"
_ACCEPTED, _REFUSED = 0, 1

Call = Callable[[OpaServiceStub, list[str], Path, TextIO], int]


def carry_out(given: Sequence[tuple[str, list[str]]], address: str, directory: Path, out: TextIO) -> int:
    """Carry out flags, given by their names with their values; exports are written into `directory`."""
    with client_api(address) as channel:
        service = OpaServiceStub(channel)
        return max(_CALLS[name](service, values, directory, out) for name, values in given)


def _set_policy(service: OpaServiceStub, values: list[str], _: Path, out: TextIO) -> int:
    name, path = values
    content = read_text(path, MAX_POLICY_BYTES).encode()
    request = messages.SetOpaPolicyRequest(name=name.encode(), content=content)
    return _report(service.SetOpaPolicy(request, timeout=TIMEOUT_S).status, f"policy {name} set", out)


def _set_reference(service: OpaServiceStub, values: list[str], _: Path, out: TextIO) -> int:
    name, path = values
    content = _read_json(path, MAX_REFERENCE_BYTES).encode()
    request = messages.SetOpaReferenceRequest(name=name.encode(), content=content)
    return _report(service.setOpaReference(request, timeout=TIMEOUT_S).status, f"reference {name} set", out)


def _export_policy(service: OpaServiceStub, values: list[str], directory: Path, out: TextIO) -> int:
    request = messages.ExportOpaPolicyRequest(name=values[0].encode())
    response = service.exportOpaPolicy(request, timeout=TIMEOUT_S)
    return _write_export(response.status, response.content, directory / values[0], out)


def _export_reference(service: OpaServiceStub, values: list[str], directory: Path, out: TextIO) -> int:
    request = messages.ExportOpaReferenceRequest(name=values[0].encode())
    response = service.exportOpaReference(request, timeout=TIMEOUT_S)
    return _write_export(response.status, response.content, directory / values[0], out)


def _test(service: OpaServiceStub, values: list[str], out: TextIO, *, local_policy: bool, local_reference: bool) -> int:
    policy, reference, evidence = values
    request = messages.TestOpaRequest(
        policylocal=local_policy,
        referencelocal=local_reference,
        input=_read_json(evidence, MAX_REFERENCE_BYTES).encode(),
    )
    if local_policy:
        request.policycontent = read_text(policy, MAX_POLICY_BYTES).encode()
    else:
        request.policyname = policy.encode()
    if local_reference:
        request.referencecontent = _read_json(reference, MAX_REFERENCE_BYTES).encode()
    else:
        request.referencename = reference.encode()
    answer = service.TestOpa(request, timeout=TIMEOUT_S).status.decode("utf-8", errors="replace")
    out.write(f"{answer}\n")
    return _ACCEPTED if _allows(answer) else _REFUSED


def _test_with(
    *, local_policy: bool, local_reference: bool
) -> Callable[[OpaServiceStub, list[str], Path, TextIO], int]:
    def run(service: OpaServiceStub, values: list[str], _: Path, out: TextIO) -> int:
        return _test(service, values, out, local_policy=local_policy, local_reference=local_reference)

    return run


def _allows(answer: str) -> bool:
    try:
        decision = json.loads(answer)
    except ValueError:
        return False
    return isinstance(decision, dict) and decision.get("allow") is True


def _read_json(path: str, max_bytes: int) -> str:
    text = read_text(path, max_bytes)
    try:
        json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    return text


def _report(status: bytes, success: str, out: TextIO) -> int:
    if status == _OK:
        out.write(f"{success}\n")
        return _ACCEPTED
    out.write(f"refused: {status.decode('utf-8', errors='replace')}\n")
    return _REFUSED


def _write_export(status: bytes, content: bytes, path: Path, out: TextIO) -> int:
    if status == _OK:
        write_whole(path, content)
    return _report(status, f"written to {path}", out)


_CALLS: dict[str, Call] = {
    "--set-opa-policy": _set_policy,
    "--export-opa-policy": _export_policy,
    "--set-opa-reference": _set_reference,
    "--export-opa-reference": _export_reference,
    "--test-opa-remote": _test_with(local_policy=False, local_reference=False),
    "--test-opa-local": _test_with(local_policy=True, local_reference=True),
    "--test-opa-local-policy": _test_with(local_policy=True, local_reference=False),
    "--test-opa-local-reference": _test_with(local_policy=False, local_reference=True),
}
