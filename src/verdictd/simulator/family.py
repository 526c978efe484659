"""Platforms by the hundred thousand: who names an encrypted PPID, or a platform manifest, names a platform.

A vendor knows the platforms it made. The simulated one takes any identity it is asked about for one of its own, and
always for the same, so that nothing needs to be kept. An identity that begins with a mark says what platform it is:
`encode_identity`. Any other, but for zeros, names an ordinary platform of the first family.
"""

import hashlib
from typing import Final, NamedTuple

from verdictd.tees.dcap.pck import PCKCAType

ENCRYPTED_PPID_BYTES: Final = 384
MANIFEST_BYTES: Final = range(8431, 56443)
"""How large platform manifests are; Intel's documents say so in hex digits."""

_MARK: Final = b"tee-sim"
_IS_UNKNOWN: Final = 1
_LACKS_NEWEST: Final = 2


class Family(NamedTuple):
    """Platforms that share their FMSPC.

    Attributes:
        kind: as the vendor's list of FMSPCs calls it.
        ca: which CA issues their PCK certificates.
        has_tdx: whether there is TCB info of TDX for it.
    """

    kind: str
    ca: PCKCAType
    has_tdx: bool


FAMILIES: Final = (
    Family("E5", "platform", has_tdx=True),
    Family("E5", "platform", has_tdx=False),
    Family("E3", "processor", has_tdx=False),
    Family("client", "processor", has_tdx=False),
)
"""The families there are. The platform of the directory is of the first; the FMSPC of each later one is 1 higher."""


class FamilyMember(NamedTuple):
    """A platform that is known by its identity alone.

    Attributes:
        identity: its encrypted PPID or its manifest.
        family: index in `FAMILIES`.
        has_newest: whether there is a PCK certificate for the newest TCB level: else it is "Not available".
    """

    identity: bytes
    family: int
    has_newest: bool


def encode_identity(
    seed: bytes,
    *,
    family: int = 0,
    is_known: bool = True,
    has_newest: bool = True,
    size: int = ENCRYPTED_PPID_BYTES,
) -> bytes:
    """Make an encrypted PPID, or with another size a manifest, of a platform that has what is asked for.

    Layout: ``tee-sim``, a byte of flags (1 unknown, 2 without its newest certificate), a byte that is the family's
    index, then bytes that come of the seed.

    Args:
        seed: what tells it from others.
        family: index in `FAMILIES`.
        is_known: whether the vendor knows it.
        has_newest: see `FamilyMember`.
        size: in bytes.
    """
    flags = (0 if is_known else _IS_UNKNOWN) | (0 if has_newest else _LACKS_NEWEST)
    head = _MARK + bytes((flags, family))
    return head + hashlib.shake_256(seed).digest(size - len(head))


def find_member(identity: bytes) -> FamilyMember | None:
    """Return the platform that an encrypted PPID or a manifest names; ``None`` for one the vendor does not know."""
    if not any(identity):
        return None
    head = identity[len(_MARK) : len(_MARK) + 2]
    if not identity.startswith(_MARK) or len(head) < 2:
        return FamilyMember(identity, 0, has_newest=True)
    flags, family = head
    if flags & _IS_UNKNOWN or family >= len(FAMILIES):
        return None
    return FamilyMember(identity, family, has_newest=not flags & _LACKS_NEWEST)


def family_fmspc(first: bytes, family: int) -> bytes:
    """The FMSPC of a family, where that of the first family is `first`."""
    return first[:-1] + bytes(((first[-1] + family) % 256,))


def find_family(first: bytes, fmspc: bytes) -> int | None:
    """Return the index of the family with an FMSPC, where that of the first family is `first`."""
    found = (fmspc[-1] - first[-1]) % 256
    return found if fmspc[:-1] == first[:-1] and found < len(FAMILIES) else None
