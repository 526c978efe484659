"""What is made of settings at start and at a reload: roots, identity, collateral, and what is said of them."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from verdictd.appraisal.verifiers import VerifierName
from verdictd.core.errors import CollateralError, ConfigError, VerdictdError
from verdictd.daemon.collateral_setup import AppraisalSetup, open_sources
from verdictd.daemon.identity import IdentityMaker
from verdictd.daemon.open_reference import explain_open_reference
from verdictd.daemon.policies import Decisions, Policies
from verdictd.daemon.settings import AttesterName, CollateralSettings, Settings, TLSName
from verdictd.daemon.settings_trust import load_trust_roots
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


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Policies]:
    opened = Policies(tmp_path_factory.mktemp("data"))
    opened.open()
    yield opened
    opened.close()


def build_state(settings: Settings, policies: Policies, at: datetime) -> WorkerState:
    """Make the state of a worker; the files that the settings name are its sources."""
    del policies
    return build_worker_state(
        settings,
        load_trust_roots(settings.trust_roots),
        Decisions(),
        at,
        sources=open_sources(settings.collateral, {}),
    )


def settings(place: Path) -> Settings:
    return Settings(
        mutual=True,
        trust_roots=(str(place / "platform" / "root-ca.pem"),),
        collateral=CollateralSettings(source=str(place / "collateral")),
    )


def test_our_own_evidence_and_its_endorsements_come_from_what_was_named(place: Path, policies: Policies) -> None:
    own = replace(settings(place), attester=AttesterName.SGX_ECDSA, simulate=place / "platform", endorsements=True)
    state = build_state(own, policies, NOW)
    context = state.serving.context
    assert context is not None
    assert context.identity is not None
    certificate = parse_certificate(context.identity.certificate_der)
    assert certificate.endorsements is not None
    result = state.setup.appraiser.appraise_certificate(
        context.identity.certificate_der, VerifierName.SGX_ECDSA, datetime.now(UTC)
    )
    assert result.allowed, [check.sentence for check in result.refusals]


def test_each_identity_has_a_key_of_its_own(place: Path, policies: Policies) -> None:
    state = build_state(settings(place), policies, NOW)
    made = {state.identities.make(NOW).attestation_id for _ in range(3)}
    assert len(made) == 3


def test_without_tls_there_is_no_identity(place: Path, policies: Policies) -> None:
    nulls = replace(settings(place), tls=TLSName.NULL, verifier=VerifierName.NULL, mutual=False)
    assert build_state(nulls, policies, NOW).serving.context is None


@pytest.mark.parametrize(
    "broken",
    [
        {"trust_roots": ("nowhere.pem",)},
        {"collateral": CollateralSettings(source="nowhere")},
        {"collateral": CollateralSettings(pccs_url="ftp://127.0.0.1/")},
        {"attester": AttesterName.SGX_ECDSA, "simulate": Path("nowhere")},
    ],
)
def test_what_cannot_be_used_is_an_error_before_anything_is_replaced(
    place: Path, policies: Policies, broken: dict[str, object]
) -> None:
    with pytest.raises(VerdictdError):
        build_state(replace(settings(place), **broken), policies, NOW)  # type: ignore[arg-type]


def test_the_open_reference_refuses_unless_it_was_allowed_or_nobody_is_judged(place: Path, policies: Policies) -> None:
    assert policies.is_open()
    strict = settings(place)
    remedy = explain_open_reference(strict, is_open=policies.is_open())
    assert remedy is not None
    assert f"verdict --client-api {strict.client_api} --set-opa-reference sgxData FILE" in remedy
    assert explain_open_reference(replace(strict, allow_any_enclave=True), is_open=True) is None
    assert explain_open_reference(replace(strict, verifier=VerifierName.NULL), is_open=True) is None


def test_endorsements_for_a_platform_that_nobody_knows_are_an_error_with_what_to_do(
    place: Path, platform: SimulatedPlatform
) -> None:
    stranger = SimulatedPlatform.create(at=NOW - timedelta(hours=1))
    roots = load_trust_roots(settings(place).trust_roots)
    setup = AppraisalSetup(
        roots=roots,
        acceptance=Acceptance(),
        sources=open_sources(CollateralSettings(source=str(place / "collateral")), {}),
    )
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
