"""What the tests store, and how they reach around the storage to damage it."""

from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import Any

from sqlalchemy import Connection, text

from tests.unit.collateral.endorser import START, Endorser
from verdictd.collateral.items import CollateralItem, VerifiedItem, verify_item
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.model import PCKCertificate, PCKSet, Platform, PlatformKey, RawTCB
from verdictd.tees.dcap.memory import FactMemory

MEMORY = FactMemory()
ENC_PPID = bytes(range(256)) + bytes(128)
DAY = timedelta(days=1)


def verified(endorser: Endorser, item: CollateralItem) -> VerifiedItem:
    return verify_item(item, endorser.roots, MEMORY)


def raw_tcb(svn: int) -> RawTCB:
    return RawTCB(bytes([svn]) * 16, 13)


@cache
def certificate(endorser: Endorser, svn: int) -> PCKCertificate:
    """A PCK certificate for the TCB level whose components are all `svn`."""
    said = endorser.platform.certificate_spec("pck")
    extension = replace(endorser.platform.sgx_extension_spec(), components=bytes([svn]) * 16, cpu_svn=bytes([svn]) * 16)
    issued = endorser.platform.with_certificate("pck", replace(said, sgx_extension=extension))
    return PCKCertificate(
        tcb=raw_tcb(svn),
        pem=issued.pki.pck.pem,
        components=bytes([svn]) * 16,
        expires_at=min(issued.pki.pck.certificate.not_valid_after_utc, START + 10_000 * DAY),
    )


def platform(endorser: Endorser, qe_id: str = "AB12", *, fmspc: bytes | None = None) -> Platform:
    return Platform(key=PlatformKey(qe_id, "0000"), enc_ppid=ENC_PPID, fmspc=fmspc or endorser.fmspc, ca="platform")


def pck_set(
    endorser: Endorser,
    *svns: int,
    qe_id: str = "AB12",
    unavailable: tuple[int, ...] = (),
    is_complete: bool = True,
    day: float = 0,
) -> PCKSet:
    return PCKSet(
        platform=platform(endorser, qe_id),
        certificates=tuple(certificate(endorser, svn) for svn in svns),
        unavailable=tuple(raw_tcb(svn) for svn in unavailable),
        issuer_chain=endorser.platform.pki.chain("platform-ca"),
        is_complete=is_complete,
        fetched_at=START + day * DAY,
    )


def change(storage: DatabaseStorage, statement: str, **values: Any) -> int:
    """Change rows behind the storage's back; return how many there were."""

    def work(connection: Connection) -> int:
        return connection.execute(text(statement), values).rowcount

    return storage._database.write("damage the tests' database", work)
