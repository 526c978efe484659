"""Shared flags: what was not given stays unset, what was given means what the configuration file would mean."""

import argparse
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from verdictd.cli.options import (
    add_acceptance_options,
    add_collateral_options,
    add_trust_options,
    read_acceptance,
    read_collateral_settings,
    read_trust_roots,
)
from verdictd.core.errors import ConfigError
from verdictd.daemon.settings import CollateralSettings
from verdictd.tees.dcap.acceptance import ANY_STATUS_BUT_REVOKED, Acceptance, TCBStatus
from verdictd.tees.dcap.trust_roots import intel_trust_root


def _parse(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_acceptance_options(parser)
    add_trust_options(parser)
    add_collateral_options(parser)
    return parser.parse_args(argv)


def test_without_flags_the_least_is_accepted_and_intel_alone_trusted() -> None:
    arguments = _parse()
    assert set(vars(arguments).values()) == {None}
    assert read_acceptance(arguments) == Acceptance()
    assert [root.is_intel for root in read_trust_roots(arguments).roots] == [True]
    assert read_collateral_settings(arguments) == CollateralSettings()


def test_every_acceptance_flag_is_read() -> None:
    arguments = _parse(
        "--accept-tcb-status", "OutOfDate,UpToDate", "--accept-tcb-status", "SWHardeningNeeded", "--allow-debug",
        "--allow-expired-collateral", "--deny-advisory", "INTEL-SA-00334", "--deny-advisory", "INTEL-SA-00615",
        "--min-evaluation-data-number", "17", "--max-collateral-age", "30",
    )  # fmt: skip
    assert read_acceptance(arguments) == Acceptance(
        tcb_statuses=frozenset({TCBStatus.OUT_OF_DATE, TCBStatus.UP_TO_DATE, TCBStatus.SW_HARDENING_NEEDED}),
        allow_debug=True,
        allow_expired_collateral=True,
        denied_advisories=frozenset({"INTEL-SA-00334", "INTEL-SA-00615"}),
        min_evaluation_data_number=17,
        max_collateral_age=timedelta(days=30),
    )


def test_any_is_every_status_but_revoked() -> None:
    assert read_acceptance(_parse("--accept-tcb-status", "any")).tcb_statuses == ANY_STATUS_BUT_REVOKED


@pytest.mark.parametrize(
    ("argv", "where"),
    [
        (["--accept-tcb-status", "Fine"], "--accept-tcb-status: 'Fine' is no TCB status"),
        (["--deny-advisory", "615"], "--deny-advisory: '615' is no advisory id"),
        (["--min-evaluation-data-number", "-1"], "--min-evaluation-data-number: expected a whole number"),
        (["--max-collateral-age", "0"], "--max-collateral-age: expected a whole number"),
    ],
)
def test_an_error_begins_with_its_flag(argv: list[str], where: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_acceptance(_parse(*argv))
    assert str(caught.value).startswith(where)


@pytest.mark.parametrize(
    "argv", [["--max-collateral-age", "soon"], ["--allow-debug=yes"], ["--trust-root"], ["--unknown"]]
)
def test_misuse_exits_with_2(argv: list[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _parse(*argv)
    assert caught.value.code == 2


def test_naming_a_root_replaces_intel_unless_intel_is_named_too(tmp_path: Path) -> None:
    # Any self-signed CA will do; a second copy of Intel's shows whether the first was counted.
    path = tmp_path / "root.pem"
    path.write_bytes(intel_trust_root().certificate.public_bytes(Encoding.PEM))
    (only,) = read_trust_roots(_parse("--trust-root", str(path))).roots
    assert only.label == str(path)
    (first,) = read_trust_roots(_parse("--trust-root", "intel", "--trust-root", str(path))).roots
    assert first.label == "Intel SGX Root CA"
    with pytest.raises(ConfigError, match="cannot be read"):
        read_trust_roots(_parse("--trust-root", str(tmp_path / "absent.pem")))


def test_collateral_flags_are_read_and_checked_together() -> None:
    assert read_collateral_settings(_parse("--collateral", "dir", "--pccs-url", "https://pccs:8081/")) == (
        CollateralSettings(source="dir", pccs_url="https://pccs:8081/")
    )
    assert read_collateral_settings(_parse("--alibaba-region", "cn-hangzhou", "--alibaba-vpc")) == (
        CollateralSettings(alibaba_region="cn-hangzhou", alibaba_vpc=True)
    )
    with pytest.raises(ConfigError, match="two PCCS"):
        read_collateral_settings(_parse("--alibaba-region", "cn-hangzhou", "--pccs-url", "https://pccs/"))
    with pytest.raises(ConfigError, match="without a region"):
        read_collateral_settings(_parse("--alibaba-vpc"))
