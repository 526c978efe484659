"""What the vendor's service answers to those who ask for PCK certificates as Intel's own is asked."""

import json
from http import HTTPStatus
from typing import Any, Literal
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.simulator.oracle import AT
from verdictd.simulator.family import (
    ENCRYPTED_PPID_BYTES,
    FAMILIES,
    MANIFEST_BYTES,
    encode_identity,
    find_family,
    find_member,
)
from verdictd.simulator.pck_certificates import PCKIssuer, PCKLevel
from verdictd.simulator.pcs_answers import PCSAnswer
from verdictd.simulator.pcs_api import answer
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import TCBStatus
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import VerifiedPCK, verify_pck_chain
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

BASE = "/sgx/certification/v4/"
RAW_TCB = "cpusvn=0E0E0303FFFF01000000000000000000&pcesvn=0D00"


def _get(platform: SimulatedPlatform, path: str) -> PCSAnswer:
    return answer(BASE + path, platform, AT)


def _post(platform: SimulatedPlatform, path: str, **members: object) -> PCSAnswer:
    return answer(BASE + path, platform, AT, method="POST", body=json.dumps(members).encode())


def _certificates(platform: SimulatedPlatform, identity: bytes, route: str = "pckcerts", more: str = "") -> PCSAnswer:
    return _get(platform, f"{route}?encrypted_ppid={identity.hex()}&pceid=0000{more}")


def _verify(found: PCSAnswer, pem: bytes, platform: SimulatedPlatform) -> VerifiedPCK:
    chain = unquote(dict(found.headers)["SGX-PCK-Certificate-Issuer-Chain"]).encode()
    roots = TrustRoots(parse_trust_roots(platform.trust_root_pem, "simulated root"))
    return verify_pck_chain(pem + chain, roots, FactMemory())


def _entries(found: PCSAnswer) -> list[dict[str, Any]]:
    assert found.status == HTTPStatus.OK, found.body
    entries: list[dict[str, Any]] = json.loads(found.body)
    return entries


@pytest.mark.parametrize("family", range(len(FAMILIES)))
@pytest.mark.parametrize("status", [TCBStatus.UP_TO_DATE, TCBStatus.OUT_OF_DATE_CONFIGURATION_NEEDED])
def test_each_level_of_tcb_info_has_a_certificate_that_states_it(
    platform: SimulatedPlatform, family: int, status: TCBStatus
) -> None:
    there = platform.with_tcb_status(status)
    found = _certificates(there, encode_identity(b"one", family=family))
    levels = {(level.components, level.pce_svn) for level in there.tcb_info_spec().levels}
    entries = _entries(found)
    assert {(bytes.fromhex(entry["tcbm"])[:16], entry["tcb"]["pcesvn"]) for entry in entries} == levels
    headers = dict(found.headers)
    assert headers["SGX-PCK-Certificate-CA-Type"] == FAMILIES[family].ca
    seen = set()
    for entry in entries:
        verified = _verify(found, unquote(entry["cert"]).encode(), there)
        stated = verified.platform
        assert list(stated.components) == [entry["tcb"][f"sgxtcbcomp{number:02}svn"] for number in range(1, 17)]
        assert entry["tcbm"] == (stated.cpu_svn + stated.pce_svn.to_bytes(2, "little")).hex().upper()
        assert headers["SGX-FMSPC"] == stated.fmspc.hex().upper()
        assert find_family(platform.hardware.fmspc, stated.fmspc) == family
        assert verified.ca_type == FAMILIES[family].ca
        assert (stated.platform_instance_id is None) is (verified.ca_type == "processor")
        seen.add((stated.ppid, stated.platform_instance_id))
    assert len(seen) == 1
    assert len({entry["cert"] for entry in entries}) == len(entries)


def test_levels_come_highest_first(platform: SimulatedPlatform) -> None:
    there = platform.with_tcb_status(TCBStatus.OUT_OF_DATE)
    entries = _entries(_certificates(there, encode_identity(b"one")))
    assert [entry["tcbm"] for entry in entries] == sorted((entry["tcbm"] for entry in entries), reverse=True)


def test_level_of_early_tcb_info_has_a_certificate_already(platform: SimulatedPlatform) -> None:
    before, after = (
        {entry["tcbm"] for entry in _entries(_certificates(there, encode_identity(b"one")))}
        for there in (platform, platform.with_early_tcb_status(TCBStatus.OUT_OF_DATE))
    )
    assert before < after


