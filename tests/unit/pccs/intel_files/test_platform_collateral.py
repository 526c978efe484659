"""``platform_collaterals.json``: what Intel's tool writes is taken in, and served as Intel signed it."""

import copy
import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.pccs.filled import AT, DAY, EARLY, KEY, LATER, PLATFORM, early_tcb_info, empty_cache, offered
from verdictd.collateral.items import ItemKind
from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError, UnsupportedError, VerdictdError
from verdictd.pccs.bundle_entries import BundledCollateral
from verdictd.pccs.intel_files import MAX_INTEL_FILE_BYTES, parse_platform_collateral
from verdictd.pccs.intel_import import import_platform_collateral
from verdictd.pccs.model import STANDARD, Edition, RawTCB
from verdictd.pccs.pck_offers import OfferedPCKSet
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import DocumentMember, SignedDocument, encode_signed_document


def answer(document: SignedDocument | object, member: DocumentMember) -> str:
    assert isinstance(document, SignedDocument)
    return encode_signed_document(document, member).decode()


def build(platform: SimulatedPlatform = PLATFORM) -> dict[str, Any]:
    """What pccsadmin fetch writes of a platform."""
    ours, pck = platform.collateral(AT), offered()
    assert ours.pck_crl is not None
    assert ours.root_ca_crl is not None
    first = pck.certificates[0][0]
    chain = quote(platform.pki.chain("platform-ca").decode())
    signer = quote((platform.pki.tcb_signing.pem + platform.pki.root_ca.pem).decode())
    levels: list[dict[str, object]] = [
        {"tcb": {"pcesvn": tcb.pce_svn}, "tcbm": str(tcb), "cert": quote(pem.decode())} for tcb, pem in pck.certificates
    ]
    levels.append({"tcb": {}, "tcbm": "FF" * 18, "cert": "Not available"})
    named = {"qe_id": KEY.qe_id.lower(), "pce_id": KEY.pce_id, "enc_ppid": pck.platform.enc_ppid.hex()}
    return {
        "platforms": [
            named
            | {
                "cpu_svn": first.cpu_svn.hex(),
                "pce_svn": first.pce_svn.to_bytes(2, "little").hex(),
                "platform_manifest": None,
            }
        ],
        "collaterals": {
            "version": 4,
            "pck_certs": [named | {"platform_manifest": "", "certs": levels}],
            "tcbinfos": [
                {
                    "fmspc": platform.hardware.fmspc.hex(),
                    "sgx_tcbinfo": json.loads(answer(ours.tcb_info, "tcbInfo")),
                    "sgx_tcbinfo_early": json.loads(answer(early_tcb_info().raw, "tcbInfo")),
                }
            ],
            "pckcacrl": {"processorCrl": "", "platformCrl": ours.pck_crl.der.hex()},
            "qeidentity": answer(ours.qe_identity, "enclaveIdentity"),
            "tdqeidentity": "",
            "qveidentity": answer(platform.issue_qe_identity(platform.qe_identity_spec("QVE"), AT), "enclaveIdentity"),
            "certificates": {
                "SGX-PCK-Certificate-Issuer-Chain": {"PLATFORM": chain},
                "TCB-Info-Issuer-Chain": signer,
                "SGX-Enclave-Identity-Issuer-Chain": signer,
            },
            "rootcacrl": ours.root_ca_crl.der.hex(),
        },
    }


FILE = build()


def encode(document: object) -> bytes:
    return json.dumps(document).encode()


