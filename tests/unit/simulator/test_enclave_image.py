"""Simulated enclave images: they hold, measure as they were signed, and read as Intel's tools write theirs."""

from datetime import date
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.unit.enclave.signing import make_key
from tests.unit.enclave.test_sdk_image import examine
from verdictd.cli.tee_sim import main
from verdictd.core.errors import ConfigError
from verdictd.enclave.sigstruct import parse_sigstruct
from verdictd.enclave.sigstruct_checks import check_sigstruct
from verdictd.simulator.enclave_author import AUTHOR_KEY_FILE, load_author_key
from verdictd.simulator.enclave_image import EnclaveIdentity, build_enclave_image

IDENTITY = EnclaveIdentity(isv_prod_id=0x0102, isv_svn=0x0304, signed_on=date(2026, 1, 2))


@pytest.mark.parametrize("content", [b"", b"x", bytes(4096), b"xy" * 5000], ids=len)
def test_any_content_makes_an_enclave_that_holds(content: bytes) -> None:
    (found,) = examine(build_enclave_image(content, make_key(), IDENTITY))
    sigstruct = parse_sigstruct(found.sigstruct)
    assert [check.sentence for check in check_sigstruct(found.sigstruct) if check.refuses] == []
    assert found.mr_enclave == sigstruct.mr_enclave
    assert (sigstruct.isv_prod_id, sigstruct.isv_svn, sigstruct.day) == (0x0102, 0x0304, "20260102")
    assert not sigstruct.allows_debug


def test_other_content_is_another_enclave_of_the_same_author() -> None:
    first, second = (build_enclave_image(content, make_key(), IDENTITY) for content in (b"1", b"2"))
    signed = [parse_sigstruct(examine(image)[0].sigstruct) for image in (first, second)]
    assert signed[0].mr_enclave != signed[1].mr_enclave
    assert signed[0].mr_signer == signed[1].mr_signer


@pytest.mark.parametrize(("exponent", "bits"), [(65537, 3072), (3, 2048)])
def test_another_kind_of_key_signs_no_enclave(exponent: int, bits: int) -> None:
    with pytest.raises(ValueError, match="3072 bits and the exponent 3"):
        build_enclave_image(b"", rsa.generate_private_key(public_exponent=exponent, key_size=bits), IDENTITY)


def test_the_authors_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    made = load_author_key(tmp_path).public_key().public_numbers()
    assert load_author_key(tmp_path).public_key().public_numbers() == made
    assert (tmp_path / AUTHOR_KEY_FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\n"])
def test_a_key_that_cannot_be_used_says_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / AUTHOR_KEY_FILE).write_bytes(content)
    with pytest.raises(ConfigError, match="remove it"):
        load_author_key(tmp_path)


def test_a_directory_that_is_not_there_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        load_author_key(tmp_path / "missing")


def test_tee_sim_writes_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "content").write_bytes(b"app")
    words = ["enclave", str(tmp_path), str(tmp_path / "content"), "-o", str(tmp_path / "app.so"), "--isv-svn", "7"]
    assert main(words) == 0
    (found,) = examine((tmp_path / "app.so").read_bytes())
    assert parse_sigstruct(found.sigstruct).isv_svn == 7
    words[2] = str(tmp_path / "missing")
    assert main(words) == 2
    assert "missing cannot be read" in capsys.readouterr().err
