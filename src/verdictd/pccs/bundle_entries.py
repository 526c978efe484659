"""What a bundle holds, an entry a line: each as a flat JSON object, and back.

Members of a ``collateral`` entry: ``edition`` (``v4/standard``), ``kind`` (a value of `ItemKind`), ``source``,
``issuer_chain`` (PEM), and ``body`` (the text that was signed) with ``signature`` (hex), or ``der`` (base64) of a CRL.
Of a ``pck`` entry: ``qe_id``, ``pce_id``, ``enc_ppid``, ``manifest`` (hex), ``issuer_chain``, ``certificates`` (a list
of a TCB as 36 hex digits and PEM, in turn), ``unavailable`` and ``raw_tcbs`` (TCBs), ``is_complete``, ``fetched_at``.
Of an ``amd`` entry: ``key_type``, ``product``, ``what``, ``chip_id``, ``tcb`` (hex), ``content`` (base64).
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Final, TypeAlias, cast, get_args

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.items import CollateralItem, ItemKind
from verdictd.collateral.pccs_urls import APIVersion, Update
from verdictd.collateral.source_names import one_line
from verdictd.core.errors import MalformedError
from verdictd.core.result import JSONValue
from verdictd.pccs.bundle_members import EntryMembers, read_hex
from verdictd.pccs.model import AMDKeyType, AMDProduct, Edition, Platform, PlatformKey, RawTCB
from verdictd.pccs.pck_offers import OfferedPCKSet
from verdictd.tees.dcap.collateral import RevocationList, SignedDocument

_EDITION = re.compile(r"v([34])/(standard|early|[1-9][0-9]{0,9})")
_QE_ID = re.compile(r"[0-9A-F]{1,260}")
_PCE_ID = re.compile(r"[0-9A-F]{4}")
_TCB_DIGITS: Final = 36
_DOCUMENTS: Final = frozenset({ItemKind.TCB_INFO, ItemKind.QE_IDENTITY, ItemKind.QVE_IDENTITY})
_WHATS: Final = ("leaf", "cert_chain", "crl")


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledCollateral:
    """TCB info, an identity or a CRL. Nothing is verified."""

    edition: Edition
    item: CollateralItem


@dataclass(frozen=True, slots=True, kw_only=True)
class BundledAMD:
    """A certificate, chain or CRL of AMD's. Nothing is verified.

    Attributes:
        name: what it is said to be.
        content: as served.
    """

    name: AMDCertificateName
    content: bytes


BundleEntry: TypeAlias = BundledCollateral | OfferedPCKSet | BundledAMD


def parse_edition(text: str) -> Edition:
    """Read an edition as `Edition` writes itself.

    Raises:
        MalformedError: not that.
    """
    match = _EDITION.fullmatch(text)
    if match is None:
        raise MalformedError(f"{text!r:.40} is no edition, expected such as v4/standard")
    version, update = match.groups()
    read: Update = int(update) if update.isdigit() else cast("Update", update)
    return Edition(cast("APIVersion", int(version)), read)


def parse_tcb(text: str) -> RawTCB:
    """Read a TCB as `RawTCB` writes itself.

    Raises:
        MalformedError: not 36 hex digits.
    """
    raw = read_hex(text.upper(), "a TCB")
    if len(text) != _TCB_DIGITS:
        raise MalformedError(f"a TCB has {len(text)} hex digits, expected {_TCB_DIGITS}")
    return RawTCB(raw[:16], int.from_bytes(raw[16:], "little"))


def encode_entry(entry: BundleEntry) -> dict[str, JSONValue]:
    """Write an entry as a JSON object.

    Raises:
        MalformedError: it is not text where the form has text, as nothing that was verified is.
    """
    match entry:
        case BundledCollateral():
            return _encode_collateral(entry)
        case OfferedPCKSet():
            return _encode_pck(entry)
        case BundledAMD(name=name, content=content):
            return {
                "type": "amd",
                "key_type": name.key_type,
                "product": name.product,
                "what": name.what,
                "chip_id": name.chip_id.hex().upper(),
                "tcb": name.tcb.hex().upper(),
                "content": base64.b64encode(content).decode("ascii"),
            }


def parse_entry(members: Mapping[str, object]) -> BundleEntry:
    """Read an entry.

    Raises:
        MalformedError: it does not follow its form.
    """
    reader = EntryMembers(members)
    match reader.text("type"):
        case "collateral":
            entry: BundleEntry = _parse_collateral(reader)
        case "pck":
            entry = _parse_pck(reader)
        case "amd":
            entry = _parse_amd(reader)
        case other:
            raise MalformedError(f"an entry is of the type {other!r:.40}, known are collateral, pck and amd")
    reader.require_all_known()
    return entry


def _encode_collateral(entry: BundledCollateral) -> dict[str, JSONValue]:
    raw = entry.item.raw
    members: dict[str, JSONValue] = {
        "type": "collateral",
        "edition": str(entry.edition),
        "kind": entry.item.kind.value,
        "source": one_line(raw.source),
        "issuer_chain": _decode(raw.issuer_chain),
    }
    if isinstance(raw, SignedDocument):
        return members | {"body": _decode(raw.body), "signature": raw.signature.hex().upper()}
    return members | {"der": base64.b64encode(raw.der).decode("ascii")}


def _parse_collateral(reader: EntryMembers) -> BundledCollateral:
    edition = parse_edition(reader.text("edition"))
    name = reader.text("kind")
    try:
        kind = ItemKind(name)
    except ValueError as error:
        raise MalformedError(f"{name!r:.40} is no kind of collateral") from error
    chain, source = reader.text("issuer_chain").encode("utf-8"), one_line(reader.text("source"))
    raw: SignedDocument | RevocationList
    if kind in _DOCUMENTS:
        body, signature = reader.text("body").encode("utf-8"), reader.hex("signature")
        raw = SignedDocument(body=body, signature=signature, issuer_chain=chain, source=source)
    else:
        raw = RevocationList(der=reader.base64("der"), issuer_chain=chain, source=source)
    return BundledCollateral(edition=edition, item=CollateralItem(kind=kind, raw=raw))


def _encode_pck(offered: OfferedPCKSet) -> dict[str, JSONValue]:
    platform = offered.platform
    certificates = sorted(offered.certificates)
    return {
        "type": "pck",
        "qe_id": platform.key.qe_id,
        "pce_id": platform.key.pce_id,
        "enc_ppid": platform.enc_ppid.hex().upper(),
        "manifest": platform.manifest.hex().upper(),
        "issuer_chain": _decode(offered.issuer_chain),
        "certificates": [text for tcb, pem in certificates for text in (str(tcb), _decode(pem))],
        "unavailable": [str(tcb) for tcb in sorted(offered.unavailable)],
        "raw_tcbs": [str(tcb) for tcb in sorted(offered.raw_tcbs)],
        "is_complete": offered.is_complete,
        "fetched_at": offered.fetched_at.astimezone(UTC).isoformat(),
    }


def _parse_pck(reader: EntryMembers) -> OfferedPCKSet:
    qe_id, pce_id = reader.text("qe_id"), reader.text("pce_id")
    if not _QE_ID.fullmatch(qe_id) or not _PCE_ID.fullmatch(pce_id):
        raise MalformedError(f"{qe_id!r:.40} and {pce_id!r:.40} name no platform")
    certificates = reader.texts("certificates")
    if len(certificates) % 2:
        raise MalformedError("the PCK certificates of a platform are not pairs of a TCB and PEM")
    return OfferedPCKSet(
        platform=Platform(
            key=PlatformKey(qe_id, pce_id), enc_ppid=reader.hex("enc_ppid"), manifest=reader.hex("manifest")
        ),
        certificates=tuple(
            (parse_tcb(tcb), pem.encode("utf-8"))
            for tcb, pem in zip(certificates[::2], certificates[1::2], strict=True)
        ),
        unavailable=tuple(parse_tcb(text) for text in reader.texts("unavailable")),
        issuer_chain=reader.text("issuer_chain").encode("utf-8"),
        is_complete=reader.flag("is_complete"),
        fetched_at=reader.instant("fetched_at"),
        raw_tcbs=tuple(parse_tcb(text) for text in reader.texts("raw_tcbs")),
    )


def _parse_amd(reader: EntryMembers) -> BundledAMD:
    key_type, product, what = reader.text("key_type"), reader.text("product"), reader.text("what")
    for value, known in ((key_type, get_args(AMDKeyType)), (product, get_args(AMDProduct)), (what, _WHATS)):
        if value not in known:
            raise MalformedError(f"{value!r:.40} is not one of {', '.join(known)}")
    name = AMDCertificateName(
        cast("AMDKeyType", key_type),
        cast("AMDProduct", product),
        "leaf" if what == "leaf" else "crl" if what == "crl" else "cert_chain",
        reader.hex("chip_id"),
        reader.hex("tcb"),
    )
    return BundledAMD(name=name, content=reader.base64("content"))


def _decode(text: bytes) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedError("something that is to go into a bundle is not text") from error


def encode_line(members: Mapping[str, JSONValue]) -> bytes:
    """Write an object as a line, the same for the same members."""
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
