"""The settings themselves: safe defaults, and the combinations that must not start."""

from dataclasses import replace
from pathlib import Path

import pytest

from verdictd.appraisal.verifiers import NULL_VERIFIER, SGX_VERIFIER, VerifierName, Verifiers
from verdictd.configuration.address import Address
from verdictd.core.errors import ConfigError
from verdictd.daemon.settings import (
    AttesterName,
    CollateralSettings,
    CryptoName,
    Settings,
    TLSName,
    check_settings,
)
from verdictd.daemon.settings_address import UnixAddress
from verdictd.ratstls.evidence import CertificateFormat
from verdictd.tees.dcap.acceptance import TCBStatus

MUTUAL = Settings(mutual=True)
SERVES_ANYONE = Settings(verifier=NULL_VERIFIER)


def test_the_defaults_are_the_originals_addresses_and_the_least_acceptance() -> None:
    settings = Settings()
    assert str(settings.listen) == "127.0.0.1:1234"
    assert str(settings.client_api) == "[::1]:60000"
    assert settings.data_dir == Path("/opt/verdictd")
    assert settings.acceptance.tcb_statuses == {TCBStatus.UP_TO_DATE}
    assert not settings.acceptance.allow_debug
    assert settings.trust_roots == ("intel",)
    assert not settings.allow_any_enclave


def test_a_verifier_that_was_not_named_is_sgx_ecdsa_and_never_null() -> None:
    assert Settings().enforced_verifier == SGX_VERIFIER


@pytest.mark.parametrize("verifier", VerifierName)
def test_a_verifier_that_was_named_is_the_one_enforced(verifier: Verifiers) -> None:
    assert Settings(verifier=verifier).enforced_verifier is verifier


@pytest.mark.parametrize(
    "settings",
    [
        MUTUAL,
        SERVES_ANYONE,
        Settings(mutual=True, verifier=NULL_VERIFIER),
        Settings(tls=TLSName.NULL, verifier=NULL_VERIFIER),
        Settings(tls=TLSName.NULL, crypto=CryptoName.NULL, verifier=NULL_VERIFIER),
        replace(MUTUAL, attester=AttesterName.SGX_ECDSA, simulate=Path("sim"), endorsements=True),
        replace(MUTUAL, attester=AttesterName.SGX_ECDSA, quote_command="quoter"),
        replace(MUTUAL, certificate_format=CertificateFormat.LEGACY),
        replace(MUTUAL, client_api=UnixAddress(Path("/run/verdictd.sock"))),
        replace(MUTUAL, client_api=Address("127.9.9.9", 1)),
        replace(MUTUAL, client_api=Address("localhost", 1)),
        replace(MUTUAL, collateral=CollateralSettings(alibaba_region="cn-hangzhou", alibaba_vpc=True)),
        replace(MUTUAL, collateral=CollateralSettings(source="dir", pccs_url="https://pccs")),
    ],
)
def test_settings_that_hold_together_pass(settings: Settings) -> None:
    check_settings(settings)


@pytest.mark.parametrize(
    ("settings", "why", "remedy"),
    [
        (Settings(), "without mutual no peer presents evidence", "add --mutual"),
        (
            Settings(verifier=SGX_VERIFIER),
            "without mutual no peer presents evidence",
            "add --mutual",
        ),
        (Settings(tls=TLSName.NULL), "no verifier can be enforced", "--tls openssl"),
        (
            Settings(tls=TLSName.NULL, verifier=SGX_VERIFIER),
            "no verifier can be enforced",
            "--tls openssl",
        ),
        (replace(MUTUAL, tls=TLSName.NULL), "no verifier can be enforced", "--tls openssl"),
        (replace(SERVES_ANYONE, tls=TLSName.NULL, mutual=True), "mutual cannot be kept", "--mutual"),
        (replace(MUTUAL, crypto=CryptoName.NULL), "nullcrypto makes no certificate", "openssl"),
        (replace(MUTUAL, quote_command="quoter"), "nullattester makes no quotes", "--attester sgx_ecdsa"),
        (replace(MUTUAL, simulate=Path("sim")), "nullattester makes no quotes", "--attester sgx_ecdsa"),
        (
            replace(MUTUAL, attester=AttesterName.SGX_ECDSA, quote_command="quoter", simulate=Path("sim")),
            "both given",
            "one source",
        ),
        (replace(MUTUAL, endorsements=True), "endorsements belong to evidence", "--attester sgx_ecdsa"),
        (
            replace(
                MUTUAL,
                attester=AttesterName.SGX_ECDSA,
                endorsements=True,
                certificate_format=CertificateFormat.LEGACY,
            ),
            "legacy format carry no endorsements",
            "leave out",
        ),
        (replace(MUTUAL, client_api=Address("::", 1)), "can be reached from other machines", "loopback"),
        (replace(MUTUAL, client_api=Address("192.0.2.1", 1)), "can be reached from other machines", "loopback"),
        (replace(MUTUAL, client_api=Address("example.org", 1)), "can be reached from other machines", "loopback"),
        (
            replace(MUTUAL, collateral=CollateralSettings(pccs_url="https://pccs", alibaba_region="cn-hangzhou")),
            "two PCCS",
            "one of them",
        ),
        (replace(MUTUAL, collateral=CollateralSettings(alibaba_vpc=True)), "without a region", "--alibaba-region"),
    ],
)
def test_settings_that_do_not_hold_together_are_refused(settings: Settings, why: str, remedy: str) -> None:
    with pytest.raises(ConfigError, match=why) as caught:
        check_settings(settings)
    assert remedy in caught.value.remedy
