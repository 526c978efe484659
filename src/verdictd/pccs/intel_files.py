"""``platform_collaterals.json``: what Intel's pccsadmin fetches, and ``PUT /platformcollateral`` takes.

Spec: Intel's reference service, PLATFORM_COLLATERAL_SCHEMA of versions 3 and 4. TCB info stands there as JSON that was
parsed and written again, so that its signed text has to be restored: JSON without white space, the members in their
order, as Intel signs it.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from verdictd.collateral.encodings import decode_crl, decode_issuer_chain
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.collateral.pccs_urls import APIVersion, UpdateType
from verdictd.core.errors import LimitExceededError, UnsupportedError
from verdictd.core.result import JSONValue
from verdictd.pccs.bounded_json import parse_bounded_json
from verdictd.pccs.bundle_entries import BundledCollateral, BundleEntry
from verdictd.pccs.intel_json import encode_utf8, optional_text, require_list, require_object
from verdictd.pccs.intel_platforms import read_pck_sets, read_platforms
from verdictd.pccs.model import STANDARD, Edition, Registration
from verdictd.tees.dcap.collateral import DocumentMember, RevocationList, parse_signed_document

MAX_INTEL_FILE_BYTES: Final = 128 * 1024 * 1024
SOURCE: Final = "platformcollateral"
"""Where such items say that they come from."""

_MAX_VALUES: Final = 4_000_000
_PCK_CHAINS: Final = "SGX-PCK-Certificate-Issuer-Chain"
_TCB_CHAINS: Final = ("TCB-Info-Issuer-Chain", "SGX-TCB-Info-Issuer-Chain")
_IDENTITY_CHAIN: Final = "SGX-Enclave-Identity-Issuer-Chain"
_UPDATES: Final[tuple[tuple[str, UpdateType], ...]] = (("", "standard"), ("_early", "early"))
_IDENTITIES: Final = (
    ("qeidentity", ItemKind.QE_IDENTITY),
    ("tdqeidentity", ItemKind.QE_IDENTITY),
    ("qveidentity", ItemKind.QVE_IDENTITY),
)
_CRLS: Final = (("processorCrl", "PROCESSOR"), ("platformCrl", "PLATFORM"))


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformCollateral:
    """What such a file holds. Nothing is verified.

    Attributes:
        platforms: what the platforms said of themselves when they registered.
        entries: collateral, then the PCK certificates of each platform.
        left_out: a sentence for each thing that cannot be verified for want of its issuer's certificates.
    """

    platforms: tuple[Registration, ...]
    entries: tuple[BundleEntry, ...]
    left_out: tuple[str, ...]


def parse_platform_collateral(data: bytes, at: datetime) -> PlatformCollateral:
    """Read a file.

    Args:
        data: the file, or a request's body.
        at: when its PCK certificates are said to have been fetched (aware); the file does not say.
    Raises:
        MalformedError, UnsupportedError: it does not follow its form, or has another version than 3 and 4.
        LimitExceededError: too long, or with too many values.
    """
    if len(data) > MAX_INTEL_FILE_BYTES:
        raise LimitExceededError(f"it is longer than {MAX_INTEL_FILE_BYTES} bytes", remedy="split it")
    document = require_object(parse_bounded_json(data, "platformcollateral", max_values=_MAX_VALUES), "it")
    collaterals = require_object(document.get("collaterals"), "collaterals")
    version = collaterals.get("version")
    if version not in (3, 4) or isinstance(version, bool):
        raise UnsupportedError(f"collaterals.version is {version!r:.40}, supported are 3 and 4")
    platforms = read_platforms(document)
    reader = _Reader(collaterals, 3 if version == 3 else 4)
    pck_sets = read_pck_sets(collaterals, platforms, reader.pck_chains(), at)
    return PlatformCollateral(
        platforms=platforms,
        entries=(*reader.tcb_infos(), *reader.identities(), *reader.crls(), *pck_sets),
        left_out=tuple(reader.crls_without_chain()),
    )


class _Reader:
    """Reads what stands in ``collaterals`` beside certificates."""

    def __init__(self, collaterals: Mapping[str, JSONValue], version: APIVersion) -> None:
        self._members = collaterals
        self._version: APIVersion = version
        self._chains = require_object(collaterals.get("certificates"), "certificates")

    def tcb_infos(self) -> Iterator[BundleEntry]:
        for number, value in enumerate(require_list(self._members.get("tcbinfos"), "tcbinfos")):
            where = f"tcbinfos[{number}]"
            entry = require_object(value, where)
            names = ("sgx_tcbinfo", "tdx_tcbinfo") if self._version == 4 else ("tcbinfo",)
            for name in names:
                for suffix, update in _UPDATES:
                    signed = entry.get(name + suffix)
                    if signed:
                        yield self._document(ItemKind.TCB_INFO, signed, update, f"{where}.{name}{suffix}")

    def identities(self) -> Iterator[BundleEntry]:
        for name, kind in _IDENTITIES:
            for suffix, update in _UPDATES:
                signed = self._members.get(name + suffix)
                if signed:
                    yield self._document(kind, signed, update, name + suffix)

    def crls(self) -> Iterator[BundleEntry]:
        held = self._members.get("pckcacrl")
        by_ca = require_object(held, "pckcacrl") if held else {}
        for name, ca in _CRLS:
            text = optional_text(by_ca.get(name), f"pckcacrl.{name}")
            if text and ca in self.pck_chains():
                yield _crl(ItemKind.PCK_CRL, text, self.pck_chains()[ca], f"pckcacrl.{name}")
        text = optional_text(self._members.get("rootcacrl"), "rootcacrl")
        if text:
            yield _crl(ItemKind.ROOT_CA_CRL, text, b"", "rootcacrl")

    def crls_without_chain(self) -> Iterator[str]:
        """Name the CRLs of CAs of whose certificates none is there.

        Intel's tool always fetches both CRLs, and the issuer chains of those CAs alone that issued for a platform: a
        file without them is as it should be.
        """
        held = self._members.get("pckcacrl")
        for name, ca in _CRLS:
            if held and require_object(held, "pckcacrl").get(name) and ca not in self.pck_chains():
                yield f"pckcacrl.{name} is left out: no platform in the file is of that CA, nor are its certificates"

    def pck_chains(self) -> dict[str, bytes]:
        """Return the issuer chains of PCK certificates, by CA."""
        held = self._chains.get(_PCK_CHAINS)
        by_ca = require_object(held, f"certificates.{_PCK_CHAINS}") if held else {}
        found = {ca: _chain(by_ca.get(ca), f"certificates.{_PCK_CHAINS}.{ca}") for _, ca in _CRLS}
        return {ca: chain for ca, chain in found.items() if chain}

    def _document(self, kind: ItemKind, signed: JSONValue, update: UpdateType, where: str) -> BundledCollateral:
        text = signed if isinstance(signed, str) else json.dumps(signed, separators=(",", ":"), ensure_ascii=False)
        member: DocumentMember = "tcbInfo" if kind is ItemKind.TCB_INFO else "enclaveIdentity"
        names = _TCB_CHAINS if kind is ItemKind.TCB_INFO else (_IDENTITY_CHAIN,)
        chains = [_chain(self._chains.get(name), f"certificates.{name}") for name in names]
        document = parse_signed_document(
            encode_utf8(text, where),
            member,
            issuer_chain=next(filter(None, chains), b""),
            source=f"{SOURCE} {where}",
        )
        return BundledCollateral(edition=Edition(self._version, update), item=CollateralItem(kind=kind, raw=document))


def _chain(value: JSONValue, where: str) -> bytes:
    text = optional_text(value, where)
    return decode_issuer_chain(encode_utf8(text, where), where) if text else b""


def _crl(kind: ItemKind, text: str, chain: bytes, where: str) -> BundledCollateral:
    raw = RevocationList(
        der=decode_crl(encode_utf8(text, where), where), issuer_chain=chain, source=f"{SOURCE} {where}"
    )
    return BundledCollateral(edition=STANDARD, item=CollateralItem(kind=kind, raw=raw))
