"""The original's OPA flags: upload, export and test policies and reference values.

The original logs to standard error and exits 0 whatever the answer. Here the outcome is on standard output, and an
answer that is no success exits 1.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TextIO

from verdictd.cli.files import read_text, write_whole
from verdictd.cli.verdict.rpc import TIMEOUT_S, client_api
from verdictd.core.errors import ConfigError
from verdictd.core.limits import MAX_POLICY_BYTES, MAX_REFERENCE_BYTES
from verdictd.daemon.proto import clientapi_pb2 as messages
from verdictd.daemon.proto.clientapi_pb2_grpc import OpaServiceStub

_OK = b"OK"
_ACCEPTED, _REFUSED = 0, 1


class OPAFlag(NamedTuple):
    """One flag: its name, its arguments' names, what it does, and the function that does it."""

    name: str
    metavar: tuple[str, ...]
    description: str
    run: Callable[[OpaServiceStub, list[str], Path, TextIO], int]

    @property
    def destination(self) -> str:
        """The name of its value in the parsed arguments."""
        return self.name.removeprefix("--").replace("-", "_")


def add_flags(parser: argparse.ArgumentParser) -> None:
    """Add the flags. Several may be given at once; they are carried out in the order of `FLAGS`."""
    group = parser.add_argument_group("policies and reference values (the original's flags)")
    group.add_argument("-p", "--path", default="./", metavar="DIR", help="where exports are written (default ./)")
    for flag in FLAGS:
        group.add_argument(flag.name, nargs=len(flag.metavar), metavar=flag.metavar, help=flag.description)


def run_flags(arguments: argparse.Namespace, out: TextIO) -> int | None:
    """Carry out the flags that were given; ``None`` where none was."""
    given = [(flag, getattr(arguments, flag.destination)) for flag in FLAGS]
    given = [(flag, values) for flag, values in given if values is not None]
    if not given:
        return None
    with client_api(arguments.client_api) as channel:
        service = OpaServiceStub(channel)
        return max(flag.run(service, values, Path(arguments.path), out) for flag, values in given)


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


FLAGS = (
    OPAFlag("--set-opa-policy", ("NAME", "PATH"), "upload a policy", _set_policy),
    OPAFlag("--export-opa-policy", ("NAME",), "write a policy of the daemon's to a file", _export_policy),
    OPAFlag("--set-opa-reference", ("NAME", "PATH"), "upload reference values", _set_reference),
    OPAFlag("--export-opa-reference", ("NAME",), "write reference values of the daemon's to a file", _export_reference),
    OPAFlag(
        "--test-opa-remote",
        ("POLICY_NAME", "REFERENCE_NAME", "INPUT"),
        "decide on an evidence file with the daemon's policy and reference",
        _test_with(local_policy=False, local_reference=False),
    ),
    OPAFlag(
        "--test-opa-local",
        ("POLICY_PATH", "REFERENCE_PATH", "INPUT"),
        "the same with policy and reference from files",
        _test_with(local_policy=True, local_reference=True),
    ),
    OPAFlag(
        "--test-opa-local-policy",
        ("POLICY_PATH", "REFERENCE_NAME", "INPUT"),
        "the same with the policy from a file",
        _test_with(local_policy=True, local_reference=False),
    ),
    OPAFlag(
        "--test-opa-local-reference",
        ("POLICY_NAME", "REFERENCE_PATH", "INPUT"),
        "the same with the reference from a file",
        _test_with(local_policy=False, local_reference=True),
    ),
)


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
