"""The whole way: a platform's quote, collateral from each kind of source, and the verdict that comes of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import DAY, START
from verdictd.appraisal.appraiser import Appraiser, Platform
from verdictd.collateral.files import load_collateral
from verdictd.collateral.found import FoundCollateral
from verdictd.collateral.open_sources import open_source
from verdictd.collateral.service import CollateralService
from verdictd.collateral.sources import CollateralSource
from verdictd.core.result import AppraisalResult
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.simulator.server import CollateralServer
from verdictd.tees.dcap.acceptance import Acceptance, TCBStatus
from verdictd.tees.dcap.collateral import Collateral
from verdictd.tees.dcap.memory import FactMemory
from verdictd.tees.dcap.trust_roots import TrustRoots, parse_trust_roots

NOW = START + DAY


class Verifier:
    """An appraiser with a collateral service, wired as a daemon would wire them."""

    def __init__(self, platform: SimulatedPlatform, sources: Sequence[CollateralSource]) -> None:
        roots = TrustRoots(parse_trust_roots(platform.trust_root_pem, "simulated"))
        memory = FactMemory()
        self.service = CollateralService(roots=roots, memory=memory, sources=sources)
        self.quote = platform.quote(report_data=bytes(64))
        self.peer: Collateral | None = None
        self.appraiser = Appraiser(
            roots=roots, acceptance=Acceptance(), find_collateral=self._find_collateral, memory=memory
        )

    def _find_collateral(self, platform: Platform, _: Collateral | None, at: datetime) -> FoundCollateral:
        return self.service.collateral_for(
            root=platform.root, fmspc=platform.fmspc, pck_ca=platform.pck_ca, peer=self.peer, at=at
        )

    def appraise(self, at: datetime = NOW) -> AppraisalResult:
        return self.appraiser.appraise_quote(self.quote, at)


@pytest.fixture(scope="module")
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(at=START)


@contextmanager
def serving(directory: Path, clock: datetime = NOW) -> Iterator[CollateralServer]:
    with CollateralServer(directory, host="127.0.0.1", port=0, clock=lambda: clock) as server:
        yield server


@pytest.mark.parametrize("version", ["v3", "v4"])
def test_a_pccs_gives_what_an_appraisal_needs(platform: SimulatedPlatform, tmp_path: Path, version: str) -> None:
    platform.save(tmp_path / "sim")
    with serving(tmp_path / "sim") as server:
        url = server.url.replace("v4", version)
        result = Verifier(platform, [open_source(url, {})]).appraise()
    assert result.refusals == ()
    assert result.tcb_status == TCBStatus.UP_TO_DATE
    assert set(result.sources) == {"tcb_info", "qe_identity", "pck_crl", "root_ca_crl"}
    assert all(source.startswith(f"PCCS {url}") for source in result.sources.values())


def test_a_directory_gives_what_an_appraisal_needs(platform: SimulatedPlatform, tmp_path: Path) -> None:
    (tmp_path / "c.json").write_bytes(encode_collateral_file(platform.collateral(NOW)))
    result = Verifier(platform, [load_collateral(tmp_path).as_source()]).appraise()
    assert result.refusals == ()
    assert set(result.sources.values()) == {str(tmp_path / "c.json")}


def test_the_peer_gives_what_an_appraisal_needs(platform: SimulatedPlatform) -> None:
    verifier = Verifier(platform, [])
    assert not verifier.appraise().allowed
    verifier.peer = platform.collateral(NOW)
    assert verifier.appraise().refusals == ()


def test_a_recovery_counts_even_for_a_peer_that_hides_it(platform: SimulatedPlatform, tmp_path: Path) -> None:
    behind = platform.with_tcb_status(TCBStatus.OUT_OF_DATE)
    behind.save(tmp_path / "sim")
    with serving(tmp_path / "sim") as server:
        verifier = Verifier(platform, [open_source(server.url, {})])
        verifier.peer = platform.collateral(NOW)  # issued before, and still in time
        result = verifier.appraise()
    assert result.tcb_status == TCBStatus.OUT_OF_DATE
    assert not result.allowed


def test_a_revocation_counts_even_for_a_peer_that_hides_it(platform: SimulatedPlatform, tmp_path: Path) -> None:
    platform.with_revoked("pck").save(tmp_path / "sim")
    with serving(tmp_path / "sim") as server:
        verifier = Verifier(platform, [open_source(server.url, {})])
        verifier.peer = platform.collateral(NOW)
        result = verifier.appraise()
    assert [check.name for check in result.refusals] == ["pck.revocation"]


def test_a_change_is_seen_once_the_operator_has_the_sources_asked(platform: SimulatedPlatform, tmp_path: Path) -> None:
    platform.save(tmp_path / "sim")
    with serving(tmp_path / "sim") as server:
        verifier = Verifier(platform, [open_source(server.url, {})])
        assert verifier.appraise().allowed
        SimulatedPlatform.update(tmp_path / "sim", lambda present: present.with_revoked("pck"))
        assert verifier.appraise().allowed
        assert {why for _, why in verifier.service.refresh(NOW)} == {""}
        assert not verifier.appraise().allowed


def test_a_refusal_for_want_of_collateral_says_why(platform: SimulatedPlatform, tmp_path: Path) -> None:
    platform.save(tmp_path / "sim")
    with serving(tmp_path / "sim") as server:
        url = server.url
    result = Verifier(platform, [open_source(url, {})]).appraise()
    (check,) = (check for check in result.refusals if check.name == "tcb_info.signature")
    assert f"PCCS {url}: {url}tcb?fmspc=" in check.found
    assert "cannot be reached" in check.found
