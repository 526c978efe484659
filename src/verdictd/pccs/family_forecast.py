"""The forecast for everything that is held, family by family; what cannot be told is said, with the reason."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from verdictd.collateral.items import ItemKind, ItemName, VerifiedItem
from verdictd.pccs.forecast import Change, forecast_platform
from verdictd.pccs.model import Edition, Platform, PlatformKey, RawTCB
from verdictd.pccs.ports import Storage
from verdictd.tees.dcap.collateral import SignedDocument
from verdictd.tees.dcap.tcb_info import TCBInfo, parse_tcb_info

_STANDARD = Edition(4, "standard")
_EARLY = Edition(4, "early")


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyForecast:
    """What becomes of the platforms of a family.

    Attributes:
        fmspc: 6 bytes.
        platforms: how many there are.
        problem: why it cannot be told, or empty.
        standard_number, early_number: TCB evaluation data numbers; 0 where there is a problem.
        changes: each different thing that becomes of a platform, and of how many.
        changing: the platforms whose status changes at some TCB, up to a bound.
        untold: how many platforms have asked for no certificate, or are held none for the TCB they asked with.
    """

    fmspc: bytes
    platforms: int
    problem: str = ""
    standard_number: int = 0
    early_number: int = 0
    changes: tuple[tuple[Change, int], ...] = ()
    changing: tuple[PlatformKey, ...] = ()
    untold: int = 0

    @property
    def is_change(self) -> bool:
        """Whether the status of any platform changes."""
        return any(change.is_change for change, _ in self.changes)

    @property
    def is_told(self) -> bool:
        """Whether it can be told of every platform."""
        return not self.problem and not self.untold


_MAX_NAMED = 1000


def forecast_families(storage: Storage, families: Sequence[bytes], at: datetime) -> Iterator[FamilyForecast]:
    """Tell what becomes of the platforms of some families (of all there are platforms of, where none is named).

    Args:
        storage: what is held.
        families: FMSPCs.
        at: the instant (aware): what is expired then says nothing.
    """
    counts = dict(storage.platforms.families())
    infos = _find_tcb_infos(storage)
    for fmspc in sorted(families or counts):
        standard, early = infos.get((fmspc, _STANDARD)), infos.get((fmspc, _EARLY))
        problem = _find_problem(fmspc, counts.get(fmspc, 0), standard, early, at)
        if problem or standard is None or early is None:
            yield FamilyForecast(fmspc=fmspc, platforms=counts.get(fmspc, 0), problem=problem)
        else:
            yield _forecast(storage, fmspc, _parse(standard), _parse(early))


def _find_tcb_infos(storage: Storage) -> dict[tuple[bytes, Edition], VerifiedItem]:
    found: dict[tuple[bytes, Edition], VerifiedItem] = {}
    for stored in storage.items.changed_since(0):
        name = stored.item.key.name
        if name == ItemName(ItemKind.TCB_INFO, tee="SGX", fmspc=name.fmspc):
            key = name.fmspc, stored.edition
            held = found.get(key)
            if held is None or stored.item.replaces(held):
                found[key] = stored.item
    return found


def _find_problem(
    fmspc: bytes, count: int, standard: VerifiedItem | None, early: VerifiedItem | None, at: datetime
) -> str:
    """Say why it cannot be told, and what to do; empty where it can."""
    name = fmspc.hex().upper()
    if not fmspc:
        return f"of {count} platforms no PCK certificate is held, so their family is not known; pccs refresh --certs"
    if not count:
        return "no platform of it is known; pccs platforms lists those there are"
    for what, item in (("standard", standard), ("early", early)):
        if item is None:
            return f"its {what} TCB info is not held; have it asked for: …/tcb?fmspc={name}&update={what}"
        if not item.is_in_time(at):
            return f"its {what} TCB info is expired; pccs refresh --fmspc {name}"
    assert standard is not None
    assert early is not None
    if early.sequence[0] < standard.sequence[0]:
        return (
            f"its early TCB info has number {early.sequence[0]}, and the standard one {standard.sequence[0]} already;"
            f" pccs refresh --fmspc {name}"
        )
    return ""


def _forecast(storage: Storage, fmspc: bytes, standard: TCBInfo, early: TCBInfo) -> FamilyForecast:
    changes: Counter[Change] = Counter()
    changing: list[PlatformKey] = []
    total = untold = 0
    for platform, raw_tcbs in list(storage.platforms.platforms((fmspc,))):
        total += 1
        found = _forecast_one(storage, platform, raw_tcbs, standard, early)
        untold += not found
        changes.update(found)
        if any(change.is_change for change in found) and len(changing) < _MAX_NAMED:
            changing.append(platform.key)
    return FamilyForecast(
        fmspc=fmspc,
        platforms=total,
        standard_number=standard.evaluation_data_number,
        early_number=early.evaluation_data_number,
        changes=tuple(sorted(changes.items(), key=lambda each: (not each[0].is_change, each[0].tcb))),
        changing=tuple(sorted(changing)),
        untold=untold,
    )


def _forecast_one(
    storage: Storage, platform: Platform, raw_tcbs: Sequence[RawTCB], standard: TCBInfo, early: TCBInfo
) -> list[Change]:
    pck_set = storage.platforms.get(platform.key)
    return [] if pck_set is None else forecast_platform(pck_set, raw_tcbs, standard, early)


def _parse(item: VerifiedItem) -> TCBInfo:
    assert isinstance(item.item.raw, SignedDocument), "TCB info is a document"
    return parse_tcb_info(item.item.raw.body)
