"""What an operator is willing to accept of a genuine SEV-SNP guest. The defaults accept the least."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from verdictd.tees.amd.extensions import AMDProduct
from verdictd.tees.sev_snp.tcb import TCBVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class SNPAcceptance:
    """The operator's settings.

    Attributes:
        allow_debug: whether a guest whose memory its host may read is acceptable.
        allow_migration_agent: whether a guest is acceptable that a migration agent may be bound to, which can read it.
        allow_masked_chip_id: whether a report is acceptable that does not say which chip it is of.
        allow_provisional_firmware: whether firmware is acceptable that the host may still take back.
        allow_expired_collateral: whether certificates and CRLs past their time are acceptable.
        vmpls: the privilege levels that a report may be asked for at; 0 is the guest's highest.
        min_tcb: the lowest acceptable reported TCB, by product; where there is one, other products are not acceptable.
        required_mitigations: bits of the mitigation vectors that have to be set at launch and now.
    """

    allow_debug: bool = False
    allow_migration_agent: bool = False
    allow_masked_chip_id: bool = False
    allow_provisional_firmware: bool = False
    allow_expired_collateral: bool = False
    vmpls: frozenset[int] = frozenset({0})
    min_tcb: Mapping[AMDProduct, TCBVersion] = field(default_factory=dict)
    required_mitigations: int = 0
