"""Appraisal policies: which are kept, and who is given which."""

import base64
import hashlib
import json
from typing import Any

import pytest

from tests.unit.pccs.web.desk import ADMIN_HEADERS, FMSPC, V4, Desk
from verdictd.pccs.web.routes.appraisal_policies import PLATFORM_CLASSES, TDQE_CLASS

PATH = f"{V4}/appraisalpolicy"
SGX = min(PLATFORM_CLASSES)


def encode(value: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def policy(*classes: str, payload: Any = None) -> str:
    array = [{"environment": {"class_id": name}} for name in classes]
    payload = {"policy_payload": json.dumps({"policy_array": array})} if payload is None else payload
    return f"{encode({'alg': 'ES384'})}.{encode(payload)}.c2ln"


def document(text: Any, **change: Any) -> dict[str, Any]:
    return {"is_default": True, "fmspc": FMSPC, "policy": text} | change


def put(desk: Desk, body: Any) -> Any:
    return desk.ask("PUT", PATH, ADMIN_HEADERS, json.dumps(body).encode())


@pytest.mark.parametrize("classes", [(SGX.upper(),), (TDQE_CLASS, SGX), *((name,) for name in PLATFORM_CLASSES)])
def test_a_policy_is_kept_and_named_by_its_digest(classes: tuple[str, ...]) -> None:
    desk = Desk()
    text = policy(*classes)
    reply = put(desk, document(text))
    assert (reply.status, reply.text) == (200, hashlib.sha384(text.encode()).hexdigest())
    assert desk.get(f"{PATH}?fmspc={FMSPC.upper()}").text == text


def test_defaults_alone_are_handed_out_joined_by_commas() -> None:
    desk = Desk()
    first, second = policy(SGX), policy(TDQE_CLASS, SGX)
    put(desk, document(first))
    put(desk, document(policy(SGX, SGX), is_default=False))
    put(desk, document(second))
    assert desk.get(f"{PATH}?fmspc={FMSPC}").text == f"{first},{second}"


def test_a_family_without_a_policy() -> None:
    reply = Desk().get(f"{PATH}?fmspc={FMSPC}")
    assert (reply.status, reply.text) == (404, "No cache data for this platform.")


@pytest.mark.parametrize(
    "body",
    [
        [],
        document(policy(SGX), is_default="true"),
        document(policy(SGX), is_default=None),
        document(policy(SGX), fmspc=5),
        document(policy(SGX), fmspc=FMSPC + "00"),
        document(None),
        document(5),
        document("nodots"),
        document(policy(SGX) + ",x"),
        document("e30.e.e30"),
        document(f"e30.{'W1' * 20_000}.e30"),
        document(policy(payload=[])),
        document(policy(payload={})),
        document(policy(payload={"policy_payload": {}})),
        document(policy(payload={"policy_payload": "x"})),
        document(policy(payload={"policy_payload": "{}"})),
        document(policy(payload={"policy_payload": '{"policy_array": 5}'})),
        document(policy(payload={"policy_payload": '{"policy_array": [{}]}'})),
        document(policy()),
        document(policy(TDQE_CLASS)),
        document(policy("00000000-0000-0000-0000-000000000000", SGX)),
    ],
    ids=lambda body: str(body)[:60],
)
def test_policies_refused(body: Any) -> None:
    desk = Desk()
    reply = put(desk, body)
    assert (reply.status, reply.text) == (400, "Invalid request parameters.")
    assert desk.storage.policies.kept == []


@pytest.mark.parametrize(("end", "status"), [("\n", 200), ("\r\n", 200), ("\n\n", 400), (" ", 400)])
def test_a_policy_is_taken_with_the_end_of_its_line_as_it_stands_in_a_file(end: str, status: int) -> None:
    desk = Desk()
    text = policy(SGX) + end
    reply = put(desk, document(text))
    assert reply.status == status
    if status == 200:
        assert reply.text == hashlib.sha384(text.encode()).hexdigest()
        assert desk.get(f"{PATH}?fmspc={FMSPC}").text == text


def test_the_end_of_a_line_after_a_policy_of_two_parts_is_no_part_of_it() -> None:
    assert put(Desk(), document(policy(SGX).rpartition(".")[0] + "\n")).status == 200
