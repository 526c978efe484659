"""The simulated Hygon is kept as it is, and openssl finds every signature of its genuine."""

import shutil
from pathlib import Path

import pytest

from tests.unit.tees.csv.inputs import SPEC
from tests.unit.tees.sm2 import openssl
from verdictd.core.errors import ConfigError
from verdictd.simulator.hygon_platform import CSVReportSpec, SimulatedHygon, mask_words
from verdictd.simulator.hygon_store import hygon_root_file, load_hygon
from verdictd.simulator.sm2_key import SM2PrivateKey
from verdictd.tees.sm2.verification import SM2Signature

HYGON = SimulatedHygon(b"a seed".ljust(32))


def field(data: bytes, offset: int) -> int:
    return int.from_bytes(data[offset : offset + 72], "little")


def key_at(data: bytes, offset: int) -> tuple[bytes, bytes]:
    """The key that stands in a certificate, and its owner's name."""
    point = b"".join(field(data, offset + at).to_bytes(32, "big") for at in (4, 76))
    length = int.from_bytes(data[offset + 148 : offset + 150], "little")
    return point, data[offset + 150 : offset + 150 + length]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl command")
def test_openssl_follows_the_chain_from_the_root_to_the_report(tmp_path: Path) -> None:
    evidence, hrk = HYGON.evidence(SPEC), HYGON.hrk_certificate
    hsk, cek, pek = evidence[4096:4928], evidence[4928:7012], mask_words(evidence[336:2420], SPEC.anonce)
    links = (
        (key_at(hrk, 64), hrk[:576], hrk, 576),
        (key_at(hrk, 64), hsk[:576], hsk, 576),
        (key_at(hsk, 64), cek[:1044], cek, 1052),
        (key_at(cek, 16), pek[:1044], pek, 1052),
        (key_at(pek, 16), evidence[:180], evidence, 192),
    )
    for (point, name), message, holder, offset in links:
        signature = SM2Signature(field(holder, offset), field(holder, offset + 72))
        assert openssl.accepts(point, signature, message, name, tmp_path)
        assert not openssl.accepts(point, signature, message + b"\0", name, tmp_path)


def test_what_was_made_is_read_again(tmp_path: Path) -> None:
    made, read = load_hygon(tmp_path), load_hygon(tmp_path)
    assert made == read
    assert load_hygon(_directory(tmp_path / "other")) != made
    root = hygon_root_file(tmp_path).read_bytes()
    assert root[:576] == made.hrk_certificate[:576]
    assert (tmp_path / "hygon" / "hsk_cek.cert").read_bytes()[:576] == made.hsk_cek[:576]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "hygon").iterdir()} == {0o600}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hygon", "other"]


def _directory(path: Path) -> Path:
    path.mkdir()
    return path


@pytest.mark.parametrize("seed", [None, b"", b"x" * 31, b"x" * 33])
def test_a_damaged_directory_is_refused(seed: bytes | None, tmp_path: Path) -> None:
    load_hygon(tmp_path)
    file = tmp_path / "hygon" / "seed"
    file.unlink()
    if seed is not None:
        file.write_bytes(seed)
    with pytest.raises(ConfigError, match="no simulated Hygon"):
        load_hygon(tmp_path)


def test_a_directory_that_cannot_be_written_is_refused_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("verdictd.simulator.hygon_store.write_durably", full)
    with pytest.raises(ConfigError, match="No space left"):
        load_hygon(tmp_path)
    assert not list(tmp_path.iterdir())


def test_mistakes_of_the_caller() -> None:
    with pytest.raises(ValueError, match="a field of the report"):
        HYGON.report(CSVReportSpec(user_data=b"short"))
    with pytest.raises(ValueError, match="0 is no private key"):
        _ = SM2PrivateKey(0, b"").public_key
