"""What an attestation is judged by, as bytes that are kept by their SHA-256. Pure; what is read back is not trusted."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import lru_cache
from typing import cast

from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.appraisal.verifiers import Verifiers, parse_verifiers
from verdictd.collateral.items import ItemKind, split_collateral
from verdictd.core.checks import Check, CheckResult
from verdictd.core.errors import ConfigError, LimitExceededError, MalformedError
from verdictd.core.limits import (
    MAX_CERTIFICATE_BYTES,
    MAX_CHAIN_BYTES,
    MAX_CRL_BYTES,
    MAX_POLICY_BYTES,
    MAX_REFERENCE_BYTES,
    MAX_REQUEST_BYTES,
    MAX_SIGNED_DOCUMENT_BYTES,
)
from verdictd.core.result import JSONValue
from verdictd.policy.json_document import parse_json_object
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral, RevocationList, SignedDocument
from verdictd.tees.dcap.trust_roots import TrustRoot, TrustRoots, parse_trust_roots

_MAX_JSON_BYTES = 1024 * 1024
_HEADER = re.compile(rb"verdictd\.collateral/1 ([a-z_]{1,32})((?: [0-9]{1,9}){2,3})\n")
_SECOND = timedelta(seconds=1)


class Role(StrEnum):
    """What a blob is to an attestation."""

    CERTIFICATE = "certificate"
    TCB_INFO = "tcb_info"
    QE_IDENTITY = "qe_identity"
    PCK_CRL = "pck_crl"
    ROOT_CA_CRL = "root_ca_crl"
    TRUST_ROOTS = "trust_roots"
    SETTINGS = "settings"
    POLICY = "policy"
    REFERENCE = "reference"
    POLICY_INPUT = "policy_input"
    CHECKS = "checks"


COLLATERAL_ROLES: Mapping[Role, ItemKind] = {
    Role.TCB_INFO: ItemKind.TCB_INFO,
    Role.QE_IDENTITY: ItemKind.QE_IDENTITY,
    Role.PCK_CRL: ItemKind.PCK_CRL,
    Role.ROOT_CA_CRL: ItemKind.ROOT_CA_CRL,
}
MAX_BLOB_BYTES: Mapping[Role, int] = {
    Role.CERTIFICATE: MAX_CERTIFICATE_BYTES,
    Role.TCB_INFO: MAX_SIGNED_DOCUMENT_BYTES + MAX_CHAIN_BYTES + 256,
    Role.QE_IDENTITY: MAX_SIGNED_DOCUMENT_BYTES + MAX_CHAIN_BYTES + 256,
    Role.PCK_CRL: MAX_CRL_BYTES + MAX_CHAIN_BYTES + 256,
    Role.ROOT_CA_CRL: MAX_CRL_BYTES + MAX_CHAIN_BYTES + 256,
    Role.TRUST_ROOTS: _MAX_JSON_BYTES,
    Role.SETTINGS: _MAX_JSON_BYTES,
    Role.POLICY: MAX_POLICY_BYTES,
    Role.REFERENCE: MAX_REFERENCE_BYTES,
    Role.POLICY_INPUT: MAX_REQUEST_BYTES,
    Role.CHECKS: _MAX_JSON_BYTES,
}
"""The most that a blob may have, in bytes."""


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with their SHA-256 in lower-case hex."""

    digest: str
    content: bytes

    @classmethod
    def of(cls, content: bytes) -> "Blob":
        """Make a blob of its bytes."""
        return cls(hashlib.sha256(content).hexdigest(), content)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchivedSettings:
    """The settings that an attestation was judged with.

    Attributes:
        acceptance: what of a genuine platform was acceptable.
        verifier: the verifiers that were enforced.
        is_guarded: whether peers are refused while the reference values are the shipped, empty ones.
    """

    acceptance: Acceptance
    verifier: Verifiers
    is_guarded: bool


def check_blob(role: Role, digest: str, content: bytes) -> Blob:
    """Take back a blob that somebody else kept.

    Raises:
        MalformedError: it is not what has that digest.
        LimitExceededError: it is larger than any of its role.
    """
    if len(content) > MAX_BLOB_BYTES[role]:
        raise LimitExceededError(
            f"the archived {role} is {len(content)} bytes long, the limit is {MAX_BLOB_BYTES[role]}"
        )
    blob = Blob.of(content)
    if blob.digest != digest:
        raise MalformedError(
            f"the archived {role} has the SHA-256 {blob.digest}, expected {digest}",
            remedy="the archive was changed or is damaged; what it says of this attestation is not to be believed",
        )
    return blob


