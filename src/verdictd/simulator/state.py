"""All that makes up a simulated platform at one moment, as plain data: what is kept in its directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from verdictd.simulator.hardware import Hardware
from verdictd.simulator.keys import PrivateKey
from verdictd.simulator.pki import PKI
from verdictd.tees.dcap.acceptance import TCBStatus

_FIRST_EVALUATION_DATA_NUMBER = 17
MAX_PAST_PUBLICATIONS = 16
"""How many publications that were replaced the vendor still hands out, to whoever asks for their number."""


class RevocationTarget(StrEnum):
    """What a vendor can revoke of a platform."""

    PCK = "pck"
    PLATFORM_CA = "platform-ca"


class Publication(NamedTuple):
    """What the vendor published with one TCB recovery.

    Attributes:
        number: the TCB evaluation data number.
        status: what it says of the platform's TCB.
    """

    number: int
    status: TCBStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformState:
    """A platform, its vendor's PKI, and what the vendor says of it at present.

    Attributes:
        hardware: the machine, which does not change.
        pki: certificates and their private keys.
        attestation_key: the quoting enclave's, which signs quotes.
        created_at: when the platform came to be; aware, UTC, whole seconds.
        tcb_status: what the vendor says of the platform's TCB, to those who ask for the standard update.
        evaluation_data_number, pck_crl_number, root_ca_crl_number: by which newer collateral is told from older.
        early: what the vendor says to those who ask for the early update, where that is something else already.
        past: what was published before, the oldest first; at most `MAX_PAST_PUBLICATIONS`.
        revocations: what is revoked, and since when.
    """

    hardware: Hardware
    pki: PKI
    attestation_key: PrivateKey
    created_at: datetime
    tcb_status: TCBStatus = TCBStatus.UP_TO_DATE
    evaluation_data_number: int = _FIRST_EVALUATION_DATA_NUMBER
    early: Publication | None = None
    past: tuple[Publication, ...] = ()
    pck_crl_number: int = 1
    root_ca_crl_number: int = 1
    revocations: Mapping[RevocationTarget, datetime] = field(default_factory=dict)

    @property
    def standard(self) -> Publication:
        """What is published to everybody."""
        return Publication(self.evaluation_data_number, self.tcb_status)

    @property
    def newest(self) -> Publication:
        """What is published to those who ask for the early update."""
        return self.early or self.standard

    @property
    def publications(self) -> tuple[Publication, ...]:
        """All there are, the oldest first."""
        return (*self.past, self.standard, *((self.early,) if self.early else ()))
