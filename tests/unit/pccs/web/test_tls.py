"""The certificate, and what becomes of a new one."""

import logging
import ssl
from pathlib import Path

import pytest

from tests.unit.pccs.web.desk import Desk
from tests.unit.pccs.web.served import connect, read_all, served, shown_name, wait_until, write_pair
from verdictd.core.errors import ConfigError
from verdictd.pccs.web.protocol import ConnectionLimits
from verdictd.pccs.web.tls import ReloadingCertificate, TLSFiles


def test_a_new_pair_is_shown_to_the_next_client(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "first")
    with served(Desk().app, tls=files) as address:
        assert shown_name(address) == "first"
        write_pair(tmp_path, "second")
        wait_until(lambda: shown_name(address) == "second")


def test_a_bad_pair_is_refused_and_the_old_one_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = write_pair(tmp_path, "first")
    with served(Desk().app, tls=files) as address:
        with caplog.at_level(logging.ERROR):
            files.certificate.write_bytes(b"not a certificate")
            wait_until(lambda: "stays in use" in caplog.text)
        assert shown_name(address) == "first"
        write_pair(tmp_path, "third")
        wait_until(lambda: shown_name(address) == "third")


def test_a_pair_that_is_the_same_is_loaded_only_on_demand(tmp_path: Path) -> None:
    certificate = ReloadingCertificate(write_pair(tmp_path, "first"))
    assert not certificate.check()
    assert certificate.check(always=True)


def test_a_key_of_another_certificate_is_refused(tmp_path: Path) -> None:
    first = write_pair(tmp_path, "first")
    key = first.key.read_bytes()
    certificate = ReloadingCertificate(first)
    write_pair(tmp_path, "second").key.write_bytes(key)
    assert not certificate.check()


def test_files_that_went_away_are_looked_for_again(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "first")
    certificate = ReloadingCertificate(files)
    files.key.unlink()
    assert not certificate.check()
    write_pair(tmp_path, "second")
    assert certificate.check()


def test_a_key_with_a_password_is_refused_without_asking_for_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="without a password"):
        ReloadingCertificate(write_pair(tmp_path, "first", password=b"secret"))


def test_no_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be used"):
        ReloadingCertificate(TLSFiles(tmp_path / "a", tmp_path / "b"))


def test_old_versions_of_tls_are_not_spoken(tmp_path: Path) -> None:
    certificate = ReloadingCertificate(write_pair(tmp_path, "first"))
    assert certificate.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_a_handshake_that_does_not_come_to_its_end(tmp_path: Path) -> None:
    files = write_pair(tmp_path, "first")
    limits = ConnectionLimits(head_s=0.3)
    with served(Desk().app, tls=files, limits=limits) as address, connect(address) as client:
        client.sendall(b"\x16\x03\x01")
        assert b"HTTP" not in read_all(client)
