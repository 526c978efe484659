"""TEEs of installed packages: the worked example of the manual, and packages that are not what they should be."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cbor2 import CBORTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.unit.appraisal.platforms import roots
from tests.unit.ratstls.forge import EC_KEY, Forged, spki_of
from verdictd.appraisal.appraiser import Appraiser, Platform
from verdictd.appraisal.installed_tees import installed_tees, load_tee, load_tees
from verdictd.appraisal.tee_claims import claims_of
from verdictd.appraisal.verifiers import ANY, parse_verifiers
from verdictd.collateral.found import FoundCollateral
from verdictd.core.errors import ConfigError
from verdictd.core.result import AppraisalResult
from verdictd.ratstls.cbor import encode_cbor
from verdictd.ratstls.evidence import encode_claims_buffer
from verdictd.tees.dcap.acceptance import Acceptance
from verdictd.tees.dcap.collateral import Collateral

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "acme-tee"
AT = datetime(2026, 6, 1, tzinfo=UTC)
KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
ENTRY = "[verdictd.tees]\n{}\n"


def install(place: Path, entries: str, *, package: str = "acme_tee", code: str | None = None) -> None:
    """Put a package where this process looks for such, as an installer does: its code, and what it says of itself."""
    (place / f"{package}.py").write_text((EXAMPLE / "acme_tee.py").read_text() if code is None else code)
    metadata = place / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY.format(entries))


def forget() -> None:
    installed_tees.cache_clear()
    load_tee.cache_clear()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "trusted.hex").write_text(KEY.public_key().public_bytes_raw().hex())
    (tmp_path / "device.hex").write_text(KEY.private_bytes_raw().hex())
    monkeypatch.setenv("ACME_TRUSTED_KEY", str(tmp_path / "trusted.hex"))
    monkeypatch.setenv("ACME_DEVICE_KEY", str(tmp_path / "device.hex"))
    monkeypatch.syspath_prepend(str(tmp_path))
    forget()
    yield tmp_path
    for name in ("acme_tee", "other_tee"):
        sys.modules.pop(name, None)
    forget()


def find_none(wanted: Platform, peer: Collateral | None, at: datetime) -> FoundCollateral:
    raise AssertionError((wanted, peer, at))


def certificate(evidence: bytes | None = None) -> bytes:
    """A peer's certificate, with Acme's evidence for its key or what is given."""
    attester = load_tee("acme").open_attester
    assert attester is not None
    claims = encode_claims_buffer(hashlib.sha256(spki_of(EC_KEY)).digest(), {"a": b"\x01"})
    made = attester().quote(hashlib.sha256(claims).digest().ljust(64, b"\0"))
    value = encode_cbor(CBORTag(0x41434D45, [made if evidence is None else evidence, claims]))
    return Forged().with_extensions(("2.23.133.5.4.9", False, value)).der()


def appraise(data: bytes, *verifiers: str, **acceptance: bool) -> AppraisalResult:
    named = parse_verifiers(verifiers)
    appraiser = Appraiser(
        roots=roots(),
        acceptance=Acceptance(**acceptance),  # type: ignore[arg-type]
        find_collateral=find_none,
        installed=load_tees(named.kinds),
    )
    return appraiser.appraise_certificate(data, named, AT)


def refused(result: AppraisalResult) -> set[str]:
    return {check.name for check in result.refusals}


def test_a_peer_with_evidence_of_the_example_is_judged_where_it_is_named(place: Path) -> None:
    install(place, "acme = acme_tee:ACME")
    result = appraise(certificate(), "acme")
    assert result.allowed, result.refusals
    assert (result.tee, result.custom_claims) == ("acme", {"a": b"\x01"})
    made = claims_of("acme").build_policy_input(result.claims, result.custom_claims)
    assert made == {"acme": dict(result.claims), "claims": {"a": "01"}}
    assert appraise(certificate(), "acme", "sgx_ecdsa").allowed


def test_it_is_not_judged_where_it_is_not_named(place: Path) -> None:
    install(place, "acme = acme_tee:ACME")
    data = certificate()
    assert "acme" not in parse_verifiers([ANY]).names
    for names in (["any"], ["sgx_ecdsa"]):
        assert refused(appraise(data, *names)) == {"certificate.format"}


def test_evidence_for_another_key_is_refused_and_so_is_any_flipped_bit(place: Path) -> None:
    install(place, "acme = acme_tee:ACME")
    attester = load_tee("acme").open_attester
    assert attester is not None
    assert refused(appraise(certificate(attester().quote(bytes(64))), "acme")) == {"certificate.report_data"}
    claims = encode_claims_buffer(hashlib.sha256(spki_of(EC_KEY)).digest(), {"a": b"\x01"})
    made = attester().quote(hashlib.sha256(claims).digest().ljust(64, b"\0"))
    for place_of_bit in range(0, len(made) * 8, 5):
        flipped = bytearray(made)
        flipped[place_of_bit // 8] ^= 1 << place_of_bit % 8
        assert not appraise(certificate(bytes(flipped)), "acme").allowed


def test_the_whole_example_installs_and_judges_a_file(place: Path) -> None:
    target = place / "site"
    target.mkdir()
    for name in ("build", "acme_tee.egg-info"):
        assert not (EXAMPLE / name).exists()
    source = place / "source"
    source.mkdir()
    for file in ("pyproject.toml", "acme_tee.py"):
        (source / file).write_bytes((EXAMPLE / file).read_bytes())
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", "install", "--root-user-action=ignore"]
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--target", str(target), str(source)]
    subprocess.run([*pip, *options], check=True, timeout=120)
    signed = bytes(32) + bytes(64) + b"\0"
    (place / "evidence").write_bytes(signed + KEY.sign(signed))
    (place / "forged").write_bytes(signed + bytes(64))
    environment = {**os.environ, "PYTHONPATH": str(target), "HOME": str(place)}
    verdict = [sys.executable, "-m", "verdictd.cli.verdict.main", "appraise", "--tee", "acme"]
    done = {
        name: subprocess.run(
            [*verdict, str(place / name)], env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        for name in ("evidence", "forged")
    }
    assert done["evidence"].returncode == 0, done["evidence"].stderr + done["evidence"].stdout
    assert done["forged"].returncode == 1
    assert "report.signature" in done["forged"].stdout


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("raise RuntimeError('broken')", "cannot be loaded: RuntimeError: broken"),
        ("ACME = object()", "is no TEE of that name"),
        ("", "cannot be loaded: AttributeError"),
    ],
)
def test_a_package_that_is_not_what_it_should_be_is_named_at_start(place: Path, code: str, says: str) -> None:
    install(place, "acme = acme_tee:ACME", code=code)
    assert parse_verifiers(["acme"]).kinds == ("acme",)
    with pytest.raises(ConfigError, match=says):
        load_tees(["acme"])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('NAME: Final = "acme"', 'NAME: Final = "other"', "is no TEE of that name"),
        ("evidence_tag=0x41434D45", "evidence_tag=60000", "which is another's"),
        ("evidence_tag=0x41434D45", "evidence_tag=0x1A7504", "which is another's"),
    ],
)
def test_names_and_tags_of_others_are_refused(place: Path, old: str, new: str, says: str) -> None:
    code = (EXAMPLE / "acme_tee.py").read_text()
    assert old in code
    install(place, "acme = acme_tee:ACME", code=code.replace(old, new))
    with pytest.raises(ConfigError, match=says):
        load_tee("acme")


def test_two_packages_of_one_name_or_tag_are_refused(place: Path) -> None:
    install(place, "acme = acme_tee:ACME")
    code = (EXAMPLE / "acme_tee.py").read_text().replace('NAME: Final = "acme"', 'NAME: Final = "second"')
    install(place, "acme = other_tee:ACME\nsecond = other_tee:ACME", package="other_tee", code=code)
    with pytest.raises(ConfigError, match="several packages bring a TEE acme: acme_tee, other_tee"):
        load_tee("acme")
    (place / "other_tee-1.0.dist-info" / "entry_points.txt").write_text(ENTRY.format("second = other_tee:ACME"))
    forget()
    with pytest.raises(ConfigError, match="claim the same evidence tag"):
        load_tees(["acme", "second"])


def test_no_package_takes_the_name_of_what_is_built_in(place: Path) -> None:
    names = ("sgx_ecdsa", "sev_snp", "any", "nullverifier", "Acme", "a-b", "1a")
    install(place, "\n".join(f"{name} = acme_tee:ACME" for name in names))
    assert installed_tees() == ()
    for name in names:
        with pytest.raises(ConfigError, match="no installed package"):
            load_tee(name)


@pytest.mark.parametrize(
    "answer",
    [
        "1 / 0",
        "None",
        "True",
        "AppraisalResult(tee='sgx_ecdsa', checks=(), at=at)",
        "AppraisalResult(tee=NAME, checks=(), at=at)",
    ],
)
def test_an_appraisal_that_does_not_answer_as_it_should_refuses(place: Path, answer: str) -> None:
    code = (EXAMPLE / "acme_tee.py").read_text()
    start = "    del allow_expired_collateral  # nothing here expires\n"
    assert start in code
    install(place, "acme = acme_tee:ACME", code=code.replace(start, f"    return {answer}\n"))
    result = appraise(certificate(), "acme")
    assert not result.allowed
    assert result.tee == "acme"


def test_without_report_data_nothing_is_bound(place: Path) -> None:
    code = (EXAMPLE / "acme_tee.py").read_text()
    made = '"report_data": evidence[32:96].hex()'
    assert made in code
    for other in ('"report_data": "zz"', '"report_data": None', '"data": 1', '"report_data": ""'):
        install(place, "acme = acme_tee:ACME", code=code.replace(made, other))
        assert refused(appraise(certificate(), "acme")) == {"certificate.report_data"}
        sys.modules.pop("acme_tee")
        forget()
        (place / "acme_tee-1.0.dist-info" / "METADATA").unlink()
        (place / "acme_tee-1.0.dist-info" / "entry_points.txt").unlink()
        (place / "acme_tee-1.0.dist-info").rmdir()
        (place / "acme_tee.py").unlink()
