"""Where the certificates for SEV-SNP reports come from: AMD's service or a cache of it, or a directory."""

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, get_args

from verdictd.collateral.amd_names import AMDCertificateName
from verdictd.collateral.deadline import Deadline, MonotonicClock
from verdictd.collateral.item_files import read_item_file
from verdictd.collateral.remembered_items import Item, RememberedItems
from verdictd.core.limits import MAX_CRL_BYTES
from verdictd.tees.amd.extensions import CHIP_ID_BYTES, AMDProduct
from verdictd.tees.sev_snp.endorsements import EndorsementItem, SNPEndorsements, WantedKey

_CALL_S: Final = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundSNPEndorsements:
    """What was found for a report.

    Attributes:
        endorsements: raw, for the appraisal to verify and judge; each item names its source.
        reasons: for each item that is missing, by its name in `SNPEndorsements`, a sentence that says why.
    """

    endorsements: SNPEndorsements = field(default_factory=SNPEndorsements)
    reasons: Mapping[str, str] = field(default_factory=dict)


FindSNPEndorsements = Callable[[WantedKey, Collection[str]], FoundSNPEndorsements]
"""Finds what a report is to be judged with, as far as it is to be had, but for the items (by their names in
`SNPEndorsements`) that the evidence brings. May do I/O, and never raises."""


class AMDSource(Protocol):
    """Gives untrusted bytes for what they are asked for. Safe to share between threads."""

    @property
    def name(self) -> str:
        """What to call it, for the operator."""

    def fetch(self, name: AMDCertificateName, deadline: Deadline) -> bytes:
        """Return it; raises `VerdictdError` where it is not to be had."""


class AMDDirectory:
    """A directory with the paths of AMD's service.

    ``vcek/v1/Milan/cert_chain`` (PEM), ``vcek/v1/Milan/crl`` (DER), ``vcek/v1/Milan/CHIP-TCB.der`` and
    ``vlek/v1/Milan/TCB.der``, with chip id and TCB in lower-case hex.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def name(self) -> str:
        """See `AMDSource.name`."""
        return str(self._directory)

    def fetch(self, name: AMDCertificateName, deadline: Deadline) -> bytes:
        """See `AMDSource.fetch`."""
        del deadline
        leaf = "-".join(part.hex() for part in (name.chip_id, name.tcb) if part) + ".der"
        path = self._directory / name.key_type / "v1" / name.product / (leaf if name.what == "leaf" else name.what)
        return read_item_file(path, MAX_CRL_BYTES)


class AMDEndorsements:
    """Asks a source for what a report needs. Safe to share between threads."""

    def __init__(
        self,
        source: AMDSource,
        *,
        call_seconds: float = _CALL_S,
        max_waiting: int = 8,
        ticks: MonotonicClock = time.monotonic,
    ) -> None:
        """Make it; nothing is asked yet.

        Args:
            source: whom to ask.
            call_seconds: how long `find` may take.
            max_waiting: how many may wait for answers at once.
            ticks: monotonic seconds.
        """
        self._source = source
        self._call_seconds = call_seconds
        self._ticks = ticks
        self._items = RememberedItems(source.fetch, max_waiting=max_waiting, ticks=ticks)

    def find(self, wanted: WantedKey, brought: Collection[str] = ()) -> FoundSNPEndorsements:
        """Find key certificate, chain and CRL, as `FindSNPEndorsements`.

        A report of version 2 does not tell its product: it is the one whose service has the key's certificate.
        """
        deadline = Deadline.after(self._call_seconds, self._ticks)
        key_type, product, items = wanted.key_type, wanted.product, {}
        if product is None:
            product, items["key_certificate"] = self._try_products(wanted, deadline)
        elif "key_certificate" not in brought:
            items["key_certificate"] = self._ask_for_key(wanted, product, deadline)
        if "chain" not in brought:
            items["chain"] = self._items.get(AMDCertificateName(key_type, product, "cert_chain"), deadline)
        items["crl"] = self._items.get(AMDCertificateName(key_type, product, "crl"), deadline)
        found = {
            name: EndorsementItem(content=item.content, source=self._source.name)
            for name, item in items.items()
            if item.content is not None
        }
        return FoundSNPEndorsements(
            endorsements=SNPEndorsements(**found),
            reasons={name: item.reason for name, item in items.items() if item.content is None},
        )

    def _try_products(self, wanted: WantedKey, deadline: Deadline) -> tuple[AMDProduct, Item]:
        products: tuple[AMDProduct, ...] = get_args(AMDProduct)
        reasons = {}
        for product in products:
            item = self._ask_for_key(wanted, product, deadline)
            if item.content is not None:
                return product, item
            reasons[product] = item.reason
        return products[0], Item(None, "; ".join(f"{product}: {reason}" for product, reason in reasons.items()))

    def _ask_for_key(self, wanted: WantedKey, product: AMDProduct, deadline: Deadline) -> Item:
        if wanted.key_type == "vcek" and not wanted.chip_id:
            return Item(None, "the report does not say of which chip it is")
        chip_id = wanted.chip_id[: CHIP_ID_BYTES[product]]
        return self._items.get(AMDCertificateName(wanted.key_type, product, "leaf", chip_id, wanted.tcb), deadline)