def test_what_intels_tool_writes_is_taken_in_as_it_was_signed() -> None:
    cache = empty_cache()
    assert import_platform_collateral(cache, encode(FILE), AT) == []
    held = {
        (stored.edition, stored.item.key.name.kind): stored.item.item for stored in cache.storage.items.changed_since(0)
    }
    assert held.keys() == {
        *((STANDARD, kind) for kind in (ItemKind.TCB_INFO, ItemKind.QE_IDENTITY, ItemKind.QVE_IDENTITY)),
        *((STANDARD, kind) for kind in (ItemKind.PCK_CRL, ItemKind.ROOT_CA_CRL)),
        (EARLY, ItemKind.TCB_INFO),
    }
    pck_set = cache.storage.platforms.sets[KEY]
    assert [(each.tcb, each.pem.strip()) for each in pck_set.certificates] == [
        (tcb, pem.strip()) for tcb, pem in offered().certificates
    ]
    assert pck_set.unavailable == (RawTCB(b"\xff" * 16, 0xFFFF),)
    assert pck_set.platform.enc_ppid == PLATFORM.encrypted_ppid


def test_the_crl_of_a_ca_that_no_platform_is_of_is_left_out() -> None:
    """Intel's tool fetches both CRLs, and the certificates of those CAs alone that issued for a platform."""
    file = copy.deepcopy(FILE)
    file["collaterals"]["pckcacrl"]["processorCrl"] = file["collaterals"]["rootcacrl"]
    cache = empty_cache()
    (note,) = import_platform_collateral(cache, encode(file), AT)
    assert "processorCrl is left out" in note
    assert len(cache.storage.items.changed_since(0)) == 6


def test_for_the_tcbs_that_platforms_said_they_have_the_certificate_is_chosen() -> None:
    cache = empty_cache()
    import_platform_collateral(cache, encode(FILE), AT)
    first = offered().certificates[0][0]
    assert cache.storage.platforms.answers == {(KEY, first): first}
    file = copy.deepcopy(FILE)
    file["platforms"][0] |= {"cpu_svn": "00" * 16, "pce_svn": "0000"}
    (sentence,) = import_platform_collateral(cache, encode(file), AT)
    assert "there is none" in sentence


def test_a_file_of_version_3_is_kept_apart() -> None:
    file = copy.deepcopy(FILE)
    info = PLATFORM.collateral(AT, tcb_info_version=2).tcb_info
    certificates = file["collaterals"]["certificates"]
    certificates["SGX-TCB-Info-Issuer-Chain"] = certificates.pop("TCB-Info-Issuer-Chain")
    file["collaterals"] |= {
        "version": 3,
        "tcbinfos": [{"fmspc": "00", "tcbinfo": json.loads(answer(info, "tcbInfo"))}],
    }
    entries = parse_platform_collateral(encode(file), AT).entries
    editions = [each.edition for each in entries if isinstance(each, BundledCollateral)]
    assert editions == [*[Edition(3, "standard")] * 3, STANDARD, STANDARD]
    assert import_platform_collateral(empty_cache(), encode(file), AT) == []


def test_the_same_of_another_vendor_is_refused_piece_by_piece() -> None:
    cache = empty_cache()
    stranger = SimulatedPlatform.create(at=AT - 100 * DAY)
    with pytest.raises(AuthenticityError, match="7 of 7 pieces were refused"):
        import_platform_collateral(cache, encode(build(stranger)), AT)
    assert not cache.storage.platforms.sets
    kept = [stored.item.root.is_intel for stored in cache.storage.items.changed_since(0)]
    assert kept == []


