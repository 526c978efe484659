"""What is carried to a cache without upstream: bundles and their entries, Intel's JSON, and CSV."""

import io
import json

from fuzz.parts import after_selector, selector
from fuzz.simulated import NOW, collateral, platform, roots
from fuzz.target import FuzzTarget, attempt
from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import split_collateral, verify_item
from verdictd.pccs.bounded_json import parse_bounded_json
from verdictd.pccs.bundle import BundleHeader, read_bundle, write_bundle
from verdictd.pccs.bundle_entries import (
    BundledAMD,
    BundledCollateral,
    BundleEntry,
    encode_entry,
    encode_line,
    parse_entry,
)
from verdictd.pccs.intel_files import parse_platform_collateral
from verdictd.pccs.model import STANDARD, Platform, PlatformKey, RawTCB, Registration
from verdictd.pccs.pck_offers import OfferedPCKSet, verify_pck_set
from verdictd.pccs.retrieval_csv import encode_retrieval_csv, parse_retrieval_csv
from verdictd.tees.dcap.collateral import encode_signed_document
from verdictd.tees.dcap.memory import FactMemory

_BUNDLE, _ENTRY, _INTEL, _CSV = range(4)
_MODULES = ("bounded_json", "bundle", "bundle_entries", "bundle_members", "intel_files", "intel_json")
_KEY = PlatformKey("00112233445566778899AABBCCDDEEFF", "0000")


def check(data: bytes) -> None:
    """Whatever is read is written the same, and each piece of it is verified or refused."""
    choice, value = selector(data, 4)
    if choice == _BUNDLE:
        for part in attempt(lambda: list(read_bundle(io.BytesIO(value)))) or ():
            if not isinstance(part, BundleHeader):
                _check_entry(part)
    elif choice == _ENTRY:
        members = attempt(parse_bounded_json, value, "it", max_values=4096)
        entry = attempt(parse_entry, members) if isinstance(members, dict) else None
        if entry is not None:
            _check_entry(entry)
    elif choice == _INTEL:
        parsed = attempt(parse_platform_collateral, value, NOW)
        for each in () if parsed is None else parsed.entries:
            _verify(each)
    else:
        found = attempt(parse_retrieval_csv, value)
        if found is not None:
            assert parse_retrieval_csv(encode_retrieval_csv(found).encode("ascii")) == found


def _check_entry(entry: BundleEntry) -> None:
    written = encode_line(encode_entry(entry))
    assert encode_line(encode_entry(parse_entry(json.loads(written)))) == written
    _verify(entry)


def _verify(entry: BundleEntry) -> None:
    if isinstance(entry, BundledCollateral):
        attempt(verify_item, entry.item, roots(), FactMemory())
    elif isinstance(entry, OfferedPCKSet):
        attempt(verify_pck_set, entry, roots(), FactMemory())


def seeds() -> dict[str, bytes]:
    entries = _entries()
    bundle = io.BytesIO()
    write_bundle(entries, NOW, bundle)
    kinds = ("tcb_info", "qe_identity", "pck_crl", "root_ca_crl", "pck", "amd")
    lines = {
        kind: bytes((_ENTRY,)) + encode_line(encode_entry(entry)) for kind, entry in zip(kinds, entries, strict=True)
    }
    registrations = (
        Registration(platform=Platform(key=_KEY, enc_ppid=bytes(384)), raw_tcb=RawTCB(bytes(16), 13)),
        Registration(platform=Platform(key=_KEY, manifest=bytes(8)), raw_tcb=None),
    )
    return {
        **lines,
        "bundle": bytes((_BUNDLE,)) + bundle.getvalue(),
        "intel": bytes((_INTEL,)) + _intel_file(entries),
        "csv": bytes((_CSV,)) + encode_retrieval_csv(registrations).encode("ascii"),
    }


def _entries() -> list[BundleEntry]:
    """One of each kind."""
    ours, hardware = platform(), platform().hardware
    tcb = RawTCB(hardware.cpu_svn, hardware.pce_svn)
    pck = OfferedPCKSet(
        platform=Platform(key=_KEY),
        certificates=((tcb, ours.pki.pck.pem),),
        unavailable=(RawTCB(b"\xff" * 16, 1),),
        issuer_chain=ours.pki.chain("platform-ca"),
        is_complete=True,
        fetched_at=NOW,
        raw_tcbs=(tcb,),
    )
    amd = BundledAMD(name=AMDCertificateName("vcek", "Milan", "leaf", bytes(64), bytes(8)), content=b"0")
    return [*(BundledCollateral(edition=STANDARD, item=item) for item in split_collateral(collateral())), pck, amd]


def _intel_file(entries: list[BundleEntry]) -> bytes:
    ours = collateral()
    assert ours.tcb_info is not None
    assert ours.qe_identity is not None
    assert ours.root_ca_crl is not None
    (pck,) = (entry for entry in entries if isinstance(entry, OfferedPCKSet))
    chain = ours.tcb_info.issuer_chain.decode("ascii")
    levels = [{"tcbm": str(tcb), "cert": pem.decode("ascii")} for tcb, pem in pck.certificates]
    collaterals = {
        "version": 4,
        "pck_certs": [{"qe_id": _KEY.qe_id, "pce_id": _KEY.pce_id, "certs": levels}],
        "tcbinfos": [{"fmspc": "", "sgx_tcbinfo": json.loads(encode_signed_document(ours.tcb_info, "tcbInfo"))}],
        "qeidentity": encode_signed_document(ours.qe_identity, "enclaveIdentity").decode("utf-8"),
        "certificates": {
            "SGX-PCK-Certificate-Issuer-Chain": {"PLATFORM": pck.issuer_chain.decode("ascii")},
            "TCB-Info-Issuer-Chain": chain,
            "SGX-Enclave-Identity-Issuer-Chain": chain,
        },
        "rootcacrl": ours.root_ca_crl.der.hex(),
    }
    platforms = [{"qe_id": _KEY.qe_id, "pce_id": _KEY.pce_id, "cpu_svn": "00" * 16, "pce_svn": "0D00"}]
    return json.dumps({"platforms": platforms, "collaterals": collaterals}, separators=(",", ":")).encode("ascii")


TARGET = FuzzTarget(
    name="air_gap",
    modules=(
        *(f"verdictd.pccs.{name}" for name in _MODULES),
        "verdictd.pccs.intel_platforms",
        "verdictd.pccs.pck_offers",
        "verdictd.pccs.retrieval_csv",
    ),
    check=check,
    seeds=seeds,
    structure=after_selector,
    max_bytes=20_000,
)
