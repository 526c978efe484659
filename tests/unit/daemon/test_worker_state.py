"""What a worker makes of settings at start and at a reload: its identity, its appraiser, and what it takes over."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER
from verdictd.configuration.trust_files import load_trust_roots
from verdictd.core.errors import CollateralError, ConfigError, VerdictdError
from verdictd.daemon.collateral_setup import AppraisalSetup, open_sources
from verdictd.daemon.identity import IdentityMaker
from verdictd.daemon.policies import Decisions
from verdictd.daemon.settings import AttesterName, CollateralSettings, Settings, TLSName
from verdictd.daemon.worker_state import WorkerState, build_worker_state
from verdictd.ratstls.certificate import parse_certificate
from verdictd.simulator.attester import SimulatedAttester
from verdictd.simulator.collateral_file import encode_collateral_file
from verdictd.simulator.platform import SimulatedPlatform
from verdictd.tees.dcap.acceptance import Acceptance

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def platform() -> SimulatedPlatform:
    return SimulatedPlatform.create(at=NOW - timedelta(hours=1))


@pytest.fixture(scope="module")
def place(platform: SimulatedPlatform, tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("state")
    platform.save(directory / "platform")
    (directory / "collateral").write_bytes(encode_collateral_file(platform.collateral(NOW)))
    return directory


def settings(place: Path) -> Settings:
    return Settings(
        mutual=True,
        trust_roots=(str(place / "platform" / "root-ca.pem"),),
        collateral=CollateralSettings(source=str(place / "collateral")),
    )


def build_state(settings: Settings, *, with_sources: bool = True, previous: WorkerState | None = None) -> WorkerState:
    """Make the state of a worker; the files that the settings name are its sources."""
    return build_worker_state(
        settings,
        load_trust_roots(settings.trust_roots),
        Decisions(),
        NOW,
        sources=open_sources(settings.collateral, {}) if with_sources else [],
        previous=previous,
    )


def test_our_own_evidence_and_its_endorsements_come_from_what_was_named(place: Path) -> None:
    own = replace(settings(place), attester=AttesterName.SGX_ECDSA, simulate=place / "platform", endorsements=True)
    state = build_state(own)
    context = state.serving.context
    assert context is not None
    assert context.identity is not None
    certificate = parse_certificate(context.identity.certificate_der)
    assert certificate.endorsements is not None
    result = state.setup.appraiser.appraise_certificate(
        context.identity.certificate_der, SGX_VERIFIER, datetime.now(UTC)
    )
    assert result.allowed, [check.sentence for check in result.refusals]


def test_each_identity_has_a_key_of_its_own(place: Path) -> None:
    state = build_state(settings(place))
    made = {state.identities.make(NOW).attestation_id for _ in range(3)}
    assert len(made) == 3


def test_without_tls_there_is_no_identity(place: Path) -> None:
    nulls = replace(settings(place), tls=TLSName.NULL, verifier=NULL_VERIFIER, mutual=False)
    assert build_state(nulls).serving.context is None


def test_an_attester_that_is_not_there_is_an_error_before_anything_is_replaced(place: Path) -> None:
    with pytest.raises(VerdictdError, match="nowhere"):
        build_state(replace(settings(place), attester=AttesterName.SGX_ECDSA, simulate=Path("nowhere")))


@pytest.mark.parametrize("is_reload", [True, False])
def test_what_was_known_before_a_reload_is_known_after_it(
    place: Path, platform: SimulatedPlatform, is_reload: bool
) -> None:
    first = build_state(settings(place))
    first.setup.find_endorsements(platform.quote(report_data=bytes(64)), NOW)
    assert first.setup.service.held(NOW)
    second = build_state(settings(place), with_sources=False, previous=first if is_reload else None)
    assert bool(second.setup.service.held(NOW)) is is_reload


def test_the_guard_against_open_references_is_off_only_where_any_enclave_is_allowed(place: Path) -> None:
    assert build_state(settings(place)).serving.judging.is_guarded
    assert not build_state(replace(settings(place), allow_any_enclave=True)).serving.judging.is_guarded


def test_endorsements_for_a_platform_that_nobody_knows_are_an_error_with_what_to_do(
    place: Path, platform: SimulatedPlatform
) -> None:
    stranger = SimulatedPlatform.create(at=NOW - timedelta(hours=1))
    roots = load_trust_roots(settings(place).trust_roots)
    setup = AppraisalSetup(roots=roots, acceptance=Acceptance(), sources=open_sources(settings(place).collateral, {}))
    setup.service.preload(NOW)
    maker = IdentityMaker(attester=SimulatedAttester(platform), find_endorsements=setup.find_endorsements)
    assert parse_certificate(maker.make(NOW).certificate_der).endorsements is not None
    with pytest.raises(CollateralError, match="no platform whose PCK chain ends in a trusted root") as refused:
        replace(maker, attester=SimulatedAttester(stranger)).make(NOW)
    assert "--trust-root" in refused.value.remedy


def test_sources_are_those_that_were_named_and_else_those_of_the_configuration_file(
    tmp_path: Path, place: Path
) -> None:
    qcnl = tmp_path / "qcnl.conf"
    qcnl.write_text("PCCS_URL=http://127.0.0.1:9/sgx/certification/v3/\n")
    environment = {"QCNL_CONF_PATH": str(qcnl)}
    file = str(place / "collateral")
    counts = {
        name: len(open_sources(chosen, environment))
        for name, chosen in {
            "nothing named": CollateralSettings(),
            "a file": CollateralSettings(source=file),
            "a PCCS": CollateralSettings(pccs_url="http://127.0.0.1:9/sgx/certification/v4/"),
            "both": CollateralSettings(source=file, pccs_url="http://127.0.0.1:9/sgx/certification/v4/"),
            "a region": CollateralSettings(alibaba_region="cn-hangzhou"),
        }.items()
    }
    assert counts == {"nothing named": 1, "a file": 1, "a PCCS": 1, "both": 2, "a region": 1}
    with pytest.raises(ConfigError, match="nowhere"):
        open_sources(CollateralSettings(), {"QCNL_CONF_PATH": str(tmp_path / "nowhere")})
