"""The TEEs whose evidence is an Intel quote: how each is read, named in collateral, and appraised."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, Protocol

from verdictd.core.result import AppraisalResult
from verdictd.ratstls.evidence import EvidenceKind
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.quote import Quote, parse_quote
from verdictd.tees.dcap.trust_roots import TrustRoots
from verdictd.tees.sgx_ecdsa.verifier import appraise_sgx
from verdictd.tees.tdx_ecdsa.td_report import parse_td_quote
from verdictd.tees.tdx_ecdsa.verifier import appraise_tdx


class AppraiseQuote(Protocol):
    """The appraisal of a quote; see `appraise_sgx`."""

    def __call__(
        self,
        evidence: bytes,
        *,
        collateral: Collateral,
        roots: TrustRoots,
        acceptance: Acceptance,
        at: datetime,
        memory: FactMemory | None = None,
    ) -> AppraisalResult:
        """Appraise it."""


@dataclass(frozen=True, slots=True)
class DCAPTEE:
    """One such TEE.

    Attributes:
        collateral_tee: whose TCB info and QE identity it needs.
        parse: reads a quote.
        appraise: judges it.
    """

    collateral_tee: Literal["SGX", "TDX"]
    parse: Callable[[bytes], Quote[object]]
    appraise: AppraiseQuote


DCAP_TEES: Final[Mapping[str, DCAPTEE]] = MappingProxyType(
    {
        EvidenceKind.SGX_ECDSA: DCAPTEE("SGX", parse_quote, appraise_sgx),
        EvidenceKind.TDX_ECDSA: DCAPTEE("TDX", parse_td_quote, appraise_tdx),
    }
)
