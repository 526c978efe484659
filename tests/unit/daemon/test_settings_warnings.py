"""Warnings: nothing weaker than the default goes unsaid, and the default says nothing."""

from dataclasses import replace
from pathlib import Path

import pytest

from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER
from verdictd.configuration.address import Address
from verdictd.daemon.settings import AttesterName, Settings, TLSName
from verdictd.daemon.settings_warnings import warnings
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance, TCBStatus

STRICT = Settings(mutual=True, verifier=SGX_VERIFIER)


def test_strict_settings_warn_of_nothing() -> None:
    assert warnings(STRICT) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (replace(STRICT, verifier=None), "No verifier is named, so sgx_ecdsa is enforced"),
        (replace(STRICT, verifier=NULL_VERIFIER), "evidence nobody checks"),
        (
            Settings(verifier=NULL_VERIFIER),
            "anyone who connects is served (nullverifier, without --mutual)",
        ),
        (
            Settings(tls=TLSName.NULL, verifier=NULL_VERIFIER),
            "can be read and changed on the way",
        ),
        (
            Settings(tls=TLSName.NULL, verifier=NULL_VERIFIER),
            "anyone who connects is served (nullverifier, nulltls)",
        ),
        (replace(STRICT, allow_any_enclave=True), "any enclave of anybody"),
        (replace(STRICT, metrics=Address("0.0.0.0", 9464)), "metrics on 0.0.0.0:9464 can be read from other machines"),  # noqa: S104
        (replace(STRICT, metrics=Address("::", 9464)), "can be read from other machines"),
        (replace(STRICT, trust_roots=("intel", "sim.pem")), "The root in sim.pem is trusted"),
        (replace(STRICT, trust_roots=("sim.pem",)), "Intel's own root is not trusted"),
        (
            replace(STRICT, acceptance=Acceptance(tcb_statuses=ANY_STATUS_BUT_REVOKED)),
            "ConfigurationAndSWHardeningNeeded, ConfigurationNeeded, OutOfDate, OutOfDateConfigurationNeeded, SW",
        ),
        (
            replace(STRICT, acceptance=Acceptance(tcb_statuses=frozenset({TCBStatus.REVOKED}))),
            "Platforms that are up to date are refused",
        ),
        (replace(STRICT, acceptance=Acceptance(allow_debug=True)), "--allow-debug"),
        (replace(STRICT, acceptance=Acceptance(allow_expired_collateral=True)), "--allow-expired-collateral"),
        (
            replace(STRICT, attester=AttesterName.SGX_ECDSA, simulate=Path("/sim")),
            "made by the simulated platform in /sim",
        ),
    ],
)
def test_each_setting_that_weakens_is_said(settings: Settings, said: str) -> None:
    assert said in " ".join(warnings(settings))


def test_stricter_settings_than_the_default_warn_of_nothing() -> None:
    acceptance = Acceptance(denied_advisories=frozenset({"INTEL-SA-00615"}), min_evaluation_data_number=17)
    assert warnings(replace(STRICT, acceptance=acceptance)) == []


def test_what_the_null_verifier_ignores_is_not_warned_of() -> None:
    settings = Settings(
        verifier=NULL_VERIFIER,
        trust_roots=("sim.pem",),
        acceptance=Acceptance(allow_debug=True),
    )
    assert len(warnings(settings)) == 1


def test_every_warning_is_a_sentence() -> None:
    for sentence in warnings(replace(STRICT, verifier=None, allow_any_enclave=True, trust_roots=("a", "b"))):
        assert sentence[0].isupper()
        assert sentence.endswith(".")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_metrics_that_this_machine_alone_can_read_are_not_warned_of(host: str) -> None:
    assert warnings(replace(STRICT, metrics=Address(host, 9464))) == []
