"""Inputs for two verifiers: a platform, its vendor's collateral and an instant, all of which can be other than usual.

A `Scenario` is described by specs, so that any number of things can be unusual at once, and is signed when it is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.tees.simulated import flipped
from verdictd.simulator.crl_builder import CRLSpec
from verdictd.simulator.documents import QEIdentitySpec, TCBInfoSpec
from verdictd.simulator.pki import CertificateRole
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.collateral import Collateral

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
REPORT_DATA = bytes(range(64))
ISSUED = AT - timedelta(days=1)


@cache
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(at=AT - timedelta(days=2))


def usual_tcb_info() -> TCBInfoSpec:
    return replace(platform().tcb_info_spec(), issue_date=ISSUED)


def usual_qe_identity() -> QEIdentitySpec:
    return replace(platform().qe_identity_spec(), issue_date=ISSUED)


def usual_pck_crl() -> CRLSpec:
    return replace(platform().pck_crl_spec(), this_update=ISSUED)


def usual_root_ca_crl() -> CRLSpec:
    return replace(platform().root_ca_crl_spec(), this_update=ISSUED)


@dataclass(frozen=True, kw_only=True)
class Presented:
    """What both verifiers are given."""

    quote: bytes
    collateral: Collateral
    root: SimulatedPlatform
    at: datetime

    @property
    def root_der(self) -> bytes:
        return self.root.pki.root_ca.certificate.public_bytes(Encoding.DER)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Everything that can be unusual.

    Attributes:
        at: the instant of the appraisal.
        certificates: fields of certificates that are other than usual, by role.
        sgx_extension, parts, report, qe_report: fields that are other than usual.
        pem_order: which certificates the quote brings, by their place in the chain: 0 the PCK's.
        flipped_bits: what is flipped after everything was signed: the item, and which bit of it.
    """

    at: datetime = AT
    quote_version: int = 3
    certificates: Mapping[CertificateRole, Mapping[str, Any]] = field(default_factory=dict)
    sgx_extension: Mapping[str, Any] = field(default_factory=dict)
    parts: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    qe_report: Mapping[str, Any] = field(default_factory=dict)
    tcb_info: TCBInfoSpec = field(default_factory=usual_tcb_info)
    qe_identity: QEIdentitySpec = field(default_factory=usual_qe_identity)
    pck_crl: CRLSpec = field(default_factory=usual_pck_crl)
    root_ca_crl: CRLSpec = field(default_factory=usual_root_ca_crl)
    pem_order: tuple[int, ...] = (0, 1, 2)
    flipped_bits: tuple[tuple[str, float], ...] = ()

    @property
    def unusual(self) -> dict[str, Any]:
        """What is other than usual, for a person."""
        return _differences(self, Scenario())

    def build(self) -> Presented:
        """Issue and sign everything."""
        sim = self._platform()
        parts = sim.quote_parts(report_data=REPORT_DATA, quote_version=self.quote_version, **self.report)
        pems = (sim.pki.pck.pem, sim.pki.platform_ca.pem, sim.pki.root_ca.pem)
        parts = replace(
            parts,
            qe_report=replace(parts.qe_report, **self.qe_report),
            certification_data=b"".join(pems[place] for place in self.pem_order),
            **self.parts,
        )
        presented = Presented(
            quote=sim.sign(parts),
            collateral=Collateral(
                tcb_info=sim.issue_tcb_info(self.tcb_info, AT),
                qe_identity=sim.issue_qe_identity(self.qe_identity, AT),
                pck_crl=sim.issue_pck_crl(self.pck_crl, AT),
                root_ca_crl=sim.issue_root_ca_crl(self.root_ca_crl, AT),
            ),
            root=sim,
            at=self.at,
        )
        for item, place in self.flipped_bits:
            presented = _flip(presented, item, place)
        return presented

    def _platform(self) -> SimulatedPlatform:
        sim = platform()
        extension = replace(sim.sgx_extension_spec(), **self.sgx_extension)
        for role in ("root-ca", "platform-ca", "tcb-signing", "pck"):
            changes = dict(self.certificates.get(role, {}))
            if role == "pck":
                changes["sgx_extension"] = extension
            if changes:
                sim = sim.with_certificate(role, replace(sim.certificate_spec(role), **changes))
        return sim


def _differences(given: Any, usual: Any) -> dict[str, Any]:
    pairs = {each.name: (getattr(given, each.name), getattr(usual, each.name)) for each in fields(given)}
    return {
        name: _differences(one, other) if is_dataclass(one) and is_dataclass(other) else one
        for name, (one, other) in pairs.items()
        if one != other
    }


def _flip(presented: Presented, item: str, place: float) -> Presented:
    """Flip one bit of an item's signed bytes, at a place from 0 (its first bit) to 1."""
    if item == "quote":
        signed = 432 if presented.quote[0] != 5 else 438
        return replace(presented, quote=flipped(presented.quote, int(place * (signed * 8 - 1))))
    source = getattr(presented.collateral, item)
    name = "der" if item.endswith("crl") else "body"
    content = getattr(source, name)
    changed = replace(source, **{name: flipped(content, int(place * (len(content) * 8 - 1)))})
    return replace(presented, collateral=replace(presented.collateral, **{item: changed}))
