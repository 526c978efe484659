"""The gRPC interfaces: generated code is current, and the wire is that of the original verdictd."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor

from verdictd.daemon.proto import clientapi_pb2, verdictd_pb2

GENERATOR = Path(__file__).resolve().parents[3] / "proto" / "generate.py"

# Request fields, response fields, in the order of their numbers, as the original numbers them from 1.
ORIGINAL_OPA_SERVICE = {
    "SetOpaPolicy": (["name", "content"], ["status"]),
    "exportOpaPolicy": (["name"], ["status", "content"]),
    "setOpaReference": (["name", "content"], ["status"]),
    "exportOpaReference": (["name"], ["status", "content"]),
    "TestOpa": (
        [
            "policyname",
            "policycontent",
            "policylocal",
            "referencename",
            "referencecontent",
            "referencelocal",
            "input",
        ],
        ["status"],
    ),
}
BOOLEANS = {"policylocal", "referencelocal"}


def test_the_committed_code_is_what_the_generator_makes() -> None:
    if importlib.util.find_spec("grpc_tools") is None:
        pytest.skip("grpcio-tools is not installed, so the generated code cannot be made again")
    run = subprocess.run([sys.executable, str(GENERATOR), "--check"], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_opa_service_has_the_methods_of_the_original() -> None:
    service = clientapi_pb2.DESCRIPTOR.services_by_name["OpaService"]
    assert service.full_name == "clientapi.OpaService"
    assert {method.name for method in service.methods} == set(ORIGINAL_OPA_SERVICE)
    for method in service.methods:
        stem = method.name[0].upper() + method.name[1:]
        assert method.input_type.full_name == f"clientapi.{stem}Request"
        assert method.output_type.full_name == f"clientapi.{stem}Response"


@pytest.mark.parametrize("method", ORIGINAL_OPA_SERVICE)
def test_the_fields_have_the_numbers_and_types_of_the_original(method: str) -> None:
    service = clientapi_pb2.DESCRIPTOR.services_by_name["OpaService"]
    found = service.methods_by_name[method]
    for message, names in zip((found.input_type, found.output_type), ORIGINAL_OPA_SERVICE[method], strict=True):
        assert [(field.name, field.number) for field in message.fields] == [
            (name, number) for number, name in enumerate(names, start=1)
        ]
        for field in message.fields:
            expected = FieldDescriptor.TYPE_BOOL if field.name in BOOLEANS else FieldDescriptor.TYPE_BYTES
            assert field.type == expected


def test_a_request_of_the_original_is_read_from_its_bytes() -> None:
    # Written by hand: field 1 and 4 are names, 3 is true, 7 is the input.
    wire = b"\x0a\x01p\x18\x01\x22\x01r\x3a\x02{}"
    request = clientapi_pb2.TestOpaRequest.FromString(wire)
    assert (request.policyname, request.policylocal, request.referencename, request.input) == (b"p", True, b"r", b"{}")
    assert request.SerializeToString() == wire


def test_what_is_left_out_never_means_success() -> None:
    assert verdictd_pb2.Attestation().verdict != verdictd_pb2.VERDICT_ALLOW
    assert verdictd_pb2.Check().result != verdictd_pb2.CHECK_RESULT_PASS
    assert verdictd_pb2.SetPairResponse().WhichOneof("outcome") is None
