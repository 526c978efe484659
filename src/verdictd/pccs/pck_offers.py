"""PCK certificates as somebody brings them, and their verification: nothing else makes a set that can be offered."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from verdictd.core.errors import AuthenticityError, LimitExceededError, MalformedError
from verdictd.pccs.model import PCKCertificate, PCKSet, Platform, RawTCB
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.pck import VerifiedPCK, verify_pck_chain
from verdictd.tees.dcap.trust_roots import TrustRoots

MAX_CERTIFICATES: Final = 256
"""Of one platform: a certificate for each TCB level, of which families have some twenty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OfferedPCKSet:
    """A platform's certificates as they came. Nothing is verified.

    Attributes:
        platform: its key, encrypted PPID and manifest, as somebody says.
        certificates: for each, its TCB as somebody says, and PEM.
        unavailable: TCBs for which there is none, as somebody says.
        issuer_chain: PEM.
        is_complete: whether these are all there are, as somebody says.
        fetched_at: when they came from the vendor, as somebody says (aware).
        raw_tcbs: what the platform asked with, as somebody says.
    """

    platform: Platform
    certificates: tuple[tuple[RawTCB, bytes], ...]
    unavailable: tuple[RawTCB, ...]
    issuer_chain: bytes
    is_complete: bool
    fetched_at: datetime
    raw_tcbs: tuple[RawTCB, ...] = ()


def verify_pck_set(offered: OfferedPCKSet, roots: TrustRoots, memory: FactMemory) -> PCKSet:
    """Verify each certificate up to a trusted root, and that all are of the one platform they are said to be of.

    That they are of this quoting enclave cannot be verified: no certificate names it. Not judged: time.

    Raises:
        MalformedError, LimitExceededError: a certificate cannot be read, or there are none, or too many.
        AuthenticityError: a chain does not hold, or a certificate is of another platform or TCB.
    """
    key = offered.platform.key
    if not offered.certificates:
        raise MalformedError(f"no PCK certificate is given for the platform {_shown(key.qe_id)}")
    if len(offered.certificates) > MAX_CERTIFICATES:
        raise LimitExceededError(
            f"{len(offered.certificates)} PCK certificates are given for the platform {_shown(key.qe_id)}, the limit is"
            f" {MAX_CERTIFICATES}"
        )
    verified = [
        (tcb, pem, verify_pck_chain(pem + b"\n" + offered.issuer_chain, roots, memory))
        for tcb, pem in offered.certificates
    ]
    first = verified[0][2]
    for tcb, _, pck in verified:
        _require_same(first, pck)
        _require_tcb(tcb, pck)
    if first.platform.pce_id.hex().upper() != key.pce_id:
        raise AuthenticityError(
            f"the PCK certificate is for the PCE {first.platform.pce_id.hex().upper()}, expected {key.pce_id}"
        )
    if len({tcb for tcb, _, _ in verified}) != len(verified):
        raise MalformedError(f"two PCK certificates of the platform {_shown(key.qe_id)} are for one TCB")
    return PCKSet(
        platform=replace(offered.platform, fmspc=first.platform.fmspc, ca=first.ca_type),
        certificates=tuple(
            PCKCertificate(tcb=tcb, pem=pem, components=pck.platform.components, expires_at=pck.chain.not_after)
            for tcb, pem, pck in verified
        ),
        unavailable=offered.unavailable,
        issuer_chain=offered.issuer_chain,
        is_complete=offered.is_complete,
        fetched_at=offered.fetched_at,
    )


def read_ppid(pck_set: PCKSet, roots: TrustRoots, memory: FactMemory) -> bytes:
    """Return the PPID (16 bytes) that the certificates of a verified set state: it tells one processor from another."""
    pem = pck_set.certificates[0].pem + b"\n" + pck_set.issuer_chain
    return verify_pck_chain(pem, roots, memory).platform.ppid


def earliest_expiry(certificates: Sequence[PCKCertificate]) -> datetime:
    """Return when the first of a platform's certificates expires."""
    return min(certificate.expires_at for certificate in certificates)


def _require_same(first: VerifiedPCK, other: VerifiedPCK) -> None:
    """Require two certificates of one platform: one package or set of packages, one family, one CA."""
    one, two = first.platform, other.platform
    for name, same in (
        ("PPID", one.ppid == two.ppid),
        ("FMSPC", one.fmspc == two.fmspc),
        ("PCE", one.pce_id == two.pce_id),
        ("platform instance id", one.platform_instance_id == two.platform_instance_id),
        ("CA", first.ca_type == other.ca_type),
    ):
        if not same:
            raise AuthenticityError(f"PCK certificates that are given for one platform differ in their {name}")


def _require_tcb(tcb: RawTCB, pck: VerifiedPCK) -> None:
    stated = RawTCB(pck.platform.cpu_svn, pck.platform.pce_svn)
    if stated != tcb:
        raise AuthenticityError(f"the PCK certificate is for the TCB {stated}, expected {tcb}")


def _shown(qe_id: str) -> str:
    return qe_id if len(qe_id) <= 32 else f"{qe_id[:32]}…"
