"""The QE identity document: every field strictly, and its bytes in the report's order."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from verdictd.core.errors import MalformedError, UnsupportedError, VerdictdError
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.qe_identity import QEIdentity, parse_qe_identity


def members() -> dict[str, Any]:
    return {
        "id": "QE",
        "version": 2,
        "issueDate": "2026-01-01T00:00:00Z",
        "nextUpdate": "2026-01-31T00:00:00Z",
        "tcbEvaluationDataNumber": 17,
        "miscselect": "01020304",
        "miscselectMask": "F1FFFFFF",
        "attributes": "11000000000000000000000000000000",
        "attributesMask": "FBFFFFFFFFFFFFFF0000000000000000",
        "mrsigner": "8C" * 32,
        "isvprodid": 1,
        "tcbLevels": [
            {"tcb": {"isvsvn": 8}, "tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": "UpToDate"},
            {
                "tcb": {"isvsvn": 6},
                "tcbDate": "2024-06-01T00:00:00Z",
                "tcbStatus": "OutOfDate",
                "advisoryIDs": ["INTEL-SA-00615"],
            },
        ],
    }


def parse(**changes: object) -> QEIdentity:
    return parse_qe_identity(json.dumps(members() | changes).encode())


def test_every_field_is_read() -> None:
    identity = parse()
    assert (identity.enclave_id, identity.evaluation_data_number, identity.isv_prod_id) == ("QE", 17, 1)
    assert identity.issue_date == datetime(2026, 1, 1, tzinfo=UTC)
    assert identity.next_update == datetime(2026, 1, 31, tzinfo=UTC)
    assert identity.attributes == bytes([0x11]) + bytes(15)
    assert identity.attributes_mask == b"\xfb" + b"\xff" * 7 + bytes(8)
    assert identity.mr_signer == b"\x8c" * 32
    assert [(level.isv_svn, level.status, level.advisory_ids) for level in identity.levels] == [
        (8, TCBStatus.UP_TO_DATE, ()),
        (6, TCBStatus.OUT_OF_DATE, ("INTEL-SA-00615",)),
    ]
    assert identity.levels[1].date == datetime(2024, 6, 1, tzinfo=UTC)


def test_misc_select_is_in_the_reports_byte_order() -> None:
    """Its hex text is the report's four bytes as they stand, not a number's big-endian form.

    Intel's quote verification library reads the text and the report's field by the same function.
    """
    identity = parse()
    assert identity.misc_select == bytes([1, 2, 3, 4])
    assert identity.misc_select_mask == bytes([0xF1, 0xFF, 0xFF, 0xFF])


@pytest.mark.parametrize("name", [*members()])
def test_no_member_may_be_absent(name: str) -> None:
    document = members()
    del document[name]
    with pytest.raises(MalformedError, match=name):
        parse_qe_identity(json.dumps(document).encode())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("id", 1),
        ("version", "2"),
        ("version", True),
        ("issueDate", "2026-01-01"),
        ("nextUpdate", "2026-01-31T00:00:00+00:00"),
        ("tcbEvaluationDataNumber", -1),
        ("tcbEvaluationDataNumber", 2**32),
        ("tcbEvaluationDataNumber", 17.0),
        ("miscselect", "010203"),
        ("miscselectMask", "0102030405"),
        ("attributes", "11"),
        ("attributesMask", "FB" * 15),
        ("mrsigner", "zz" * 32),
        ("mrsigner", ""),
        ("isvprodid", 65536),
        ("tcbLevels", {}),
        ("tcbLevels", []),
        ("tcbLevels", [1]),
        ("tcbLevels", [{"tcb": {"isvsvn": 65536}, "tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": "UpToDate"}]),
        ("tcbLevels", [{"tcb": 8, "tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": "UpToDate"}]),
        ("tcbLevels", [{"tcb": {"isvsvn": 8}, "tcbStatus": "UpToDate"}]),
        ("tcbLevels", [{"tcb": {"isvsvn": 8}, "tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": 1}]),
        (
            "tcbLevels",
            [
                {
                    "tcb": {"isvsvn": 8},
                    "tcbDate": "2025-06-01T00:00:00Z",
                    "tcbStatus": "UpToDate",
                    "advisoryIDs": "INTEL-SA-00615",
                }
            ],
        ),
    ],
)
def test_no_member_may_be_of_another_kind(name: str, value: object) -> None:
    with pytest.raises(MalformedError, match="QE identity"):
        parse(**{name: value})


def test_whole_ranges_are_read() -> None:
    for number in (0, 2**32 - 1):
        assert parse(tcbEvaluationDataNumber=number).evaluation_data_number == number
    for number in (0, 65535):
        assert parse(isvprodid=number).isv_prod_id == number
        level = {"tcb": {"isvsvn": number}, "tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": "UpToDate"}
        assert parse(tcbLevels=[level]).levels[0].isv_svn == number


@pytest.mark.parametrize("version", [0, 1, 3, 65535])
def test_other_versions_are_unsupported(version: int) -> None:
    with pytest.raises(UnsupportedError, match=f"version {version}, supported is 2"):
        parse(version=version)


@pytest.mark.parametrize("status", ["uptodate", "", "UpToDate ", "Trusted", "TDRelaunchAdvised"])
def test_a_status_that_is_not_known_could_mean_anything(status: str) -> None:
    with pytest.raises(UnsupportedError, match="not known"):
        parse(tcbLevels=[{"tcb": {"isvsvn": 8}, "tcbDate": "2025-06-01T00:00:00Z", "tcbStatus": status}])


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"{", b"\xff", b'"QE"', b"{}{}"])
def test_what_is_no_object_is_our_error(text: bytes) -> None:
    with pytest.raises(VerdictdError, match="QE identity"):
        parse_qe_identity(text)
