"""Reference values for SGX enclaves: made from enclaves, and added to or taken from a file that is in use.

The form is the original's: evidence meets it where its MRENCLAVE is in `mrEnclave`, its MRSIGNER in `mrSigner`, and its
ISVPRODID and ISVSVN are at least `productId` and `svn`. An empty list allows any; so no change here ever makes a list
empty that was not, or tightens what it was only to add to.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from verdictd.core.errors import ConfigError, MalformedError
from verdictd.core.result import JSONValue

_ENCLAVES, _SIGNERS, _PRODUCT, _SVN = "mrEnclave", "mrSigner", "productId", "svn"
_DIGEST_BYTES: Final = 32
_MAX_NUMBER: Final = 0xFFFF
_NUMBERS: Final = {_PRODUCT: "ISVPRODID", _SVN: "ISVSVN"}


@dataclass(frozen=True, slots=True, kw_only=True)
class EnclaveValues:
    """What identifies an enclave to a policy.

    Attributes:
        mr_enclave: 32 bytes.
        mr_signer: 32 bytes.
        isv_prod_id: 0 to 65535.
        isv_svn: 0 to 65535.
    """

    mr_enclave: bytes
    mr_signer: bytes
    isv_prod_id: int
    isv_svn: int

    def as_evidence(self) -> dict[str, JSONValue]:
        """The evidence file of the enclave: what a policy is given of a peer that runs it."""
        return {
            _ENCLAVES: _encode(self.mr_enclave),
            _SIGNERS: _encode(self.mr_signer),
            _PRODUCT: self.isv_prod_id,
            _SVN: self.isv_svn,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A new reference and what has to be said of it.

    Attributes:
        reference: the members of the reference file.
        notes: sentences for the operator: what is allowed that might surprise.
    """

    reference: Mapping[str, JSONValue]
    notes: tuple[str, ...]


def make_reference(enclaves: Iterable[EnclaveValues], *, signer_only: bool = False) -> Change:
    """Make a reference that these enclaves meet: these alone, or with `signer_only` all of their signers.

    Raises:
        ValueError: no enclave.
    """
    given = tuple(enclaves)
    if not given:
        raise ValueError("a reference is made from one enclave or more")
    reference: dict[str, JSONValue] = {
        _ENCLAVES: [] if signer_only else _encode_all(enclave.mr_enclave for enclave in given),
        _SIGNERS: _encode_all(enclave.mr_signer for enclave in given),
        _PRODUCT: min(enclave.isv_prod_id for enclave in given),
        _SVN: min(enclave.isv_svn for enclave in given),
    }
    notes = [
        f"the enclaves have {name} {', '.join(map(str, found))}: {found[0]} and all above is allowed to each of them"
        for name, found in (
            ("ISVPRODID", sorted({enclave.isv_prod_id for enclave in given})),
            ("ISVSVN", sorted({enclave.isv_svn for enclave in given})),
        )
        if len(found) > 1
    ]
    if signer_only:
        notes.append(f"any enclave is allowed that the signer signed, from ISVPRODID {reference[_PRODUCT]} on")
    return Change(reference=reference, notes=tuple(notes))


def add_to_reference(
    existing: Mapping[str, JSONValue], enclaves: Iterable[EnclaveValues], *, signer_only: bool = False
) -> Change:
    """Allow further enclaves, or signers, beside those that a reference allows. Members of other names stay.

    Raises:
        MalformedError: `existing` is not a reference for SGX enclaves.
        ConfigError: what it allows and what is added cannot both be said in one reference.
    """
    held = _read(existing)
    added = make_reference(enclaves, signer_only=signer_only)
    if not held.enclaves and not held.signers:
        note = "the reference allowed any enclave; it now allows those that were added, and no other"
        return Change(reference={**existing, **added.reference}, notes=(note, *added.notes))
    if signer_only and held.enclaves:
        raise ConfigError(
            f"the reference names {len(held.enclaves)} enclaves, and would still allow no other of the added signer",
            remedy="add the enclave without --signer-only, or make a reference without --merge",
        )
    if not signer_only and not held.enclaves:
        raise ConfigError(
            "the reference allows any enclave of its signers, and would no longer if it named one",
            remedy="add --signer-only, or make a reference without --merge",
        )
    new = _read(added.reference)
    signers = _join(held.signers, new.signers) if held.signers else ()
    numbers = {name: min(held.numbers[name], new.numbers[name]) for name in _NUMBERS}
    notes = [
        f"{name} is lowered from {held.numbers[member]} to {numbers[member]}, for the enclaves that were there as well"
        for member, name in _NUMBERS.items()
        if numbers[member] < held.numbers[member]
    ]
    if not held.signers:
        notes.append("the reference allows any signer, as it did: its enclaves are named")
    reference = {
        **existing,
        _ENCLAVES: _encode_all(_join(held.enclaves, new.enclaves)),
        _SIGNERS: _encode_all(signers),
        **numbers,
    }
    return Change(reference=reference, notes=(*notes, *added.notes))


