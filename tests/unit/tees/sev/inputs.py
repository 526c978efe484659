"""What an SEV appraisal is given, in order but for what a test replaces: everything around it is signed again."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

from verdictd.core.result import AppraisalResult
from verdictd.simulator.sev_platform import SEVReportSpec, Signer, SimulatedSEV, issue_platform_certificate
from verdictd.tees.psp.certificate import KeyUsage
from verdictd.tees.sev.acceptance import SEVAcceptance
from verdictd.tees.sev.chain import SEVEndorsements
from verdictd.tees.sev.roots import SEVRoots, parse_sev_root
from verdictd.tees.sev.verifier import appraise_sev

AT = datetime(2026, 6, 1, 12, tzinfo=UTC)
UNBOUND = SEVAcceptance(accept_unbound_evidence=frozenset({"sev"}))
SPEC = SEVReportSpec(mnonce=bytes(range(16)))


@cache
def sim() -> SimulatedSEV:
    return SimulatedSEV()


@cache
def other() -> SimulatedSEV:
    return SimulatedSEV()


@cache
def ask_ark() -> bytes:
    return sim().ask_ark


@cache
def evidence() -> bytes:
    return sim().evidence(SPEC)


@cache
def roots() -> SEVRoots:
    return SEVRoots((parse_sev_root(sim().ark_certificate, "ark.cert"),))


@dataclass(frozen=True)
class Input:
    """What is appraised; the simulated evidence where none is given. That it is unbound is accepted."""

    evidence: bytes = field(default_factory=evidence)
    ask_ark: bytes | None = field(default_factory=ask_ark)
    roots: SEVRoots = field(default_factory=roots)
    acceptance: SEVAcceptance = UNBOUND

    def appraise(self) -> AppraisalResult:
        return appraise_sev(
            self.evidence,
            endorsements=SEVEndorsements(ask_ark=self.ask_ark, source="a file"),
            roots=self.roots,
            acceptance=self.acceptance,
            at=AT,
        )


def with_report(**changes: Any) -> Input:
    return Input(sim().evidence(replace(SPEC, **changes)))


def certificate(whose: KeyUsage, *signers: Signer, **changes: Any) -> bytes:
    return issue_platform_certificate(replace(sim().spec(whose), **changes), *signers)


def with_certificate(whose: KeyUsage, *signers: Signer, **changes: Any) -> Input:
    """One certificate says something else, or others sign it."""
    return Input(sim().evidence(SPEC, **{whose.name.lower(): certificate(whose, *signers, **changes)}))


def by_ask(of: SimulatedSEV | None = None, **changes: Any) -> Signer:
    return replace(Signer(KeyUsage.VENDOR_SIGNING, (of or sim()).ask, 1), **changes)


def by_cek(of: SimulatedSEV | None = None, **changes: Any) -> Signer:
    return replace(Signer(KeyUsage.CEK, (of or sim()).cek), **changes)


def by_oca(of: SimulatedSEV | None = None, **changes: Any) -> Signer:
    return replace(Signer(KeyUsage.OCA, (of or sim()).oca), **changes)


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
