"""Policies as people write them: accepted, and deciding as Open Policy Agent does."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.policy.rego import V0, check, evaluate, policy
from verdictd.core.errors import VerdictdError
from verdictd.policy.engine import Dialect

RECORDED = json.loads((Path(__file__).parent / "opa_decisions.json").read_text(encoding="utf-8"))

EVIDENCE = {
    "mrEnclave": "AAAA",
    "mrSigner": "BBBB",
    "productId": 3,
    "svn": 5,
    "sgx": {
        "debug": False,
        "attributes": "0500000000000000",
        "tcb": {"status": "UpToDate", "date": "2024-03-13", "advisory_ids": ["INTEL-SA-00615"]},
        "platform": {"fmspc": "00906ed50000", "components": [1, 2, 3]},
    },
    "claims": {"role": "6261636b656e64"},
}

# The policy, the reference, and inputs (changes to EVIDENCE) with what `allow` is then; ... is undefined.
CORPUS: dict[str, tuple[str, dict[str, Any], list[tuple[dict[str, Any], Any]]]] = {
    "v0 as documented for the original": (
        policy(
            """
            allow {
                enclave
                signer
                input.productId >= data.productId
                input.svn >= data.svn
            }
            enclave { count(data.mrEnclave) == 0 }
            enclave { count(data.mrEnclave) > 0; input.mrEnclave == data.mrEnclave[_] }
            signer { count(data.mrSigner) == 0 }
            signer { count(data.mrSigner) > 0; input.mrSigner == data.mrSigner[_] }
            """,
            V0,
        ),
        {"mrEnclave": ["ZZZZ", "AAAA"], "mrSigner": [], "productId": 0, "svn": 5},
        [({}, True), ({"mrEnclave": "CCCC"}, False), ({"svn": 4}, False)],
    ),
    "v0 without a default": (
        "package policy\n\nallow { input.svn >= data.svn }\n",
        {"svn": 5},
        [({}, True), ({"svn": 4}, ...)],
    ),
    "v0 deny rules as a partial set": (
        policy(
            """
            allow { count(deny) == 0 }
            deny["enclave"] { not enclave_known }
            deny["debug"] { input.sgx.debug }
            deny[msg] { input.svn < data.svn; msg := sprintf("svn %d is below %d", [input.svn, data.svn]) }
            enclave_known { data.enclaves[_] == input.mrEnclave }
            """,
            V0,
        ),
        {"enclaves": ["AAAA"], "svn": 5},
        [({}, True), ({"svn": 4}, False), ({"mrEnclave": "x"}, False), ({"sgx": {"debug": True}}, False)],
    ),
    "v0 else, comprehensions, some and imports": (
        policy(
            """
            import data.levels
            import input.sgx.tcb as tcb
            allow { level >= data.minimum; good }
            level = found { found := levels[tcb.status] } else = 0 { true }
            good { some i; data.allowed[i].signer == input.mrSigner; i >= 0 }
            ids = {id | id := tcb.advisory_ids[_]}
            """,
            "package policy\n\n",
        ),
        {"levels": {"UpToDate": 3, "OutOfDate": 1}, "minimum": 2, "allowed": [{"signer": "x"}, {"signer": "BBBB"}]},
        [
            ({}, True),
            ({"sgx": {"tcb": {"status": "OutOfDate", "advisory_ids": []}}}, ...),
            ({"sgx": {"tcb": {"status": "?", "advisory_ids": []}}}, ...),
            ({"mrSigner": "y"}, ...),
        ],
    ),
    "v0 bodies one after the other, and a function with two definitions": (
        policy(
            """
            allow { one_of(input.mrEnclave) } { one_of(input.mrSigner) }
            one_of(x) { x == "AAAA" }
            one_of(x) { data.more[_] == x }
            """,
            V0,
        ),
        {"more": ["M"]},
        [({}, True), ({"mrEnclave": "x"}, False), ({"mrEnclave": "x", "mrSigner": "M"}, True)],
    ),
    "v0 sets that are only named": (
        policy('known["AAAA"]\nknown["EEEE"]\nallow { known[input.mrEnclave] }', "package policy\n\n"),
        {},
        [({}, True), ({"mrEnclave": "x"}, ...)],
    ),
    "v0 with keywords of the future": (
        policy(
            """
            import future.keywords
            allow if { some x in data.signers; x == input.mrSigner }
            allow if every id in input.ids { id in data.ids }
            """,
            "package policy\n\n",
        ),
        {"signers": ["BBBB"], "ids": [1, 2]},
        [
            ({}, True),
            ({"mrSigner": "x"}, ...),
            ({"mrSigner": "x", "ids": [1]}, True),
            ({"mrSigner": "", "ids": [3]}, ...),
        ],
    ),
    "v1 without any import": (
        "package policy\n\nallow if input.mrSigner in data.signers\n",
        {"signers": ["BBBB"]},
        [({}, True), ({"mrSigner": "x"}, ...)],
    ),
    "v1 denials with contains": (
        policy(
            """
            allow if count(reasons) == 0
            reasons contains "no such enclave" if not input.mrEnclave in data.enclaves
            reasons contains reason if {
                some id in input.sgx.tcb.advisory_ids
                id in data.denied
                reason := concat(" ", ["advisory", id])
            }
            """
        ),
        {"enclaves": ["AAAA"], "denied": ["INTEL-SA-00001"]},
        [
            ({}, True),
            ({"mrEnclave": "x"}, False),
            ({"sgx": {"tcb": {"advisory_ids": ["INTEL-SA-00001"]}}}, False),
        ],
    ),
    "v1 every with variables of the rule": (
        policy(
            """
            allow if {
                minimum := data.components
                every place, wanted in minimum { input.sgx.platform.components[place] >= wanted }
            }
            """
        ),
        {"components": [1, 2, 2]},
        [({}, True), ({"sgx": {"platform": {"components": [1, 1, 9]}}}, False), ({"sgx": {}}, False)],
    ),
    "v1 partial objects": (
        policy(
            """
            allow if by_name[input.claims.role] == input.mrSigner
            by_name[name] := signer if some name, signer in data.roles
            """
        ),
        {"roles": {"6261636b656e64": "BBBB"}},
        [({}, True), ({"claims": {"role": "00"}}, False), ({"claims": {}}, False)],
    ),
    "v1 functions with defaults and else": (
        policy(
            """
            allow if score(input.sgx.tcb.status) + bonus > 2
            default score(_) := 0
            score("UpToDate") := 3
            score("SWHardeningNeeded") := 2
            bonus := 1 if { input.svn > 4 } else := 0
            """
        ),
        {},
        [
            ({}, True),
            ({"sgx": {"tcb": {"status": "SWHardeningNeeded"}}}, True),
            ({"svn": 4, "sgx": {"tcb": {"status": "SWHardeningNeeded"}}}, False),
            ({"sgx": {"tcb": {"status": "OutOfDate"}}}, False),
        ],
    ),
    "v1 a helper that has the name of a builtin": (
        policy(
            """
            allow if contains_all(data.wanted, input.sgx.tcb.advisory_ids)
            contains_all(few, many) if { every one in few { one in many } }
            trim_left(x) := x
            """
        ),
        {"wanted": ["INTEL-SA-00615"]},
        [({}, True), ({"sgx": {"tcb": {"advisory_ids": []}}}, False)],
    ),
    "v1 with input replaced": (
        policy("allow if { good with input as input.inner }\ngood if input.svn == 7"),
        {},
        [({"inner": {"svn": 7}}, True), ({"inner": {"svn": 6}}, False), ({"svn": 7}, False)],
    ),
    "v1 times that are given": (
        policy(
            """
            allow if {
                found := time.parse_ns("2006-01-02", input.sgx.tcb.date)
                wanted := time.parse_ns("2006-01-02", data.since)
                found >= wanted
            }
            """
        ),
        {"since": "2024-01-01"},
        [({}, True), ({"sgx": {"tcb": {"date": "2023-12-31"}}}, False)],
    ),
    "v1 walk, object.get, regex, bits and sprintf": (
        policy(
            """
            allow if {
                count(bad) == 0
                object.get(input, ["sgx", "nothing"], "none") == "none"
                regex.match(`^[0-9a-f]{12}$`, input.sgx.platform.fmspc)
                bits.and(to_number(substring(input.sgx.attributes, 1, 1)), 2) == 0
            }
            bad contains sprintf("%v", [path]) if {
                walk(input.sgx, [path, value])
                value == true
            }
            """
        ),
        {},
        [({"sgx": {**EVIDENCE["sgx"], "attributes": "0400"}}, True), ({"sgx": {"debug": True}}, False)],  # type: ignore[dict-item]
    ),
    "v1 sets compared, nested comprehensions": (
        policy(
            """
            allow if {
                {id | some id in input.sgx.tcb.advisory_ids} & data_ids == set()
                [[1], [2]] == [[y | y := x] | some x in [1, 2]]
            }
            data_ids := {id | some id in data.denied}
            """
        ),
        {"denied": ["INTEL-SA-1"]},
        [({}, True), ({"sgx": {"tcb": {"advisory_ids": ["INTEL-SA-1"]}}}, False)],
    ),
    "v1 integers of 64 bits and zero bytes": (
        policy('allow if { input.big == 18446744073709551615; input.big > data.big; input.text == "a\\u0000b" }'),
        {"big": 18446744073709551614},
        [
            ({"big": 18446744073709551615, "text": "a\0b"}, True),
            ({"big": 18446744073709551614, "text": "a\0b"}, False),
            ({"big": 9223372036854775807, "text": "a\0b"}, False),
            ({"big": 18446744073709551615, "text": "a"}, False),
        ],
    ),
}


@pytest.mark.parametrize(("text", "reference", "decisions"), CORPUS.values(), ids=CORPUS.keys())
def test_decides_as_written(text: str, reference: dict[str, Any], decisions: list[tuple[dict[str, Any], Any]]) -> None:
    for changes, expected in decisions:
        rules = evaluate(text, {**EVIDENCE, **changes}, reference)
        assert rules.get("allow", ...) is expected, changes


def test_dialect_is_the_strictest_that_reads_it() -> None:
    assert check("package policy\n\nallow { true }\n").dialect is Dialect.V0
    assert check("package policy\n\nallow if true\n").dialect is Dialect.V1
    assert check("package policy\n\nallow := true\n").dialect is Dialect.V1
    assert (
        check("package policy\n\nimport future.keywords.if\n\nallow if true\n\ndeny { false }\n").dialect is Dialect.V0
    )


def test_report_names_rules_and_members() -> None:
    report = check(
        policy(
            """
            import data.imported
            import data.unused
            allow if { data.direct == 1; data["bracket"] == 2; imported.x == 3; helper(1) }
            helper(x) if x == data.deep.er.path
            """,
            "package policy\n",
        )
    ).report
    assert report.rules == ("allow", "helper")
    assert report.members_read == ("bracket", "deep", "direct", "imported")


@pytest.mark.parametrize("text", RECORDED["allowed"])
def test_allows_what_opa_allows(text: str) -> None:
    assert evaluate(text, RECORDED["input"], RECORDED["reference"])["allow"] is True


@pytest.mark.parametrize("text", RECORDED["undefined"])
def test_undefined_where_opa_is(text: str) -> None:
    assert "allow" not in evaluate(text, RECORDED["input"], RECORDED["reference"])


@pytest.mark.parametrize("text", RECORDED["not_allowed_though_the_engine_would"])
def test_never_allows_what_opa_does_not(text: str) -> None:
    # Each of these the engine alone allows. Here they are refused, or decided otherwise.
    try:
        rules = evaluate(text, RECORDED["input"], RECORDED["reference"])
    except VerdictdError:
        return
    assert rules.get("allow") is not True