def encode_collateral(collateral: Collateral) -> dict[Role, Blob]:
    """Write the items that are there, each as a blob. Those used often are written once."""
    return {Role(item.kind.value): _encode_item(item.kind, item.raw) for item in split_collateral(collateral)}


@lru_cache(maxsize=32)
def _encode_item(kind: ItemKind, raw: SignedDocument | RevocationList) -> Blob:
    if isinstance(raw, SignedDocument):
        parts: tuple[bytes, ...] = (raw.body, raw.signature, raw.issuer_chain)
    else:
        parts = (raw.der, raw.issuer_chain)
    header = " ".join([f"verdictd.collateral/1 {kind}", *(str(len(part)) for part in parts)])
    return Blob.of(b"".join([header.encode("ascii"), b"\n", *parts]))


def decode_collateral(blobs: Mapping[Role, bytes], sources: Mapping[str, str]) -> Collateral:
    """Read the items among some blobs back. Nothing in them is verified; an appraisal does that.

    Raises:
        MalformedError: one is not in its form.
    """
    items = {
        kind.value: _decode_item(kind, blobs[role], sources.get(kind.value, "archive"))
        for role, kind in COLLATERAL_ROLES.items()
        if role in blobs
    }
    tcb_info, qe_identity = items.get("tcb_info"), items.get("qe_identity")
    pck_crl, root_ca_crl = items.get("pck_crl"), items.get("root_ca_crl")
    return Collateral(
        tcb_info=tcb_info if isinstance(tcb_info, SignedDocument) else None,
        qe_identity=qe_identity if isinstance(qe_identity, SignedDocument) else None,
        pck_crl=pck_crl if isinstance(pck_crl, RevocationList) else None,
        root_ca_crl=root_ca_crl if isinstance(root_ca_crl, RevocationList) else None,
    )


def _decode_item(kind: ItemKind, data: bytes, source: str) -> SignedDocument | RevocationList:
    header = _HEADER.match(data)
    lengths = [] if header is None else [int(length) for length in header[2].split()]
    is_document = kind in {ItemKind.TCB_INFO, ItemKind.QE_IDENTITY}
    if header is None or header[1] != kind.encode("ascii") or len(lengths) != (3 if is_document else 2):
        raise MalformedError(f"the archived {kind} does not begin as one")
    parts, position = [], header.end()
    for length in lengths:
        parts.append(data[position : position + length])
        position += length
    if position != len(data):
        raise MalformedError(f"the archived {kind} is {len(data)} bytes long, expected {position}")
    if is_document:
        return SignedDocument(body=parts[0], signature=parts[1], issuer_chain=parts[2], source=source)
    return RevocationList(der=parts[0], issuer_chain=parts[1], source=source)


@lru_cache(maxsize=8)
def encode_roots(roots: TrustRoots) -> Blob:
    """Write what is trusted."""
    return Blob.of(
        encode_json(
            [
                {
                    "label": root.label,
                    "der": base64.b64encode(root.certificate.public_bytes(Encoding.DER)).decode("ascii"),
                }
                for root in roots.roots
            ]
        )
    )


def decode_roots(data: bytes) -> TrustRoots:
    """Read back what was trusted. Whoever uses it shows the operator which roots these are.

    Raises:
        MalformedError: not as `encode_roots` writes it, or not certificates of root CAs.
    """
    roots: list[TrustRoot] = []
    for entry in _list(parse_json(data, "trust roots")):
        members = _object(entry, {"label", "der"}, "trust roots")
        try:
            der = base64.b64decode(_text(members["der"]), validate=True)
            pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
            roots += parse_trust_roots(pem, _text(members["label"]))
        except (ValueError, ConfigError) as error:
            raise MalformedError(f"the archived trust roots are none: {error}") from error
    if not roots:
        raise MalformedError("the archived trust roots are empty")
    return TrustRoots(tuple(roots))