def take_from_reference(
    existing: Mapping[str, JSONValue], enclaves: Iterable[EnclaveValues], *, signer_only: bool = False
) -> Change:
    """Allow enclaves no longer, or with `signer_only` their signers. All else stays.

    Raises:
        MalformedError: `existing` is not a reference for SGX enclaves.
        ConfigError: it does not have one of them, or would have none left and so allow any.
    """
    held, given = _read(existing), tuple(enclaves)
    member, values, what = (_SIGNERS, held.signers, "signer") if signer_only else (_ENCLAVES, held.enclaves, "enclave")
    gone = {enclave.mr_signer if signer_only else enclave.mr_enclave for enclave in given}
    for value in sorted(gone - set(values)):
        raise ConfigError(f"the reference does not name the {what} {_encode(value)}", remedy="it cannot be removed")
    left = [value for value in values if value not in gone]
    if not left:
        raise ConfigError(
            f"the reference would name no {what} any more, and an empty list allows any",
            remedy=f"add the {what} that is to be allowed first, with --merge",
        )
    notes = () if signer_only else ("signers, ISVPRODID and ISVSVN stay as they were",)
    return Change(reference={**existing, member: _encode_all(left)}, notes=notes)


def describe_difference(before: Mapping[str, JSONValue], after: Mapping[str, JSONValue]) -> list[str]:
    """Say line by line what a reference gains and loses, in the order of its members; nothing where it is the same."""
    lines: list[str] = []
    for name in dict.fromkeys((*before, *after)):
        old, new = before.get(name), after.get(name)
        if isinstance(old, list) and isinstance(new, list):
            lines += [f"- {name}: {value}" for value in old if value not in new]
            lines += [f"+ {name}: {value}" for value in new if value not in old]
            lines += [f"! {name}: the list is empty now, any is allowed"] if old and not new else []
        elif old != new or type(old) is not type(new):
            lines += [f"- {name}: {old}"] if name in before else []
            lines += [f"+ {name}: {new}"] if name in after else []
    return lines


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reference:
    enclaves: tuple[bytes, ...]
    signers: tuple[bytes, ...]
    numbers: Mapping[str, int]


def _read(reference: Mapping[str, JSONValue]) -> _Reference:
    return _Reference(
        enclaves=_read_digests(reference, _ENCLAVES),
        signers=_read_digests(reference, _SIGNERS),
        numbers={name: _read_number(reference, name) for name in _NUMBERS},
    )


def _read_digests(reference: Mapping[str, JSONValue], member: str) -> tuple[bytes, ...]:
    values = reference.get(member)
    if not isinstance(values, list):
        raise MalformedError(f"the reference has no list {member}", remedy="is it one for SGX enclaves?")
    return tuple(_read_digest(value, member) for value in values)


def _read_digest(value: JSONValue, member: str) -> bytes:
    try:
        digest = base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        digest = b""
    if len(digest) != _DIGEST_BYTES:
        raise MalformedError(f"{member} of the reference holds {value!r:.60}, which is not 32 bytes in base64")
    return digest


def _read_number(reference: Mapping[str, JSONValue], member: str) -> int:
    value = reference.get(member)
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise MalformedError(f"{member} of the reference is {value!r:.60}, which is no number from 0 to {_MAX_NUMBER}")
    return value


def _join(held: tuple[bytes, ...], added: tuple[bytes, ...]) -> tuple[bytes, ...]:
    return tuple(dict.fromkeys((*held, *added)))


def _encode(digest: bytes) -> str:
    return base64.b64encode(digest).decode("ascii")


def _encode_all(digests: Iterable[bytes]) -> list[JSONValue]:
    return [_encode(digest) for digest in dict.fromkeys(digests)]
