"""A simulated platform and its collateral, and an appraiser that has both. Time stands still."""

from datetime import UTC, datetime
from functools import cache

from verdictd.appraisal.appraiser import Appraiser, Platform
from verdictd.collateral.found import FoundCollateral
from verdictd.collateral.items import ItemKind
from verdictd.ratstls.certificate_builder import Identity, build_identity
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.enclave import EnclaveSpec
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def platform(name: str = "ours") -> SimulatedPlatform:
    return _create(name)


@cache
def _create(name: str) -> SimulatedPlatform:
    del name
    return SimulatedPlatform.create(at=datetime(2026, 1, 1, tzinfo=UTC))


def roots() -> TrustRoots:
    return TrustRoots(parse_trust_roots(platform().trust_root_pem, "the simulated root"))


class Asked:
    """Finds the collateral of the simulated platform, and remembers for whom it was asked."""

    def __init__(self, collateral: Collateral | None = None, reason: str = "") -> None:
        self.platforms: list[Platform] = []
        self._found = FoundCollateral(
            collateral=collateral or platform().collateral(NOW),
            reasons=dict.fromkeys(ItemKind, reason) if reason else {},
        )

    def __call__(self, wanted: Platform, peer: Collateral | None, at: datetime) -> FoundCollateral:
        assert at == NOW
        self.platforms.append(wanted)
        return self._found


def appraiser(asked: Asked | None = None, **acceptance: bool) -> Appraiser:
    return Appraiser(roots=roots(), acceptance=Acceptance(**acceptance), find_collateral=asked or Asked())  # type: ignore[arg-type]


def identity(*, debug: bool = False, claims: dict[str, bytes] | None = None, of: str = "ours") -> Identity:
    attester = SimulatedAttester(platform(of), EnclaveSpec(debug=debug))
    return build_identity(at=NOW, make_quote=attester.quote, custom_claims=claims or {})
