"""What a TDX appraisal is given, in order but for what a test replaces: everything around it is signed again."""

from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from tests.unit.tees.simulated import AT, REPORT_DATA, platform, roots_of
from verdictd.core.result import AppraisalResult
from verdictd.simulator.documents import QELevelSpec, TCBInfoSpec, TDXModuleSpec
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.quote_builder import QuoteParts
from verdictd.simulator.trust_domain import TDReportSpec, TrustDomainSpec, td_report_of
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.tdx_ecdsa.verifier import appraise_tdx


@dataclass(frozen=True)
class Input:
    """What is appraised; the platform makes what is not given."""

    sim: SimulatedPlatform = field(default_factory=platform)
    quote: bytes | None = None
    collateral: Collateral | None = None
    acceptance: Acceptance = field(default_factory=Acceptance)
    at: datetime = AT
    roots: TrustRoots | None = None
    event_log: bytes | None = None

    def appraise(self, memory: FactMemory | None = None) -> AppraisalResult:
        return appraise_tdx(
            self.sim.td_quote(report_data=REPORT_DATA) if self.quote is None else self.quote,
            collateral=self.sim.tdx_collateral(AT) if self.collateral is None else self.collateral,
            roots=self.roots or roots_of(self.sim),
            acceptance=self.acceptance,
            at=self.at,
            memory=memory,
            event_log=self.event_log,
        )


def quote_parts(version: int = 4) -> QuoteParts:
    return platform().td_quote_parts(TrustDomainSpec(), report_data=REPORT_DATA, quote_version=version)


def with_parts(version: int = 4, **changes: Any) -> Input:
    return Input(quote=platform().sign(replace(quote_parts(version), **changes)))


def td_report(version: int = 4, **changes: Any) -> TDReportSpec:
    return replace(td_report_of(TrustDomainSpec(), REPORT_DATA, is_15=version == 5), **changes)


def with_report(version: int = 4, **changes: Any) -> Input:
    return with_parts(version, report=td_report(version, **changes))


def with_qe_report(**changes: Any) -> Input:
    return with_parts(qe_report=replace(quote_parts().qe_report, **changes))


def tcb_info_spec() -> TCBInfoSpec:
    return platform().tdx_tcb_info_spec()


def with_tcb_info(base: Input | None = None, **changes: Any) -> Input:
    document = platform().issue_tcb_info(replace(tcb_info_spec(), **changes), AT)
    return replace(base or Input(), collateral=replace(platform().tdx_collateral(AT), tcb_info=document))


def with_qe_identity(**changes: Any) -> Input:
    spec = replace(platform().qe_identity_spec("TD_QE"), **changes)
    document = platform().issue_qe_identity(spec, AT)
    return Input(collateral=replace(platform().tdx_collateral(AT), qe_identity=document))


def module(version: int, *levels: tuple[int, str], **changes: Any) -> TDXModuleSpec:
    """An endorsed module, with the ISVSVN and status of each of its levels."""
    specs = tuple(
        QELevelSpec(isv_svn=svn, date=AT, status=status, advisory_ids=("INTEL-SA-7",)) for svn, status in levels
    )
    return TDXModuleSpec(module_id=f"TDX_{version:02X}", levels=specs, **changes)


def svn(isv_svn: int, version: int, loaded: int = 3) -> bytes:
    """A TEE TCB SVN."""
    return bytes((isv_svn, version, loaded)) + bytes(13)