def change(*path: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(file: dict[str, Any]) -> None:
        *parents, last = path
        target: Any = file
        for name in parents:
            target = target[name]
        target[last] = value

    return apply


@pytest.mark.parametrize(
    ("apply", "error", "why"),
    [
        (change("collaterals", value=[]), MalformedError, "collaterals is no JSON object"),
        (change("collaterals", "version", value=5), UnsupportedError, "version is 5"),
        (change("collaterals", "version", value=True), UnsupportedError, "version is True"),
        (change("collaterals", "certificates", value=None), MalformedError, "certificates is no JSON object"),
        (change("collaterals", "tcbinfos", value={}), MalformedError, "tcbinfos is no list"),
        (change("collaterals", "tcbinfos", 0, value=[]), MalformedError, r"tcbinfos\[0\] is no"),
        (change("collaterals", "tcbinfos", 0, "sgx_tcbinfo", value=7), MalformedError, "does not begin"),
        (change("collaterals", "qeidentity", value="\ud800"), MalformedError, "half a character"),
        (change("collaterals", "rootcacrl", value="zz"), MalformedError, "rootcacrl is no CRL"),
        (change("collaterals", "rootcacrl", value=7), MalformedError, "rootcacrl is no text"),
        (change("collaterals", "pck_certs", 0, "certs", 0, "tcbm", value="00"), MalformedError, "expected 36"),
        (change("collaterals", "pck_certs", 0, "certs", 0, "cert", value="x"), MalformedError, "holds no certificate"),
        (change("collaterals", "pck_certs", 0, "qe_id", value="x"), MalformedError, "names no platform"),
        (change("collaterals", "pck_certs", 0, "enc_ppid", value="x"), MalformedError, "enc_ppid is not hex"),
        (change("platforms", value=None), MalformedError, "platforms is no list"),
        (change("platforms", 0, "pce_id", value="00"), MalformedError, "names no platform"),
        (change("platforms", 0, "cpu_svn", value="00"), MalformedError, "expected 36"),
    ],
)
def test_each_thing_that_does_not_follow_the_form_is_named(
    apply: Callable[[dict[str, Any]], None], error: type[Exception], why: str
) -> None:
    file = copy.deepcopy(FILE)
    apply(file)
    with pytest.raises(error, match=why):
        parse_platform_collateral(encode(file), AT)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"[" * 100_000 + b"]" * 100_000, MalformedError),
        (b"[" + b"[]," * 5_000_000 + b"[]]", LimitExceededError),
        (b'{"a":' + b"9" * 100_000 + b"}", MalformedError),
        (b'{"a":' + b"1e999" + b"}", MalformedError),
        (b"\xff", MalformedError),
        (b" " * (MAX_INTEL_FILE_BYTES + 1), LimitExceededError),
    ],
)
def test_hostile_files_raise_our_errors(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_platform_collateral(data, AT)


PATHS = st.lists(st.sampled_from(["platforms", "collaterals", "pck_certs", "certs", "tcbinfos", "certificates", 0]))


@given(PATHS, st.none() | st.integers() | st.floats() | st.text() | st.just([]) | st.just({}) | st.just([[]]))
def test_any_value_anywhere_gives_a_value_or_our_error(path: list[str | int], value: object) -> None:
    file: Any = copy.deepcopy(FILE)
    target = file
    for name in path:
        inner = target.get(name) if isinstance(target, dict) else None
        if isinstance(inner, dict | list) and inner:
            target = inner[0] if isinstance(inner, list) and isinstance(inner[0], dict) else inner
    for name in list(target) if isinstance(target, dict) else []:
        kept = target[name]
        target[name] = value
        with suppress(MalformedError, UnsupportedError, LimitExceededError):
            parse_platform_collateral(encode(file), AT)
        target[name] = kept


@given(st.binary())
def test_any_bytes_give_our_error(data: bytes) -> None:
    with pytest.raises(VerdictdError):
        parse_platform_collateral(data, AT)


def test_a_certificate_that_cannot_be_read_refuses_its_platform_alone() -> None:
    file = copy.deepcopy(FILE)
    for level in file["collaterals"]["pck_certs"][0]["certs"][:-1]:
        level["cert"] = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    entries = parse_platform_collateral(encode(file), AT).entries
    assert any(isinstance(entry, OfferedPCKSet) for entry in entries)
    cache = empty_cache()
    with pytest.raises(AuthenticityError, match="1 of 7 pieces were refused, the others are kept: PCK certificates of"):
        import_platform_collateral(cache, encode(file), AT)
    assert len(cache.storage.items.changed_since(0)) == 6


def test_what_is_expired_is_noted() -> None:
    notes = import_platform_collateral(empty_cache(), encode(FILE), LATER)
    assert len(notes) == 6
    assert all("is expired" in note for note in notes)