def test_a_platform_is_issued_the_same_certificates_each_time_and_another_others(platform: SimulatedPlatform) -> None:
    first, again, other = (_certificates(platform, encode_identity(seed)) for seed in (b"one", b"one", b"two"))
    assert first == again
    certificates = [{entry["cert"] for entry in _entries(found)} for found in (first, other)]
    assert certificates[0].isdisjoint(certificates[1])
    ppids = {
        _verify(found, unquote(entry["cert"]).encode(), platform).platform.ppid
        for found in (first, other)
        for entry in _entries(found)
    }
    assert len(ppids) == 2


def test_platform_of_the_directory_has_the_certificate_it_attests_with(platform: SimulatedPlatform) -> None:
    entries = _entries(_certificates(platform, platform.encrypted_ppid))
    assert unquote(entries[0]["cert"]).encode() == platform.pki.pck.pem
    found = _get(platform, f"pckcert?encrypted_ppid={platform.encrypted_ppid.hex()}&pceid=0000&{RAW_TCB}")
    assert found.body == platform.pki.pck.pem
    assert dict(found.headers)["SGX-TCBm"] == entries[0]["tcbm"]


@pytest.mark.parametrize(("cpu_svn", "pce_svn", "tcbm"), [
    ("0E0E0303FFFF01000000000000000000", "0D00", "0E0E0303FFFF010000000000000000000D00"),
    ("FF" * 16, "FFFF", "0F0F0303FFFF010000000000000000000D00"),
    ("0F0E0303FFFF01000000000000000000", "0D00", "0E0E0303FFFF010000000000000000000D00"),
    ("0E0E0303FFFF01000000000000000000", "0C00", "00" * 16 + "0A00"),
    ("0D0E0303FFFF01000000000000000000", "0D00", "00" * 16 + "0A00"),
    ("0E0E0303FFFF01000000000000000000", "0900", ""),
])  # fmt: skip
def test_certificate_is_that_of_the_highest_level_that_is_reached(
    platform: SimulatedPlatform, cpu_svn: str, pce_svn: str, tcbm: str
) -> None:
    there = platform.with_tcb_status(TCBStatus.OUT_OF_DATE)
    identity = encode_identity(b"one").hex()
    found = _get(there, f"pckcert?encrypted_ppid={identity}&pceid=0000&cpusvn={cpu_svn}&pcesvn={pce_svn}")
    assert dict(found.headers).get("SGX-TCBm", "") == tcbm
    if tcbm:
        assert _verify(found, found.body, there).platform.cpu_svn.hex().upper() == tcbm[:32]
    else:
        assert found.status == HTTPStatus.NOT_FOUND


def test_newest_certificate_can_be_not_available(platform: SimulatedPlatform) -> None:
    identity = encode_identity(b"one", has_newest=False)
    newest, *others = _entries(_certificates(platform, identity))
    assert newest["cert"] == "Not available"
    assert others
    assert all(entry["cert"].startswith("-----BEGIN%20CERTIFICATE") for entry in others)
    found = _get(platform, f"pckcert?encrypted_ppid={identity.hex()}&pceid=0000&{RAW_TCB}")
    assert dict(found.headers)["SGX-TCBm"] == others[0]["tcbm"]


def test_levels_can_be_asked_for_by_what_the_platform_reaches(platform: SimulatedPlatform) -> None:
    there = platform.with_tcb_status(TCBStatus.OUT_OF_DATE)
    identity = encode_identity(b"one")
    entries = _entries(_certificates(there, identity, "pckcerts/config", "&cpusvn=" + RAW_TCB[7:39]))
    assert [entry["tcbm"][:4] for entry in entries] == ["0E0E", "0000"]
    entries = _entries(_certificates(there, identity, "pckcerts/config", "&cpusvn=" + "FF" * 16))
    assert [entry["tcbm"][:4] for entry in entries] == ["0F0F", "0E0E", "0000"]


@pytest.mark.parametrize("identity", [
    bytes(ENCRYPTED_PPID_BYTES),
    encode_identity(b"one", is_known=False),
    encode_identity(b"one", family=len(FAMILIES)),
])  # fmt: skip
@pytest.mark.parametrize("route", ["pckcerts", "pckcert"])
def test_platform_that_the_vendor_does_not_know_is_not_found(
    platform: SimulatedPlatform, identity: bytes, route: str
) -> None:
    found = _certificates(platform, identity, route, f"&{RAW_TCB}")
    assert (found.status, found.headers) == (HTTPStatus.NOT_FOUND, ())


