"""A process that writes to a database, and says on its standard output what was committed.

Run as ``python -m tests.unit.pccs.database.writer WHAT URL PLATFORM …``.
"""

import json
import sys
from itertools import count
from pathlib import Path

from tests.unit.collateral.endorser import START, Endorser
from tests.unit.pccs.database.samples import pck_set, raw_tcb, verified
from verdictd.pccs.database import open_storage
from verdictd.pccs.database.storage import DatabaseStorage
from verdictd.pccs.model import STANDARD, Platform, PlatformKey, Registration
from verdictd.simulator.platform import SimulatedPlatform


def acknowledge(what: object) -> None:
    print(json.dumps(what), flush=True)


def write_items(storage: DatabaseStorage, endorser: Endorser, writer: int, writers: int, number: int) -> None:
    """TCB info of numbers that no other writer has, the highest first for some; platforms; one platform of all."""
    numbers = range(1 + writer, 1 + writers * number, writers)
    for each in reversed(numbers) if writer % 2 else numbers:
        storage.items.keep(STANDARD, verified(endorser, endorser.tcb_info(each)), START)
        storage.platforms.keep(pck_set(endorser, writer, qe_id=f"{each:04X}"))
        storage.platforms.keep(pck_set(endorser, each, qe_id="5A", is_complete=False))
        storage.platforms.keep_answer(PlatformKey("5A", "0000"), raw_tcb(each), raw_tcb(each))
        platform = Platform(key=PlatformKey(f"{each:04X}", "0000"))
        storage.registrations.add(Registration(platform=platform, raw_tcb=raw_tcb(each)))
        acknowledge(each)


def write_families(storage: DatabaseStorage, endorser: Endorser, writer: int, number: int) -> None:
    """TCB info of one family, ever newer."""
    for each in range(1, 1 + number):
        item = endorser.tcb_info(each, fmspc=bytes([writer]) * 6)
        storage.items.keep(STANDARD, verified(endorser, item), START)


def write_platforms(storage: DatabaseStorage, endorser: Endorser, turn: int) -> None:
    """One platform after the other, until it is killed."""
    for number in count():
        qe_id = f"{turn:02X}{number:06X}"
        storage.platforms.keep(pck_set(endorser, 1, qe_id=qe_id))
        acknowledge(qe_id)


def main(what: str, url: str, directory: str, *arguments: str) -> None:
    endorser = Endorser(SimulatedPlatform.load(Path(directory)))
    storage = open_storage(url, endorser.roots)
    numbers = [int(each) for each in arguments]
    match what:
        case "items":
            write_items(storage, endorser, *numbers)
        case "families":
            write_families(storage, endorser, *numbers)
        case _:
            write_platforms(storage, endorser, *numbers)
    storage.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
