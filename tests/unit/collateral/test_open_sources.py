import time
from pathlib import Path

import pytest

from tests.unit.collateral.endorser import START, Endorser
from tests.unit.collateral.fake_pccs import Answer, FakePCCS, document_answer, serving
from tests.unit.collateral.fake_pccs import filled as filled_pccs
from verdictd.collateral.deadline import Deadline
from verdictd.collateral.items import ItemKind, ItemName
from verdictd.collateral.open_sources import open_pccs, open_pccs_from_qcnl, open_source
from verdictd.collateral.pccs_client import PCCSClient
from verdictd.collateral.qcnl import parse_qcnl
from verdictd.collateral.sources import FixedSource
from verdictd.core.errors import CollateralUnavailableError, ConfigError
from verdictd.simulator.collateral_file import encode_collateral_file

ROOT_CRL = ItemName(ItemKind.ROOT_CA_CRL)


def test_a_path_is_loaded_and_an_address_is_asked(endorser: Endorser, tmp_path: Path) -> None:
    path = tmp_path / "collateral.json"
    path.write_bytes(encode_collateral_file(endorser.platform.collateral(START)))
    files = open_source(str(path), {})
    assert isinstance(files, FixedSource)
    assert (files.name, len(files.at_hand)) == (str(path), 4)
    pccs = open_source("https://pccs.example/", {})
    assert isinstance(pccs, PCCSClient)
    assert pccs.name == "PCCS https://pccs.example/sgx/certification/v4/"


@pytest.mark.parametrize("where", ["/nonexistent", "ftp://pccs.example/", "https://user@pccs.example/"])
def test_what_is_neither_is_an_error(where: str) -> None:
    with pytest.raises(ConfigError):
        open_source(where, {})


def test_a_source_is_asked_through_the_proxy_of_the_environment(endorser: Endorser) -> None:
    proxy = FakePCCS()
    target = "http://pccs.invalid/sgx/certification/v4/rootcacrl"
    proxy.answers[target] = filled_pccs(endorser).answers["/sgx/certification/v4/rootcacrl"]
    with serving(proxy):
        client = open_pccs("http://pccs.invalid", {"HTTP_PROXY": proxy.url})
        (item,) = client.fetch(ROOT_CRL, _soon())
    assert item.source == f"PCCS {target}"


def test_settings_of_qcnl_take_effect(endorser: Endorser) -> None:
    pccs = filled_pccs(endorser)
    pccs.answers["/sgx/certification/v4/qe/identity?update=early"] = document_answer(
        endorser.qe_identity(), "SGX-Enclave-Identity-Issuer-Chain"
    )
    with serving(pccs):
        text = f"""{{
            "pccs_url": "https://certificates.example/sgx/certification/v4/",
            "collateral_service": "{pccs.url}/sgx/certification/v4/", // collateral alone
            "use_secure_cert": false,
            "tcb_update_type": "early"
        }}"""
        client = open_pccs_from_qcnl(parse_qcnl(text.encode(), "qcnl.conf"), {})
        (item,) = client.fetch(ItemName(ItemKind.QE_IDENTITY, tee="SGX"), _soon())
    assert item.source == f"PCCS {pccs.url}/sgx/certification/v4/qe/identity?update=early"
    (warning,) = client.warnings
    assert "qcnl.conf switches off the check" in warning


@pytest.mark.parametrize(
    ("settings", "attempts"),
    [("", 3), ("RETRY_TIMES=0\n", 1), ("RETRY_TIMES=1\nRETRY_DELAY=0\n", 2), ("RETRY_TIMES=1000\nRETRY_DELAY=0\n", 6)],
)
def test_retries_of_qcnl_are_followed_within_reason(settings: str, attempts: int) -> None:
    pccs = FakePCCS()
    pccs.answers["/sgx/certification/v3/rootcacrl"] = Answer(status=503)
    with serving(pccs):
        text = f"PCCS_URL={pccs.url}/sgx/certification/v3/\n{settings}"
        client = open_pccs_from_qcnl(parse_qcnl(text.encode(), "qcnl.conf"), {})
        with pytest.raises(CollateralUnavailableError, match="answered 503"):
            client.fetch(ROOT_CRL, _soon())
    assert len(pccs.requests) == attempts


def test_a_delay_of_qcnl_does_not_hold_up_a_handshake() -> None:
    pccs = FakePCCS()
    pccs.answers["/sgx/certification/v3/rootcacrl"] = Answer(status=503)
    with serving(pccs):
        text = f"PCCS_URL={pccs.url}/sgx/certification/v3/\nRETRY_TIMES=6\nRETRY_DELAY=100\n"
        client = open_pccs_from_qcnl(parse_qcnl(text.encode(), "qcnl.conf"), {})
        with pytest.raises(CollateralUnavailableError, match="answered 503"):
            client.fetch(ROOT_CRL, _soon(1.9))
    assert len(pccs.requests) == 1  # the delay is capped at two seconds, which is more than there is


def _soon(seconds: float = 10) -> Deadline:
    return Deadline.after(seconds, time.monotonic)