def test_another_pce_is_not_found_and_bytes_stand_as_platforms_say_them(platform: SimulatedPlatform) -> None:
    identity = encode_identity(b"one").hex()
    assert _get(platform, f"pckcerts?encrypted_ppid={identity}&pceid=0100").status == HTTPStatus.NOT_FOUND


def test_a_manifest_names_a_platform_too(platform: SimulatedPlatform) -> None:
    manifest = encode_identity(b"multi-package", size=MANIFEST_BYTES[0])
    found = _post(platform, "pckcerts", platformManifest=manifest.hex(), pceid="0000")
    for entry in _entries(found):
        stated = _verify(found, unquote(entry["cert"]).encode(), platform).platform
        assert stated.configuration == ("smt_enabled",)  # keys that came with a manifest are not kept
    one = _post(platform, "pckcert", platformManifest=manifest.hex(), pceid="0000", cpusvn="FF" * 16, pcesvn="0D00")
    assert one.body.decode() == unquote(_entries(found)[0]["cert"])
    some = _post(platform, "pckcerts/config", platformManifest=manifest.hex(), pceid="0000", cpusvn="FF" * 16)
    assert some == found


@pytest.mark.parametrize(("members", "reason"), [
    ({"pceid": "0000"}, "'platformManifest' is missing"),
    ({"pceid": "0000", "platformManifest": "00" * 8430}, "expected 16862 to 112884 hex digits"),
    ({"pceid": "0000", "platformManifest": "00" * 56443}, "expected 16862 to 112884 hex digits"),
    ({"platformManifest": "01" * 8431}, "'pceid' is missing"),
    ({"pceid": 0, "platformManifest": "01" * 8431}, "not a JSON object of texts"),
])  # fmt: skip
def test_manifest_that_cannot_be_read_is_refused(
    platform: SimulatedPlatform, members: dict[str, object], reason: str
) -> None:
    found = _post(platform, "pckcerts", **members)
    assert found.status == HTTPStatus.BAD_REQUEST
    assert reason in found.body.decode()
    assert dict(found.headers)["Error-Code"] == "InvalidRequestSyntax"


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"\xff", b"[" * 100_000])
def test_body_that_is_no_object_is_refused(platform: SimulatedPlatform, body: bytes) -> None:
    found = answer(f"{BASE}pckcerts", platform, AT, method="POST", body=body)
    assert found.status == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(("method", "path", "status"), [
    ("GET", f"pckcerts?encrypted_ppid={'01' * 384}&pceid=0000", HTTPStatus.UNAUTHORIZED),
    ("GET", f"pckcert?encrypted_ppid={'01' * 384}&pceid=0000&{RAW_TCB}", HTTPStatus.UNAUTHORIZED),
    ("GET", "tcb?fmspc=53494D000000", HTTPStatus.OK),
    ("GET", "pckcrl?ca=processor", HTTPStatus.OK),
])  # fmt: skip
def test_only_pck_certificates_are_for_subscribers(
    platform: SimulatedPlatform, method: Literal["GET", "POST"], path: str, status: HTTPStatus
) -> None:
    assert answer(BASE + path, platform, AT, method=method, is_subscriber=False).status == status
    assert answer(BASE + path, platform, AT, method=method).status == HTTPStatus.OK


def test_a_pccs_finds_other_platforms_by_their_encrypted_ppid(platform: SimulatedPlatform) -> None:
    path = f"pckcert?qeid={'AB' * 16}&pceid=0000&{RAW_TCB}"
    assert _get(platform, path).status == HTTPStatus.NOT_FOUND
    found = _get(platform, f"{path}&encrypted_ppid={encode_identity(b'one', family=2).hex()}")
    assert _verify(found, found.body, platform).ca_type == "processor"
    assert _get(platform, f"{path}&encrypted_ppid={'00' * 384}").status == HTTPStatus.NOT_FOUND


def test_keys_are_those_of_the_certificates(platform: SimulatedPlatform) -> None:
    member = find_member(encode_identity(b"one"))
    assert member is not None
    issuer = PCKIssuer(platform, member)
    level = PCKLevel(platform.hardware.components, platform.hardware.pce_svn)
    found = _certificates(platform, member.identity)
    verified = _verify(found, issuer.pem(level), platform)
    assert verified.key.public_numbers() == issuer.key(level).public_key().public_numbers()


@given(st.binary(max_size=400))
def test_any_identity_names_a_platform_or_none(identity: bytes) -> None:
    member = find_member(identity)
    assert (member is None) == (not any(identity)) or identity.startswith(b"tee-sim")