@lru_cache(maxsize=8)
def encode_settings(settings: ArchivedSettings) -> Blob:
    """Write settings."""
    acceptance = settings.acceptance
    age = acceptance.max_collateral_age
    return Blob.of(
        encode_json(
            {
                "acceptance": {
                    "tcb_statuses": sorted(acceptance.tcb_statuses),
                    "allow_debug": acceptance.allow_debug,
                    "allow_expired_collateral": acceptance.allow_expired_collateral,
                    "denied_advisories": sorted(acceptance.denied_advisories),
                    "min_evaluation_data_number": acceptance.min_evaluation_data_number,
                    "max_collateral_age_s": None if age is None else age // _SECOND,
                },
                "verifier": str(settings.verifier),
                "is_guarded": settings.is_guarded,
            }
        )
    )


def decode_settings(data: bytes) -> ArchivedSettings:
    """Read settings back.

    Raises:
        MalformedError: not as `encode_settings` writes them.
    """
    members = _object(parse_json(data, "settings"), {"acceptance", "verifier", "is_guarded"}, "settings")
    names = set(Acceptance.__dataclass_fields__) - {"max_collateral_age"} | {"max_collateral_age_s"}
    given = _object(members["acceptance"], names, "settings")
    age = given["max_collateral_age_s"]
    try:
        return ArchivedSettings(
            acceptance=Acceptance(
                tcb_statuses=frozenset(TCBStatus(_text(name)) for name in _list(given["tcb_statuses"])),
                allow_debug=_flag(given["allow_debug"]),
                allow_expired_collateral=_flag(given["allow_expired_collateral"]),
                denied_advisories=frozenset(_text(name) for name in _list(given["denied_advisories"])),
                min_evaluation_data_number=_integer(given["min_evaluation_data_number"]),
                max_collateral_age=None if age is None else timedelta(seconds=_integer(age)),
            ),
            verifier=parse_verifiers([_text(members["verifier"])]),
            is_guarded=_flag(members["is_guarded"]),
        )
    except (ValueError, OverflowError, ConfigError) as error:
        raise MalformedError(f"the archived settings cannot be used: {error}") from error


Outcome = tuple[str, CheckResult, bool]
"""What became of a check: its name, its result, and whether "not made" refuses."""


def encode_checks(checks: tuple[Check, ...]) -> Blob:
    """Write what became of each check, in the order made. Most attestations have the same ones."""
    return Blob.of(encode_json([[check.name, check.result.value, check.mandatory] for check in checks]))


def decode_checks(data: bytes) -> tuple[Outcome, ...]:
    """Read back what became of each check.

    Raises:
        MalformedError: not as `encode_checks` writes it.
    """
    outcomes: list[Outcome] = []
    for entry in _list(parse_json(data, "checks")):
        match entry:
            case [str(name), "pass" | "fail" | "not_made" as result, bool(mandatory)]:
                outcomes.append((name, CheckResult(result), mandatory))
            case _:
                raise MalformedError("the archived checks are not lists of a name, a result and a flag")
    return tuple(outcomes)


def decode_policy_input(data: bytes) -> dict[str, JSONValue]:
    """Read a policy's input back.

    Raises:
        MalformedError, LimitExceededError: not an unambiguous JSON object.
    """
    return parse_json_object(data, "the archived policy input", MAX_REQUEST_BYTES)


def encode_json(value: object) -> bytes:
    """Write JSON so that equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")


def parse_json(data: bytes, what: str) -> JSONValue:
    """Read JSON that `encode_json` wrote.

    Raises:
        MalformedError: it is not that, to the byte.
    """
    try:
        value = json.loads(data)
        if encode_json(value) != data:
            raise MalformedError(f"the archived {what} are not canonical JSON")
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"the archived {what} are not JSON") from error
    return cast("JSONValue", value)


def _object(value: JSONValue, names: set[str], what: str) -> dict[str, JSONValue]:
    if not isinstance(value, dict) or value.keys() != names:
        raise MalformedError(f"the archived {what} are not objects of {', '.join(sorted(names))}")
    return value


def _list(value: JSONValue) -> list[JSONValue]:
    if not isinstance(value, list):
        raise MalformedError("an archived list is none")
    return value


def _text(value: JSONValue) -> str:
    if not isinstance(value, str):
        raise MalformedError("an archived text is none")
    return value


def _flag(value: JSONValue) -> bool:
    if not isinstance(value, bool):
        raise MalformedError("an archived flag is neither true nor false")
    return value


def _integer(value: JSONValue) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise MalformedError("an archived number is not a whole one from 0 on")
    return value
