"""Whatever is sent is answered with a status that is known, and never with 500."""

import json
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.pccs.web.caller import call
from tests.unit.pccs.web.desk import ADMIN_HEADERS, FMSPC, PCK_QUERY, TDX, USER_HEADERS, V3, V4, Desk

STATUSES = {200, 400, 401, 404, 405, 410, 413, 414, 415, 460, 461, 462, 502, 503}
PATHS = [
    f"{prefix}/{path}"
    for prefix in (V3, V4, TDX)
    for path in (
        "tcb",
        "qe/identity",
        "qve/identity",
        "pckcrl",
        "rootcacrl",
        "crl",
        "pckcert",
        "platforms",
        "platformcollateral",
        "refresh",
        "appraisalpolicy",
    )
] + [
    "/vcek/v1/Milan/cert_chain",
    "/vcek/v1/Turin/" + "0" * 16,
    "/vlek/v1/Genoa/cert",
    "/healthz",
    "/readyz",
    "/metrics",
]
NAMES = ["fmspc", "update", "tcbEvaluationDataNumber", "ca", "encoding", "uri", "source", "type", "blSPL", "qeid"]
VALUES = [FMSPC, "early", "17", "platform", "der", "reg", "[]", "certs", "3", "%00", "%ff", "%f0%9f", "+", ""]
characters = st.characters(codec="latin-1", exclude_categories=())
queries = st.one_of(
    st.just(PCK_QUERY),
    st.text(characters, max_size=60),
    st.lists(
        st.tuples(st.sampled_from(NAMES), st.sampled_from(VALUES) | st.text(string.printable, max_size=20)), max_size=5
    ).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs)),
)
tokens = st.sampled_from([{}, USER_HEADERS, ADMIN_HEADERS, {"user-token": "\xff"}])
other_headers = st.dictionaries(
    st.sampled_from(["accept", "request-id", "content-length", "content-encoding", "admin-token"]),
    st.text(characters, max_size=30),
    max_size=3,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["policy", "fmspc", "qe_id"]), inner),
    max_leaves=6,
)
bodies = st.binary(max_size=60) | json_values.map(lambda value: json.dumps(value).encode())
desk = Desk()
desk.fill()


@settings(deadline=None, max_examples=400)
@given(
    method=st.sampled_from(["GET", "GET", "GET", "PUT", "POST", "HEAD", "DELETE", "X"]),
    path=st.sampled_from(PATHS) | st.text(characters, max_size=30).map("/".__add__),
    query=queries,
    authority=tokens,
    headers=other_headers,
    body=bodies,
)
def test_is_answered(
    *, method: str, path: str, query: str, authority: dict[str, str], headers: dict[str, str], body: bytes
) -> None:
    target = path.replace("?", "") + "?" + query
    reply = call(desk.app, target, method=method, headers=headers | authority, body=body)
    assert reply.status in STATUSES
    assert reply.headers["request-id"].isprintable()
